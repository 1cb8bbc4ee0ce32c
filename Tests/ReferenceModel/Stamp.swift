import Foundation

/// Payload whose every byte is a function of its offset in the output, so that a reader can check
/// any chunk without having been told what was written.
///
/// The function repeats after a prime number of bytes, which no ring size divides: bytes of another
/// turn of the ring, or from a few places further on, do not pass.
package enum Stamp {
  private static let period = 65_521

  /// Two periods, so that one period is contiguous from any start.
  private static let table: [UInt8] = {
    var generator = SplitMix64(seed: 1)
    let once = (0..<period).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    return once + once
  }()

  /// Writes what belongs at an offset.
  package static func fill(_ buffer: UnsafeMutableRawBufferPointer, at offset: Int) {
    unsafe inPieces(buffer.count, at: offset) { start, stamp in
      unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[start..<start + stamp.count])
        .copyMemory(from: stamp)
    }
  }

  /// Whether bytes are what belongs at an offset.
  package static func matches(_ buffer: UnsafeRawBufferPointer, at offset: Int) -> Bool {
    var matches = true
    unsafe inPieces(buffer.count, at: offset) { start, stamp in
      unsafe matches =
        matches && memcmp(buffer.baseAddress! + start, stamp.baseAddress!, stamp.count) == 0
    }
    return matches
  }

  package static func bytes(_ count: Int, at offset: Int) -> [UInt8] {
    // The library sets the count of the one empty array that all share: a race to ThreadSanitizer.
    if count == 0 { return [] }
    return unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      unsafe fill(UnsafeMutableRawBufferPointer(buffer), at: offset)
      initialized = count
    }
  }

  /// What the clock shows when a chunk is appended: it goes on by 5 or 12 a chunk, but now and then
  /// back by 19, and begins below 0.
  package static func time(_ seq: Int) -> Int64 { Int64(5 * seq + 7 * seq % 31 - 30) }

  /// The timestamp that a chunk must have: the greatest time that the clock has shown, or 0.
  package static func timestamp(_ seq: Int) -> Int64 {
    // What it showed long before is less.
    max(0, (max(1, seq - 10)...seq).map(time).max()!)
  }

  private static func inPieces(
    _ count: Int, at offset: Int, _ body: (_ start: Int, _ stamp: UnsafeRawBufferPointer) -> Void
  ) {
    unsafe table.withUnsafeBytes { table in
      var start = 0
      while start < count {
        let phase = (offset + start) % period
        let length = min(period, count - start)
        unsafe body(start, UnsafeRawBufferPointer(rebasing: table[phase..<phase + length]))
        start += length
      }
    }
  }
}
