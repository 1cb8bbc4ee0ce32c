import HTTPTypes
import Hummingbird
import NIOCore

extension Route {
  /// Returns the route of a file of the page, which the executable contains.
  static func page(
    _ path: String, _ file: [UInt8], _ type: String, _ id: String, _ summary: String
  ) -> Route {
    let content = ByteBuffer(bytes: file)
    return Route(
      method: "GET", path: path, needsToken: false,
      operation: Operation(id: id, summary: summary, answers: [.text(type)])
    ) { _ in
      { _, _ in
        var headers = pageHeaders
        headers[.contentType] = type + "; charset=utf-8"
        return Response(
          status: .ok, headers: headers, body: ResponseBody(byteBuffer: content))
      }
    }
  }

  /// What lets a browser run the page's own files and nothing else, and send requests to nobody but
  /// this server: whatever a command writes, it can become neither markup nor script.
  private static let pageHeaders: HTTPFields = [
    .contentSecurityPolicy: [
      "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'",
      "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
      "require-trusted-types-for 'script'", "trusted-types 'none'",
    ].joined(separator: "; "),
    .xContentTypeOptions: "nosniff",
    HTTPField.Name("Referrer-Policy")!: "no-referrer",
    HTTPField.Name("Cross-Origin-Opener-Policy")!: "same-origin",
    HTTPField.Name("Cross-Origin-Resource-Policy")!: "same-origin",
    // A new daemon may have a new page.
    .cacheControl: "no-cache",
  ]
}
