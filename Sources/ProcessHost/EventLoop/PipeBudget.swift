import Synchronization

/// How many bytes more than by default the pipes of a program may hold, in all.
///
/// The kernel counts the pages of all pipes of a user, whatever program they belong to. Above a
/// limit the user's new pipes get two pages, and are slow. So a program takes a fixed part of that
/// limit, and gives back what a pipe no longer needs.
package final class PipeBudget: Sendable {
  /// What there is to take, in bytes.
  let limit: Int
  private let taken = Atomic<Int>(0)

  /// The budget that hosts share: a quarter of what the user's pipes may hold.
  package static let shared = PipeBudget(part: 4)

  init(limit: Int) { self.limit = limit }

  /// One part of so many of what the user's pipes may hold.
  package convenience init(part: Int) {
    self.init(limit: Self.bytes(pages: userPipePages(), of: pageSize()) / part)
  }

  /// What a user's pipes may hold.
  ///
  /// - Parameter pages: What the system says: 0 for no limit, nil for nothing. Its default stands
  ///   for both.
  static func bytes(pages: Int?, of size: Int) -> Int {
    let pages = pages ?? 0
    // However much the system allows, a program has no use for more than some GiB.
    return min(pages > 0 ? pages : 16_384, 1 << 20) * size
  }

  /// What is left to take.
  var remaining: Int { limit - taken.load(ordering: .relaxed) }

  /// A part of the budget, which returns to it when its owner gives it up.
  struct Share: ~Copyable {
    private let budget: PipeBudget
    private let count: Int

    fileprivate init(_ count: Int, of budget: PipeBudget) {
      self.budget = budget
      self.count = count
    }

    deinit { budget.taken.subtract(count, ordering: .relaxed) }
  }

  /// Takes so many bytes; nil if there are not as many left.
  func take(_ count: Int) -> Share? {
    // Without a loop: another thread that finds it exceeded for this moment can do without.
    guard taken.add(count, ordering: .relaxed).newValue <= limit else {
      taken.subtract(count, ordering: .relaxed)
      return nil
    }
    return Share(count, of: self)
  }
}
