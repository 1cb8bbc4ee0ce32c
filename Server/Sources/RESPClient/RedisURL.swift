/// The address of a Redis server, with what a client says of itself there.
///
///     redis://[[user]:password@]host[:port][/database]
///     rediss://…                                                  the same with TLS
///     unix://[[user]:password@]/path/of/socket[?db=database]
///
/// User, password and path are percent-decoded. The host can be an IPv6 address in brackets.
/// Neither a description nor an error shows the password.
package struct RedisURL: Sendable, Hashable {
  package enum Address: Sendable, Hashable {
    case host(String, port: Int)
    case unixSocket(path: String)
  }

  /// What is wrong with a URL. Quotes nothing of it: any part may be one of the password.
  package struct Invalid: Error, Hashable, CustomStringConvertible {
    package let description: String

    fileprivate init(_ problem: String) { description = "this is no URL of Redis: \(problem)" }
  }

  package var address: Address
  package var user: String?
  package var password: String?
  package var database = 0
  package var usesTLS = false

  package init(
    address: Address, user: String? = nil, password: String? = nil, database: Int = 0,
    usesTLS: Bool = false
  ) {
    self.address = address
    self.user = user
    self.password = password
    self.database = database
    self.usesTLS = usesTLS
  }

  /// Parses a URL.
  ///
  /// - Throws: ``Invalid``, which says what is wrong.
  package init(parsing text: String) throws(Invalid) {
    guard let schemeEnd = text.firstRange(of: "://") else {
      throw Invalid("it does not begin with redis://, rediss:// or unix://")
    }
    let rest = text[schemeEnd.upperBound...]
    guard !rest.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7f }) else {
      throw Invalid("it holds a space or a control character; write it as %20 or alike")
    }
    let authorityEnd = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
    let authority = rest[..<authorityEnd]
    let path = rest[authorityEnd...]
    var host = authority
    if let at = authority.lastIndex(of: "@") {
      host = authority[authority.index(after: at)...]
      let parts = authority[..<at].split(
        separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      user = parts[0].isEmpty ? nil : try Self.decoded(parts[0], of: "user")
      // A password that lacks its colon must not pass for a user, whose name is no secret.
      guard parts.count == 2 || parts[0].isEmpty else {
        throw Invalid("a user has no password: write redis://:PASSWORD@HOST for a password alone")
      }
      if parts.count == 2 { password = try Self.decoded(parts[1], of: "password") }
    }
    switch text[..<schemeEnd.lowerBound].lowercased() {
    case "unix":
      guard host.isEmpty else { throw Invalid("a socket has no host: write unix:///path") }
      let parts = path.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
      guard let file = parts.first, file.hasPrefix("/") else {
        throw Invalid("the path of the socket is missing")
      }
      address = .unixSocket(path: try Self.decoded(file, of: "path"))
      guard parts.count == 2 else { return }
      guard parts[1].hasPrefix("db=") else { throw Invalid("only ?db= can stand after a path") }
      database = try Self.database(parts[1].dropFirst(3))
    case let scheme where scheme == "redis" || scheme == "rediss":
      usesTLS = scheme == "rediss"
      address = try Self.address(host)
      guard !path.contains(where: { "?#".contains($0) }) else {
        throw Invalid("a query or a fragment has no meaning there")
      }
      if path.count > 1 { database = try Self.database(path.dropFirst()) }
    default: throw Invalid("it does not begin with redis://, rediss:// or unix://")
    }
  }

  /// Parses `host`, `host:port`, `[::1]` or `[::1]:port`.
  private static func address(_ text: Substring) throws(Invalid) -> Address {
    var host = text
    var port: Substring?
    if text.first == "[" {
      guard let end = text.firstIndex(of: "]") else { throw Invalid("a bracket is not closed") }
      host = text[..<end].dropFirst()
      let rest = text[end...].dropFirst()
      guard rest.isEmpty || rest.first == ":" else {
        throw Invalid("something other than a port stands behind the bracket")
      }
      if !rest.isEmpty { port = rest.dropFirst() }
    } else if let colon = text.firstIndex(of: ":") {
      host = text[..<colon]
      port = text[colon...].dropFirst()
      guard port?.contains(":") != true else { throw Invalid("an IPv6 address needs brackets") }
    }
    guard !host.isEmpty else { throw Invalid("the host is missing") }
    guard let port else { return .host(String(host), port: 6379) }
    guard let number = number(port), (1...65_535).contains(number) else {
      throw Invalid("the port is not a number from 1 to 65535")
    }
    return .host(String(host), port: number)
  }

  private static func database(_ text: Substring) throws(Invalid) -> Int {
    guard let number = number(text) else { throw Invalid("the database is not a number") }
    return number
  }

  private static func number(_ text: Substring) -> Int? {
    text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(text) : nil
  }

  private static func decoded(_ text: Substring, of part: String) throws(Invalid) -> String {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      let digits = rest.prefix(2).compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
      guard digits.count == 2 else {
        throw Invalid("the \(part) holds a % that two hexadecimal digits do not follow")
      }
      rest = rest.dropFirst(2)
      bytes.append(UInt8(digits[0] << 4 | digits[1]))
    }
    guard let string = String(validating: bytes, as: UTF8.self) else {
      throw Invalid("the \(part) is not UTF-8")
    }
    return string
  }
}

extension RedisURL: CustomStringConvertible, CustomReflectable {
  /// The URL, with `***` for the password.
  package var description: String {
    let credentials = (user ?? "") + (password == nil ? "" : ":***")
    let prefix = credentials.isEmpty ? "" : "\(credentials)@"
    switch address {
    case .unixSocket(let path):
      return "unix://\(prefix)\(path)" + (database == 0 ? "" : "?db=\(database)")
    case .host(let host, let port):
      let name = host.contains(":") ? "[\(host)]" : host
      return "\(usesTLS ? "rediss" : "redis")://\(prefix)\(name):\(port)"
        + (database == 0 ? "" : "/\(database)")
    }
  }

  /// Keeps the password out of dumps too.
  package var customMirror: Mirror { Mirror(self, children: ["url": description]) }
}
