import CRingShims
import Foundation
import Testing

/// A direction of the racing copy.
enum Direction: CaseIterable {
  case `in`, out

  func copy(
    _ to: UnsafeMutableRawPointer, _ from: UnsafeRawPointer, _ count: Int, _ method: RingCopyMethod
  ) {
    switch self {
    case .in: unsafe ring_copy_in(to, from, count, method)
    case .out: unsafe ring_copy_out(to, from, count, method)
    }
  }
}

/// The racing copy beside the C library's, in each of its forms.
@Suite struct RacingCopyTests {
  static let methods: [RingCopyMethod] = [
    .base, .AVX2, .AVX512, .avx2Rep, .avx512Rep, .atomicWords,
  ]

  /// Reports a form that this machine lacks as skipped, not as passed.
  func requireAvailable(_ method: RingCopyMethod) throws {
    guard ring_copy_method_is_available(method) else {
      try Test.cancel("this processor cannot copy by method \(method.rawValue)")
    }
  }

  static let guardBytes = 64

  /// Memory on a page boundary, with a page of its own behind it that may be taken away.
  @safe final class Buffer {
    let start: UnsafeMutableRawPointer
    let count: Int

    init(_ count: Int) {
      self.count = count
      unsafe start = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 4_096)
    }

    deinit { unsafe start.deallocate() }

    /// Bytes of which no run repeats within any distance that matters.
    func fillWithNoise() {
      var state: UInt64 = 0x9e37_79b9_7f4a_7c15
      for offset in stride(from: 0, to: count - 7, by: 8) {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        unsafe start.storeBytes(of: state, toByteOffset: offset, as: UInt64.self)
      }
    }
  }

  /// Every size up to several turns of the longest loop, and sizes on both sides of where `rep
  /// movsb` begins.
  static let sizes = Array(0...1_100) + stride(from: 12_200, through: 12_420, by: 11)

  /// Every alignment of the destination within a cache line, and of the source within half of one;
  /// what lies around the destination stays as it is.
  @Test(
    "The racing copy agrees with memcpy at every size and alignment",
    arguments: Self.methods, Direction.allCases)
  func everySizeAndAlignment(method: RingCopyMethod, direction: Direction) throws {
    try requireAvailable(method)
    let largest = Self.sizes.max()!
    let span = Self.guardBytes + 64 + largest + Self.guardBytes
    let source = Buffer(32 + largest + 8)
    source.fillWithNoise()
    let destination = Buffer(span)
    let expected = Buffer(span)
    for size in Self.sizes {
      let window = Self.guardBytes + 64 + size + Self.guardBytes
      unsafe memset(destination.start, 0x5a, span)
      unsafe memset(expected.start, 0x5a, span)
      for to in 0..<64 {
        let place = Self.guardBytes + to
        for from in 0..<32 {
          unsafe direction.copy(destination.start + place, source.start + from, size, method)
          unsafe memcpy(expected.start + place, source.start + from, size)
          guard unsafe memcmp(destination.start, expected.start, window) == 0 else {
            Issue.record("size \(size) from alignment \(from) to alignment \(to)")
            return
          }
        }
        unsafe memset(destination.start + place, 0x5a, size)
        unsafe memset(expected.start + place, 0x5a, size)
      }
    }
  }

  /// Sizes to 300 KB, at any alignment within a page.
  @Test(
    "The racing copy agrees with memcpy at sizes up to 300 KB",
    arguments: Self.methods, Direction.allCases)
  func largeSizes(method: RingCopyMethod, direction: Direction) throws {
    try requireAvailable(method)
    var random = SystemRandomNumberGenerator()
    let largest = 300_000
    let span = Self.guardBytes + 4_096 + largest + Self.guardBytes
    let source = Buffer(4_096 + largest + 8)
    source.fillWithNoise()
    let destination = Buffer(span)
    let expected = Buffer(span)
    unsafe memset(destination.start, 0x5a, span)
    unsafe memset(expected.start, 0x5a, span)
    for round in 0..<1_000 {
      let size =
        round % 2 == 0 ? Int.random(in: 0...largest, using: &random) : Int.random(in: 0...5_000)
      let to = Self.guardBytes + Int.random(in: 0..<4_096, using: &random)
      let from = Int.random(in: 0..<4_096, using: &random)
      unsafe direction.copy(destination.start + to, source.start + from, size, method)
      unsafe memcpy(expected.start + to, source.start + from, size)
      guard unsafe memcmp(destination.start, expected.start, span) == 0 else {
        Issue.record("size \(size) from \(from) to \(to)")
        return
      }
    }
  }

  /// Nothing outside of source and destination is touched, not even by a load: both lie against
  /// pages that may not be accessed.
  @Test(
    "The racing copy touches no byte outside of its source and destination",
    arguments: Self.methods, Direction.allCases)
  func touchesNothingOutside(method: RingCopyMethod, direction: Direction) throws {
    try requireAvailable(method)
    // Four pages, so that the largest sizes end at the edge as well.
    let page = 4 * Int(getpagesize())
    let regions = (0..<2).map { _ in
      let start = unsafe mmap(
        nil, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0)!
      unsafe mprotect(start, page, PROT_NONE)
      unsafe mprotect(start + 2 * page, page, PROT_NONE)
      return UInt(bitPattern: start) + UInt(page)
    }
    defer {
      for region in regions {
        unsafe munmap(UnsafeMutableRawPointer(bitPattern: region - UInt(page)), 3 * page)
      }
    }
    let from = unsafe UnsafeMutableRawPointer(bitPattern: regions[0])!
    let to = unsafe UnsafeMutableRawPointer(bitPattern: regions[1])!
    unsafe memset(from, 0x33, page)
    for size in Self.sizes + [2_048, page] {
      for (fromStart, toStart) in [
        (0, 0), (page - size, page - size), (0, page - size), (page - size, 0),
      ] {
        unsafe direction.copy(to + toStart, from + fromStart, size, method)
        if size > 0 {
          #expect(unsafe memcmp(to + toStart, from + fromStart, size) == 0)
          unsafe memset(to + toStart, 0, size)
        }
      }
    }
  }

  @Test("The detected form is available on this machine, and is the same each time")
  func detectionIsStable() {
    let method = ring_copy_method_detect()
    #expect(ring_copy_method_is_available(method))
    for _ in 0..<20 { #expect(method == ring_copy_method_detect()) }
  }
}
