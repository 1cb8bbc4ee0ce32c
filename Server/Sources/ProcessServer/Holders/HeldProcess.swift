import HolderProtocol
import ProcessHost
import Processes
import Synchronization

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// A process that a holder keeps: a program of its own, which goes on when this one ends.
///
/// Output is read from the holder's ring file, which is mapped. Everything else goes through the
/// holder's socket: stdin, signals, and word of news while a request waits for it.
final class HeldProcess: JobProcess {
  private struct State {
    var connection: HolderConnection?
    /// Whether the file of the output has been found cut short: what it holds since then, though it
    /// may be as long as before, is not all of the output.
    var isDamaged = false
    /// Whether the holder was asked for word of news that has not come yet.
    var isWatching = false
    var lastUse: Duration = .zero
    var lastTouch: Duration = .zero
    /// The bytes on their way to the process's stdin.
    var stdinBytes = 0
    /// The grace of a requested termination, which is sent again on each new connection; nil if
    /// none was requested.
    var end: Duration?
    /// What keeps the connection.
    var task: Task<Void, Never>?
  }

  let files: StateFiles
  let recording: RecordedSession
  let hasInput: Bool
  private let stdinCapacity: Int
  private let state = Mutex(State())
  /// Opened when a connection is there for the first time, or never will be.
  private let settled = Latch()
  private let exited = Latch()
  private let closed = Latch()
  /// Opened when the holder has ended.
  private let gone = Latch()
  /// Opened when the holder was left to another daemon.
  private let left = Latch()

  init(_ files: StateFiles, _ recording: RecordedSession, hasInput: Bool, stdinCapacity: Int) {
    self.files = files
    self.recording = recording
    self.hasInput = hasInput
    self.stdinCapacity = stdinCapacity
    recording.setNewsSource { [weak self] cursor in self?.watch(past: cursor) ?? false }
  }

  // MARK: The connection

  /// Keeps a connection to the holder, until that has ended or ``leave()`` is called.
  ///
  /// - Parameter processID: The holder's PID if this program has started it.
  func begin(holder processID: Int32? = nil) {
    let task = Task {
      await run()
      if let processID { await SpawnedHolder.reapSoon(processID) }
    }
    state.withLock { $0.task = task }
  }

  /// Leaves the process to another daemon: waits for it return, and it can no more be controlled.
  func markLeft() { left.open() }

  /// Closes the connection for good, once the holder has answered what it was asked. The holder
  /// goes on.
  func leave() async {
    markLeft()
    await state.withLock(\.connection)?.waitUntilAnswered(upTo: .seconds(1))
    state.withLock(\.task)?.cancel()
    recording.setNewsSource(nil)
  }

  var isLeft: Bool { left.isOpen }

  private func run() async {
    var pause: Duration = .milliseconds(1)
    while true {
      do throws(SystemError) {
        if let connection = await attach(try connectSocket(to: files.socket)) {
          let start = ContinuousClock.now
          _ = await connection.closed.wait()
          connection.close()
          // Another program may fight for the holder.
          if .now - start > .seconds(1) { pause = .milliseconds(1) }
        }
        detach()
      } catch {
        // No program writes the ring any more, or it is complete and no program is left.
        if error.meansNothingListens, recording.state != .recording { break }
      }
      if left.isOpen { return }
      try? await Task.sleep(for: pause)
      pause = min(pause * 2, .seconds(1))
      // Waits have been promised word of news, and look for themselves while there is none.
      noteNews()
    }
    files.removeSocket()
    for latch in [settled, gone] { latch.open() }
    // Waits find that nothing can come any more.
    recording.noteNews()
  }

  private func attach(_ descriptor: Int32) async -> HolderConnection? {
    guard
      let connection = try? await HolderConnection.adopt(
        descriptor, onNews: { [weak self] in self?.noteNews() })
    else { return nil }
    var hello = HolderMessage(.hello)
    hello.append(.version, HolderMessage.version)
    let answer = await connection.request(hello, upTo: Self.patience)
    // The socket may be that of another session's holder.
    guard answer?.kind == .welcome, answer?.number(.pid) == Int(processID) else {
      connection.close()
      return nil
    }
    for (kind, latch) in [(HolderMessage.Kind.awaitExit, exited), (.awaitClose, closed)] {
      connection.ask(HolderMessage(kind), upTo: nil) { if $0?.kind == .done { latch.open() } }
    }
    let end = state.withLock { state in
      state.connection = connection
      return state.end
    }
    if let end { send(end: end, on: connection) }
    settled.open()
    noteNews()
    return connection
  }

  private func detach() {
    state.withLock { $0.connection = nil }
    noteNews()
  }

  /// How long a holder may take to answer.
  private static let patience: Duration = .seconds(5)

  /// Returns the connection; waits for it if it has been lost.
  ///
  /// - Returns: nil if the holder has ended.
  /// - Throws: ``APIError`` with 503 if the holder is silent, or was left to another daemon.
  private func connection() async throws(APIError) -> HolderConnection? {
    let deadline = ContinuousClock.now + Self.patience
    while !gone.isOpen {
      if left.isOpen { throw APIError.shuttingDown }
      if let connection = state.withLock(\.connection) { return connection }
      guard .now < deadline, !Task.isCancelled else { throw APIError.holderSilent }
      _ = await gone.wait(upTo: .milliseconds(10))
    }
    return nil
  }

  /// Sends a request, and returns the answer; nil if the holder has ended.
  private func request(
    _ message: HolderMessage, upTo limit: Duration = patience
  ) async throws(APIError) -> HolderMessage? {
    guard let connection = try await connection() else { return nil }
    if let answer = await connection.request(message, upTo: limit) { return answer }
    if left.isOpen { throw APIError.answerLost }
    // With what waits to be sent: a holder that does not read must not make this program keep it.
    connection.close()
    guard await gone.wait(upTo: .seconds(1)) else { throw APIError.holderSilent }
    return nil
  }

  /// Waits until a connection has been made, or the holder has ended, or a time is up.
  func waitUntilSettled(upTo limit: Duration) async { _ = await settled.wait(upTo: limit) }

  // MARK: News

  /// Asks for word of news past a cursor. Returns whether it will come.
  private func watch(past cursor: Cursor) -> Bool {
    if gone.isOpen || left.isOpen { return false }
    let (connection, isFirst) = state.withLock { state in
      defer { if state.connection != nil { state.isWatching = true } }
      return (state.connection, !state.isWatching)
    }
    // A waiter has seen all that there was, so an earlier watch tells of the same news. Without a
    // connection, the attempts to make one tell.
    if let connection, isFirst {
      var message = HolderMessage(.watch)
      message.append(.cursor, cursor.description)
      connection.send(message)
    }
    return true
  }

  private func noteNews() {
    state.withLock { $0.isWatching = false }
    recording.noteNews()
  }

  // MARK: State

  var processID: Int32 { recording.childPID ?? 0 }
  var session: SessionReader { recording }
  var isRunning: Bool { !gone.isOpen && recording.isAlive }
  var isActive: Bool { !gone.isOpen }
  var isTimedOut: Bool { recording.isTimedOut }
  var wasOOMKilled: Bool? { recording.wasOOMKilled }
  var resourceUsage: ResourceUsage? { recording.resourceUsage }
  var droppedBytes: Int { recording.droppedBytes }
  var lastActivity: Duration { max(recording.lastActivity, state.withLock(\.lastUse)) }

  func checkReadable() throws(APIError) {
    let isDamaged = state.withLock { state in
      state.isDamaged = state.isDamaged || !recording.isWhole
      return state.isDamaged
    }
    guard !isDamaged else {
      throw APIError(
        .serviceUnavailable, "session_damaged",
        "the file of this session's output has been cut short; delete the session")
    }
  }

  func noteActivity() {
    let now = Duration.sinceEpoch
    let connection = state.withLock { state in
      state.lastUse = now
      // The holder keeps the time for a later daemon.
      guard now - state.lastTouch >= .seconds(1) else { return HolderConnection?.none }
      state.lastTouch = now
      return state.connection
    }
    connection?.send(HolderMessage(.touch))
  }

  func waitForExit(upTo limit: Duration?) async -> ProcessExit? {
    if let exit = recording.exit { return exit }
    await withTaskGroup { group in
      for latch in [exited, gone, left] {
        group.addTask { _ = await latch.wait(upTo: limit) }
      }
      await group.next()
      group.cancelAll()
    }
    return recording.exit
  }

  func waitUntilClosed() async {
    if recording.isClosed { return }
    await withTaskGroup { group in
      for latch in [closed, gone, left] {
        group.addTask { _ = await latch.wait() }
      }
      await group.next()
      group.cancelAll()
    }
  }

  func waitUntilInactive() async {
    await withTaskGroup { group in
      for latch in [gone, left] { group.addTask { _ = await latch.wait() } }
      await group.next()
      group.cancelAll()
    }
  }

  /// Waits until no process of the job runs, or a time is up. Returns whether none runs.
  func waitUntilInactive(upTo limit: Duration) async -> Bool { await gone.wait(upTo: limit) }

  // MARK: Control

  func write(
    _ bytes: [UInt8], isEnd: Bool, patience: Duration
  ) async throws(APIError) -> StdinQueue.Answer? {
    guard hasInput else { return nil }
    // A holder that does not read must not make this program keep what clients send.
    let waiting = state.withLock { state -> Int? in
      guard state.stdinBytes + bytes.count <= 2 * stdinCapacity else { return state.stdinBytes }
      state.stdinBytes += bytes.count
      return nil
    }
    if let waiting { return .full(waiting: waiting) }
    defer { state.withLock { $0.stdinBytes -= bytes.count } }
    var message = HolderMessage(.write)
    message.append(.data, bytes)
    message.append(.end, isEnd ? 1 : 0)
    message.append(.patience, patience)
    guard let answer = try await request(message, upTo: patience + Self.patience) else {
      return .failed(.brokenPipe)
    }
    return StdinQueue.Answer(answer) ?? .failed(.brokenPipe)
  }

  func send(_ signal: ProcessSignal) async throws(APIError) {
    var message = HolderMessage(.signal)
    message.append(.signal, signal.rawValue)
    try await perform(message)
  }

  func resize(to size: TerminalSize) async throws(APIError) {
    var message = HolderMessage(.resize)
    message.append(.rows, size.rows)
    message.append(.columns, size.columns)
    try await perform(message)
  }

  private func perform(_ message: HolderMessage) async throws(APIError) {
    guard let answer = try await request(message) else { throw APIError.processEnded }
    guard answer.kind == .refused else { return }
    switch Refusal(answer) {
    case .noTerminal?: throw APIError.noTerminal
    case .processEnded?: throw APIError.processEnded
    case .notPermitted?: throw APIError.signalRefused("\(SignalError.notPermitted)")
    case .refused?, nil:
      let code = Int32(truncatingIfNeeded: answer.number(.code) ?? 0)
      throw APIError.signalRefused("\(SignalError.refused(code: code))")
    }
  }

  func terminate(grace: Duration) {
    if left.isOpen { return }
    let connection = state.withLock { state in
      state.end = state.end.map { min($0, grace) } ?? grace
      return state.connection
    }
    if let connection { send(end: grace, on: connection) }
  }

  private func send(end grace: Duration, on connection: HolderConnection) {
    var message = HolderMessage(.terminate)
    message.append(.grace, grace)
    connection.send(message)
  }

  func acknowledge(_ cursor: Cursor) -> Bool {
    guard let offset = cursor.offset, !recording.output(since: cursor, maxBytes: 1).isCursorForeign,
      cursor.seq <= recording.lastSeq, offset <= recording.totalBytes
    else { return false }
    var message = HolderMessage(.acknowledge)
    message.append(.cursor, cursor.description)
    state.withLock(\.connection)?.send(message)
    return true
  }

  func stopWaitingForReader() {
    if left.isOpen { return }
    state.withLock(\.connection)?.send(HolderMessage(.leave))
  }

  /// Ends the process, and removes the session's files.
  ///
  /// Readers that wait get the remaining output and the exit; their waits end a second after the
  /// grace at the latest.
  func discard(grace: Duration) {
    files.removeAll()
    terminate(grace: grace)
    Task {
      await withTaskGroup { group in
        group.addTask { await self.waitUntilClosed() }
        group.addTask { try? await Task.sleep(for: grace + .seconds(1)) }
        await group.next()
        group.cancelAll()
      }
      recording.noteForgotten()
    }
  }
}

extension Duration {
  /// The present, since 1970.
  static var sinceEpoch: Duration { .seconds(Date().timeIntervalSince1970) }
}

extension APIError {
  static let holderSilent = APIError(
    .serviceUnavailable, "holder_silent",
    "the program that keeps this process does not answer; its output can still be read")
  static let answerLost = APIError(
    .serviceUnavailable, "answer_lost",
    "this server ends before it knows whether the process has got this")
}
