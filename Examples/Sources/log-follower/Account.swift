import ProcessHost

/// What one reader received and missed, in bytes.
struct Account: Sendable {
  private(set) var reads = 0
  private(set) var received = 0
  private(set) var missed = 0

  var total: Int { received + missed }

  /// Counts one read. A reader that begins at the start and passes cursors always knows what it
  /// missed.
  mutating func add(_ output: Output) {
    reads += 1
    received += output.chunks.payload.count
    missed += output.missedBytes ?? 0
  }
}
