import Foundation
import NIOCore
import Processes
import Testing

@testable import ProcessServer

/// How outputs are written.
@Suite struct EncodingTests {
  private func encode(_ output: Output, _ search: WaitResult? = nil) -> ByteBuffer {
    var body = ByteBuffer()
    body.writeJSON(output, Ending(signal: "SIGTERM"), search, start: .zero)
    return body
  }

  /// Room is made once, before the first byte: the payload is copied by nothing but its encoding.
  @Test(
    "The encoder reserves the room for an output once",
    arguments: [1, 2, 3, 64, 1000, 4096, 65_536, 3_000_000])
  func roomIsMadeOnce(size: Int) async throws {
    let session = Session(id: "a", workspaceID: "b")
    // Offsets and seqs of many digits.
    session.append([UInt8](repeating: 1, count: 5_000_000), to: .stdout)
    for index in 0..<min(200_000, 3_000_000 / size) {
      session.append(
        [UInt8](repeating: UInt8(truncatingIfNeeded: index), count: size),
        to: index % 3 == 0 ? .stderr : .stdout)
    }
    session.setExit(-1_000_000_000)
    let output = session.output()
    let search = await session.wait(for: [1], upTo: .zero)
    let body = encode(output, search)
    #expect(body.readableBytes <= ByteBuffer.sizeOfJSON(of: output))
    #expect(body.storageCapacity < 2 * ByteBuffer.sizeOfJSON(of: output) + 64)
    // And what is written is what was read.
    let reply = try JSONDecoder().decode(OutputReply.self, from: Data(body.readableBytesView))
    #expect(reply.chunks.count == output.chunks.count)
    for (written, chunk) in zip(reply.chunks, output.chunks) {
      guard
        written.seq == chunk.seq, written.offset == chunk.offset,
        written.stream == chunk.stream.rawValue, written.data.elementsEqual(chunk.data)
      else {
        Issue.record("chunk \(chunk.seq) was written otherwise")
        break
      }
    }
    #expect(reply.lost_bytes == output.lostBytes)
    #expect(reply.missed_bytes == output.missedBytes)
    #expect(reply.missed_chunks == output.missedChunks)
    #expect(reply.truncated)
    #expect(reply.exit_code == -1_000_000_000)
    #expect(reply.closed)
    #expect(reply.signal == "SIGTERM")
    #expect(reply.cursor == output.cursor.description)
    #expect(reply.next_since == output.lastSeq)
    #expect(reply.wait_for?.cursor == search.cursor.description)
  }

  @Test(
    "The encoder writes numbers in decimal",
    arguments: [0, 1, 9, 10, 99, 100, 12_345, UInt.max])
  func numbers(number: UInt) {
    let text = unsafe [UInt8](unsafeUninitializedCapacity: 30) { room, count in
      var writer = unsafe TextWriter(UnsafeMutableRawBufferPointer(room))
      writer.write("<")
      writer.write(number)
      writer.write(">")
      count = writer.count
    }
    #expect(String(decoding: text, as: UTF8.self) == "<\(number)>")
  }

  /// What a bare seq cannot know is null.
  @Test("The missed bytes after a bare seq are null if they are unknown")
  func unknownMissedBytes() {
    let session = Session(id: "a", workspaceID: "b", capacity: 1000)
    for _ in 0..<200_000 { session.append([1], to: .stdout) }
    let text = String(buffer: encode(session.output(since: 1)))
    #expect(text.contains(#""truncated":true,"#))
    #expect(text.contains(#""missed_bytes":null,"#))
  }
}
