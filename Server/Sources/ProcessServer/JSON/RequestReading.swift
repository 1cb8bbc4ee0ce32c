import Hummingbird
import NIOCore
import NIOHTTP1

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

extension Request {
  /// The body, read to its end and decoded; an empty one counts as `{}`.
  ///
  /// - Throws: ``APIError``: 413 for a body above the limit, 400 for one that is not what is expected.
  func decode<Value: Decodable>(
    _ type: Value.Type = Value.self, upTo limit: Int
  ) async throws -> Value {
    let tooLarge = APIError(
      .contentTooLarge, "body_too_large", "a request's body may have \(limit) bytes at most")
    if let length = headers[.contentLength].flatMap({ Int($0) }), length > limit { throw tooLarge }
    var body: ByteBuffer
    do {
      body = try await self.body.collect(upTo: limit)
    } catch is NIOTooManyBytesError {
      throw tooLarge
    } catch let error as HTTPParserError {
      throw error
    } catch {
      throw APIError.badRequest("the request's body did not come to its end")
    }
    if body.readableBytes == 0 { body.writeString("{}") }
    do {
      return try JSONDecoder().decode(type, from: Data(body.readableBytesView))
    } catch let error as DecodingError {
      throw APIError.badRequest(error.plainDescription)
    } catch let error as APIError {
      throw error
    } catch {
      throw APIError.badRequest("the body is not valid JSON")
    }
  }

  /// An integer of the query.
  ///
  /// - Throws: ``APIError`` with 400 for anything that is no integer within the range.
  func integer(_ name: String, in range: ClosedRange<Int>) throws -> Int? {
    guard let text = uri.queryParameters[name[...]] else { return nil }
    guard let value = Int(text) else {
      throw APIError.badRequest("\(name)=\(text.prefix(40)): not an integer")
    }
    guard range.contains(value) else {
      throw APIError.badRequest(
        range.upperBound == .max
          ? "\(name)=\(value): must be at least \(range.lowerBound)"
          : "\(name)=\(value): must be from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }
}

extension DecodingError {
  /// What is wrong with a body, without the decoder's own words.
  fileprivate var plainDescription: String {
    switch self {
    case .keyNotFound(let key, let context):
      return "\(Self.place(context.codingPath + [key])) is missing"
    case .typeMismatch(let type, let context):
      return "\(Self.place(context.codingPath)) is not \(Self.name(of: type))"
    case .valueNotFound(let type, let context):
      return "\(Self.place(context.codingPath)) is null, not \(Self.name(of: type))"
    case .dataCorrupted(let context):
      let place = context.codingPath
      return place.isEmpty
        ? "the body is not valid JSON" : "\(Self.place(place)): \(context.debugDescription)"
    @unknown default:
      return "the body is not what is expected"
    }
  }

  private static func place(_ path: [any CodingKey]) -> String {
    guard !path.isEmpty else { return "the body" }
    var text = ""
    for key in path {
      if let index = key.intValue {
        text += "[\(index)]"
      } else {
        text += (text.isEmpty ? "" : ".") + key.stringValue
      }
    }
    return text
  }

  private static func name(of type: any Any.Type) -> String {
    switch type {
    case is String.Type: "a string"
    case is Bool.Type: "true or false"
    case is any BinaryInteger.Type: "an integer"
    case is [Any].Type: "an array"
    default: "an object"
    }
  }
}
