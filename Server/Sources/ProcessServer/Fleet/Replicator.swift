import Processes
import RESPClient
import Synchronization

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Stores the output of one of this server's sessions in Redis: one more reader of the session,
/// which cannot slow the command down.
///
/// An entry that was sent stays as it is until Redis has answered, or has told on another
/// connection where the stream ends. So it is stored once, whatever becomes of the reply. What
/// Redis has not taken while the session's ring had it is missing in the stream, and told to its
/// readers like any other gap.
final class Replicator: Sendable {
  private let job: Job
  private let fleet: Fleet
  /// Called if another server has declared the session lost.
  let onLoss: @Sendable () -> Void
  private let complete = Atomic(false)
  private let wasSent = Atomic(false)
  /// The seq of the oldest chunk that the session retains behind its head, as far as that is known.
  private let oldestSeq = Atomic(1)
  /// Whether the session must be registered once more, and the wait for news that this ends.
  private let waiting = Mutex((mustRegister: false, wait: Task<Void, Never>?.none))
  private let firstAttempt = Mutex(
    (isOver: false, waiter: CheckedContinuation<Void, Never>?.none))

  /// The most payload of a batch, except for one larger chunk: with what Redis adds, less than 64
  /// KiB, behind which its allocator would take 80 KiB.
  private static let batchBytes = 63 << 10
  /// The least time between two batches, unless there is enough output for a whole one.
  private static let interval: Duration = .milliseconds(20)
  /// The time between attempts while Redis refuses.
  private static let pause: Duration = .milliseconds(250)

  /// What is stored at a time.
  private struct Entry {
    /// Nil if nothing but the state is new.
    let batch: Batch?
    let state: String
    let isClosed: Bool
    /// The bytes before it that are missing in the stream.
    let missedBytes: Int
    /// The seq of the oldest chunk that the session retains.
    let oldestSeq: Int
    /// Where the output goes on behind it.
    let next: Cursor
  }

  private enum Failure: Error {
    /// The session is another life's, or was declared lost.
    case lost
    /// Redis does not know the session.
    case unknown
    /// The connection is lost: the entry may have been stored.
    case disconnected
    /// Redis has refused the entry.
    case refused
  }

  init(_ job: Job, of fleet: Fleet, onLoss: @escaping @Sendable () -> Void) {
    self.job = job
    self.fleet = fleet
    self.onLoss = onLoss
  }

  var id: String { job.id }

  /// Whether all is stored that there will ever be.
  var isComplete: Bool { complete.load(ordering: .acquiring) }
  /// Whether Redis may know the session.
  var mayBeKnown: Bool { wasSent.load(ordering: .acquiring) }

  private var keys: [String] {
    [FleetKey.session(job.id), FleetKey.stream(job.id), FleetKey.workspace(job.workspace)]
  }

  /// Waits until Redis has been asked for the first time to register the session, or cannot be.
  func waitForFirstAttempt() async {
    await withCheckedContinuation { continuation in
      let isOver = firstAttempt.withLock { state in
        if !state.isOver { state.waiter = continuation }
        return state.isOver
      }
      if isOver { continuation.resume() }
    }
  }

  /// Ends ``waitForFirstAttempt()``.
  func endFirstAttempt() {
    let waiter = firstAttempt.withLock { state in
      state.isOver = true
      return state.waiter.take()
    }
    waiter?.resume()
  }

  /// Stores output and state until the task is cancelled or the session is lost.
  func run() async {
    var cursor = Cursor.start
    // An entry that was sent, and of which it is not known whether it is stored.
    var sent: Entry?
    var isRegistered = false
    var storedAt = ContinuousClock.now - Self.interval
    defer { endFirstAttempt() }
    while !Task.isCancelled {
      do throws(Failure) {
        if !isRegistered {
          if fleet.isAway { endFirstAttempt() }
          guard await fleet.waitForConnection() else { return }
          let end = try await register()
          if let batch = sent?.batch, end.seq < batch.lastSeq, end.seq == cursor.seq {
            // It is not stored yet. It may come by the old connection still: then one of the two is
            // refused.
          } else {
            (sent, cursor) = (nil, end)
          }
          isRegistered = true
          endFirstAttempt()
        }
        if sent == nil, await waitForNews(since: cursor, storedAt: storedAt) {
          isRegistered = false
          continue
        }
        if Task.isCancelled { return }
        let (position, again) = (cursor, sent)
        // Read only when there is a slot: what waits for one takes no memory.
        let (entry, failure) = await fleet.slots.using { () -> (Entry, Failure?) in
          var entry: Entry
          if let again { entry = again } else { entry = await self.entry(since: position) }
          return (entry, await self.store(entry))
        }
        sent = failure == .disconnected && entry.batch != nil ? entry : nil
        if let failure { throw failure }
        cursor = entry.next
        storedAt = .now
      } catch {
        switch error {
        case .lost: return onLoss()
        case .unknown, .disconnected: isRegistered = false
        case .refused:
          endFirstAttempt()
          try? await Task.sleep(for: Self.pause)
        }
      }
    }
  }

  /// Has the session registered once more, since Redis may not know it any more.
  func registerAgain() {
    let wait = waiting.withLock { state in
      state.mustRegister = true
      return state.wait
    }
    wait?.cancel()
  }

  /// Waits until there is something to store, or the session must be renewed or registered.
  ///
  /// - Returns: Whether it must be registered.
  private func waitForNews(
    since cursor: Cursor, storedAt: ContinuousClock.Instant
  ) async -> Bool {
    let wait = Task { await news(since: cursor, storedAt: storedAt) }
    let isDue = waiting.withLock { state in
      state.wait = wait
      return state.mustRegister
    }
    if isDue { wait.cancel() }
    await withTaskCancellationHandler {
      await wait.value
    } onCancel: {
      wait.cancel()
    }
    return waiting.withLock { state in
      defer { state = (false, nil) }
      return state.mustRegister
    }
  }

  private func news(since cursor: Cursor, storedAt: ContinuousClock.Instant) async {
    let output = await job.session.output(
      since: cursor, maxBytes: Self.batchBytes, waitingUpTo: fleet.renewal)
    if output.isClosed, output.chunks.isEmpty, !output.hasMore,
      cursor.description == output.cursor.description
    {
      complete.store(true, ordering: .releasing)
      try? await Task.sleep(for: fleet.renewal)
    } else if output.isAlive, !output.chunks.isEmpty,
      output.chunks.payload.count < Self.batchBytes / 2
    {
      try? await Task.sleep(until: storedAt + Self.interval)
    }
  }

  /// Reads what is to be stored next.
  private func entry(since cursor: Cursor) async -> Entry {
    let output = job.session.output(since: cursor, maxBytes: Self.batchBytes)
    let batch = output.chunks.isEmpty ? nil : Batch(output)
    let isWhole = batch.map { $0.lastSeq == output.lastSeq } ?? true
    let next = isWhole ? output.cursor : Cursor(seq: batch!.lastSeq, offset: batch!.end)
    let hidesEnd = !isWhole || output.hasMore
    let state = await job.fleetState(
      for: output, lastSeq: next.seq, end: next.offset ?? 0, hidesEnd: hidesEnd)
    return Entry(
      batch: batch, state: state.text, isClosed: output.isClosed && !hidesEnd,
      missedBytes: isWhole ? output.missedBytes ?? 0 : 0, oldestSeq: findOldestSeq(), next: next)
  }

  /// Returns the seq of the oldest chunk that the session retains behind its head.
  private func findOldestSeq() -> Int {
    var seq = oldestSeq.load(ordering: .relaxed)
    // Chunks of the head are not missed, so a step from within it may end before the oldest one.
    while true {
      let missed = job.session.lag(since: Cursor(seq: seq - 1)).missedChunks
      if missed == 0 { break }
      seq += missed
    }
    oldestSeq.store(seq, ordering: .relaxed)
    return seq
  }

  /// Registers the session, and returns where its stream ends.
  private func register() async throws(Failure) -> Cursor {
    let output = job.session.output(since: .start, maxBytes: 0)
    let state = await job.fleetState(for: output, lastSeq: 0, end: 0, hidesEnd: true)
    let order = await job.fleetOrder
    wasSent.store(true, ordering: .releasing)
    complete.store(false, ordering: .releasing)
    waiting.withLock { $0.mustRegister = false }
    do throws(RedisError) {
      let last = try await fleet.eval(
        FleetScript.register, keys: keys,
        [
          fleet.life, fleet.timeToLive.milliseconds, FleetKey.news(job.id),
          Int(job.startedAt.timeIntervalSince1970 * 1000), job.id, state.text,
          "workspace", job.workspace, "host", fleet.name, "order", order.text,
        ])
      let numbers = (last.string ?? "").split(separator: "-").compactMap { Int($0) }
      return numbers.count == 2 ? Cursor(seq: numbers[0], offset: numbers[1]) : .start
    } catch {
      throw failure(of: error)
    }
  }

  /// Stores an entry, and returns what went wrong.
  private func store(_ entry: Entry) async -> Failure? {
    do throws(RedisError) {
      let reply = try await fleet.eval(
        FleetScript.store, keys: keys,
        [
          fleet.life, fleet.timeToLive.milliseconds, FleetKey.news(job.id), entry.state,
          entry.isClosed ? "1" : "0", entry.batch?.id ?? "",
          entry.batch?.descriptors ?? "", entry.batch?.payload ?? "", "\(entry.oldestSeq)-0",
        ])
      // A client of another server uses the session.
      if reply.string == "USED" { job.touch() }
      fleet.stored(entry.batch?.payload.readableBytes ?? 0, missed: entry.missedBytes)
      return nil
    } catch {
      return failure(of: error)
    }
  }

  private func failure(of error: RedisError) -> Failure {
    guard case .reply(let text) = error else {
      return error == .overloaded ? .refused : .disconnected
    }
    if text.hasPrefix("LOST") { return .lost }
    if text.hasPrefix("UNKNOWN") { return .unknown }
    fleet.complain(text)
    return .refused
  }
}
