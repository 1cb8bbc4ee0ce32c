import Hummingbird
import NIOCore
import NIOHTTP1

extension API {
  /// Reads a request's body to its end, and returns its fields. An empty body counts as `{}`.
  ///
  /// - Throws: ``APIError``: 413 for a body above the limit, 503 if too many bytes of other bodies
  ///   are kept already, 400 for a body that is not a JSON object.
  func fields(of request: Request, context: APIContext) async throws -> Fields {
    let text = try await body(of: request, context: context)
    return try Fields(text.isEmpty ? .object([]) : JSONInput(parsing: text))
  }

  /// Reads a request's body to its end. A large one counts until the request is answered: until
  /// then, what was read of it may be kept.
  ///
  /// - Throws: ``APIError``: 413 for a body above the limit, 503 if too many bytes of other bodies
  ///   are kept already.
  func body(of request: Request, context: APIContext) async throws -> [UInt8] {
    let limit = configuration.limits.bodyBytes
    let tooLarge = APIError(
      .contentTooLarge, "body_too_large", "a request's body may have \(limit) bytes at most")
    if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limit {
      throw tooLarge
    }
    var text: [UInt8] = []
    defer { if !text.isEmpty { connections.incoming.give(text.count, of: context.connection) } }
    do {
      for try await part in request.body {
        guard part.readableBytes <= limit - text.count else { throw tooLarge }
        guard
          connections.incoming.take(
            part.readableBytes, for: context.connection, in: context.workspace)
        else { throw APIError.overloaded }
        text += part.readableBytesView
      }
    } catch let error as HTTPParserError {
      throw error
    } catch let error as APIError {
      throw error
    } catch {
      throw APIError.badRequest("the request's body did not come to its end")
    }
    // It may have taken its time.
    guard context.grant.isInForce else { throw APIError.revoked }
    if text.count >= Self.leastCounted {
      guard
        connections.bodies.take(text.count, for: context.connection, in: context.workspace)
      else { throw APIError.overloaded }
    }
    return text
  }
}

extension Request {
  /// Returns an integer of the query.
  ///
  /// - Throws: ``APIError`` with 400 for a value that is not an integer within the range.
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
