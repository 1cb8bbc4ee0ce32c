import Foundation
import Processes
import Testing

/// Output as base64, for programs that pass it on as JSON.
@Suite struct Base64Tests {
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
  @Test(
    "The encoding agrees with the test vectors of RFC 4648",
    arguments: [
      ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
      ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ])
  func vectors(text: String, encoded: String) { #expect(base64(bytes(text)) == encoded) }

  /// Every length, every place in memory, every value of a byte.
  @Test("The encoding agrees with Foundation at every length and alignment")
  func agreesWithFoundation() {
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

  @Test("The encoding writes no byte beyond its length")
  func leavesTheRestAlone() {
    var text = [UInt8](repeating: 7, count: 10)
    unsafe text.withUnsafeMutableBytes { text in
      let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: text[1...])
      #expect(unsafe bytes("foob").encodeBase64(into: rest) == 8)
    }
    #expect(text == [7] + Array("Zm9vYg==".utf8) + [7])
  }
}
