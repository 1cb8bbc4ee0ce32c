/// Counts what the calling thread allocates.
///
/// The executable has one if jemalloc is linked. It is handed in, so that the harness, and the
/// tests with it, can do without another allocator.
package struct AllocationCounter: Sendable {
  /// Allocations so far; of all threads, if the allocator cannot tell them apart.
  package let count: @Sendable () -> UInt64
  /// Bytes that the calling thread allocated so far.
  package let bytes: @Sendable () -> UInt64

  package init(
    count: @escaping @Sendable () -> UInt64, bytes: @escaping @Sendable () -> UInt64
  ) {
    self.count = count
    self.bytes = bytes
  }

  func measure(_ contender: Contender, operations: Int) -> Allocations {
    let countBefore = count()
    let bytesBefore = bytes()
    contender.run(operations)
    let bytes = bytes() - bytesBefore
    let count = count() - countBefore
    return Allocations(
      count: Double(count) / Double(operations), bytes: Double(bytes) / Double(operations))
  }
}

/// What one operation allocates, on average.
package struct Allocations: Sendable {
  package let count: Double
  package let bytes: Double

  package init(count: Double, bytes: Double) {
    self.count = count
    self.bytes = bytes
  }
}
