import Synchronization

/// The access that a token gives while the token is in force.
final class Grant: Sendable {
  let workspace: String
  /// The digest of the token; nil without one.
  let token: SHA256Digest?
  private let revoked: Atomic<Bool>

  init(workspace: String, token: SHA256Digest? = nil, isRevoked: Bool = false) {
    self.workspace = workspace
    self.token = token
    revoked = Atomic(isRevoked)
  }

  fileprivate convenience init(_ entry: TokenTable.Entry) {
    self.init(workspace: entry.workspace, token: entry.digest)
  }

  /// Whether the token was in the table when the table was last read.
  var isInForce: Bool { !revoked.load(ordering: .acquiring) }

  fileprivate func revoke() { revoked.store(true, ordering: .releasing) }
}

/// The tokens in force.
final class Access: Sendable {
  private struct State {
    var table: TokenTable
    /// A grant for each entry of the table.
    var grants: [Grant]
  }

  /// The source of the tokens.
  let source: TokenSource
  private let state: Mutex<State>

  /// - Throws: ``TokenError`` if the tokens cannot be read.
  init(_ source: TokenSource) throws(TokenError) {
    self.source = source
    let table = try source.table()
    state = Mutex(
      State(table: table, grants: table.entries.map { Grant($0) }))
  }

  /// Reads the tokens again, if they come from a file.
  ///
  /// A token that stays with its workspace keeps its grant. The grants of all others are revoked.
  ///
  /// - Returns: The grants that were revoked.
  /// - Throws: ``TokenError``; the tokens in force then stay in force.
  func reload() throws(TokenError) -> [Grant] {
    let table = try source.table()
    return state.withLock { state in
      var before: [SHA256Digest: Grant] = [:]
      for (entry, grant) in zip(state.table.entries, state.grants) { before[entry.digest] = grant }
      let grants = table.entries.map { entry in
        if let grant = before[entry.digest], grant.workspace == entry.workspace {
          before[entry.digest] = nil
          return grant
        }
        return Grant(entry)
      }
      state = State(table: table, grants: grants)
      for grant in before.values { grant.revoke() }
      return Array(before.values)
    }
  }

  /// Returns the access that permitted a start, by an earlier server perhaps.
  ///
  /// - Returns: The grant of the token; a revoked one if the token is not in force any more. Where
  ///   each server makes a token of its own, any of the workspace.
  func grant(of token: SHA256Digest?, in workspace: String) -> Grant {
    let grants = state.withLock(\.grants).filter { $0.workspace == workspace }
    if let grant = grants.first(where: { $0.token == token }) { return grant }
    if case .fixed = source, let grant = grants.first { return grant }
    return Grant(workspace: workspace, token: token, isRevoked: true)
  }

  /// Returns the access that an `Authorization` header gives.
  ///
  /// - Returns: The grant; nil if the header holds no token that is in force.
  /// - Throws: ``APIError`` with 401 if there is none.
  func grant(authorization: String?) throws(APIError) -> Grant? {
    guard let authorization else {
      throw APIError(
        .unauthorized, "unauthorized", "a token is needed: Authorization: Bearer TOKEN")
    }
    let words = authorization.utf8.split(separator: UInt8(ascii: " "))
    guard words.count == 2, words[0].elementsEqual("bearer".utf8, by: { $0 | 0x20 == $1 }) else {
      return nil
    }
    let (table, grants) = state.withLock { ($0.table, $0.grants) }
    return table.index(of: words[1]).map { grants[$0] }
  }
}

extension APIError {
  static let unknownToken = APIError(
    .unauthorized, "unauthorized", "this token is not known here")
  static let revoked = APIError(
    .unauthorized, "unauthorized", "this token is not known here any more")
}

/// The source of the tokens.
public enum TokenSource: Sendable {
  /// A file of lines, see ``TokenTable/init(parsing:)``. ``APIServer/reloadTokens()`` reads it
  /// again.
  case file(path: String)
  /// A table that never changes.
  case fixed(TokenTable)

  func table() throws(TokenError) -> TokenTable {
    switch self {
    case .file(let path): try TokenTable(contentsOfFile: path)
    case .fixed(let table): table
    }
  }
}
