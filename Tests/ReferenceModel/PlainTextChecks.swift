import Processes

/// Converts output to plain text, and checks the text: beside the model, and for what any text must
/// be.
package enum PlainTextChecks {
  /// Returns what is wrong with the plain text of output; nil if nothing is.
  package static func fault(in output: [UInt8]) -> String? {
    for columns in [1, 2, 3, 8, 4_096] {
      let text = text(output, columns)
      let expected = PlainTextModel.bytes(of: output, columns: columns)
      if text != expected {
        return "\(shown(text)) with \(columns) columns, not \(shown(expected))"
      }
      if text.count > output.count { return "\(text.count) bytes of text of \(output.count)" }
      if self.text(text, columns) != text { return "its text \(shown(text)) has another text" }
    }
    let text = PlainText(output).bytes
    guard let string = String(validating: text, as: UTF8.self) else {
      return "\(text) is not UTF-8"
    }
    if let control = string.unicodeScalars.first(where: isControl) {
      return "\(shown(text)) has the control \(control.value)"
    }
    let lines = output.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      .map { PlainText($0).bytes }
    if Array(lines.joined(separator: [UInt8(ascii: "\n")])) != text {
      return "\(shown(text)) is not the text of its lines"
    }
    return nil
  }

  private static func text(_ output: [UInt8], _ columns: Int) -> [UInt8] {
    unsafe output.withUnsafeBufferPointer { output in
      PlainText(unsafe Span(_unsafeElements: output), columns: columns).bytes
    }
  }

  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    scalar != "\n" && scalar != "\t" && scalar.properties.generalCategory == .control
  }

  private static func shown(_ text: [UInt8]) -> String {
    String(decoding: text, as: UTF8.self).debugDescription
  }

  /// Output of a seed: text, sequences and parts of sequences, and any bytes.
  package static func output(seed: UInt64) -> [UInt8] {
    var random = SplitMix64(seed: seed)
    return (0..<random.below(40)).flatMap { _ in
      random.oneIn(16) ? [UInt8(random.below(256))] : random.pick(pieces)
    }
  }

  private static let pieces: [[UInt8]] =
    [
      "a", "b", "xyz", "0123456789", " ", "\t", "é", "€", "🎉", "\u{fffd}", "?", "!", "1", "9", ";",
      "H", "m", "\n", "\r", "\r\n", "\u{8}", "\u{b}", "\u{0}", "\u{7f}", "\u{18}", "\u{7}",
      "\u{1b}", "\u{1b}[", "\u{1b}[31m", "\u{1b}[?25l", "\u{1b}[K", "\u{1b}[1K", "\u{1b}[2K",
      "\u{1b}[J", "\u{1b}[3J", "\u{1b}[3G", "\u{1b}[5`", "\u{1b}[C", "\u{1b}[5a", "\u{1b}[1;2C",
      "\u{1b}[99999999999999999999C", "\u{1b}[2D", "\u{1b}[j", "\u{1b}[A", "\u{1b}[2;2H",
      "\u{1b}]0;t", "\u{1b}P", "\u{1b}_", "\u{1b}\\", "\u{1b}(B", "\u{1b}D", "\u{1b}E", "\u{1b}M",
      "\u{1b}c", "\u{85}", "\u{84}", "\u{8d}", "\u{90}", "\u{98}", "\u{9b}", "\u{9c}", "\u{9d}",
    ].map { Array($0.utf8) } + [
      [0x80], [0x9b], [0xc2], [0xe2, 0x82], [0xf0, 0x9f], [0xff], [0xed, 0xa0, 0x80], [0xe0, 0x80],
      [0xf4, 0x90, 0x80, 0x80],
    ]
}
