#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The workspace of each token.
///
/// Holds only digests: neither its memory nor a copy of it reveals a token.
public struct TokenTable: Sendable {
  struct Entry: Sendable {
    var digest: SHA256Digest
    var workspace: String
  }

  private(set) var entries: [Entry] = []

  /// Creates a table of one token.
  ///
  /// - Throws: ``TokenError`` if the token or the workspace could not be in a file.
  public init(token: String, workspace: String) throws(TokenError) {
    try self.init(parsing: "\(token) \(workspace)")
  }

  /// Parses lines of a token and a workspace, separated by white space. Several tokens may belong
  /// to one workspace. Empty lines, and lines that begin with `#`, are skipped.
  ///
  /// In place of a token, `sha256:` and 64 hexadecimal digits give its SHA-256, so that a reader of
  /// the text gets no access.
  ///
  /// - Throws: ``TokenError`` at the first line of another form, or if there is no token at all.
  public init(parsing text: String) throws(TokenError) {
    var digests: Set<SHA256Digest> = []
    let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    for (index, line) in lines.enumerated() {
      let words = line.split(whereSeparator: \.isWhitespace)
      if words.isEmpty || words[0].hasPrefix("#") { continue }
      guard words.count == 2 else {
        throw TokenError("line \(index + 1): expected a token and a workspace")
      }
      let digest: SHA256Digest
      if words[0].hasPrefix(Self.digestPrefix) {
        guard let given = SHA256Digest(hexadecimal: words[0].dropFirst(Self.digestPrefix.count))
        else {
          throw TokenError("line \(index + 1): sha256: is followed by 64 hexadecimal digits")
        }
        digest = given
      } else {
        guard Self.isToken(words[0].utf8) else {
          throw TokenError(
            "line \(index + 1): a token has from 1 to \(Self.maxLength) visible ASCII characters")
        }
        digest = SHA256Digest(of: words[0].utf8)
      }
      guard digests.insert(digest).inserted else {
        throw TokenError("line \(index + 1): this token stands in an earlier line as well")
      }
      entries.append(Entry(digest: digest, workspace: String(words[1])))
    }
    if entries.isEmpty { throw TokenError("no token in it: add a line such as “TOKEN WORKSPACE”") }
  }

  private static let digestPrefix = "sha256:"
  private static let maxLength = 256

  private static func isToken(_ text: some Collection<UInt8>) -> Bool {
    (1...maxLength).contains(text.count) && text.allSatisfy { 0x21...0x7e ~= $0 }
  }

  /// Reads a file that only its owner may read or write.
  ///
  /// A file of another user may be readable by its group, if this process is in that group:
  /// containers mount secrets in this way. Other users must not be able to read it.
  ///
  /// - Throws: ``TokenError`` if the permissions are different, if the file cannot be read, or as
  ///   ``init(parsing:)``.
  public init(contentsOfFile path: String) throws(TokenError) {
    do {
      try self.init(parsing: Self.read(path))
    } catch {
      throw TokenError("\(path): \(error)")
    }
  }

  private static func read(_ path: String) throws(TokenError) -> String {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw TokenError(unsafe String(cString: strerror(errno))) }
    defer { _ = close(descriptor) }
    // Checks the open file, whatever the path names by now.
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw TokenError("not a file")
    }
    let isOwn = status.st_uid == geteuid()
    let isByGroup =
      !isOwn && status.st_mode & 0o040 != 0 && Self.ownGroups.contains(status.st_gid)
    guard status.st_mode & (isByGroup ? 0o037 : 0o077) == 0 else {
      throw TokenError("others may read or write it; make it private: chmod 600")
    }
    guard isOwn || isByGroup || status.st_uid == 0 else {
      throw TokenError("belongs to another user")
    }
    var bytes: [UInt8] = []
    while true {
      let part: [UInt8]
      do throws(SystemError) {
        part = try Descriptor(descriptor).read(upTo: 65_536)
      } catch {
        throw TokenError(error.description)
      }
      if part.isEmpty { break }
      bytes += part
      guard bytes.count <= 16 << 20 else { throw TokenError("larger than 16 MiB") }
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw TokenError("not UTF-8 text")
    }
    return text
  }

  /// The groups of this process.
  private static var ownGroups: Set<gid_t> {
    let count = getgroups(0, nil)
    guard count > 0 else { return [getegid()] }
    var groups = [gid_t](repeating: 0, count: Int(count))
    let filled = unsafe getgroups(count, &groups)
    return Set(groups.prefix(Int(max(filled, 0))) + [getegid()])
  }

  /// Returns the index of a token's entry.
  ///
  /// Takes the same time for all tokens of the same length, right or wrong: compares the token's
  /// digest, to the last byte, with every entry.
  ///
  /// - Complexity: O(tokens).
  func index(of presented: some Collection<UInt8>) -> Int? {
    guard Self.isToken(presented) else { return nil }
    let digest = SHA256Digest(of: presented)
    var found = -1
    for (index, entry) in entries.enumerated() {
      var difference: UInt8 = 0
      for place in 0..<32 { difference |= entry.digest.bytes[place] ^ digest.bytes[place] }
      // All ones if there is no difference, otherwise all zeros, without a branch.
      let isEqual = (Int(difference) - 1) >> 8
      found = isEqual & index | ~isEqual & found
    }
    return found < 0 ? nil : found
  }

  /// Returns the workspace of a token; see ``index(of:)``.
  func workspace(of presented: some Collection<UInt8>) -> String? {
    index(of: presented).map { entries[$0].workspace }
  }

  /// Returns a new token of 128 random bits.
  public static func makeToken() -> String { randomID() }
}

/// An error in the tokens.
public struct TokenError: Error, Sendable, Hashable, CustomStringConvertible {
  /// What was wrong, and where.
  public let description: String

  init(_ description: String) { self.description = description }
}

/// Returns 128 random bits as 32 hexadecimal digits, from the system's source.
func randomID() -> String {
  var generator = SystemRandomNumberGenerator()
  return (0..<2).map { _ in
    let digits = String(generator.next() as UInt64, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }.joined()
}
