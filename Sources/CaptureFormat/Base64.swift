/// RFC 4648's base64, with padding.
enum Base64 {
  private static let alphabet: StaticString =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

  /// Appends the encoding of some bytes.
  ///
  /// - Complexity: O(`bytes.count`).
  static func append(_ bytes: UnsafeRawBufferPointer, to text: inout [UInt8]) {
    let start = text.count
    text.append(contentsOf: repeatElement(UInt8(ascii: "="), count: (bytes.count + 2) / 3 * 4))
    unsafe text.withUnsafeMutableBufferPointer { text in
      let letters = unsafe alphabet.utf8Start
      var place = start
      var index = 0
      while index + 2 < bytes.count {
        let triple =
          unsafe Int(bytes[index]) << 16 | Int(bytes[index + 1]) << 8 | Int(bytes[index + 2])
        unsafe text[place] = letters[triple >> 18]
        unsafe text[place + 1] = letters[triple >> 12 & 63]
        unsafe text[place + 2] = letters[triple >> 6 & 63]
        unsafe text[place + 3] = letters[triple & 63]
        index += 3
        place += 4
      }
      let rest = bytes.count - index
      guard rest > 0 else { return }
      let triple = unsafe Int(bytes[index]) << 16 | (rest > 1 ? Int(bytes[index + 1]) << 8 : 0)
      unsafe text[place] = letters[triple >> 18]
      unsafe text[place + 1] = letters[triple >> 12 & 63]
      if rest > 1 { unsafe text[place + 2] = letters[triple >> 6 & 63] }
    }
  }
}
