import NIOCore
import Processes
import RESPClient
import Synchronization

/// A session of another server of the fleet, as this server answers for it.
///
/// Reads are answered from a copy. While a request waits for the session, the channel of its news
/// tells when to bring the copy up to date; a look each second makes up for news that were lost.
final class RemoteSession: ReadableSession {
  private struct State {
    var copy: SessionCopy
    var facts: RemoteState
    /// The stream's entry that was read last; nil before the first.
    var lastID: String?
    /// The requests that wait for it.
    var holds = 0
    /// The requests that bring it up to date for a read.
    var reads = 0
    var lastUse = ContinuousClock.now
    /// Whether a request has found it that has yet to use it.
    var isExpected = true
    var isDropped = false
    var subscription: RedisSubscriber.Subscription?
    /// The fetch that runs, and the one that begins after it.
    var running: Task<Void, Never>?
    var next: Task<Void, Never>?
    /// What the last fetch failed with.
    var failure: APIError?
  }

  let id: String
  let workspace: String
  /// Keeps this session until that is dropped, at the latest when the server ends.
  private let fleet: Fleet
  private let state: Mutex<State>

  /// - Throws: ``APIError`` with 503 if there is no memory for a copy.
  init(_ id: String, _ facts: RemoteState, of fleet: Fleet) throws(APIError) {
    self.id = id
    self.fleet = fleet
    workspace = facts.workspace
    do throws(RingAllocationError) {
      let copy = try SessionCopy(of: id, facts, behind: 0, offset: 0, in: fleet.copies)
      state = Mutex(State(copy: copy, facts: facts))
    } catch {
      throw APIError(.serviceUnavailable, "no_memory", error.description)
    }
  }

  deinit {
    // It may have been used once more after it was dropped.
    if let subscription = state.withLock(\.subscription) {
      fleet.subscriber.unsubscribe(subscription)
    }
  }

  var copy: Session { state.withLock(\.copy.session) }
  var session: SessionReader { copy }
  var facts: RemoteState { state.withLock(\.facts) }
  var startOfTimestamps: Duration? {
    let facts = facts
    return facts.hasTimestamps ? facts.start : nil
  }

  func prepareToRead(since cursor: Cursor?) async throws(APIError) {
    state.withLock { $0.reads += 1 }
    defer { state.withLock { $0.reads -= 1 } }
    use()
    await fetch()
    state.withLock { $0.lastUse = .now }
    if let failure = state.withLock(\.failure) { throw failure }
    guard let cursor, isAhead(cursor), !facts.isClosed else { return }
    let deadline = ContinuousClock.now + Self.patience
    await holding {
      while isAhead(cursor), !facts.isClosed, !Task.isCancelled, .now < deadline {
        let session = session
        let newest = session.output(since: Cursor(seq: .max)).cursor
        let output = await session.output(
          since: newest, maxBytes: 1, waitingUpTo: deadline - .now)
        // No other copy has taken its place: the session is gone.
        if output.isForgotten, self.session === session { break }
      }
    }
    if let failure = state.withLock(\.failure) { throw failure }
    // Otherwise the client would go back to the copy's end, and get output twice.
    guard isAhead(cursor), !facts.isClosed else { return }
    throw .copyBehind
  }

  /// How long a read waits for output that its client has got from another server.
  private static let patience: Duration = .seconds(2)

  private func isAhead(_ cursor: Cursor) -> Bool {
    cursor.seq > session.lastSeq && !session.output(since: cursor, maxBytes: 1).isCursorForeign
  }

  func waitForExit(upTo limit: Duration) async -> Bool {
    let deadline = ContinuousClock.now + limit
    return await reading { session in
      var output = session.output(since: Cursor(seq: .max))
      while output.isAlive, !output.isComplete, !output.isForgotten, !Task.isCancelled {
        let rest = deadline - ContinuousClock.now
        if rest <= .zero { break }
        output = await session.output(since: output.cursor, maxBytes: 1, waitingUpTo: rest)
      }
      return output
    } isOfForgotten: {
      $0.isForgotten && !$0.isClosed
    }.exitCode != nil
  }

  func ending(for output: Output) async -> Ending {
    var ending = facts.ending(for: output)
    ending.isForgotten = output.isForgotten
    return ending
  }

  func holding<Value: Sendable>(_ wait: () async throws -> Value) async rethrows -> Value {
    hold(1)
    defer { hold(-1) }
    await fetch()
    return try await wait()
  }

  /// When a request has read the session last; nil if one waits for it, or is about to read it.
  var unusedSince: ContinuousClock.Instant? { state.withLock { Self.unusedSince($0) } }

  private static func unusedSince(_ state: State) -> ContinuousClock.Instant? {
    let isExpected = state.isExpected && .now < state.lastUse + .seconds(5)
    return state.holds > 0 || state.reads > 0 || isExpected ? nil : state.lastUse
  }

  /// Records that a request has found the session, and will use it in a moment.
  func expectUse() {
    state.withLock { state in
      state.isExpected = true
      state.lastUse = .now
    }
  }

  var isHeld: Bool { state.withLock { $0.holds > 0 } }

  /// Records that a request uses the session, which may have been dropped since the request found
  /// it.
  private func use() {
    let wasDropped = state.withLock { state in
      state.lastUse = .now
      state.isExpected = false
      defer { state.isDropped = false }
      return state.isDropped
    }
    if wasDropped { fleet.restore(self) }
  }

  private func hold(_ count: Int) {
    if count > 0 { use() }
    let isFirst = state.withLock { state in
      state.holds += count
      state.lastUse = .now
      return count > 0 && state.subscription == nil && state.holds == count
    }
    guard isFirst else { return }
    // Stays until the session is dropped: a client that polls would end and begin it each time.
    let subscription = fleet.subscriber.subscribe(FleetKey.news(id)) { [weak self] _ in
      self?.fetchSoon()
    } onActive: { [weak self] in
      self?.fetchSoon()
    }
    let surplus = state.withLock { state in
      if state.subscription == nil {
        state.subscription = subscription
        return nil as RedisSubscriber.Subscription?
      }
      return subscription
    }
    if let surplus { fleet.subscriber.unsubscribe(surplus) }
  }

  /// Drops the copy: ends it, and the waits for it.
  ///
  /// - Parameter time: Only if no request has used it since then; nil for in any case.
  /// - Returns: Whether it was dropped.
  func drop(ifUnusedSince time: ContinuousClock.Instant?) -> Bool {
    let (isDropped, subscription) = state.withLock { state in
      if let time {
        guard let last = Self.unusedSince(state), last <= time else {
          return (false, nil as RedisSubscriber.Subscription?)
        }
      }
      let copy = state.copy.session
      if fleet.copies.session(id: id) === copy { fleet.copies.forget(id: id) }
      state.isDropped = true
      return (true, state.subscription.take())
    }
    if let subscription { fleet.subscriber.unsubscribe(subscription) }
    return isDropped
  }

  // MARK: Fetching

  /// Brings the copy up to date, if a request waits for it.
  func fetchSoon() {
    guard isHeld else { return }
    _ = enqueueFetch()
  }

  /// Brings the copy up to date with all that was stored before the call.
  private func fetch() async { await enqueueFetch().value }

  /// Returns a fetch that has not begun yet. Fetches run one at a time.
  private func enqueueFetch() -> Task<Void, Never> {
    state.withLock { state in
      if let next = state.next { return next }
      let running = state.running
      let task = Task {
        await running?.value
        self.state.withLock { state in
          state.running = state.next
          state.next = nil
        }
        await self.fetchNow()
      }
      state.next = task
      return task
    }
  }

  private func fetchNow() async {
    let lastID = state.withLock(\.lastID)
    do throws(APIError) {
      let range = RESPCommand(
        "XRANGE", FleetKey.stream(id), lastID.map { "(\($0)" } ?? "-", "+")
      let (facts, reply) = try await fleet.look(at: id, asUser: true, and: range)
      guard let facts else { throw fleet.notFound(id) }
      try take(facts, reply?.array ?? [])
      state.withLock { $0.failure = nil }
    } catch {
      state.withLock { $0.failure = error }
      // Those that wait for it are told that it is gone.
      if error.status == .notFound { fleet.drop(self) }
    }
  }

  /// Takes over what was fetched. The facts are older than the entries, so all output before an end
  /// that they tell is among these.
  private func take(_ facts: RemoteState, _ entries: [RESPValue]) throws(APIError) {
    do throws(RingAllocationError) {
      try state.withLock { state throws(RingAllocationError) in
        state.facts = facts
        for entry in entries {
          state.lastID = entry.array?.first?.string ?? state.lastID
          guard let batch = StoredBatch(entry, hasTimestamps: facts.hasTimestamps) else { continue }
          try state.copy.append(batch, of: facts, in: fleet.copies)
        }
        // What the stream has lost by now, by a restart of Redis, is missing.
        if state.copy.session.lastSeq < facts.lastSeq {
          state.copy = try SessionCopy(
            of: id, facts, behind: facts.lastSeq, offset: facts.totalBytes, in: fleet.copies)
        }
        state.copy.end(as: facts)
      }
    } catch {
      throw APIError(.serviceUnavailable, "no_memory", error.description)
    }
  }
}

extension APIError {
  static let copyBehind = APIError(
    .serviceUnavailable, "copy_behind",
    "this server has yet to get what another one has answered already: ask again")
}
