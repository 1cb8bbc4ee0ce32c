import CRingShims
import Synchronization

/// A full fence of every thread of this process, paid for by the thread that asks for it.
///
/// A producer publishes and then looks whether a reader waits; a reader says that it waits and then
/// looks for news. Without a full fence between the two steps on each side, both could miss the
/// other. On Linux the waiting reader issues both fences: `membarrier(2)`, private expedited,
/// interrupts every processor that runs a thread of this process. It costs the reader less than a
/// microsecond and the producer nothing. Elsewhere the producer has a fence of its own.
enum ProcessFence {
  /// Whether producers fence by themselves, because the system cannot do it for them.
  static let producersMustFence = !isSupported(by: ring_membarrier(Int32(RingMembarrierQuery)))

  /// Whether the commands that the query named, or -1, hold what is needed.
  private static func isSupported(by commands: Int32) -> Bool {
    commands >= 0 && commands & Int32(RingMembarrierPrivateExpedited) != 0
  }

  private enum State: Int, AtomicRepresentable { case unregistered, registering, registered }

  private static let state = Atomic(State.unregistered)

  /// Issues the fence.
  ///
  /// Before the first one the system wants to be told that this process will issue some, which
  /// takes some ten milliseconds where there are several threads. A task does that, and no caller
  /// waits for it.
  ///
  /// - Returns: Whether every thread has passed a full fence since the call. If not, which is so
  ///   until the registration is done, and for good where a filter of system calls forbids it later
  ///   than ``producersMustFence`` was found out, the caller cannot rely on being woken.
  static func issue() -> Bool {
    if producersMustFence {
      ring_fence_full()
      return true
    }
    switch state.load(ordering: .acquiring) {
    case .registered:
      return ring_membarrier(Int32(RingMembarrierPrivateExpedited)) == 0
    case .registering:
      return false
    case .unregistered:
      register()
      return false
    }
  }

  private static func register() {
    let isFirst = state.compareExchange(
      expected: .unregistered, desired: .registering, ordering: .relaxed
    ).exchanged
    guard isFirst else { return }
    Task.detached {
      let command = Int32(RingMembarrierRegisterPrivateExpedited)
      if ring_membarrier(command) == 0 { state.store(.registered, ordering: .releasing) }
    }
  }
}
