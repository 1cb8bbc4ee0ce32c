import Synchronization

/// Those who wait for news of one session, each for the next change of anything: an append, an exit,
/// the close.
///
/// ## Why no wake-up is lost
///
/// A waiter, who has found nothing new:
///
///  1. puts itself on the list;
///  2. sets `isAwaited`, holding the producers' lock;
///  3. looks once more, and leaves the list again if there is news; else sleeps.
///
/// A producer:
///
///  a. holding the producers' lock: publishes; then takes `isAwaited`, leaving false;
///  b. without the lock, if it was true: takes everybody off the list and wakes them.
///
/// Either a comes before 2 in the order of that lock; then 3 sees what a published. Or it comes after;
/// then a finds `isAwaited` true, unless another producer has taken it since 2, and whoever took it
/// does b after 2, hence after 1, and finds the waiter on the list. No fence is needed, and an append
/// that nobody waits for pays for one load of a field that it has in its cache anyway.
///
/// Whoever waits thus touches the producers' lock, once for each wait and for as long as it takes to
/// store a byte; readers who do not wait never do. `Fuzz/Model` checks this very order of steps.
struct WaitList: ~Copyable, Sendable {
  /// Someone asleep.
  @safe
  enum Waiter {
    case task(UnsafeContinuation<Void, Never>)
    case thread(ThreadWaiter)

    func wake() {
      switch self {
      case .task(let continuation): unsafe continuation.resume()
      case .thread(let thread): thread.wake()
      }
    }
  }

  /// Whom a list knows a waiter by.
  typealias Ticket = UInt64

  struct State {
    var waiters: [Ticket: Waiter] = [:]
    var nextTicket: Ticket = 0
  }

  private let state = Mutex(State())

  /// More than this many are woken by a task, so that they do not hold up the producer.
  private static let most = 8

  /// A ticket that no one else has.
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

  /// Wakes one waiter, if it is still on the list.
  func wake(_ ticket: Ticket) {
    state.withLock { $0.waiters.removeValue(forKey: ticket) }?.wake()
  }

  /// Wakes everybody.
  ///
  /// - Complexity: O(1) for the caller; the waking itself, if there are many, is left to a task.
  func wakeAll() {
    let waiters = state.withLock { state in
      let waiters = state.waiters
      state.waiters = [:]
      return waiters
    }
    if waiters.count <= Self.most {
      for waiter in waiters.values { waiter.wake() }
    } else {
      Task.detached { for waiter in waiters.values { waiter.wake() } }
    }
  }

  /// How many are on the list.
  var count: Int { state.withLock { $0.waiters.count } }
}

extension WaitList.Waiter: @unchecked Sendable {}
