// Only this file knows how each platform waits for many descriptors at once.
import CEvents
import CRingShims

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Waits for events of many descriptors and processes: by `epoll(7)` on Linux, by `kqueue(2)`
/// elsewhere. Level-triggered: an event that is not handled is reported again.
///
/// Each event carries the token that the caller chose. Adding, removing and waking are safe from
/// any thread, even while another thread waits.
@safe
struct Poller: ~Copyable, Sendable {
  typealias Token = UnsafeMutableRawPointer

  private let queue: OwnedDescriptor

  /// Whether a wait ends exactly when it is due, rather than up to a millisecond later.
  let isExact: Bool

  #if os(Linux) || os(Android)
    private let wakeupDescriptor: OwnedDescriptor

    typealias Event = epoll_event

    init() throws(SystemError) {
      let number = epoll_create1(Int32(EPOLL_CLOEXEC))
      guard number >= 0 else { throw .last }
      let queue = try OwnedDescriptor(owning: number).aboveStandard()
      let wakeupNumber = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
      guard wakeupNumber >= 0 else { throw .last }
      let wakeupDescriptor = try OwnedDescriptor(owning: wakeupNumber).aboveStandard()
      var event = unsafe epoll_event(events: EPOLLIN.rawValue, data: epoll_data(ptr: nil))
      guard unsafe epoll_ctl(queue.number, EPOLL_CTL_ADD, wakeupDescriptor.number, &event) == 0
      else {
        throw .last
      }
      // Only the wakeup descriptor has been added, and nothing has been written to it.
      isExact = unsafe ring_epoll_wait(queue.number, &event, 1, 0, 0) == 0
      self.queue = queue
      self.wakeupDescriptor = wakeupDescriptor
    }

    /// Adds a descriptor, to report when it can be read or has ended.
    func add(_ descriptor: Int32, token: Token) throws(SystemError) {
      var event = unsafe epoll_event(events: EPOLLIN.rawValue, data: epoll_data(ptr: token))
      ring_epoll_added(queue.number)
      guard unsafe epoll_ctl(queue.number, EPOLL_CTL_ADD, descriptor, &event) == 0 else {
        throw .last
      }
    }

    /// Adds a descriptor, to report when it can be written to or has no reader any more.
    func addWritable(_ descriptor: Int32, token: Token) throws(SystemError) {
      var event = unsafe epoll_event(events: EPOLLOUT.rawValue, data: epoll_data(ptr: token))
      ring_epoll_added(queue.number)
      guard unsafe epoll_ctl(queue.number, EPOLL_CTL_ADD, descriptor, &event) == 0 else {
        throw .last
      }
    }

    func removeWritable(_ descriptor: Int32) { remove(descriptor) }

    func remove(_ descriptor: Int32) {
      var unused = unsafe epoll_event()
      unsafe epoll_ctl(queue.number, EPOLL_CTL_DEL, descriptor, &unused)
    }

    /// Adds a process, to report that it has ended, until `removeExit`.
    ///
    /// - Parameter descriptor: The process's descriptor, a `pidfd`.
    func addExit(of process: Int32, descriptor: Int32, token: Token) throws(SystemError) {
      try unsafe add(descriptor, token: token)
    }

    func removeExit(of process: Int32, descriptor: Int32) { remove(descriptor) }

    /// Makes the waiting thread return. Several wakes in a row may cause one return.
    func wake() {
      var one: UInt64 = 1
      ring_epoll_added(queue.number)
      unsafe write(wakeupDescriptor.number, &one, 8)
    }

    /// Waits for events, up to a time limit, and calls a closure with the token of each; nil for a
    /// wake.
    func wait(
      _ events: UnsafeMutableBufferPointer<Event>, upTo limit: Duration?, _ body: (Token?) -> Void
    ) {
      // The wait fails only with EINTR.
      for index in 0..<Int(max(0, unsafe wait(events, upTo: limit))) {
        let token = unsafe events[index].data.ptr
        if unsafe token == nil {
          var ignored: UInt64 = 0
          unsafe read(wakeupDescriptor.number, &ignored, 8)
        }
        unsafe body(token)
      }
    }

    private func wait(
      _ events: UnsafeMutableBufferPointer<Event>, upTo limit: Duration?
    ) -> Int32 {
      let (start, capacity) = (events.baseAddress!, Int32(events.count))
      let limit = limit.map { max($0, .zero) }
      if isExact {
        let (seconds, attoseconds) = limit?.components ?? (-1, 0)
        let count = unsafe ring_epoll_wait(
          queue.number, start, capacity, seconds, attoseconds / 1_000_000_000)
        if count >= 0 || errno == EINTR { return count }
        // A system call filter has been installed since the poller was created.
      }
      // Rounded up, so that a timer that is due at the limit is due after the wait.
      let milliseconds = limit.map { Int32(clamping: Int64($0 / .milliseconds(1)) + 1) }
      return unsafe epoll_wait(queue.number, start, capacity, milliseconds ?? -1)
    }

    /// Makes the waits of the calling thread as exact as ``isExact`` says.
    func prepareThread() { if isExact { ring_drop_timer_slack() } }
  #else
    typealias Event = kevent

    init() throws(SystemError) {
      let number = kqueue()
      guard number >= 0 else { throw .last }
      queue = try OwnedDescriptor(owning: number).aboveStandard()
      // The system coalesces timers as it sees fit.
      isExact = false
      _ = fcntl(queue.number, F_SETFD, FD_CLOEXEC)
      try unsafe change(0, EVFILT_USER, EV_ADD | EV_CLEAR, token: nil)
    }

    private borrowing func change(
      _ ident: UInt, _ filter: Int, _ flags: Int, fflags: UInt32 = 0, token: Token?
    ) throws(SystemError) {
      var event = unsafe kevent(
        ident: ident, filter: Int16(filter), flags: UInt16(flags), fflags: fflags, data: 0,
        udata: token)
      guard unsafe kevent(queue.number, &event, 1, nil, 0, nil) >= 0 else { throw .last }
    }

    /// Adds a descriptor, to report when it can be read or has ended.
    func add(_ descriptor: Int32, token: Token) throws(SystemError) {
      try unsafe change(UInt(descriptor), Int(EVFILT_READ), Int(EV_ADD), token: token)
    }

    /// Adds a descriptor, to report when it can be written to or has no reader any more.
    func addWritable(_ descriptor: Int32, token: Token) throws(SystemError) {
      try unsafe change(UInt(descriptor), Int(EVFILT_WRITE), Int(EV_ADD), token: token)
    }

    func removeWritable(_ descriptor: Int32) {
      try? unsafe change(UInt(descriptor), Int(EVFILT_WRITE), Int(EV_DELETE), token: nil)
    }

    func remove(_ descriptor: Int32) {
      try? unsafe change(UInt(descriptor), Int(EVFILT_READ), Int(EV_DELETE), token: nil)
    }

    /// Adds a process, to report when it has ended.
    func addExit(of process: Int32, descriptor: Int32, token: Token) throws(SystemError) {
      try unsafe change(
        UInt(process), Int(EVFILT_PROC), Int(EV_ADD), fflags: UInt32(NOTE_EXIT), token: token)
    }

    func removeExit(of process: Int32, descriptor: Int32) {
      try? unsafe change(UInt(process), Int(EVFILT_PROC), Int(EV_DELETE), token: nil)
    }

    /// Makes the waiting thread return. Several wakes in a row may cause one return.
    func wake() {
      try? unsafe change(0, Int(EVFILT_USER), 0, fflags: UInt32(NOTE_TRIGGER), token: nil)
    }

    /// Waits for events, up to a time limit, and calls a closure with the token of each; nil for a
    /// wake.
    func wait(
      _ events: UnsafeMutableBufferPointer<Event>, upTo limit: Duration?, _ body: (Token?) -> Void
    ) {
      let (seconds, attoseconds) = (limit.map { max($0, .zero) } ?? .zero).components
      var time = timespec(
        tv_sec: time_t(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
      let count = unsafe withUnsafePointer(to: &time) { time in
        unsafe kevent(
          queue.number, nil, 0, events.baseAddress, Int32(events.count),
          limit == nil ? nil : time)
      }
      for index in 0..<Int(max(0, count)) { unsafe body(events[index].udata) }
    }

    /// Makes the waits of the calling thread as exact as ``isExact`` says.
    func prepareThread() {}
  #endif
}
