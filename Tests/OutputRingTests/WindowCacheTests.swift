@testable import OutputRing
import Testing

/// The readers' shared note of the window.
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

  private var noted: [Int]? {
    cache.load().map { [$0.newestSeq, $0.end, $0.oldestSeq, $0.lostBytes] }
  }

  @Test func theNewestStands() {
    cache.store(window(5))
    #expect(noted == [5, 50, 4, 30])
    cache.store(window(3))
    #expect(noted == [5, 50, 4, 30])
    cache.store(window(9))
    #expect(noted == [9, 90, 8, 70])
  }

  /// An odd version: another reader has begun to write, and was stopped there.
  @Test func aNoteThatIsBeingWrittenIsNeitherReadNorOverwritten() {
    cache.store(window(5))
    unsafe words[0] += 1
    #expect(noted == nil)
    cache.store(window(7))
    #expect(noted == nil)
    unsafe words[0] += 1
    #expect(noted == [5, 50, 4, 30])
  }

  @Test func whatWasToldNeverFalls() {
    cache.raiseReportedLoss(to: 7)
    cache.raiseReportedLoss(to: 3)
    #expect(cache.reportedLoss == 7)
    cache.raiseReportedLoss(to: 8)
    #expect(cache.reportedLoss == 8)
  }
}
