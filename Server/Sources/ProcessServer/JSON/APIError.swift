import HTTPTypes
import Hummingbird

/// An error as a client gets it.
struct APIError: Error, Sendable, Equatable {
  var status: HTTPResponse.Status
  /// The code of the error, for programs; part of the API.
  var code: String
  /// The message, for people: what was wrong, and what to do.
  var message: String
  /// The methods of the path, if the request's method is not one of them.
  var allowedMethods: [String] = []

  init(_ status: HTTPResponse.Status, _ code: String, _ message: String) {
    self.status = status
    self.code = code
    self.message = message
  }

  var json: JSON { ["error": ["code": .string(code), "message": .string(message)]] }

  var response: Response {
    var response = Response(status: status, json: json)
    if status == .unauthorized { response.headers[.wwwAuthenticate] = "Bearer" }
    if status == .tooManyRequests || status == .serviceUnavailable {
      response.headers[.retryAfter] = "1"
    }
    if !allowedMethods.isEmpty {
      response.headers[.allow] = allowedMethods.joined(separator: ", ")
    }
    return response
  }
}

extension APIError {
  static func badRequest(_ message: String) -> APIError {
    APIError(.badRequest, "bad_request", message)
  }

  static func sessionNotFound(_ id: String) -> APIError {
    APIError(
      .notFound, "session_not_found",
      "there is no session \(id.prefix(64)); it may have been idle for too long, or deleted")
  }
}

extension Response {
  /// Creates a response with a JSON body.
  init(status: HTTPResponse.Status = .ok, json: JSON) {
    self.init(status: status, json: ByteBuffer(string: json.text))
  }

  /// Creates a response whose body is JSON already.
  init(status: HTTPResponse.Status = .ok, json: ByteBuffer) {
    self.init(
      status: status, headers: [.contentType: "application/json", .cacheControl: "no-store"],
      body: ResponseBody(byteBuffer: json))
  }
}
