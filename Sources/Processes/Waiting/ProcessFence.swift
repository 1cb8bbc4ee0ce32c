import CRingShims
import Synchronization

/// A full fence of every thread of this process, paid for by the thread that issues it.
///
/// A producer publishes, then checks whether a reader waits. A reader notes that it waits, then
/// checks for news. Without a full fence between the two steps on each side, each could miss the
/// other. On Linux the waiting reader issues both fences: `membarrier(2)`, private expedited,
/// interrupts every processor that runs a thread of this process. It costs the reader less than a
/// microsecond and the producer nothing. On other systems the producer issues a fence of its own.
enum ProcessFence {
  /// Whether producers must fence by themselves, because the system cannot do it for them.
  static let producersMustFence = !isSupported(by: ring_membarrier(Int32(RingMembarrierQuery)))

  /// Returns whether the query's answer, a set of commands or -1, contains the one needed here.
  private static func isSupported(by commands: Int32) -> Bool {
    commands >= 0 && commands & Int32(RingMembarrierPrivateExpedited) != 0
  }

  private enum State: Int, AtomicRepresentable { case unregistered, registering, registered }

  private static let state = Atomic(State.unregistered)

  /// Issues the fence.
  ///
  /// The process must register with the system before its first fence. That takes some ten
  /// milliseconds where there are several threads, so a task does it, and no caller waits for it.
  ///
  /// - Returns: Whether every thread has passed a full fence since the call. This is false until
  ///   the registration is done. It stays false where a system-call filter was installed after
  ///   ``producersMustFence`` was determined. The caller then cannot rely on being woken.
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
