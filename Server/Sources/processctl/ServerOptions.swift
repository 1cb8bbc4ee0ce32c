import ArgumentParser

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Where the daemon is, and the token for it.
///
/// A token is no argument: other users of the machine can see those.
struct ServerOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      Where the daemon is: http://…, https://… or unix:///path (default: PROCESSD_URL, or else \
      http://127.0.0.1:8787).
      """, valueName: "url"))
  var server: String?

  @Option(
    help: ArgumentHelp(
      """
      A file with the token (default: PROCESSD_TOKEN): the first word of its first line that is \
      neither a comment nor a digest.
      """, valueName: "file"),
    completion: .file())
  var tokenFile: String?

  private static var environment: [String: String] { ProcessInfo.processInfo.environment }

  var url: String { server ?? Self.environment["PROCESSD_URL"] ?? "http://127.0.0.1:8787" }

  /// Returns the token.
  func token() throws(Failure) -> String {
    let token = try tokenFile.map(Self.read) ?? Self.environment["PROCESSD_TOKEN"] ?? ""
    guard !token.isEmpty else {
      throw Failure(
        status: .denied, message: "there is no token: set PROCESSD_TOKEN, or give --token-file")
    }
    guard token.utf8.allSatisfy({ 0x21...0x7e ~= $0 }) else {
      throw Failure(
        status: .denied,
        message: "the token has white space or other characters that no token has: PROCESSD_TOKEN"
          + " holds one token; --token-file takes a file of many")
    }
    guard !token.hasPrefix("sha256:") else {
      throw Failure(
        status: .denied, message: "\(token.prefix(11))… is a token's digest, not a token")
    }
    return token
  }

  private static func read(_ path: String) throws(Failure) -> String {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Failure(status: .denied, message: "cannot read \(path), the file of --token-file")
    }
    let lines = String(decoding: data, as: UTF8.self).split(whereSeparator: \.isNewline)
    let words = lines.compactMap { $0.split(whereSeparator: \.isWhitespace).first }
    let token = words.first { !$0.hasPrefix("#") && !$0.hasPrefix("sha256:") }
    guard let token else {
      throw Failure(status: .denied, message: "\(path), the file of --token-file, has no token")
    }
    return String(token)
  }
}
