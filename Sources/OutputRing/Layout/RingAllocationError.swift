#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Says that the system has no memory for a ring, or no room for another mapping.
public struct RingAllocationError: Error, Sendable, Hashable {
  /// The size of the ring's region in bytes.
  public let byteCount: Int
  /// What `mmap(2)` reported: `ENOMEM`, or `EAGAIN` where memory is locked.
  public let code: Int32
}

extension RingAllocationError: CustomStringConvertible {
  /// What was wrong, and what to do.
  public var description: String {
    let reason = unsafe String(cString: strerror(code))
    return "no memory for an output ring of \(byteCount) bytes (\(reason)): "
      + "use fewer or smaller rings, raise the limit on memory (ulimit -v), or vm.max_map_count"
  }
}
