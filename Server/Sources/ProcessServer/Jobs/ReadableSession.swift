import Processes

/// A session that clients can read: one of this server, or of another server of its fleet.
protocol ReadableSession: AnyObject, Sendable {
  var id: String { get }
  /// The session, or this server's copy of it. Another copy takes its place if output is missing in
  /// between; this one is forgotten then.
  var session: SessionReader { get }
  /// When the session began, since 1970: what its chunks' timestamps count from; nil if it has
  /// none.
  var startOfTimestamps: Duration? { get }
  /// Prepares for a read: records that a client uses the session, and brings a copy up to date.
  ///
  /// - Parameter cursor: Where the client wants to read; nil if that is not known yet. Another
  ///   server may have told the client of output that has yet to come to a copy, which then waits
  ///   for it.
  /// - Throws: ``APIError``: 404 if the session is gone by now; 503 if that cannot be known, or if
  ///   the copy does not come to the cursor.
  func prepareToRead(since cursor: Cursor?) async throws(APIError)

  /// Throws ``APIError`` with 503 if what a read has returned is not the output: its file was cut
  /// short.
  func checkReadable() throws(APIError)

  /// Keeps the session from being idle, and a copy up to date, while a request waits for it.
  func holding<Value: Sendable>(_ wait: () async throws -> Value) async rethrows -> Value

  /// Waits until the process has exited, for a time at most. Returns whether it has.
  func waitForExit(upTo limit: Duration) async -> Bool

  /// Returns the state to give with an output: how the process ended, if the output includes its
  /// end.
  func ending(for output: Output) async -> Ending
}

extension Job: ReadableSession {
  func prepareToRead(since cursor: Cursor?) throws(APIError) {
    try checkReadable()
    touch()
  }

  func checkReadable() throws(APIError) { try process.checkReadable() }

  func waitForExit(upTo limit: Duration) async -> Bool {
    await process.waitForExit(upTo: limit) != nil
  }
}

extension ReadableSession {
  // A copy has no file.
  func checkReadable() {}

  /// Returns what a read or a wait returns, again if the copy was replaced meanwhile.
  func reading<Value: Sendable>(
    _ read: (SessionReader) async -> Value, isOfForgotten: (Value) -> Bool
  ) async -> Value {
    while true {
      let session = session
      let value = await read(session)
      guard isOfForgotten(value), self.session !== session else { return value }
    }
  }
}
