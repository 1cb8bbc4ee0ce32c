#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Parks one thread until another unparks it or its time is up: `pthread_cond_wait(3)`.
@safe
final class Parker: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  /// Guarded by the mutex.
  private var isWoken = false

  init() {
    unsafe mutex = .allocate(capacity: 1)
    unsafe condition = .allocate(capacity: 1)
    var error = unsafe pthread_mutex_init(mutex, nil)
    precondition(error == 0, "pthread_mutex_init: error \(error)")
    #if canImport(Darwin)
      error = unsafe pthread_cond_init(condition, nil)
    #else
      // The default clock is the wall clock, which can be set.
      var attributes = pthread_condattr_t()
      unsafe pthread_condattr_init(&attributes)
      unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
      error = unsafe pthread_cond_init(condition, &attributes)
      unsafe pthread_condattr_destroy(&attributes)
    #endif
    precondition(error == 0, "pthread_cond_init: error \(error)")
  }

  deinit {
    unsafe pthread_cond_destroy(condition)
    unsafe pthread_mutex_destroy(mutex)
    unsafe condition.deallocate()
    unsafe mutex.deallocate()
  }

  /// Ends the wait, now or when it begins.
  func unpark() {
    unsafe pthread_mutex_lock(mutex)
    isWoken = true
    unsafe pthread_cond_signal(condition)
    unsafe pthread_mutex_unlock(mutex)
  }

  /// Blocks the calling thread until it is unparked, or for a time at most.
  func park(for time: Duration?) {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    guard let time else {
      while !isWoken { unsafe pthread_cond_wait(condition, mutex) }
      return
    }
    #if canImport(Darwin)
      let clock = ContinuousClock()
      let deadline = clock.now + time
      while !isWoken {
        let rest = deadline - clock.now
        if rest <= .zero { return }
        var interval = timespec(rest)
        if unsafe pthread_cond_timedwait_relative_np(condition, mutex, &interval) != 0 { return }
      }
    #else
      var now = timespec()
      unsafe clock_gettime(CLOCK_MONOTONIC, &now)
      var deadline = timespec(
        .seconds(now.tv_sec) + .nanoseconds(now.tv_nsec) + time)
      while !isWoken {
        if unsafe pthread_cond_timedwait(condition, mutex, &deadline) != 0 { return }
      }
    #endif
  }
}

extension timespec {
  /// A duration, which must not be negative or longer than the system can represent.
  fileprivate init(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    self.init(tv_sec: time_t(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
  }
}
