/// Writes text into existing memory, one piece after the other.
@safe
struct TextWriter {
  private let room: UnsafeMutableRawBufferPointer
  /// The bytes written so far.
  private(set) var count = 0

  /// - Precondition: All written text fits into the memory, which outlives the writer.
  @unsafe
  init(_ room: UnsafeMutableRawBufferPointer) { unsafe self.room = room }

  private var left: Int { unsafe room.count - count }

  mutating func write(_ text: StaticString) {
    let length = text.utf8CodeUnitCount
    precondition(length <= left)
    unsafe (room.baseAddress! + count).copyMemory(from: text.utf8Start, byteCount: length)
    count += length
  }

  /// Writes an integer in decimal.
  mutating func write(_ number: UInt) {
    var length = 1
    var rest = number / 10
    while rest > 0 {
      length += 1
      rest /= 10
    }
    precondition(length <= left)
    rest = number
    for place in (count..<count + length).reversed() {
      let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
      unsafe room[place] = UInt8(ascii: "0") + UInt8(digit)
      rest = quotient
    }
    count += length
  }

  /// Calls a closure that writes into the remaining memory.
  ///
  /// - Parameter body: Returns the number of bytes that it has written.
  mutating func write(_ body: (UnsafeMutableRawBufferPointer) -> Int) {
    let written = unsafe body(UnsafeMutableRawBufferPointer(rebasing: room[count...]))
    precondition(written <= left)
    count += written
  }
}
