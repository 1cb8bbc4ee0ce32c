import Foundation
@testable import Processes
import Testing

/// Output and cursors as text, for programs that pass them on over a network.
@Suite struct TextTests {
  private func bytes(_ text: String) -> ChunkBytes {
    let session = Session()
    session.append(text.utf8, to: .stdout)
    return session.output().chunks.payload
  }

  private func base64(_ bytes: ChunkBytes) -> String {
    var text = [UInt8](repeating: 0, count: bytes.base64Count)
    let length = unsafe text.withUnsafeMutableBytes { unsafe bytes.encodeBase64(into: $0) }
    #expect(length == text.count)
    return String(decoding: text, as: UTF8.self)
  }

  /// RFC 4648, section 10.
  @Test(arguments: [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
    ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
  ])
  func vectors(text: String, encoded: String) { #expect(base64(bytes(text)) == encoded) }

  /// Every length, every place in memory, every value of a byte.
  @Test func agreesWithFoundation() {
    let session = Session()
    session.append((0..<1024).map { UInt8(truncatingIfNeeded: $0 * 167 + $0 >> 8) }, to: .stdout)
    let payload = session.output().chunks.payload
    for start in 0..<4 {
      for end in start...(start + 700) {
        let part = payload[start..<end]
        #expect(base64(part) == Data(part).base64EncodedString())
      }
    }
  }

  @Test func leavesTheRestAlone() {
    var text = [UInt8](repeating: 7, count: 10)
    unsafe text.withUnsafeMutableBytes { text in
      let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: text[1...])
      #expect(unsafe bytes("foob").encodeBase64(into: rest) == 8)
    }
    #expect(text == [7] + Array("Zm9vYg==".utf8) + [7])
  }

  @Test func cursorsAreText() throws {
    let session = Session()
    #expect(Cursor.start.description == "0.0")
    session.append("abc".utf8, to: .stdout)
    #expect(session.output().cursor.description.hasPrefix("1.3.0."))
    session.setExit(3)
    let cursor = session.output().cursor
    #expect(cursor.description.split(separator: ".").count == 4)
    let copy = try #require(Cursor(cursor.description))
    #expect(copy == cursor && copy.description == cursor.description)
    #expect(copy.epoch == session.epoch)
  }

  @Test(
    "a cursor's text may know the offset alone, or the process's state as well, and is as it came",
    arguments: ["1.3", "1.3.21474836480", "1.3.0.1", "17.4096.21474836480.4294967295"])
  func shorterCursors(text: String) throws {
    let cursor = try #require(Cursor(text))
    #expect(cursor.description == text)
    #expect((cursor.epoch == 0) == (text.split(separator: ".").count < 4))
  }

  /// A cursor that came as text does not wait for the exit that it knows of.
  @Test func cursorsKnowOfTheExit() async throws {
    let session = Session()
    session.setExit(3, closing: false)
    let known = try #require(Cursor(session.output().cursor.description))
    async let second = session.output(since: known, waitingUpTo: nil)
    let closer = Task.detached {
      try? await Task.sleep(for: .milliseconds(20))
      session.close()
    }
    #expect(await second.isClosed)
    await closer.value
  }

  @Test func seqsAreCursorsToo() throws {
    let session = Session()
    session.append("abc".utf8, to: .stdout)
    session.append("d".utf8, to: .stderr)
    #expect(session.output(since: try #require(Cursor("1"))).chunks.map(\.seq) == [2])
    #expect(Cursor("0")?.offset == 0)
    #expect(Cursor("-4")?.offset == 0)
    #expect(Cursor("1")?.offset == -1)
  }

  @Test(arguments: [
    "", ".", "1.", ".1", "1.2.", "1.2.3.", "1.2.3.4.5", "1.2.3.-4", "1.2.3.4294967296", "1.2.-3",
    "x",
    "1 ", "1.0x2", "1e3",
    "99999999999999999999", "1.99999999999999999999", "1..2",
  ])
  func noCursors(text: String) { #expect(Cursor(text) == nil) }

  /// What a client may send is no danger, however absurd.
  @Test(arguments: [Int.min, -1, 0, 1, 5, 6, Int.max], [Int.min, -1, 0, 2, 7, Int.max])
  func absurdCursors(seq: Int, offset: Int) throws {
    let session = Session(capacity: 4)
    for _ in 0..<6 { session.append("ab".utf8, to: .stdout) }
    let cursor = try #require(Cursor("\(seq).\(offset).18446744073709551615"))
    let output = session.output(since: cursor)
    #expect(output.chunks.allSatisfy { $0.seq > seq && $0.data.description == "ab" })
    #expect(output.isCursorAhead == (seq > 6))
    #expect((output.missedBytes ?? 0) >= 0 && output.missedChunks >= 0)
    #expect(output.lastSeq == 6)
  }
}
