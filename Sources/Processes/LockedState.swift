import CRingShims
import Synchronization

/// State behind a `Mutex` that tells ThreadSanitizer when it passes from one thread to another.
///
/// On Linux the kernel hands over a contended `Mutex`, by FUTEX_UNLOCK_PI, which ThreadSanitizer
/// does not see. It would report a race in any program that has one. Without ThreadSanitizer this
/// is a `Mutex`.
package struct LockedState<State: ~Copyable>: ~Copyable, Sendable {
  private let mutex: Mutex<State>

  package init(_ state: consuming sending State) { mutex = Mutex(state) }

  /// Calls a closure with the state, while no other thread can reach it.
  package borrowing func withLock<Result: ~Copyable, Failure: Error>(
    _ body: (inout sending State) throws(Failure) -> sending Result
  ) throws(Failure) -> sending Result {
    let key = unsafe withUnsafePointer(to: mutex) { unsafe UnsafeMutableRawPointer(mutating: $0) }
    return try mutex.withLock { state throws(Failure) in
      unsafe ring_sanitizer_acquire(key)
      defer { unsafe ring_sanitizer_release(key) }
      return try body(&state)
    }
  }
}
