import CRingShims
import Foundation
import Processes
import Synchronization

/// The file of a ring that a producer has filled, and a mapping through which to damage it.
@safe
final class RegionFile: @unchecked Sendable {
  let path: String
  /// Whether the ring is a recorded session's.
  let isSession: Bool
  private let layout: RingLayout
  private let size: Int
  private let base: UnsafeMutableRawPointer
  /// The pages behind its readers' mappings.
  private let pages = Mutex<[UInt]>([])

  /// Makes a ring and fills it. Its producer is gone afterwards.
  init(_ choices: inout some Choices) {
    path = ScratchFile.newPath()
    isSession = choices.oneIn(3)
    let sizes = (0..<choices.pick([0, 1, 3, 20, 90])).map { _ in
      choices.oneIn(20) ? choices.below(9_000) : choices.within(1...60)
    }
    if isSession {
      // The region of 3,712 bytes of capacity is of whole pages.
      let session = try! Session(
        recordingTo: path, id: "hostile", capacity: choices.pick([1, 50, 3_712, 3_712]),
        headCapacity: choices.pick([0, 0, 0, 400]), timestamps: choices.oneIn(3),
        command: ["a", "b"])
      layout = session.reader.layout
      for (index, size) in sizes.enumerated() {
        session.append(Stamp.bytes(size, at: 0), to: index % 3 == 0 ? .stderr : .stdout)
      }
      if choices.oneIn(2) { session.setExit(3, closing: choices.oneIn(2)) }
    } else {
      let capacity = choices.pick([1, 2, 7, 40, 300, 4_000])
      let chunkLimit = min(capacity, choices.pick([1, 2, 5, 40, 4_000]))
      let timestamps = choices.oneIn(3)
      let least = RingLayout(
        capacity: capacity, chunkLimit: chunkLimit, reservationLimit: 1, timestamps: timestamps)
      // So that the region ends with a page.
      let room = 4_096 + least.payloadStart + capacity
      let reservationLimit = 4_096 - room % 4_096
      let heads = choices.oneIn(3) ? choices.pick([1, 30, 2_000])...10_000 : 0...0
      let layouts = heads.lazy.map {
        RingLayout(
          capacity: capacity, chunkLimit: chunkLimit, reservationLimit: reservationLimit,
          headCapacity: $0, timestamps: timestamps)
      }
      let fitting = layouts.first { $0.headCapacity == 0 || $0.regionSize % 4_096 == 0 }!
      var writer = try! RingWriter(recordingTo: path, fitting)
      layout = writer.layout
      for (index, size) in sizes.enumerated() {
        writer.timestamp = Stamp.time(index + 1)
        unsafe Stamp.bytes(size, at: 0).withUnsafeBytes { unsafe writer.append($0) }
      }
    }
    let file = unsafe open(path, O_RDWR)
    precondition(file >= 0, "no \(path)")
    size = Int(lseek(file, 0, SEEK_END))
    let address = unsafe mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
    precondition(unsafe address != MAP_FAILED, "no mapping of \(path)")
    unsafe base = address!
    close(file)
  }

  deinit {
    for page in pages.withLock({ $0 }) {
      unsafe munmap(UnsafeMutableRawPointer(bitPattern: page)!, 4_096)
    }
    unsafe munmap(base, size)
    unsafe unlink(path)
  }

  /// Calls a closure that maps the file, and lets the mapping end where memory is that nobody may
  /// touch: a read beyond the region crashes.
  func besideInaccessiblePage<Result, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let page = 4_096
    let room = (size + page - 1) / page * page
    let address = unsafe mmap(nil, room + page, PROT_NONE, MAP_PRIVATE | MAP_ANON, -1, 0)
    // The system takes the highest gap that is large enough, which this makes.
    guard let address = unsafe address, unsafe address != MAP_FAILED else { return try body() }
    unsafe munmap(address, room)
    defer { pages.withLock { $0.append(UInt(bitPattern: address) + UInt(room)) } }
    return try body()
  }

  /// Whether the region has a chunk's bytes where the chunk's offset says, in the payload or in the
  /// head.
  func holds(_ chunk: RingChunk, in layout: RingLayout) -> Bool {
    let isInPayload = chunk.data.enumerated().allSatisfy { index, byte in
      let position = (chunk.offset + index) % layout.payloadSize
      return unsafe base.load(fromByteOffset: layout.payloadStart + position, as: UInt8.self)
        == byte
    }
    guard !isInPayload else { return true }
    return chunk.offset + chunk.data.count <= layout.headCapacity
      && chunk.data.enumerated().allSatisfy { index, byte in
        let place = layout.headPayloadStart + chunk.offset + index
        return unsafe base.load(fromByteOffset: place, as: UInt8.self) == byte
      }
  }
}

// MARK: Damage

extension RegionFile {
  /// The parts of the region, in bytes from its start.
  private enum Part: CaseIterable {
    case header, status, control, notes, metadata, descriptors, timestamps, payload, head, all
  }

  private func range(of part: Part) -> Range<Int> {
    let payloadStart = layout.payloadStart
    let payloadEnd = payloadStart + layout.payloadSize
    return switch part {
    case .header: 0..<128
    case .status: 64..<72
    case .control: 128..<160
    case .notes: 256..<384
    case .metadata: 384..<4_480
    case .descriptors: 4_480..<layout.timestampStart
    case .timestamps:
      layout.hasTimestamps ? layout.timestampStart..<payloadStart : 4_480..<payloadStart
    case .payload: payloadStart..<payloadEnd
    case .head:
      layout.headCapacity > 0 ? layout.headStart..<layout.headPayloadStart : 4_480..<payloadStart
    case .all: 128..<size
    }
  }

  /// Changes some of the region's bytes.
  func damage(_ choices: inout some Choices, sparesHeader: Bool) {
    let parts: [Part] = [
      .control, .control, .descriptors, .descriptors, .descriptors, .all, .payload, .notes,
      .metadata, .status, .head, .head, .timestamps,
    ]
    let range = range(of: sparesHeader ? choices.pick(parts) : .header)
    switch choices.below(4) {
    case 0:
      // Bits.
      for _ in 0..<choices.pick([1, 2, 10]) {
        let byte = unsafe base + range.lowerBound + choices.below(range.count)
        let flipped = unsafe byte.load(as: UInt8.self) ^ 1 << UInt8(choices.below(8))
        unsafe byte.storeBytes(of: flipped, as: UInt8.self)
      }
    case 1:
      // A stretch of random bytes, or of equal ones.
      let from = choices.below(range.count)
      let count = min(choices.pick([8, 64, 4_096, 1 << 20]), range.count - from)
      let isRandom = choices.oneIn(2)
      var random = SplitMix64(seed: UInt64(choices.below(1 << 16)))
      for index in 0..<count {
        unsafe (base + range.lowerBound + from + index).storeBytes(
          of: isRandom ? UInt8(random.below(256)) : 0, as: UInt8.self)
      }
    default:
      for _ in 0..<choices.pick([1, 1, 2, 5]) { storeWord(in: range, &choices) }
    }
  }

  /// Stores a word in a range of the region, as a producer that lies would: at once, relaxed.
  private func storeWord(in range: Range<Int>, _ choices: inout some Choices) {
    let index = range.lowerBound / 8 + choices.below(max(1, range.count / 8))
    let place = unsafe base.assumingMemoryBound(to: UInt64.self) + index
    let before = unsafe ring_load_relaxed(place)
    unsafe ring_store_relaxed(place, Self.word(&choices, near: before))
  }

  /// A word that some check may overlook: a neighbour of a good one, of a limit, or any.
  static func word(_ choices: inout some Choices, near value: UInt64) -> UInt64 {
    let step = UInt64(choices.pick([0, 1, 2, 3, 60, 1_000]))
    return switch choices.below(12) {
    case 0: step
    case 1: 0 &- step
    case 2: 1 << 63 &+ step
    case 3: 1 << 63 &- step
    case 4: 1 << 60 &+ step
    case 5: 1 << 60 &- step
    case 6: 1 << 61 &- step
    case 7, 8: value &+ step
    case 9, 10: value &- step
    default: UInt64(choices.below(1 << 32)) << 32 | UInt64(choices.below(1 << 32))
    }
  }

  /// Makes the file shorter or longer.
  func resize(_ choices: inout some Choices) {
    let other = choices.pick([0, 8, 383, 384, 4_480, size - 1, size + 1, 2 * size])
    unsafe truncate(path, off_t(other))
  }
}

/// A producer that stores anything anywhere but in the header, which readers check only once.
final class Liar: Sendable {
  private let file: RegionFile
  private let seed: UInt64
  private let doneReaders = Atomic(0)

  init(_ file: RegionFile, seed: UInt64) {
    self.file = file
    self.seed = seed
  }

  func readerIsDone() { doneReaders.add(1, ordering: .relaxed) }

  /// Lies until so many readers are done.
  func lie(until readers: Int) {
    var random = SplitMix64(seed: ~seed)
    while doneReaders.load(ordering: .relaxed) < readers { file.lie(&random) }
  }
}

extension RegionFile {
  fileprivate func lie(_ random: inout SplitMix64) {
    let saved = (0..<4).map {
      unsafe ring_load_relaxed(base.assumingMemoryBound(to: UInt64.self) + 16 + $0)
    }
    for _ in 0..<random.within(1...6) {
      let part = random.pick([
        Part.control, .control, .control, .descriptors, .descriptors, .descriptors, .descriptors,
        .status, .notes, .metadata, .payload, .head, .head, .timestamps,
      ])
      storeWord(in: range(of: part), &random)
    }
    // A region that is nowhere right is soon found out.
    if random.oneIn(2) {
      for (index, word) in saved.enumerated() {
        unsafe ring_store_relaxed(base.assumingMemoryBound(to: UInt64.self) + 16 + index, word)
      }
    }
    if random.oneIn(4) { makeConsistent(&random) }
  }

  /// Makes counters and descriptors fit each other again.
  private func makeConsistent(_ random: inout SplitMix64) {
    let words = unsafe base.assumingMemoryBound(to: UInt64.self)
    let newest = random.pick([3, 100, 1 << 40, 1 << 60])
    var end = random.pick([50_000, 1 << 50, 1 << 60])
    let count = min(layout.chunkLimit, newest, 60)
    unsafe ring_store_relaxed(words + 16, UInt64(newest))
    unsafe ring_store_relaxed(words + 17, UInt64(end))
    for seq in ((newest - count)...newest).reversed() {
      let slot = seq & (layout.slotCount - 1)
      unsafe ring_store_relaxed(words + 4_480 / 8 + slot, UInt64(end) << 1)
      end -= random.within(1...max(1, layout.capacity / 20))
      end = max(end, 0)
    }
    unsafe ring_store_release(words + 18, UInt64(newest))
  }
}

/// Names for files of a test, that nothing else has.
package enum ScratchFile {
  private static let count = Atomic(0)

  package static func newPath() -> String {
    let number = count.add(1, ordering: .relaxed).newValue
    let directory = unsafe access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
    return "\(directory)/ring-model.\(getpid()).\(number)"
  }

  /// Makes a ring in a file, and a reader that is attached to it. The file's name is gone.
  static func makeRing(_ layout: RingLayout, attaching reader: inout RingReader?) -> RingWriter {
    let path = newPath()
    defer { unsafe unlink(path) }
    let writer = try! RingWriter(recordingTo: path, layout)
    reader = try! RingReader(attachingTo: path)
    return writer
  }
}
