/// How much an output's pipe holds: what it had at first, or more while it fills up and the budget
/// lasts.
///
/// A child that fills its pipe waits for the reader. Between two processors a pipe four times as
/// large lets both work at once, which takes less than half the time; on one processor it halves
/// the context switches.
struct PipeWidth: ~Copyable {
  /// More than this gains nothing, and leaves the processor's cache.
  static let wide = 262_144

  private let descriptor: Int32
  private let budget: PipeBudget
  /// At first; nil for a terminal, which stays as it is.
  private let initial: Int?
  private var share: PipeBudget.Share?
  /// Whether it has filled up since the last look.
  private var isNeeded = false
  /// The system has refused once. Asking at each turn would cost more than it can bring.
  private var isRefused = false

  init(_ descriptor: Int32, _ budget: PipeBudget) {
    self.descriptor = descriptor
    self.budget = budget
    initial = pipeCapacity(descriptor)
  }

  /// What the pipe holds; nil for a terminal.
  var capacity: Int? { isWide ? Self.wide : initial }

  var isWide: Bool { share != nil }

  /// Takes note of how much was read at once, and widens the pipe if that had filled it.
  ///
  /// - Returns: Whether the pipe has been widened.
  mutating func adapt(to count: Int) -> Bool {
    // Half of what it holds: a page has room for one write of little more than half a page.
    guard let initial, count >= initial / 2 else { return false }
    isNeeded = true
    guard !isWide, !isRefused, initial < Self.wide else { return false }
    guard let share = budget.take(Self.wide - initial) else { return false }
    isRefused = setPipeCapacity(descriptor, to: Self.wide) == nil
    if !isRefused { self.share = consume share }
    return isWide
  }

  /// Narrows a pipe that has not filled up since this was last called, unless it holds more just
  /// now.
  mutating func narrowIfUnneeded() {
    defer { isNeeded = false }
    guard isWide, !isNeeded, let initial else { return }
    if setPipeCapacity(descriptor, to: initial) != nil { share = nil }
  }
}
