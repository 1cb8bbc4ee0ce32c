import Foundation
import Processes
import ReferenceModel
import Testing

/// The text of output as a terminal would leave it in each line.
@Suite struct PlainTextTests {
  private func plain(_ output: String) -> String { PlainText(Array(output.utf8)).description }

  @Test(
    "[plain-text] Escape sequences and controls are left out",
    arguments: [
      ("\u{1b}[1;32mok\u{1b}[0m done", "ok done"), ("\u{1b}[38:2::1:2:3mx", "x"),
      ("a\u{1b}[?25lb\u{1b}[>4;2mc\u{1b}[!pd\u{1b}[2 qe", "abcde"),
      ("\u{1b}]0;title\u{7}x", "x"), ("\u{1b}]8;;http://a\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
      ("\u{1b}P1$r0m\u{1b}\\a\u{1b}Xb\u{1b}\\c\u{1b}^d\u{1b}\\e\u{1b}_f\u{1b}\\g", "aceg"),
      ("\u{1b}Pa\u{7}b\u{1b}\\c", "c"), ("a\u{1b}(0b\u{1b}#8c\u{1b} Fd\u{1b}%  Ge", "abcde"),
      ("a\u{1b}7b\u{1b}8c\u{1b}=d\u{1b}ce", "abcde"),
      ("a\u{0}b\u{7}c\u{e}d\u{1a}e\u{7f}f", "abcdef"),
      // As characters of UTF-8.
      ("\u{9b}31mx\u{9d}0;title\u{9c}y\u{90}z\u{9c}\u{80}!\u{9f}a\u{1b}\\b", "xy!b"),
    ])
  func sequences(output: String, text: String) { #expect(plain(output) == text) }

  @Test(
    "[plain-text] A carriage return or a backspace lets the next text overwrite what is there",
    arguments: [
      ("10%\r55%\r100%\n", "100%\n"), ("loading\rdone", "doneing"), ("a\r\nb\r\n", "a\nb\n"),
      ("a\r\r\nb", "a\nb"), ("abc\r", "abc"), ("abc\u{8}\u{8}x", "axc"), ("ab\u{8} \u{8}c", "ac"),
      ("\u{8}\u{8}a", "a"), ("ab\n\u{8}c", "ab\nc"), ("a\rbc\rd\n\re\r\n", "dc\ne\n"),
      ("_\u{8}B", "B"), ("日本語\ré", "é本語"), ("é€🎉\u{8}\u{8}x\n", "éx🎉\n"), ("a\tb\r\t", "\t\tb"),
      ("⏳ 50%\r✅ 100%\u{1b}[K\n", "✅ 100%\n"),
    ])
  func overwriting(output: String, text: String) { #expect(plain(output) == text) }

  @Test(
    "[plain-text] Sequences erase and move within the line",
    arguments: [
      ("loading\r\u{1b}[Kok", "ok"), ("loading\u{1b}[2K\rok", "ok"), ("abc\u{1b}[2Kd", "   d"),
      ("abcd\u{1b}[2D\u{1b}[1K", "   d"), ("abcd\u{1b}[1K\n", "\n"), ("abcd\u{1b}[3K", "abcd"),
      ("abc\u{1b}[D\u{1b}[1K!", "  !"), ("abc\u{1b}[1;2Kd", "   d"), ("abc\u{1b}[?Kd", "abcd"),
      ("abc\r\u{1b}[Jd", "d"), ("abc\u{1b}[2J\rd", "d"), ("abc\r\u{1b}[3Jd", "dbc"),
      ("abc\u{1b}[Kd\u{1b}[Je", "abcde"), ("abc\u{1b}[Gd", "dbc"), ("abc\u{1b}[2Gd", "adc"),
      ("abc\u{1b}[2`d", "adc"), ("abc\u{1b}[0Gd", "dbc"), ("abc\u{1b}[Dd\u{1b}[2De", "aed"),
      ("abcd\u{1b}[3jx", "axcd"), ("abcd\r\u{1b}[2Cx\u{1b}[ay", "abxdy"),
      ("abc\r\u{1b}[0Cx", "axc"),
      ("abc\u{1b}[9D\u{1b}[99999999999999999999Dd", "dbc"),
    ])
  func editing(output: String, text: String) { #expect(plain(output) == text) }

  @Test(
    "[plain-text] A move beyond the text leaves blanks, and no more of them than it has bytes",
    arguments: [
      ("a\u{1b}[Cb", "a b"), ("a\u{1b}[3Cb", "a   b"), ("a\u{1b}[99Cb", "a     b"),
      ("\u{1b}[9Gb", "    b"), ("\u{1b}[60Gb", "     b"), ("a\u{1b}[9C\n", "a\n"),
      ("a\u{9b}99Cb", "a     b"), ("\u{1b}[9C\u{1b}[9C\u{1b}[Gb\u{1b}[9Gc", "b       c"),
      ("\u{1b}[Gb", "b"), ("\u{1b}[Da", "a"),
    ])
  func movingBeyond(output: String, text: String) { #expect(plain(output) == text) }

  @Test(
    "[plain-text] What moves to another line ends the line, unless it is empty",
    arguments: [
      ("a\u{b}b\u{c}c\u{1b}Dd\u{1b}Ee\u{84}f\u{85}g", "a\nb\nc\nd\ne\nf\ng"),
      ("a\u{1b}[Ab\u{1b}[2Bc\u{1b}[Ed\u{1b}[Fe", "a\nb\nc\nd\ne"),
      ("a\u{1b}[3;4Hb\u{1b}[Hc\u{1b}[fd\u{1b}[5de\u{1b}[2ef\u{1b}[kg", "a\nb\nc\nd\ne\nf\ng"),
      ("a\u{1b}Mb\u{8d}c", "a\nb\nc"), ("\u{1b}[H\u{1b}[2Ja\n\u{1b}[A\u{1b}Mb", "a\nb"),
      ("ab\r\u{1b}[K\u{1b}[Ac", "c"), ("ab\u{1b}[2K\u{1b}[Ac", "c"), ("a\n\nb", "a\n\nb"),
    ])
  func otherLines(output: String, text: String) { #expect(plain(output) == text) }

  @Test(
    "[plain-text] What is cut off or malformed takes no more than a line",
    arguments: [
      ("a\u{1b}", "a"), ("a\u{1b}[", "a"), ("a\u{1b}[31", "a"), ("a\u{1b}(", "a"),
      ("a\u{1b}]0;t", "a"), ("a\u{1b}P", "a"), ("\u{1b}\nb", "\nb"), ("\u{1b}[3\nb", "\nb"),
      ("\u{1b}[31éb", "éb"), ("\u{1b}[3\u{1b}[1mb", "b"), ("\u{1b}(\nb", "\nb"), ("\u{1b}éb", "éb"),
      ("\u{1b}\u{1b}[mb", "b"), ("\u{1b}]0;t\nb\u{7}c", "\nbc"), ("\u{1b}]0;t\r\nb", "\nb"),
      ("\u{1b}P0;t\nb", "\nb"), ("1%\u{1b}]0;\r2%", "2%"), ("\u{1b}]0;\u{18}b\u{1b}P\u{1a}c", "bc"),
      ("\u{1b}]0;\u{1b}[31mb", "b"), ("\u{1b}]0;\u{1b}", ""), ("\u{1b}]\u{1b}]\u{1b}\\b", "b"),
      // A check mark has the byte of U+009C.
      ("\u{1b}]0;✜✓\u{7}b", "b"),
    ])
  func malformed(output: String, text: String) { #expect(plain(output) == text) }

  @Test(
    "[plain-text] Bytes that are not UTF-8 become question marks, where String has U+FFFD",
    arguments: [
      [0x61, 0xff, 0x62], [0x9b, 0x33, 0x6d], [0xe2, 0x82], [0xe2, 0x82, 0x61], [0xf0, 0x9f, 0x8e],
      [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe0, 0x80, 0x80],
      [0xf0, 0x80, 0x80, 0x80], [0xf5, 0x80], [0xc2], [0xe0, 0xa0], [0xed, 0x9f],
      [0xf1, 0x80, 0x80],
    ] as [[UInt8]])
  func invalid(output: [UInt8]) {
    let expected = String(decoding: output, as: UTF8.self)
      .replacing("\u{fffd}", with: "?")
    #expect(PlainText(output).description == expected)
  }

  @Test("[plain-text] Bytes on both sides of a sequence do not form another one")
  func noNewSequences() {
    #expect(PlainText([0xc2, 0x1b, 0x5b, 0x6d, 0x9b, 0x41]).bytes == Array("??A".utf8))
    #expect(plain("\u{1b}\u{7f}[31mx") == "[31mx")
  }

  @Test("[plain-text] In a very long line only the last row of 4096 columns can be edited")
  func longLines() {
    let row = String(repeating: "é", count: 4_096)
    #expect(plain(row + "\rx") == "x" + row.dropFirst())
    #expect(plain(row + "a\rx") == row + "x")
    #expect(plain(row + row + "\rx\n") == row + "x" + row.dropFirst() + "\n")
    #expect(plain("a\r" + row + "b\r\u{1b}[Kx") == row + "x")
    #expect(plain("a\r" + row + "\u{8}bc") == row.dropLast() + "bc")
  }

  @Test("[plain-text] Text that needs no change stays as it is, in any form of collection")
  func unchanged() {
    let text = "plain text\twith tabs, umläuts and 🎉\n\nand lines\n"
    #expect(plain(text) == text)
    #expect(PlainText(text.utf8).description == text)
    #expect(PlainText(Array(text.utf8).lazy.map { $0 }).description == text)
    let session = Session()
    for part in Array(text.utf8).split(separator: 0x20) { session.append(Array(part), to: .stdout) }
    let payload = session.output().chunks.payload
    #expect(PlainText(payload).bytes == Array(payload))
    #expect(PlainText(payload.bytes) == PlainText(payload))
    #expect(plain("") == "")
  }

  @Test("[plain-text] Random output has the text of the model, and what any text must have")
  func random() {
    for seed in 0..<3_000 as Range<UInt64> {
      let output = PlainTextChecks.output(seed: seed)
      let fault = PlainTextChecks.fault(in: output)
      #expect(fault == nil, "seed \(seed): \(output)")
    }
  }

  @Test("[plain-text] Any byte within text or a sequence has the model's text")
  func everyByte() {
    for byte in 0...UInt8.max {
      for before in [[], [0x1b], [0x1b, 0x5b], [0xc2], [0xe2], [0xe2, 0x9c]] as [[UInt8]] {
        for after in ["cd", "\u{7}cd", "\u{9c}cd"] {
          let output = Array("ab".utf8) + before + [byte] + Array(after.utf8)
          #expect(PlainText(output).bytes == PlainTextModel.bytes(of: output))
        }
      }
    }
  }

  @Test(
    "[plain-text] Hostile output takes no more memory than it has itself, and comes to an end",
    arguments: [
      "\u{8}", "\r", "x\r", "\u{1b}[999999999C", "\u{1b}[999999999C\r", "\u{1b}[2Kx\u{1b}[99999C",
      "\u{1b}[1K", "\u{1b}]", "\u{9d}", "\u{1b}[", "\u{1b}", "é\u{8}x", "\u{1b}[K\r", "\u{1b}[A",
      "\u{85}", "\u{1b}[9Cx", "some lines\n",
    ])
  func hostile(piece: String) {
    let size = 300_000
    for start in [0, size / 2] {
      var output = [UInt8](repeating: 0x61, count: start)
      while output.count < size { output += piece.utf8 }
      let text = PlainText(output).bytes
      #expect(text.count <= output.count)
      // The memory that was asked for once was enough; the system rounds it up to pages.
      #expect(text.capacity <= output.count + 8_192)
    }
  }
}
