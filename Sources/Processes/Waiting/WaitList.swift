import CRingShims
import Synchronization

/// The readers that wait for one session's next change: an append, an exit, or the close.
///
/// ## Why no wake-up is lost in the program that captures the output
///
/// A waiter that has found nothing new:
///
///  1. adds itself to the list;
///  2. sets `isAwaited`;
///  3. issues a full fence for all threads of the process (``ProcessFence``);
///  4. looks once more; if there is news, it removes itself from the list, else it sleeps.
///
/// A producer:
///
///  a. publishes;
///  b. loads `isAwaited`;
///  c. if it was set, clears it, takes all waiters off the list, and wakes them.
///
/// The fence of step 3 takes effect at one point of the producer's program. If the producer has
/// published before that point, step 4 sees what it published. Otherwise the producer loads
/// `isAwaited` after that point and finds it set. The exception is that another producer has
/// cleared it since. That producer takes the list's lock after the waiter did in step 1, and so
/// finds the waiter on the list.
///
/// Without waiters, an append pays for one load. Plain reads never touch the list. Waiting readers
/// never take a lock of the producers. `Tests/ProtocolModel` checks this order of steps.
///
/// ## Why no wake-up is lost in other programs
///
/// The producer of a ``RecordedSession`` cannot reach this list. Something else brings the news,
/// and calls ``RecordedSession/noteNews()``, which takes all waiters off the list and wakes them. A
/// waiter takes the same steps, but for 2 and 3: it asks the news source for a promise, namely that
/// `noteNews()` will be called after every publication that follows the request. Then:
///
/// - If the call comes after step 1, it finds the waiter on the list: both take the list's lock.
/// - If the call comes before step 1, what it tells of was published before the call, and the lock
///   passes that on to the waiter: step 4 finds it. No fence is needed: the news came through the
///   lock and, before that, through the system.
/// - If the source asks the recording program, waits for its answer, and is told of later news
///   only, step 4 finds what was published before the answer.
///
/// The waiter must be on the list before it asks: the answer may be a call of `noteNews()` within
/// the request. The same holds for a source that is replaced, after which all waiters are woken. A
/// waiter that asked the old one was on the list before.
struct WaitList: ~Copyable, Sendable {
  /// A task or a thread that sleeps.
  @safe
  enum Waiter {
    case task(UnsafeContinuation<Void, Never>)
    case thread(Parker)

    func wake() {
      switch self {
      case .task(let continuation): unsafe continuation.resume()
      case .thread(let parker): parker.unpark()
      }
    }
  }

  /// Identifies a waiter.
  typealias Ticket = UInt64

  struct State {
    var waiters: [Ticket: Waiter] = [:]
    var nextTicket: Ticket = 0
  }

  /// What a producer has to do after it has published, in one word, so that one load is enough.
  ///
  /// Bit 0 is `isAwaited`. Bit 1 never changes: if it is set, the producer must fence before it
  /// loads bit 0.
  private let duties = Atomic<UInt8>(ProcessFence.producersMustFence ? mustFence : 0)
  private static let isAwaited: UInt8 = 1
  private static let mustFence: UInt8 = 2

  private let state = LockedState(State())

  /// Returns a ticket that no other waiter has.
  func makeTicket() -> Ticket {
    state.withLock { state in
      state.nextTicket += 1
      return state.nextTicket
    }
  }

  /// Adds a waiter to the list, unless a condition, evaluated under the list's lock, forbids it.
  func add(_ waiter: Waiter, as ticket: Ticket, unless isForbidden: () -> Bool = { false }) -> Bool
  {
    state.withLock { state in
      if isForbidden() { return false }
      state.waiters[ticket] = waiter
      return true
    }
  }

  /// Asks the producers to wake the waiters on the list: steps 2 and 3.
  ///
  /// - Returns: Whether they will. If not, the waiter must look again by itself, soon.
  func requestWakeup() -> Bool {
    // Releases step 1: a producer that clears the bit finds the waiter on the list.
    duties.bitwiseOr(Self.isAwaited, ordering: .releasing)
    return ProcessFence.issue()
  }

  /// Wakes one waiter, if it is still on the list.
  func wake(_ ticket: Ticket) {
    state.withLock { $0.waiters.removeValue(forKey: ticket) }?.wake()
  }

  /// Wakes the waiters, if there are any, after the calling producer has published: steps b and c.
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

  /// Whether a waiter has asked to be woken; for tests.
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

  /// The most tasks that a producer wakes by itself. A larger number would hold it up, so a task
  /// wakes them instead. The producer always wakes threads by itself: where blocked threads occupy
  /// the whole pool, no task would run to wake them.
  private static let most = 8

  /// Wakes every waiter.
  ///
  /// - Complexity: O(waiting threads) for the caller. If many tasks wait, another task wakes them.
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

  /// Returns whether a waiter is on the list.
  func contains(_ ticket: Ticket) -> Bool { state.withLock { $0.waiters[ticket] != nil } }

  /// The number of waiters on the list.
  var count: Int { state.withLock { $0.waiters.count } }
}

extension WaitList.Waiter: @unchecked Sendable {}
