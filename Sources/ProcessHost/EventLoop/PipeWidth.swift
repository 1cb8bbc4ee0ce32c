/// The capacity of an output's pipe: its initial capacity, or more while it fills up and the budget
/// lasts.
///
/// A child that fills its pipe waits for the event loop. On two processors a pipe four times as
/// large lets both work at once, which takes less than half the time. On one processor it halves
/// the context switches.
struct PipeWidth: ~Copyable {
  /// The capacity of a wide pipe, in bytes. More gains nothing, and does not fit the processor's
  /// cache.
  static let wide = 262_144

  private let descriptor: Int32
  private let budget: PipeBudget
  /// The initial capacity; nil for a terminal, which cannot be widened.
  private let initial: Int?
  private var share: PipeBudget.Share?
  /// Whether the pipe has filled up since the last check.
  private var isNeeded = false
  /// Whether the system has refused to widen the pipe. Asking again at each turn would cost more
  /// than it gains.
  private var isRefused = false

  init(_ descriptor: Int32, _ budget: PipeBudget) {
    self.descriptor = descriptor
    self.budget = budget
    initial = pipeCapacity(descriptor)
  }

  /// The capacity of the pipe, in bytes; nil for a terminal.
  var capacity: Int? { isWide ? Self.wide : initial }

  var isWide: Bool { share != nil }

  /// Records how much was read at once, and widens the pipe if the read shows that it was full.
  ///
  /// - Returns: Whether the pipe has been widened.
  mutating func adapt(to count: Int) -> Bool {
    // Half of its capacity counts as full: a page has room for only one write of a little more than
    // half a page.
    guard let initial, count >= initial / 2 else { return false }
    isNeeded = true
    guard !isWide, !isRefused, initial < Self.wide else { return false }
    guard let share = budget.take(Self.wide - initial) else { return false }
    isRefused = setPipeCapacity(descriptor, to: Self.wide) == nil
    if !isRefused { self.share = consume share }
    return isWide
  }

  /// Narrows the pipe if it has not filled up since the last call, unless it holds too much at the
  /// moment.
  mutating func narrowIfUnneeded() {
    defer { isNeeded = false }
    guard isWide, !isNeeded, let initial else { return }
    if setPipeCapacity(descriptor, to: initial) != nil { share = nil }
  }
}
