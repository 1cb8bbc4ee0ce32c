/// The delays between attempts to connect.
struct Backoff {
  private let first: Duration
  private let last: Duration
  private var next: Duration

  init(first: Duration, last: Duration) {
    self.first = first
    self.last = last
    next = first
  }

  /// Returns the next delay: from half of a value that doubles up to the whole of it.
  mutating func delay(using generator: inout some RandomNumberGenerator) -> Duration {
    defer { next = min(next * 2, last) }
    return next * Double.random(in: 0.5...1, using: &generator)
  }

  /// Begins again with the first delay.
  mutating func reset() { next = first }
}
