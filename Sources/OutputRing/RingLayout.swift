/// The geometry of a ring: how much it retains, and where its parts lie in memory.
///
/// A ring is one contiguous region without pointers inside, so that the same bytes can be in plain
/// memory today and in a file or in shared memory later:
///
/// ```
///  byte 0            128               256             384                     payloadStart
///  ┌────────────────┬─────────────────┬───────────────┬───────────────────────┬──────────────────┐
///  │ header         │ control line    │ reader line   │ descriptors           │ payload          │
///  │ magic, version │ announcedSeq    │ window cache  │ slotCount words       │ payloadSize      │
///  │ geometry       │ announcedOffset │ (readers only)│                       │ bytes            │
///  │ status word    │ publishedSeq    │               │                       │                  │
///  └────────────────┴─────────────────┴───────────────┴───────────────────────┴──────────────────┘
/// ```
///
/// - A *descriptor* is one word: the offset at which its chunk ends, shifted left by one, and the
///   chunk's tag in bit 0. The descriptor of seq `s` is in slot `s mod slotCount`; seq 0 stands for
///   the beginning, and ends at offset 0. A chunk begins where its predecessor ends.
/// - The *payload* byte of offset `o` is at `o mod payloadSize`. Payload carries no headers, so any
///   run of chunks is one contiguous range, or two at the wrap.
/// - `payloadSize` exceeds `capacity` by `reservationLimit`. What is *retained* is at most
///   `capacity` bytes; the slack lets a producer write ahead without touching them.
public struct RingLayout: Sendable, Hashable {
  /// The cap: the most payload bytes ever retained.
  public let capacity: Int
  /// The most chunks ever retained.
  public let chunkLimit: Int
  /// The most bytes one reservation can have; also how far the producer can write ahead of what is
  /// retained.
  public let reservationLimit: Int
  /// The number of descriptor slots, a power of two above ``chunkLimit``.
  public let slotCount: Int

  /// The bytes of payload storage: ``capacity`` and the slack.
  public var payloadSize: Int { capacity + reservationLimit }
  /// The bytes of the whole region.
  public var regionSize: Int { payloadStart + payloadSize }

  /// The largest capacity a ring can have, in bytes: 1 GiB.
  public static let maxCapacity = 1 << 30

  /// Creates the layout of a ring.
  ///
  /// - Parameters:
  ///   - capacity: The most payload bytes to retain, from 1 to ``maxCapacity``.
  ///   - chunkLimit: The most chunks to retain, from 1 to 2^28; more than `capacity` has no effect,
  ///     since no chunk is empty.
  ///   - reservationLimit: The most bytes of one reservation, from 1 to ``maxCapacity``.
  /// - Precondition: each parameter is within its range.
  public init(capacity: Int, chunkLimit: Int = 64_512, reservationLimit: Int = 65_536) {
    precondition(
      1...Self.maxCapacity ~= capacity,
      "ring capacity must be from 1 to \(Self.maxCapacity) bytes, not \(capacity)")
    precondition(
      1...(1 << 28) ~= chunkLimit, "ring chunkLimit must be from 1 to 2^28, not \(chunkLimit)")
    precondition(
      1...Self.maxCapacity ~= reservationLimit,
      "ring reservationLimit must be from 1 to \(Self.maxCapacity) bytes, not \(reservationLimit)")
    self.capacity = capacity
    self.chunkLimit = min(chunkLimit, capacity)
    self.reservationLimit = reservationLimit
    // A reader also needs the slot before the oldest retained chunk, and the producer one for the
    // chunk that it appends; the rest is the reader's head start.
    let needed = self.chunkLimit + max(2, self.chunkLimit / 64)
    var slots = 4
    while slots < needed { slots *= 2 }
    self.slotCount = slots
  }
}

// MARK: Where things are, in bytes from the region's start

extension RingLayout {
  static let magic: UInt64 = 0x676e_6972_7475_6f31  // "1outring" in a little-endian dump
  static let version: UInt64 = 1

  static let statusByte = 64
  static let controlStart = 128
  static let readerLineStart = 256
  static let descriptorStart = 384

  var payloadStart: Int { Self.descriptorStart + slotCount * 8 }

  /// The words at the beginning of the region, by which a program that maps it knows its contents.
  var header: [UInt64] {
    [
      Self.magic, Self.version, UInt64(capacity), UInt64(chunkLimit), UInt64(reservationLimit),
      UInt64(slotCount), UInt64(payloadStart), UInt64(payloadSize),
    ]
  }
}
