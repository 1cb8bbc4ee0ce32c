import Foundation
import Processes
import Testing

@testable import ProcessServer

/// What of output fits into an answer, and the account of the rest.
@Suite(.timeLimit(.minutes(10))) struct ExcerptTests {
  private func excerpt(
    of session: Session, since cursor: Cursor = .start, _ format: Excerpt.Format = .text,
    _ part: Excerpt.Part = .both, _ budget: Int = 256
  ) -> Excerpt {
    Excerpt(
      of: session.output(since: cursor), since: cursor, format: format, part: part, budget: budget)
  }

  private func session(_ text: String, head: Int = 0) -> Session {
    let session = Session(id: "a", workspaceID: "b", headCapacity: head)
    session.append(Array(text.utf8), to: .stdout)
    return session
  }

  private func text(_ excerpt: Excerpt) -> String {
    excerpt.pieces.map { if case .output(_, let text) = $0 { text } else { "" } }.joined()
  }

  @Test("Output that fits is one piece")
  func fits() {
    let session = session("one\ntwo\n")
    for part in Excerpt.Part.allCases {
      let all = excerpt(of: session, .text, part)
      #expect(all.pieces == [.output(bytes: 8, "one\ntwo\n")])
      #expect(all.cursor == session.output().cursor)
      #expect(!all.hasMore)
    }
    #expect(excerpt(of: session, since: session.output().cursor).pieces.isEmpty)
  }

  @Test("Of lines that do not fit, whole ones are left out in the middle")
  func lines() throws {
    let lines = (0..<1000).map { "line \($0)\n" }
    let session = session(lines.joined())
    let excerpt = excerpt(of: session)
    try #require(excerpt.pieces.count == 3)
    guard case .output(let headBytes, let head) = excerpt.pieces[0],
      case .leftOut(let count, let cursor) = excerpt.pieces[1],
      case .output(let tailBytes, let tail) = excerpt.pieces[2]
    else {
      Issue.record("\(excerpt.pieces)")
      return
    }
    #expect(lines.joined().hasPrefix(head))
    #expect(head.hasSuffix("\n"))
    #expect(lines.joined().hasSuffix(tail))
    #expect(tail.hasPrefix("line "))
    #expect(head.utf8.count + tail.utf8.count <= 256)
    #expect(head.utf8.count > 110 && tail.utf8.count > 110)
    #expect(headBytes + count + tailBytes == lines.joined().utf8.count)
    // And what was left out comes by its cursor.
    let rest = self.excerpt(of: session, since: cursor, .text, .head, count)
    #expect(
      rest.pieces.first
        == .output(
          bytes: count,
          String(
            lines.joined().dropFirst(headBytes)
              .prefix(count))))
    #expect(
      excerpt.text
        == "\(head)[\(count) bytes left out here: read_output with since=\"\(cursor)\" and"
        + " part=\"head\" goes on there]\n\(tail)")
  }

  @Test("Each part is what it is called")
  func parts() {
    let session = session((0..<1000).map { "line \($0)\n" }.joined())
    let head = excerpt(of: session, .text, .head)
    #expect(head.pieces.count == 1)
    #expect(head.outputBytes + head.remainingBytes == session.totalBytes)
    #expect(head.hasMore)
    #expect(head.cursor.offset == head.outputBytes)
    #expect(head.offset == 0)
    let tail = excerpt(of: session, .text, .tail)
    #expect(tail.pieces.count == 2)
    #expect(tail.outputBytes + tail.leftOutBytes == session.totalBytes)
    #expect(tail.outputBytes > 240)
    #expect(!tail.hasMore)
    #expect(tail.offset == 0)
    #expect(tail.endOffset == session.totalBytes)
  }

  @Test("A line that does not fit is cut between characters", arguments: ["é", "€", "😀", "x"])
  func longLine(character: String) {
    let text = String(repeating: character, count: 5000)
    let session = session(text)
    for budget in 256..<264 {
      for part in Excerpt.Part.allCases {
        let excerpt = excerpt(of: session, .text, part, budget)
        let shown = self.text(excerpt)
        #expect(!shown.contains("\u{fffd}"))
        #expect(shown.utf8.count <= budget)
        #expect(shown.utf8.count > budget - 8)
      }
    }
  }

  @Test("A short line before a long one does not keep the long one out")
  func shortAndLong() {
    let session = session("short\n" + String(repeating: "x", count: 1000) + "\nend\n")
    let shown = text(excerpt(of: session))
    #expect(shown.utf8.count > 250)
    #expect(shown.hasPrefix("short\nxxx"))
    #expect(shown.hasSuffix("xxx\nend\n"))
  }

  @Test("Bytes that are not UTF-8 fit with what stands for them")
  func invalid() {
    let session = Session(id: "a", workspaceID: "b")
    session.append([UInt8](repeating: 0xff, count: 10_000), to: .stdout)
    for part in Excerpt.Part.allCases {
      let excerpt = excerpt(of: session, .text, part)
      #expect(text(excerpt).utf8.count <= 256)
      #expect(text(excerpt).utf8.count > 240)
      #expect(
        excerpt.outputBytes + excerpt.leftOutBytes + excerpt.remainingBytes == 10_000)
    }
  }

  @Test("Plain text has room for more than its bytes")
  func progress() {
    let bar = (0...1000).map { "\r\u{1b}[32m\($0)\u{1b}[0m" }.joined() + "\n"
    let session = session((0..<10).map { _ in bar }.joined())
    let excerpt = excerpt(of: session, .plain)
    #expect(excerpt.pieces.count == 1)
    #expect(text(excerpt) == String(repeating: "1000\n", count: 10))
    #expect(excerpt.outputBytes == session.totalBytes)
    #expect(self.excerpt(of: session, .text).leftOutBytes > 0)
  }

  @Test("Exact output is cut at any byte")
  func exact() {
    let session = Session(id: "a", workspaceID: "b")
    session.append((0..<1000).map { UInt8(truncatingIfNeeded: $0) }, to: .stdout)
    let excerpt = excerpt(of: session, .exact)
    #expect(excerpt.outputBytes == 256)
    #expect(excerpt.leftOutBytes == 744)
    let shown = excerpt.pieces.compactMap {
      if case .output(_, let text) = $0 { Data(base64Encoded: text) } else { nil }
    }
    #expect(shown.map { Array($0) } == [Array(0..<128), (872..<1000).map { UInt8($0 & 255) }])
  }

  @Test("What was missed is told apart from what was left out, wherever it lies")
  func missed() {
    // At the beginning.
    let plain = session("lost")
    plain.append([UInt8](repeating: 0x61, count: 1 << 20), to: .stdout)
    let first = excerpt(of: plain)
    #expect(first.pieces.first == .missed(bytes: 4))
    #expect(first.missedBytes == 4)
    #expect(first.offset == 0)
    #expect(first.outputBytes + first.leftOutBytes + 4 == plain.totalBytes)
    #expect(first.text.hasPrefix("[4 bytes are missing here]\na"))
    // Within what is left out, which it divides.
    let headed = Session(id: "a", workspaceID: "b", headCapacity: 1024)
    for _ in 0..<3 << 10 { headed.append([UInt8](repeating: 0x62, count: 1 << 10), to: .stdout) }
    let both = excerpt(of: headed)
    #expect(both.pieces.count == 5)
    #expect(both.missedBytes == headed.lostBytes)
    #expect(both.offset == 0)
    #expect(both.endOffset == 3 << 20)
    #expect(both.outputBytes + both.leftOutBytes + headed.lostBytes == 3 << 20)
    // Within the head of the answer.
    let wide = excerpt(of: headed, .text, .both, 4096)
    let whole = Excerpt.Piece.output(bytes: 1024, String(repeating: "b", count: 1024))
    #expect(wide.pieces.prefix(2) == [whole, .missed(bytes: headed.lostBytes)])
    #expect(wide.pieces.count == 5)
    // A head that ends before does not say it, and the next read does.
    let head = excerpt(of: headed, .text, .head, 256)
    #expect(head.missedBytes == 0)
    let next = excerpt(of: headed, since: head.cursor, .text, .head, 65_536)
    #expect(next.missedBytes == headed.lostBytes)
    #expect(next.offset == head.endOffset)
    // One that ends there says it: a read from behind it would not.
    for budget in [1024, 2047] {
      let head = excerpt(of: headed, .exact, .head, budget)
      #expect(head.outputBytes + (head.missedBytes ?? 0) == head.endOffset)
      let next = excerpt(of: headed, since: head.cursor, .exact, .head, 65_536)
      #expect((head.missedBytes ?? 0) + (next.missedBytes ?? 0) == headed.lostBytes)
    }
    // Everything.
    let tiny = Session(id: "a", workspaceID: "b", capacity: 1000)
    for _ in 0..<200_000 { tiny.append([1], to: .stdout) }
    let unknown = excerpt(of: tiny, since: 1, .text, .both, 65_536)
    #expect(unknown.missedBytes == nil)
    #expect(unknown.offset == nil)
    #expect(unknown.text.hasPrefix("[some output is missing here]\n"))
  }

  @Test("A cursor within a chunk belongs to its session")
  func foreign() throws {
    let session = session(String(repeating: "x", count: 1000))
    let head = excerpt(of: session, .text, .head)
    #expect(head.cursor.offset == 256)
    #expect(head.cursor.seq == 0)
    let text = head.cursor.description
    let read = try #require(Cursor(text))
    #expect(excerpt(of: session, since: read, .text, .head).offset == 256)
    let other = self.session(String(repeating: "y", count: 1000))
    let output = other.output(since: read)
    #expect(output.isCursorForeign)
    #expect(Excerpt(of: output, since: read, part: .head, budget: 256).offset == 0)
  }

  @Test("A cursor that does not fit to the output says nothing")
  func madeUp() {
    let session = session("0123456789")
    for cursor in [
      Cursor(seq: 0, offset: 10), Cursor(seq: 0, offset: 11), Cursor(seq: 0, offset: .max),
    ] { #expect(text(excerpt(of: session, since: cursor)) == "0123456789") }
    #expect(text(excerpt(of: session, since: Cursor(seq: 0, offset: 9))) == "9")
    #expect(excerpt(of: session, since: Cursor(seq: 7, offset: 3)).pieces.isEmpty)
  }

  /// Of any output, in chunks of any size, whatever is lost of it.
  @Test("All pieces together are what was asked for", arguments: 0..<60)
  func accounts(seed: UInt64) throws {
    var random = Generator(state: seed)
    let head = [0, 700].randomElement(using: &random)!
    let session = Session(id: "a", workspaceID: "b", capacity: 5000, headCapacity: head)
    var all: [UInt8] = []
    let alphabet: [[UInt8]] = [
      [0x61], [0x0a], Array("é".utf8), Array("😀".utf8), [0xff], [0x1b, 0x5b, 0x6d], [0x0d],
      [0xe2, 0x82],
    ]
    for _ in 0..<Int.random(in: 1...400, using: &random) {
      var chunk: [UInt8] = []
      for _ in 0..<Int.random(in: 1...40, using: &random) {
        chunk += alphabet.randomElement(using: &random)!
      }
      session.append(chunk, to: Bool.random(using: &random) ? .stdout : .stderr)
      all += chunk
    }
    for format in Excerpt.Format.allCases {
      for part in Excerpt.Part.allCases {
        var cursor = Cursor.start
        var offset = 0
        repeat {
          let budget = Int.random(in: 256...1500, using: &random)
          let excerpt = excerpt(of: session, since: cursor, format, part, budget)
          #expect(excerpt.offset == offset)
          var (position, shown) = (offset, 0)
          for piece in excerpt.pieces {
            switch piece {
            case .output(let bytes, let text):
              let expected = all[position..<position + bytes]
              shown += format == .exact ? bytes : text.utf8.count
              switch format {
              case .exact: #expect(Data(base64Encoded: text) == Data(expected))
              case .text: #expect(text == String(decoding: expected, as: UTF8.self))
              case .plain:
                #expect(Array(text.utf8) == PlainText(expected).bytes)
              }
              position += bytes
            case .leftOut(let bytes, let begin):
              #expect(begin.offset == position)
              let next = self.excerpt(of: session, since: begin, .exact, .head, 65_536)
              guard case .output(_, let text)? = next.pieces.first else {
                Issue.record("\(next.pieces)")
                break
              }
              #expect(
                Data(base64Encoded: text)?.prefix(bytes) == Data(all[position..<position + bytes]))
              position += bytes
            case .missed(let bytes): position += bytes ?? 0
            }
          }
          #expect(position == excerpt.endOffset)
          #expect(shown <= budget)
          #expect(excerpt.missedBytes ?? 0 <= session.lostBytes)
          if part != .head { #expect(position == all.count) }
          guard position > offset else { break }
          offset = position
          cursor = excerpt.cursor
        } while offset < all.count
        #expect(offset == all.count)
      }
    }
  }
}

/// Numbers that a seed determines.
private struct Generator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var word = state
    word = (word ^ word >> 30) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ word >> 27) &* 0x94d0_49bb_1331_11eb
    return word ^ word >> 31
  }
}
