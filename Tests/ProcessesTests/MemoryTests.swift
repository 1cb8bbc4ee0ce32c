import Foundation
import ReferenceModel
import Testing

@testable import OutputRing
@testable import Processes

/// How much memory a session takes, by what the kernel says is resident: no other test disturbs
/// that.
@Suite struct MemoryTests {
  /// The bytes resident of a session's region, and those mapped.
  private func resident(_ session: Session) -> (resident: Int, mapped: Int) {
    let page = Int(getpagesize())
    let memory = session.reader.memory
    let mapped = memory.layout.regionSize
    let pages = (mapped + page - 1) / page
    var flags = [UInt8](repeating: 0, count: pages)
    let base = unsafe memory.payload - memory.layout.payloadStart
    #expect(unsafe mincore(base, mapped, &flags) == 0)
    return (flags.count { $0 & 1 == 1 } * page, mapped)
  }

  @Test(
    "[memory] A full session takes at most 1.7 MiB of memory at any chunk size",
    arguments: [1, 2, 15, 16, 17, 64, 4_096, 65_536, 1 << 20, 3 << 20])
  func fullSession(chunkSize: Int) {
    let limit = Int(1.7 * 1_048_576)
    let sessions = (0..<20).map { Session(id: "\($0)") }
    let bytes = zeros(chunkSize)
    for session in sessions {
      // Round the ring more than once.
      for _ in 0..<max(3, min(140_000, 2_500_000 / chunkSize)) {
        session.append(bytes, to: .stdout)
      }
      let output = session.output()
      #expect(output.chunks.count <= Session.maxBufferedChunks)
      #expect(output.chunks.payload.count <= Session.maxBufferBytes)
      let (resident, mapped) = resident(session)
      #expect(mapped <= limit)
      #expect(resident <= limit)
      // It is the session's memory that was measured: what it retains must be somewhere.
      #expect(resident >= output.chunks.payload.count)
      // One is enough for the bound on each; twenty at once are for the mapping's sake.
      if chunkSize < 64 { break }
    }
  }

  @Test("An empty session takes at most three pages of memory")
  func emptySessionTakesAPage() {
    let session = Session()
    #expect(resident(session).resident <= 3 * Int(getpagesize()))
    session.append([1], to: .stdout)
    #expect(resident(session).resident <= 5 * Int(getpagesize()))
  }

  /// A closed session's memory goes back when the last reference to it is gone.
  @Test("A session's memory is returned with the last reference, and outputs stay valid")
  func memoryIsReturned() {
    weak var memory: RingMemory?
    weak var session: Session?
    var output: Output?
    do {
      let made = Session()
      made.append([1, 2, 3], to: .stdout)
      memory = made.reader.memory
      session = made
      output = made.output()
      #expect(memory != nil)
      #expect(session != nil)
    }
    #expect(memory == nil)
    #expect(session == nil)
    // What was read is the reader's own.
    #expect(output.map { Array($0.chunks.payload) } == [1, 2, 3])
  }
}
