import Synchronization

/// The bytes by which a program may widen its pipes beyond their default capacity, in total.
///
/// The kernel counts the pages of all pipes of a user, whatever program they belong to. Above a
/// limit the user's new pipes get two pages, and are slow. So a program takes a fixed part of that
/// limit, and returns what a pipe no longer needs.
package final class PipeBudget: Sendable {
  /// The size of the budget, in bytes.
  let limit: Int
  private let taken = Atomic<Int>(0)

  /// The budget that hosts share: a quarter of what the user's pipes may hold.
  package static let shared = PipeBudget(part: 4)

  init(limit: Int) { self.limit = limit }

  /// Creates a budget of one part of so many of the capacity that the user's pipes may have.
  package convenience init(part: Int) {
    self.init(limit: Self.bytes(pages: userPipePages(), of: pageSize()) / part)
  }

  /// Returns the capacity that a user's pipes may have, in bytes.
  ///
  /// - Parameter pages: The limit as the system reports it: 0 for no limit, nil if it is unknown.
  ///   In both cases the kernel's default is used.
  static func bytes(pages: Int?, of size: Int) -> Int {
    let pages = pages ?? 0
    // However much the system allows, a program has no use for more than some GiB.
    return min(pages > 0 ? pages : 16_384, 1 << 20) * size
  }

  /// The bytes that can still be taken.
  var remaining: Int { limit - taken.load(ordering: .relaxed) }

  /// A part of the budget, which is returned when the part is destroyed.
  struct Share: ~Copyable {
    private let budget: PipeBudget
    private let count: Int

    fileprivate init(_ count: Int, of budget: PipeBudget) {
      self.budget = budget
      self.count = count
    }

    deinit { budget.taken.subtract(count, ordering: .relaxed) }
  }

  /// Takes bytes from the budget. Returns nil if there are not enough left.
  func take(_ count: Int) -> Share? {
    // No retry loop: another thread that finds the budget exceeded for this moment does without.
    guard taken.add(count, ordering: .relaxed).newValue <= limit else {
      taken.subtract(count, ordering: .relaxed)
      return nil
    }
    return Share(count, of: self)
  }
}
