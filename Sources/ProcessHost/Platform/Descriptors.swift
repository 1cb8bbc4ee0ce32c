import CRingShims

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A file descriptor that is closed when its owner is destroyed.
///
/// Children do not inherit it, unless it is installed in them on purpose.
struct OwnedDescriptor: ~Copyable {
  let number: Int32

  init(owning number: Int32) { self.number = number }

  deinit { close(number) }
}

/// A pipe between a child and this program. This program's end is non-blocking; the child's end is
/// blocking, as children expect.
struct PipeEnds: ~Copyable {
  var read: OwnedDescriptor
  var write: OwnedDescriptor

  /// The direction of the data, which decides which end is this program's.
  enum Direction { case fromChild, toChild }

  /// Opens a pipe.
  static func open(_ direction: Direction) throws(SystemError) -> PipeEnds {
    let numbers = try openPipe()
    let read = OwnedDescriptor(owning: numbers.read)
    let write = OwnedDescriptor(owning: numbers.write)
    let ends = PipeEnds(read: try read.aboveStandard(), write: try write.aboveStandard())
    let own = direction == .fromChild ? ends.read.number : ends.write.number
    guard fcntl(own, F_SETFL, O_NONBLOCK) == 0 else { throw .last }
    return ends
  }

  private static func openPipe() throws(SystemError) -> (read: Int32, write: Int32) {
    var numbers: [2 of Int32] = [-1, -1]
    var span = numbers.mutableSpan
    let result = unsafe span.withUnsafeMutableBufferPointer { numbers in
      let start = numbers.baseAddress!
      #if os(Linux) || os(Android)
        return unsafe ring_pipe2(start, O_CLOEXEC)
      #else
        // Not atomic, but children are started with POSIX_SPAWN_CLOEXEC_DEFAULT here.
        guard unsafe pipe(start) == 0 else { return -1 }
        for index in 0..<2 { _ = unsafe fcntl(numbers[index], F_SETFD, FD_CLOEXEC) }
        return 0
      #endif
    }
    guard result == 0 else { throw .last }
    return (numbers[0], numbers[1])
  }
}

extension OwnedDescriptor {
  /// Opens `/dev/null`.
  static func null() throws(SystemError) -> OwnedDescriptor {
    let number = unsafe open("/dev/null", O_RDWR | O_CLOEXEC)
    guard number >= 0 else { throw .last }
    return try OwnedDescriptor(owning: number).aboveStandard()
  }

  /// Returns a descriptor of the same file with a number above 2, in case this program was started
  /// without its standard descriptors and this one has one of their numbers.
  consuming func aboveStandard() throws(SystemError) -> OwnedDescriptor {
    guard number <= 2 else { return self }
    let moved = fcntl(number, F_DUPFD_CLOEXEC, 3)
    guard moved >= 0 else { throw .last }
    return OwnedDescriptor(owning: moved)
  }
}
