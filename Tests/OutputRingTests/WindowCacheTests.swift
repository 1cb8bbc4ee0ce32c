@testable import OutputRing
import Testing

/// The retained window and the loss that readers share.
@safe @Suite final class WindowCacheTests {
  private let words = UnsafeMutablePointer<UInt64>.allocate(capacity: 6)
  private let cache: WindowCache

  init() {
    unsafe words.initialize(repeating: 0, count: 6)
    unsafe cache = WindowCache(at: words)
  }

  deinit { unsafe words.deallocate() }

  private func window(_ newest: Int) -> RetainedWindow {
    RetainedWindow(
      newestSeq: newest, end: 10 * newest, oldestSeq: newest - 1, lostBytes: 10 * (newest - 2))
  }

  private var cached: [Int]? {
    cache.load().map { [$0.newestSeq, $0.end, $0.oldestSeq, $0.lostBytes] }
  }

  @Test("The newest window stays")
  func theNewestStays() {
    cache.store(window(5))
    #expect(cached == [5, 50, 4, 30])
    cache.store(window(3))
    #expect(cached == [5, 50, 4, 30])
    cache.store(window(9))
    #expect(cached == [9, 90, 8, 70])
  }

  /// The version is odd: another reader has begun to store a window, and was stopped there.
  @Test("A window that is being stored is neither loaded nor replaced")
  func aWindowThatIsBeingStored() {
    cache.store(window(5))
    unsafe words[0] += 1
    #expect(cached == nil)
    cache.store(window(7))
    #expect(cached == nil)
    unsafe words[0] += 1
    #expect(cached == [5, 50, 4, 30])
  }

  @Test("The reported loss never falls")
  func theReportedLossNeverFalls() {
    cache.raiseReportedLoss(to: 7)
    cache.raiseReportedLoss(to: 3)
    #expect(cache.reportedLoss == 7)
    cache.raiseReportedLoss(to: 8)
    #expect(cache.reportedLoss == 8)
  }
}
