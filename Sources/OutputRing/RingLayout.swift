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
///  │                │ headSeq         │             │          │                  │              │
///  └────────────────┴─────────────────┴─────────────┴──────────┴──────────────────┴──────────────┘
///    headStart, only with a head
///  ┌──────────────────────┬──────────────────────┐
///  │ head's descriptors   │ head's payload       │
///  │ headChunkLimit words │ headCapacity bytes   │
///  └──────────────────────┴──────────────────────┘
/// ```
///
/// With timestamps, as many words follow the descriptors, and as many those of the head:
///
/// ```
///   descriptorStart    timestampStart     payloadStart     headStart     headTimestampStart
///  ┌──────────────────┬──────────────────┬─────────┐      ┌─────────────┬────────────┬─────────┐
///  │ descriptors      │ timestamps       │ payload │  …   │ descriptors │ timestamps │ payload │
///  └──────────────────┴──────────────────┴─────────┘      └─────────────┴────────────┴─────────┘
/// ```
///
/// - A *descriptor* is one word: the offset at which its chunk ends, shifted left by one, and the
///   chunk's tag in bit 0. The descriptor of seq `s` is in slot `s mod slotCount`; seq 0 stands for
///   the beginning, and ends at offset 0. A chunk begins where its predecessor ends.
/// - The *payload* byte of offset `o` is at `o mod payloadSize`. Payload carries no headers, so any
///   run of chunks is one contiguous range, or two at the wrap.
/// - `payloadSize` exceeds `capacity` by `reservationLimit`. What is *retained* is at most
///   `capacity` bytes; the slack lets a producer write ahead without touching them.
/// - The *head* holds the first chunks, which are never evicted: as many as fit in `headCapacity`
///   bytes and `headChunkLimit` chunks. Each byte of it is written once. The descriptor of seq `s`
///   is word `s - 1`, the payload byte of offset `o` is byte `o`. The ring has descriptors of these
///   chunks as well, but not their payload: its first chunk begins where the head ends.
/// - A *timestamp* is one word, in the place that its chunk's descriptor has among the descriptors.
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
  /// The most bytes of the first chunks that are never evicted; 0 for none.
  public let headCapacity: Int
  /// Whether each chunk has a timestamp; see ``RingWriter/timestamp``.
  public let hasTimestamps: Bool
  /// The bytes kept for the owner's metadata: 0 in memory, ``metadataRoom`` in a file.
  var metadataCapacity = 0

  /// The bytes of payload storage: ``capacity`` and the slack.
  public var payloadSize: Int { capacity + reservationLimit }
  /// The most chunks that are never evicted: one for each 16 bytes of the head, or 1,024 of a small
  /// head; 0 without a head.
  public var headChunkLimit: Int { min(headCapacity, max(1_024, headCapacity / 16)) }
  /// The bytes of the whole region.
  public var regionSize: Int {
    headCapacity == 0 ? payloadStart + payloadSize : headPayloadStart + headCapacity
  }

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
  ///   - headCapacity: The most bytes of the first chunks, never to be evicted, that are retained
  ///     besides `capacity`; from 0 to ``maxCapacity``.
  ///   - timestamps: Whether to keep a timestamp with each chunk, in 8 bytes more for each slot and
  ///     each chunk that the head has room for. Of these, a ring in memory occupies what it uses.
  /// - Precondition: each parameter is within its range.
  public init(
    capacity: Int, chunkLimit: Int? = nil, reservationLimit: Int = 65_536, headCapacity: Int = 0,
    timestamps: Bool = false
  ) {
    let chunkLimit = chunkLimit ?? Self.defaultChunkLimit(capacity: capacity)
    precondition(
      1...Self.maxCapacity ~= capacity,
      "ring capacity must be from 1 to \(Self.maxCapacity) bytes, not \(capacity)")
    precondition(
      1...(1 << 28) ~= chunkLimit, "ring chunkLimit must be from 1 to 2^28, not \(chunkLimit)")
    precondition(
      1...Self.maxCapacity ~= reservationLimit,
      "ring reservationLimit must be from 1 to \(Self.maxCapacity) bytes, not \(reservationLimit)")
    precondition(
      0...Self.maxCapacity ~= headCapacity,
      "ring headCapacity must be from 0 to \(Self.maxCapacity) bytes, not \(headCapacity)")
    self.capacity = capacity
    self.headCapacity = headCapacity
    hasTimestamps = timestamps
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
  static let headCapacityByte = 72
  /// A word of the header that says which parts a ring has besides: 0, or ``timestampsFeature``.
  static let featuresByte = 80
  static let timestampsFeature: UInt64 = 1
  static let metadataCountByte = 88
  static let bootByte = 96
  package static let controlStart = 128
  static let ownerLineStart = 256
  package static let metadataStart = 384
  /// The room for metadata in a file: a page, so that the payload lies as it does in memory.
  static let metadataRoom = 4_096

  package var descriptorStart: Int { Self.metadataStart + metadataCapacity }
  package var timestampStart: Int { descriptorStart + slotCount * 8 }
  package var payloadStart: Int { timestampStart + (hasTimestamps ? slotCount * 8 : 0) }
  /// Where the head's descriptors lie: behind the payload, on a cache line of their own.
  package var headStart: Int { (payloadStart + payloadSize + 127) & ~127 }
  package var headTimestampStart: Int { headStart + headChunkLimit * 8 }
  package var headPayloadStart: Int {
    headTimestampStart + (hasTimestamps ? headChunkLimit * 8 : 0)
  }

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
  /// - Parameters:
  ///   - header: ``headerCount`` words, which may be any.
  ///   - headCapacity: The word for the head's capacity, likewise.
  ///   - timestamps: Whether the header says that there are timestamps.
  init?(header: [UInt64], headCapacity: UInt64, timestamps: Bool) {
    guard header.count == Self.headerCount, header[2...7].allSatisfy({ $0 <= 1 << 40 }),
      headCapacity <= UInt64(Self.maxCapacity)
    else { return nil }
    let (capacity, chunkLimit, reservationLimit) = (Int(header[2]), Int(header[3]), Int(header[4]))
    guard 1...Self.maxCapacity ~= capacity, 1...(1 << 28) ~= chunkLimit,
      1...Self.maxCapacity ~= reservationLimit
    else { return nil }
    self.init(
      capacity: capacity, chunkLimit: chunkLimit, reservationLimit: reservationLimit,
      headCapacity: Int(headCapacity), timestamps: timestamps)
    metadataCapacity = Self.metadataRoom
    guard self.header == header else { return nil }
  }
}
