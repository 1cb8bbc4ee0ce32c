import ReferenceModel
import Testing

@testable import OutputRing

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A ring in a file: its creation, attaching to it, and what a reader makes of any bytes in it.
@Suite struct RingFileTests {
  private let directory = TemporaryDirectory()
  private var path: String { directory.path + "/a.ring" }
  private let layout = RingLayout(capacity: 1_000, chunkLimit: 40, reservationLimit: 500)

  private func text(_ reader: RingReader) -> [String] { reader.read().map(\.data.description) }

  /// Stores a word in the file.
  private func put(_ word: UInt64, at byte: Int) throws {
    let file = unsafe open(path, O_RDWR)
    try #require(file >= 0)
    defer { close(file) }
    let count = unsafe withUnsafeBytes(of: word) {
      unsafe pwrite(file, $0.baseAddress, 8, off_t(byte))
    }
    #expect(count == 8)
  }

  private func attachError() -> RingFileError.Reason? {
    do throws(RingFileError) {
      _ = try RingReader(attachingTo: path)
      return nil
    } catch {
      return error.reason
    }
  }

  // MARK: Creation

  @Test("A ring in a file works like one in memory, and an attached reader reads the same")
  func works() throws {
    var writer = try RingWriter(recordingTo: path, layout, metadata: Array("made by a test".utf8))
    let attached = try RingReader(attachingTo: path)
    #expect(attached.layout.capacity == 1_000)
    #expect(attached.layout.chunkLimit == 40)
    #expect(attached.metadata == Array("made by a test".utf8))
    #expect(attached.isOfThisBoot)
    #expect(text(attached) == [])
    for index in 1...100 {
      writer.append("chunk \(index)".utf8, tag: index % 2 == 0)
      writer.status = UInt64(index)
      let own = writer.reader.read()
      let found = attached.read()
      #expect(found.map(\.data.description) == own.map(\.data.description))
      #expect(found.map(\.tag) == own.map(\.tag))
      #expect(found.lostBytes == own.lostBytes)
      #expect(found.status == UInt64(index))
      #expect(!found.isDamaged)
    }
    #expect(attached.totalBytes == writer.endOffset)
    #expect(attached.lostBytes == writer.reader.lostBytes)
  }

  @Test("A file that exists is not written, and the error says so")
  func exists() throws {
    let writer = try RingWriter(recordingTo: path, layout)
    #expect(throws: RingFileError(path, .exists)) {
      _ = try RingWriter(recordingTo: path, layout)
    }
    #expect(writer.lastSeq == 0)
    #expect(directory.names == ["a.ring"])
  }

  @Test("A file has mode 0600 and all of its blocks, whatever the umask")
  func room() throws {
    let writer = try RingWriter(recordingTo: path, layout)
    var status = stat()
    #expect(unsafe stat(path, &status) == 0)
    #expect(status.st_mode & 0o777 == 0o600)
    #expect(Int(status.st_blocks) * 512 >= writer.layout.regionSize)
  }

  @Test("A directory that is missing is an error that names the file")
  func noDirectory() {
    let path = directory.path + "/none/a.ring"
    let error = #expect(throws: RingFileError.self) {
      _ = try RingWriter(recordingTo: path, layout)
    }
    #expect(error?.description.contains(path) == true)
    #expect(error?.description.contains("No such file") == true)
  }

  @Test("More than 4,000 bytes of metadata are an error, and 4,000 are kept")
  func metadata() throws {
    let most = [UInt8](repeating: 7, count: 4_000)
    #expect(throws: RingFileError(path, .metadataTooLarge(byteCount: 4_001))) {
      _ = try RingWriter(recordingTo: path, layout, metadata: most + [7])
    }
    #expect(directory.names == [])
    let writer = try RingWriter(recordingTo: path, layout, metadata: most)
    #expect(writer.reader.metadata == most)
    #expect(try RingReader(attachingTo: path).metadata == most)
  }

  @Test("A ring of any size keeps its chunk limit, which grows with the capacity")
  func chunkLimit() throws {
    #expect(RingLayout(capacity: 1 << 20).chunkLimit == 64_512)
    #expect(RingLayout(capacity: 4 << 20).chunkLimit == 64_512)
    #expect(RingLayout(capacity: 5 << 20).chunkLimit == 129_024)
    #expect(RingLayout(capacity: 1 << 30).chunkLimit == 16_515_072)
    #expect(RingLayout(capacity: 1 << 30).slotCount == 1 << 24)
    let writer = try RingWriter(recordingTo: path, RingLayout(capacity: 8 << 20))
    #expect(writer.layout.slotCount == 1 << 17)
    #expect(try RingReader(attachingTo: path).layout.chunkLimit == writer.layout.chunkLimit)
  }

  // MARK: The producer's life

  @Test("The producer is alive until its last reference is gone; what it published stays")
  func alive() throws {
    var writer: RingWriter? = try RingWriter(recordingTo: path, layout)
    writer!.append("last words".utf8)
    let attached = try RingReader(attachingTo: path)
    #expect(attached.isProducerAlive)
    #expect(writer!.reader.isProducerAlive)
    writer = nil
    #expect(!attached.isProducerAlive)
    #expect(text(attached) == ["last words"])
    #expect(text(try RingReader(attachingTo: path)) == ["last words"])
  }

  @Test("A ring in memory has a producer that lives, and no metadata")
  func memory() {
    let reader = RingWriter(layout).reader
    #expect(reader.isProducerAlive)
    #expect(reader.isOfThisBoot)
    #expect(reader.metadata == [])
  }

  // MARK: Files that are no rings

  @Test("What is no regular file, or is too short, is no ring", arguments: ["/dev/zero", "/tmp"])
  func noFile(path: String) {
    #expect(throws: RingFileError(path, .notARing)) { _ = try RingReader(attachingTo: path) }
  }

  @Test("A FIFO is no ring, and attaching to one does not wait for its writer")
  func fifo() {
    #expect(unsafe mkfifo(path, 0o600) == 0)
    #expect(attachError() == .notARing)
  }

  @Test("A missing file is an error of open")
  func missing() { #expect(attachError() == .system("open", ENOENT)) }

  @Test("A header that a reader cannot use is refused, and the error says why")
  func headers() throws {
    let writer = try RingWriter(recordingTo: path, layout)
    let header = writer.layout.header
    func expect(_ word: UInt64, at index: Int, _ reason: RingFileError.Reason) throws {
      try put(word, at: index * 8)
      #expect(attachError() == reason, "word \(index)")
      try put(header[index], at: index * 8)
    }
    #expect(attachError() == nil)
    try expect(0, at: 0, .unfinished)
    try expect(header[0].byteSwapped, at: 0, .otherByteOrder)
    try expect(header[0] + 1, at: 0, .notARing)
    try expect(1, at: 1, .otherVersion(1))
    try expect(3, at: 1, .otherVersion(3))
    for index in 2..<RingLayout.headerCount {
      for word in [0, header[index] * 2, header[index] * 3, 1 << 62, .max] {
        try expect(word, at: index, .damagedHeader)
      }
    }
    for word in [1, 4_096, UInt64(RingLayout.maxCapacity) + 1, .max] {
      try put(word, at: RingLayout.headCapacityByte)
      #expect(attachError() == .damagedHeader)
    }
    try put(0, at: RingLayout.headCapacityByte)
    for word: UInt64 in [2, 3, 1 << 32, .max] {
      try put(word, at: RingLayout.featuresByte)
      #expect(attachError() == .unknownFeature)
    }
    // A ring without timestamps has no room for them.
    try put(1, at: RingLayout.featuresByte)
    #expect(attachError() == .damagedHeader)
    try put(0, at: RingLayout.featuresByte)
    #expect(attachError() == nil)
    #expect(writer.lastSeq == 0)
  }

  @Test("A file that is shorter or longer than its header says is refused")
  func sizes() throws {
    let writer = try RingWriter(recordingTo: path, layout)
    let size = off_t(writer.layout.regionSize)
    for other in [size + 1, size * 2, size - 1, size / 2] {
      #expect(unsafe truncate(path, other) == 0)
      #expect(attachError() == .damagedHeader)
    }
    for other in [383, 8, 0] {
      #expect(unsafe truncate(path, off_t(other)) == 0)
      #expect(attachError() == .notARing)
    }
  }

  @Test("Every error says what was wrong, on one line, and names the file")
  func descriptions() {
    let reasons: [RingFileError.Reason] = [
      .exists, .metadataTooLarge(byteCount: 5_000), .notARing, .unfinished, .otherByteOrder,
      .otherVersion(9), .unknownFeature, .damagedHeader, .system("posix_fallocate", ENOSPC),
      .system("open", EACCES),
    ]
    for reason in reasons {
      let text = RingFileError("/tmp/x.ring", reason).description
      #expect(text.contains("\"/tmp/x.ring\""))
      #expect(!text.contains("\n"))
    }
    #expect(Set(reasons.map { RingFileError("x", $0).description }).count == reasons.count)
  }

  // MARK: Damage

  /// Where the descriptor of a seq lies in the file.
  private func slot(_ seq: Int, _ layout: RingLayout) -> Int {
    layout.descriptorStart + (seq & (layout.slotCount - 1)) * 8
  }

  @Test("A damaged descriptor leaves the newest chunks, and counts those before it as missed")
  func damagedDescriptor() throws {
    var writer = try RingWriter(recordingTo: path, layout)
    for index in 1...20 { writer.append("chunk \(index)".utf8) }
    let attached = try RingReader(attachingTo: path)
    let whole = attached.read()
    #expect(whole.count == 20)
    // An end that is too small contradicts the one before it; one that is too large, the one
    // behind. Of the two, either may be wrong.
    for (word, first) in [(0, 12), (1 << 40, 13), (UInt64.max, 13)] {
      try put(word, at: slot(10, writer.layout))
      for reader in [attached, writer.reader, try RingReader(attachingTo: path)] {
        let batch = reader.read()
        #expect(batch.isDamaged)
        #expect(batch.map(\.seq) == Array(first...20))
        #expect(batch.map(\.data.description) == (first...20).map { "chunk \($0)" })
        #expect(batch.missedChunks == first - 1)
        #expect(batch.lastSeq == 20)
        let rest = reader.read(since: RingCursor(seq: 15))
        #expect(!rest.isDamaged)
        #expect(rest.map(\.seq) == Array(16...20))
      }
    }
  }

  @Test("[recording-damaged] A seq or an end that cannot be is damage, and nothing is read")
  func damagedCounters() throws {
    var writer = try RingWriter(recordingTo: path, layout)
    for index in 1...20 { writer.append("chunk \(index)".utf8) }
    let attached = try RingReader(attachingTo: path)
    let published = RingLayout.controlStart + 16
    for word in [UInt64.max, 1 << 63, 1 << 62] {
      try put(word, at: published)
      let batch = attached.read()
      #expect(batch.isDamaged)
      #expect(batch.isEmpty)
      #expect(!batch.hasMore)
      #expect(attached.lostBytes >= 0)
      #expect(attached.totalBytes >= 0)
    }
    try put(20, at: published)
    #expect(attached.read().count == 20)
    try put(0, at: slot(20, writer.layout))
    #expect(attached.read().isDamaged)
  }
}
