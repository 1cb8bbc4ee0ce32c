import Foundation
import Processes
import ReferenceModel
import Testing

/// One producer and three readers of different habits, on threads of their own; see `Stress`.
///
/// `STRESS_CHUNKS` sets the number of chunks.
@Suite(.serialized) struct StressTests {
  private static let chunks: Int = {
    if let text = ProcessInfo.processInfo.environment["STRESS_CHUNKS"], let count = Int(text) {
      return count
    }
    #if DEBUG
      return 300_000
    #else
      return 10_000_000
    #endif
  }()

  private func expectNothingWrong(_ stress: Stress) {
    let report = stress.run()
    print(report)
    #expect(report.complaints.isEmpty)
    #expect(report.readers.count == stress.habits.count)
    #expect(report.sentChunks == stress.chunks)
  }

  private static let kinds: [Geometry.Kind] = [.session, .producer]

  /// A session as it is by default; chunks of 1 byte to beyond the slack.
  @Test(
    "[busy-reader] Concurrent readers of a session of the default capacity see correct output",
    arguments: kinds)
  func session(kind: Geometry.Kind) {
    expectNothingWrong(
      Stress(
        chunks: Self.chunks, geometry: .session(capacity: Session.maxBufferBytes, kind: kind),
        largest: 100_000))
  }

  /// A small session, so that readers are lapped all the time.
  @Test("Concurrent readers that a small session laps see correct output", arguments: kinds)
  func smallSession(kind: Geometry.Kind) {
    var stress = Stress(
      chunks: Self.chunks / 2, geometry: .session(capacity: 10_000, kind: kind), largest: 30_000)
    stress.habits = [.spinning, .lagging, .absent]
    expectNothingWrong(stress)
  }

  /// A ring so small that readers meet the producer in most reads.
  @Test("Concurrent readers of a tiny ring see correct output")
  func tinyRing() {
    var stress = Stress(
      chunks: Self.chunks / 2,
      geometry: .ring(capacity: 64, chunkLimit: 9, reservationLimit: 16), largest: 200)
    stress.usual = 16
    stress.habits = [.spinning, .lagging, .spinning]
    expectNothingWrong(stress)
  }

  /// Descriptors are reused far earlier than payload.
  @Test("Concurrent readers of a ring with few descriptors see correct output")
  func fewDescriptors() {
    var stress = Stress(
      chunks: Self.chunks / 2,
      geometry: .ring(capacity: 4_096, chunkLimit: 20, reservationLimit: 4_096), largest: 9_000)
    stress.usual = 32
    expectNothingWrong(stress)
  }
}
