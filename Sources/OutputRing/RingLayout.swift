/// The geometry of a ring: how much it retains, and where its parts lie in memory.
///
/// A ring is one contiguous region without pointers inside, so that the same bytes can be in plain
/// memory or in a file that other processes map. The producer alone writes it, but for the window
/// cache, which the readers of a ring in memory keep there:
///
/// ```
///  byte 0            128               256           384        descriptorStart    payloadStart
///  ┌────────────────┬─────────────────┬─────────────┬──────────┬──────────────────┬──────────────┐
///  │ header         │ control line    │ in a file:  │ metadata │ descriptors      │ payload      │
///  │ magic, version │ announcedSeq    │ notes; else │ (only in │ slotCount words  │ payloadSize  │
///  │ geometry       │ announcedOffset │ the window  │ a file)  │                  │ bytes        │
///  │ status word    │ publishedSeq    │ cache       │          │                  │              │
///  └────────────────┴─────────────────┴─────────────┴──────────┴──────────────────┴──────────────┘
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
  /// The bytes kept for the owner's metadata: 0 in memory, ``metadataRoom`` in a file.
  var metadataCapacity = 0

  /// The bytes of payload storage: ``capacity`` and the slack.
  public var payloadSize: Int { capacity + reservationLimit }
  /// The bytes of the whole region.
  public var regionSize: Int { payloadStart + payloadSize }

  /// The largest capacity a ring can have, in bytes: 1 GiB.
  public static let maxCapacity = 1 << 30

  /// The most chunks that a ring retains unless told otherwise: 64,512, or more in a ring of more
  /// than 4 MiB, where it grows with the capacity to about one for each 64 bytes.
  ///
  /// - Parameter capacity: The ring's capacity in bytes.
  public static func defaultChunkLimit(capacity: Int) -> Int {
    var slots = 65_536
    while slots < capacity / 64 { slots *= 2 }
    // A 64th is the head start that readers of descriptors have.
    return slots - slots / 64
  }

  /// Creates the layout of a ring.
  ///
  /// - Parameters:
  ///   - capacity: The most payload bytes to retain, from 1 to ``maxCapacity``.
  ///   - chunkLimit: The most chunks to retain, from 1 to 2^28; nil for
  ///     ``defaultChunkLimit(capacity:)``. More than `capacity` has no effect, since no chunk is
  ///     empty.
  ///   - reservationLimit: The most bytes of one reservation, from 1 to ``maxCapacity``.
  /// - Precondition: each parameter is within its range.
  public init(capacity: Int, chunkLimit: Int? = nil, reservationLimit: Int = 65_536) {
    let chunkLimit = chunkLimit ?? Self.defaultChunkLimit(capacity: capacity)
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
    // chunk that it appends: without these two, a ring whose producer died in the middle of an
    // append could never be read. The rest is the reader's head start.
    let needed = self.chunkLimit + max(2, self.chunkLimit / 64)
    var slots = 4
    while slots < needed { slots *= 2 }
    self.slotCount = slots
  }
}

// MARK: Where things are, in bytes from the region's start

extension RingLayout {
  static let magic: UInt64 = 0x676e_6972_7475_6f31  // "1outring" in a little-endian dump
  static let version: UInt64 = 2

  static let statusByte = 64
  /// Words of the header that are 0 until there is something for them to describe: an area whose
  /// chunks are never evicted, and times of chunks.
  static let reservedBytes = [72, 80]
  static let metadataCountByte = 88
  static let bootByte = 96
  static let controlStart = 128
  static let ownerLineStart = 256
  static let metadataStart = 384
  /// The room for metadata in a file: a page, so that the payload lies as it does in memory.
  static let metadataRoom = 4_096

  var descriptorStart: Int { Self.metadataStart + metadataCapacity }
  var payloadStart: Int { descriptorStart + slotCount * 8 }

  /// The words at the beginning of the region, by which a program that maps it knows its contents.
  /// The first is the magic.
  var header: [UInt64] {
    [
      Self.magic, Self.version, UInt64(capacity), UInt64(chunkLimit), UInt64(reservationLimit),
      UInt64(slotCount), UInt64(payloadStart), UInt64(payloadSize),
    ]
  }

  /// The number of words in ``header``.
  static let headerCount = 8

  /// Returns the layout that the words of a file's header describe, or nil if no ring in a file has
  /// such a header.
  ///
  /// - Parameter header: ``headerCount`` words, which may be any.
  init?(header: [UInt64]) {
    guard header.count == Self.headerCount, header[2...7].allSatisfy({ $0 <= 1 << 40 }) else {
      return nil
    }
    let (capacity, chunkLimit, reservationLimit) = (Int(header[2]), Int(header[3]), Int(header[4]))
    guard 1...Self.maxCapacity ~= capacity, 1...(1 << 28) ~= chunkLimit,
      1...Self.maxCapacity ~= reservationLimit
    else { return nil }
    self.init(capacity: capacity, chunkLimit: chunkLimit, reservationLimit: reservationLimit)
    metadataCapacity = Self.metadataRoom
    guard self.header == header else { return nil }
  }
}
