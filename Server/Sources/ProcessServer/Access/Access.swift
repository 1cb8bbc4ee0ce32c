import Synchronization

/// Who may do what: the tokens in force.
final class Access: Sendable {
  /// Where tokens come from.
  let source: TokenSource
  private let table: Mutex<TokenTable>

  /// - Throws: ``TokenError`` if the tokens cannot be read.
  init(_ source: TokenSource) throws(TokenError) {
    self.source = source
    table = Mutex(try source.table())
  }

  /// Reads the tokens anew, if they come from a file.
  ///
  /// - Throws: ``TokenError``; those in force stay in force then.
  func reload() throws(TokenError) {
    let fresh = try source.table()
    table.withLock { $0 = fresh }
  }

  /// The workspace that an `Authorization` header gives access to.
  ///
  /// - Throws: ``APIError`` with 401 if it gives none.
  func workspace(authorization: String?) throws(APIError) -> String {
    guard let authorization else {
      throw APIError(
        .unauthorized, "unauthorized", "a token is needed: Authorization: Bearer TOKEN")
    }
    let words = authorization.utf8.split(separator: UInt8(ascii: " "))
    let table = table.withLock { $0 }
    guard words.count == 2, words[0].elementsEqual("bearer".utf8, by: { $0 | 0x20 == $1 }),
      let workspace = table.workspace(of: words[1])
    else { throw APIError(.unauthorized, "unauthorized", "this token is not known here") }
    return workspace
  }
}

/// Where tokens come from.
public enum TokenSource: Sendable {
  /// A file of lines, see ``TokenTable/init(parsing:)``, which is read again on ``APIServer/reloadTokens()``.
  case file(path: String)
  /// A table that stays as it is.
  case fixed(TokenTable)

  func table() throws(TokenError) -> TokenTable {
    switch self {
    case .file(let path): try TokenTable(contentsOfFile: path)
    case .fixed(let table): table
    }
  }
}
