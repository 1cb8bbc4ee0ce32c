public import OutputRing

/// Base64 as in RFC 4648, section 4: with padding, without line breaks.
///
/// For programs that pass output on as JSON: the encoding goes straight to where it is wanted, and
/// is the only copy.
extension ChunkBytes {
  /// The length of the encoding, in bytes.
  ///
  /// - Complexity: O(1).
  public var base64Count: Int { (count + 2) / 3 * 4 }

  /// Writes the encoding.
  ///
  /// The encodings of a slice whose length is a multiple of 3 and of what follows it can be joined.
  ///
  /// - Parameter target: Where to write; what is behind the encoding stays as it is.
  /// - Returns: How many bytes were written: ``base64Count``.
  /// - Precondition: `target` has room for them.
  /// - Complexity: O(`count`).
  @discardableResult
  public func encodeBase64(into target: UnsafeMutableRawBufferPointer) -> Int {
    let length = base64Count
    precondition(
      length <= target.count, "base64 of \(count) bytes needs \(length), not \(target.count)")
    guard length > 0 else { return 0 }
    unsafe withUnsafeBytes { bytes in
      unsafe pairs.withUnsafeBufferPointer { pairs in
        var source = bytes.baseAddress!
        var place = target.baseAddress!
        for _ in 0..<bytes.count / 3 {
          let first = unsafe Int(source.load(as: UInt8.self))
          let second = unsafe Int(source.load(fromByteOffset: 1, as: UInt8.self))
          let third = unsafe Int(source.load(fromByteOffset: 2, as: UInt8.self))
          unsafe place.storeBytes(of: pairs[first << 4 | second >> 4], as: UInt16.self)
          unsafe place.storeBytes(
            of: pairs[(second & 15) << 8 | third], toByteOffset: 2, as: UInt16.self)
          unsafe source += 3
          unsafe place += 4
        }
        let rest = bytes.count % 3
        guard rest > 0 else { return }
        let first = unsafe Int(source.load(as: UInt8.self))
        let second = rest > 1 ? unsafe Int(source.load(fromByteOffset: 1, as: UInt8.self)) : 0
        unsafe place.storeBytes(of: pairs[first << 4 | second >> 4], as: UInt16.self)
        let padding = UInt8(ascii: "=")
        let last = rest > 1 ? letter((second & 15) << 2) : padding
        unsafe place.storeBytes(of: last, toByteOffset: 2, as: UInt8.self)
        unsafe place.storeBytes(of: padding, toByteOffset: 3, as: UInt8.self)
      }
    }
    return length
  }
}

/// The two letters that encode 12 bits, as they lie in memory.
private let pairs: [UInt16] = (0..<4096).map { bits in
  UInt16(littleEndian: UInt16(letter(bits >> 6)) | UInt16(letter(bits & 63)) << 8)
}

/// The letter that encodes 6 bits.
private func letter(_ bits: Int) -> UInt8 {
  switch bits {
  case 0..<26: UInt8(ascii: "A") + UInt8(bits)
  case 26..<52: UInt8(ascii: "a") + UInt8(bits - 26)
  case 52..<62: UInt8(ascii: "0") + UInt8(bits - 52)
  case 62: UInt8(ascii: "+")
  default: UInt8(ascii: "/")
  }
}
