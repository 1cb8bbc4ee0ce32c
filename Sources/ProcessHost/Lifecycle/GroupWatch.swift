import Processes

/// Scans the process groups of children that have ended, until their remaining members have ended
/// as well. One watch serves all processes of an event loop.
///
/// A scan reads much of `/proc`, so it must not run on the event loop's thread. A thread of
/// ``Launchers`` runs the scans, one at a time. While nothing changes, the interval between scans
/// grows; scans take at most a ninth of the time.
final class GroupWatch: Sendable {
  typealias Scan = @Sendable (Set<Int32>) -> ProcessGroups.Members?

  private struct State {
    var lifecycles: [ObjectIdentifier: Lifecycle] = [:]
    var interval = GroupWatch.first
    var isLooking = false
    /// When the next scan is due; nil if none is.
    var due: ContinuousClock.Instant?
    /// The earliest time at which the next scan may be due.
    var earliest: ContinuousClock.Instant?
  }

  /// The time from a change to the first scan.
  private static let first: Duration = .milliseconds(5)
  /// The longest interval between scans of groups that are being terminated, and of groups that may
  /// live on.
  private static let (endingInterval, restInterval): (Duration, Duration) = (
    .milliseconds(100), .seconds(1)
  )
  /// The time between two scans, as a multiple of the time that a scan takes.
  private static let rest = 8

  private let state = LockedState(State())
  private let scan: Scan

  /// - Parameter scan: Finds the members of groups. Only tests pass another function than the
  ///   system's.
  init(_ scan: @escaping Scan = ProcessGroups.members) { self.scan = scan }

  /// Scans the group of a process soon, and then at intervals, until the group is empty or the
  /// process no longer asks for scans; see ``Lifecycle/isAskingForGroup``.
  func add(_ lifecycle: Lifecycle, on eventLoop: EventLoop) {
    state.withLock { state in
      state.lifecycles[ObjectIdentifier(lifecycle)] = lifecycle
      state.interval = Self.first
    }
    schedule(on: eventLoop)
  }

  /// Schedules the next scan, unless a scan is running, which schedules the next one at its end, or
  /// an earlier one is due.
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
      // An earlier scan has replaced this one.
      guard state.due == time else { return false }
      state.due = nil
      state.isLooking = true
      // `add` resets the interval if it is called meanwhile.
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

  /// Scans once. On a thread that may block.
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
