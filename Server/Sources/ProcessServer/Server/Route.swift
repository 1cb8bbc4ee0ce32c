import Hummingbird

/// One method of one path, and its description.
///
/// Routes answer requests, and `GET /openapi.json` describes the same routes: there is no second
/// list of either.
struct Route: Sendable {
  typealias Handler = @Sendable (Request, APIContext) async throws -> Response

  let method: String
  /// The segments between slashes; a segment in braces matches any text, and names it.
  let path: String
  var needsToken = true
  /// For people, and for generated clients; nil for what paths and schemas do not describe.
  let operation: Operation?
  let handler: @Sendable (API) -> Handler

  fileprivate var segments: [Substring] { path.split(separator: "/") }
}

/// The routes, which requests look up.
struct RouteTable: Sendable {
  private let routes: [(segments: [Substring], route: Route)]

  init(_ routes: [Route]) { self.routes = routes.map { ($0.segments, $0) } }

  /// Returns the route of a request, and the values in its path for the route's names.
  ///
  /// - Parameter path: The path as it arrived: its segments are decoded here, after they were
  ///   separated.
  /// - Throws: ``APIError``: 404 if there is no such route, 405 if the path has other methods, 400
  ///   if it is not a path.
  /// - Complexity: O(routes).
  func route(
    _ method: String, ofPath path: String
  ) throws(APIError) -> (Route, parameters: [String: String]) {
    var segments: [String] = []
    for segment in path.utf8.split(separator: UInt8(ascii: "/")) {
      guard let decoded = percentDecoded(segment) else {
        throw .badRequest("the path has a % that two hexadecimal digits do not follow")
      }
      // Bytes that are not UTF-8 become U+FFFD.
      segments.append(String(decoding: decoded, as: UTF8.self))
    }
    var methods: [String] = []
    for (pattern, route) in routes {
      guard let parameters = Self.match(segments, pattern) else { continue }
      if route.method == method { return (route, parameters) }
      methods.append(route.method)
    }
    let name = "\(method.prefix(20)) \(path.prefix(100))"
    guard !methods.isEmpty else {
      throw APIError(.notFound, "not_found", "there is no \(name)")
    }
    var error = APIError(
      .methodNotAllowed, "method_not_allowed",
      "\(name) is not possible: only \(methods.joined(separator: ", "))")
    error.allowedMethods = methods
    throw error
  }

  private static func match(
    _ segments: [String], _ pattern: [Substring]
  ) -> [String: String]? {
    guard segments.count == pattern.count else { return nil }
    var parameters: [String: String] = [:]
    for (segment, expected) in zip(segments, pattern) {
      if expected.hasPrefix("{") {
        parameters[String(expected.dropFirst().dropLast())] = segment
      } else if segment != expected {
        return nil
      }
    }
    return parameters
  }
}

/// Returns the bytes that a part of a URL stands for; nil if two hexadecimal digits do not follow a
/// `%`.
func percentDecoded(_ text: Substring.UTF8View) -> [UInt8]? {
  var bytes: [UInt8] = []
  var rest = text
  while let byte = rest.popFirst() {
    guard byte == UInt8(ascii: "%") else {
      bytes.append(byte)
      continue
    }
    let digits = rest.prefix(2).map { Character(Unicode.Scalar($0)).hexDigitValue ?? 16 }
    guard digits.count == 2, digits.allSatisfy({ $0 < 16 }) else { return nil }
    bytes.append(UInt8(digits[0] << 4 | digits[1]))
    rest = rest.dropFirst(2)
  }
  return bytes
}
