import Processes

/// Looks again and again whether what processes have left in their groups has ended, for all
/// processes of a event loop at once.
///
/// A look reads much of `/proc`, so it is no work for the event loop's thread: a thread of
/// ``Launchers`` does it, one look after the other. Looks become more and more seldom while nothing
/// changes, and the time that they take is at most a ninth of all.
final class GroupWatch: Sendable {
  typealias Scan = @Sendable (Set<Int32>) -> ProcessGroups.Members?

  private struct State {
    var lifecycles: [ObjectIdentifier: Lifecycle] = [:]
    var interval = GroupWatch.first
    var isLooking = false
    /// When the next look is due, if one is.
    var due: ContinuousClock.Instant?
    /// When the next look may be due at the earliest.
    var earliest: ContinuousClock.Instant?
  }

  /// How long after a change the first look comes.
  private static let first: Duration = .milliseconds(5)
  /// How seldom to look at groups that are to end, and at those that may live on.
  private static let (endingInterval, restInterval): (Duration, Duration) = (
    .milliseconds(100), .seconds(1)
  )
  /// How much longer than a look the time until the next one is.
  private static let rest = 8

  private let state = LockedState(State())
  private let scan: Scan

  /// - Parameter scan: Finds the members of groups; another than the system's for tests alone.
  init(_ scan: @escaping Scan = ProcessGroups.members) { self.scan = scan }

  /// Looks soon, and then again and again, at the group of a process, until it is empty or the
  /// process does not ask any more; see ``Lifecycle/isAskingForGroup``.
  func add(_ lifecycle: Lifecycle, on eventLoop: EventLoop) {
    state.withLock { state in
      state.lifecycles[ObjectIdentifier(lifecycle)] = lifecycle
      state.interval = Self.first
    }
    schedule(on: eventLoop)
  }

  /// Schedules the next look, unless one takes place, which schedules it at its end, or is due
  /// before.
  private func schedule(on eventLoop: EventLoop) {
    let time: ContinuousClock.Instant? = state.withLock { state in
      if state.isLooking { return nil }
      let now = ContinuousClock.Instant.now
      let time = max(now + state.interval, state.earliest ?? now)
      if let due = state.due, due <= time { return nil }
      state.due = time
      return time
    }
    guard let time else { return }
    eventLoop.schedule(after: time - .now) { self.look(dueAt: time, on: eventLoop) }
  }

  private func look(dueAt time: ContinuousClock.Instant, on eventLoop: EventLoop) {
    let isDue = state.withLock { state in
      // Another has taken its place, and is due before.
      guard state.due == time else { return false }
      state.due = nil
      state.isLooking = true
      // Unless something is added meanwhile.
      state.interval *= 2
      return true
    }
    guard isDue else { return }
    do throws(SystemError) {
      try Launchers.shared.run { self.look(on: eventLoop) }
    } catch {
      endLook(after: .zero, hasEnding: true, on: eventLoop)
    }
  }

  /// Looks once. On a thread that may be blocked.
  private func look(on eventLoop: EventLoop) {
    let start = ContinuousClock.Instant.now
    let lifecycles = state.withLock { state in
      state.lifecycles = state.lifecycles.filter { $1.isAskingForGroup }
      return Array(state.lifecycles.values)
    }
    let members = scan(Set(lifecycles.compactMap(\.groupToScan)))
    var hasEnding = false
    for lifecycle in lifecycles {
      lifecycle.looked(in: members)
      hasEnding = hasEnding || lifecycle.isAskingForEnd
    }
    endLook(after: .now - start, hasEnding: hasEnding, on: eventLoop)
  }

  private func endLook(after time: Duration, hasEnding: Bool, on eventLoop: EventLoop) {
    let isNeeded = state.withLock { state in
      state.isLooking = false
      state.lifecycles = state.lifecycles.filter { $1.isAskingForGroup }
      state.interval = min(state.interval, hasEnding ? Self.endingInterval : Self.restInterval)
      state.earliest = .now + time * Self.rest
      return !state.lifecycles.isEmpty
    }
    if isNeeded { schedule(on: eventLoop) }
  }
}
