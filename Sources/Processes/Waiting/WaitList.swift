import CRingShims
import Synchronization

/// The readers that wait for news of one session, each for the next change of anything: an append,
/// an exit, the close.
///
/// ## Why no wake-up is lost
///
/// A waiter that has found nothing new:
///
///  1. puts itself on the list;
///  2. sets `isAwaited`;
///  3. issues a full fence for all threads of the process, ``ProcessFence``;
///  4. looks once more, and leaves the list again if there is news; else it sleeps.
///
/// A producer:
///
///  a. publishes;
///  b. loads `isAwaited`;
///  c. if it was set, clears it, takes all waiters off the list, and wakes them.
///
/// The fence of step 3 is at some place in the producer's program. If the producer has published
/// before that place, then step 4 sees what it published. If not, then the producer loads
/// `isAwaited` behind that place, and sees that it was set; unless another producer has cleared it
/// since, which then takes the list's lock after the waiter did in step 1, and finds it there.
///
/// An append that no reader waits for pays for one load. Readers that do not wait never touch this,
/// and readers that wait never touch a lock of the producer's. `Fuzz/Model` checks this very order
/// of steps.
struct WaitList: ~Copyable, Sendable {
  /// A task or a thread that sleeps.
  @safe
  enum Waiter {
    case task(UnsafeContinuation<Void, Never>)
    case thread(Parker)

    func wake() {
      switch self {
      case .task(let continuation): unsafe continuation.resume()
      case .thread(let thread): thread.wake()
      }
    }
  }

  /// What a list knows a waiter by.
  typealias Ticket = UInt64

  struct State {
    var waiters: [Ticket: Waiter] = [:]
    var nextTicket: Ticket = 0
  }

  /// What a producer has to do after it has published: one word, so that it looks but once.
  ///
  /// Bit 0 is `isAwaited`. Bit 1 never changes: the producer must fence before it looks at bit 0.
  private let duties = Atomic<UInt8>(ProcessFence.producersMustFence ? mustFence : 0)
  private static let isAwaited: UInt8 = 1
  private static let mustFence: UInt8 = 2

  private let state = LockedState(State())

  /// A ticket that no other waiter has.
  func makeTicket() -> Ticket {
    state.withLock { state in
      state.nextTicket += 1
      return state.nextTicket
    }
  }

  /// Puts a waiter on the list, unless a condition, looked at under the list's lock, forbids it.
  func add(_ waiter: Waiter, as ticket: Ticket, unless isForbidden: () -> Bool = { false }) -> Bool
  {
    state.withLock { state in
      if isForbidden() { return false }
      state.waiters[ticket] = waiter
      return true
    }
  }

  /// Asks producers to wake a waiter that is on the list: steps 2 and 3.
  ///
  /// - Returns: Whether they will. If not, the waiter must look again by itself before long.
  func requestWakeup() -> Bool {
    // Releases step 1: a producer that clears this finds the waiter on the list.
    duties.bitwiseOr(Self.isAwaited, ordering: .releasing)
    return ProcessFence.issue()
  }

  /// Wakes one waiter, if it is still on the list.
  func wake(_ ticket: Ticket) {
    state.withLock { $0.waiters.removeValue(forKey: ticket) }?.wake()
  }

  /// Wakes the waiters that there may be, now that the calling producer has published something:
  /// steps b and c.
  @inline(__always)
  func wakeIfAwaited() {
    ring_fence_compiler()
    if duties.load(ordering: .relaxed) != 0 { fenceAndWake() }
  }

  @inline(never)
  private func fenceAndWake() {
    if duties.load(ordering: .relaxed) & Self.mustFence != 0 { ring_fence_full() }
    let before = duties.bitwiseAnd(~Self.isAwaited, ordering: .acquiringAndReleasing).oldValue
    if before & Self.isAwaited != 0 { wakeAll() }
  }

  /// For a test: whether a waiter has asked to be woken.
  var isWakeupRequested: Bool {
    get { duties.load(ordering: .relaxed) & Self.isAwaited != 0 }
    nonmutating set {
      if newValue {
        duties.bitwiseOr(Self.isAwaited, ordering: .relaxed)
      } else {
        duties.bitwiseAnd(~Self.isAwaited, ordering: .relaxed)
      }
    }
  }

  /// More tasks than this are woken by a task, so that they do not hold up the producer. Threads
  /// are not: where blocked threads occupy the whole pool, no task would run to wake them.
  private static let most = 8

  /// Wakes every waiter.
  ///
  /// - Complexity: O(threads that wait) for the caller; the waking of tasks, if there are many, is
  ///   left to a task.
  func wakeAll() {
    let waiters = state.withLock { state in
      let waiters = state.waiters
      state.waiters = [:]
      return waiters
    }
    var tasks: [Waiter] = []
    for waiter in waiters.values {
      if case .thread = waiter { waiter.wake() } else { tasks.append(waiter) }
    }
    if tasks.count <= Self.most {
      for task in tasks { task.wake() }
    } else {
      Task.detached { [tasks] in for task in tasks { task.wake() } }
    }
  }

  /// Whether a waiter is on the list.
  func contains(_ ticket: Ticket) -> Bool { state.withLock { $0.waiters[ticket] != nil } }

  /// How many are on the list.
  var count: Int { state.withLock { $0.waiters.count } }
}

extension WaitList.Waiter: @unchecked Sendable {}
