import CRingShims

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The file that a ring lies in: one open file description, as the producer or as a reader.
///
/// The producer's description has a lock on the file, which the kernel releases when the producer's
/// program ends, by whatever signal. So a reader asks the kernel whether the producer lives, and
/// trusts no PID.
///
/// The file appears under its name when it is complete. It is made under another name: its room is
/// allocated, so that a full disk is an error here and not a signal later; its header and metadata
/// are stored, and then the magic, with release; and last it is linked to its name.
package final class RingFile: Sendable {
  private let descriptor: Int32
  /// Whether this is the producer's description.
  private let isProducers: Bool

  private init(descriptor: Int32, isProducers: Bool) {
    self.descriptor = descriptor
    self.isProducers = isProducers
  }

  deinit {
    if isProducers { ring_unlock_file(descriptor) }
    close(descriptor)
  }

  /// Whether the program that made the file still has it open to write.
  ///
  /// Where the system cannot tell, the producer counts as alive.
  package var isProducerAlive: Bool { isProducers || ring_file_is_locked(descriptor) != 0 }

  /// Returns what the system knows of the file.
  ///
  /// - Parameter path: The file's name, for errors.
  package func status(_ path: String) throws(RingFileError) -> FileStatus {
    try FileStatus(of: descriptor, path)
  }

  /// Whether the file has so many bytes at least, as far as the system can tell.
  func hasBytes(_ count: Int) -> Bool {
    guard let status = try? status("") else { return false }
    return status.size >= count
  }
}

// MARK: Creation

extension RingFile {
  /// Creates a file and the memory of a ring in it.
  ///
  /// - Complexity: O(size of the region): all of its room is allocated.
  static func create(
    at path: String, _ layout: RingLayout, metadata: [UInt8]
  ) throws(RingFileError) -> RingMemory {
    guard metadata.count <= RingFileError.metadataLimit else {
      throw RingFileError(path, .metadataTooLarge(byteCount: metadata.count))
    }
    try check(path)
    var layout = layout
    layout.metadataCapacity = RingLayout.metadataRoom

    var template = Array((directory(of: path) + "/\(temporaryPrefix)XXXXXX").utf8CString)
    let descriptor = unsafe ring_make_temporary_file(&template)
    guard descriptor >= 0 else { throw RingFileError(path, .system("mkostemp", errno)) }
    let file = RingFile(descriptor: descriptor, isProducers: true)
    defer { unsafe unlink(template) }

    guard ring_lock_file(descriptor) == 0 else {
      throw RingFileError(path, .system("fcntl", errno))
    }
    // The umask may have taken bits away.
    guard fchmod(descriptor, 0o600) == 0 else {
      throw RingFileError(path, .system("fchmod", errno))
    }
    let code = ring_allocate_file(descriptor, Int64(layout.regionSize))
    guard code == 0 else { throw RingFileError(path, .system("posix_fallocate", code)) }
    let base = try unsafe file.map(layout.regionSize, PROT_READ | PROT_WRITE, path)
    let memory: RingMemory
    do throws(RingFileError) {
      memory = try unsafe file.memory(base, layout, path)
    } catch {
      unsafe munmap(base, layout.regionSize)
      throw error
    }
    #if canImport(Glibc) || canImport(Musl)
      // A mapping that a forked child keeps would keep the lock.
      unsafe madvise(base, layout.regionSize, Int32(MADV_DONTFORK))
    #endif
    unsafe layout.store(at: base, metadata: metadata)
    guard unsafe link(template, path) == 0 else {
      throw RingFileError(path, errno == EEXIST ? .exists : .system("link", errno))
    }
    return memory
  }

  /// Refuses a path that the system would take for the part of it before a zero byte.
  package static func check(_ path: String) throws(RingFileError) {
    if path.utf8.contains(0) { throw RingFileError(path, .system("open", EINVAL)) }
  }

  /// How the name of a file begins that is being made, or that its maker has left.
  package static let temporaryPrefix = ".ring."

  private static func directory(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return String(path[..<slash])
  }

  /// Returns the memory of the ring in a mapping of this file.
  private func memory(
    _ base: UnsafeMutableRawPointer, _ layout: RingLayout, _ path: String
  ) throws(RingFileError) -> RingMemory {
    let page = unsafe mmap(
      nil, RingMemory.cachePageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0)
    guard let page = unsafe page, unsafe page != MAP_FAILED else {
      throw RingFileError(path, .system("mmap", errno))
    }
    return unsafe RingMemory(base, layout, file: self, cachePage: page)
  }

  private func map(
    _ size: Int, _ protection: Int32, _ path: String
  ) throws(RingFileError) -> UnsafeMutableRawPointer {
    let base = unsafe mmap(nil, size, protection, MAP_SHARED, descriptor, 0)
    guard let base = unsafe base, unsafe base != MAP_FAILED else {
      throw RingFileError(path, .system("mmap", errno))
    }
    return unsafe base
  }
}

extension RingLayout {
  /// Stores the header of a new ring, in memory that is zero otherwise: the magic last, and with
  /// release, so that a reader that finds it finds everything else.
  func store(at base: UnsafeMutableRawPointer, metadata: [UInt8] = []) {
    let words = unsafe base.assumingMemoryBound(to: UInt64.self)
    for (index, word) in header.enumerated().dropFirst() {
      unsafe ring_store_relaxed(words + index, word)
    }
    unsafe ring_store_relaxed(words + Self.headCapacityByte / 8, UInt64(headCapacity))
    unsafe ring_store_relaxed(
      words + Self.featuresByte / 8, hasTimestamps ? Self.timestampsFeature : 0)
    if metadataCapacity > 0 {
      unsafe ring_store_relaxed(words + Self.metadataCountByte / 8, UInt64(metadata.count))
      let boot = Boot.current
      unsafe ring_store_relaxed(words + Self.bootByte / 8, boot.high)
      unsafe ring_store_relaxed(words + Self.bootByte / 8 + 1, boot.low)
      unsafe metadata.withUnsafeBytes { unsafe (base + Self.metadataStart).copyMemory($0) }
    }
    // RING(magic), pairs with RING(attach): a reader that finds the magic finds all of the above.
    unsafe ring_store_release(words, Self.magic)
  }
}

extension UnsafeMutableRawPointer {
  /// Copies a buffer to this place.
  fileprivate func copyMemory(_ source: UnsafeRawBufferPointer) {
    if let start = source.baseAddress { unsafe copyMemory(from: start, byteCount: source.count) }
  }
}

// MARK: Attaching

extension RingFile {
  /// Opens a file to read it, whatever it is.
  package convenience init(reading path: String) throws(RingFileError) {
    try Self.check(path)
    // Not blocking: a FIFO would make this wait for a writer.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    guard descriptor >= 0 else { throw RingFileError(path, .system("open", errno)) }
    self.init(descriptor: descriptor, isProducers: false)
  }

  /// Maps the file of a ring to read it. Nothing in it is believed.
  static func attach(to path: String) throws(RingFileError) -> RingMemory {
    let file = try RingFile(reading: path)
    let status = try file.status(path)
    guard status.isRegular, status.size >= RingLayout.metadataStart else {
      throw RingFileError(path, .notARing)
    }
    // Before it is mapped: a file of any other kind may be cut short at any time, and must not end
    // this program by SIGBUS.
    try checkMagic(file.firstWord(path), path)
    let base = try unsafe file.map(status.size, PROT_READ, path)
    do throws(RingFileError) {
      return try unsafe file.memory(base, try layout(at: base, size: status.size, path), path)
    } catch {
      unsafe munmap(base, status.size)
      throw error
    }
  }

  /// Returns the first word, by a system call.
  private func firstWord(_ path: String) throws(RingFileError) -> UInt64 {
    var word: UInt64 = 0
    let count = unsafe withUnsafeMutableBytes(of: &word) { bytes in
      unsafe pread(descriptor, bytes.baseAddress!, bytes.count, 0)
    }
    guard count >= 0 else { throw RingFileError(path, .system("pread", errno)) }
    guard count == 8 else { throw RingFileError(path, .notARing) }
    return word
  }

  private static func checkMagic(_ word: UInt64, _ path: String) throws(RingFileError) {
    switch word {
    case RingLayout.magic: break
    case RingLayout.magic.byteSwapped: throw RingFileError(path, .otherByteOrder)
    case 0: throw RingFileError(path, .unfinished)
    default: throw RingFileError(path, .notARing)
    }
  }

  /// Returns the layout that a file's header describes, after checking it against the file's size.
  private static func layout(
    at base: UnsafeMutableRawPointer, size: Int, _ path: String
  ) throws(RingFileError) -> RingLayout {
    let words = unsafe base.assumingMemoryBound(to: UInt64.self)
    // RING(attach), pairs with RING(magic).
    try checkMagic(unsafe ring_load_acquire(words), path)
    // Loaded once: the words may change, and what was checked must be what is used.
    var header = [RingLayout.magic]
    for index in 1..<RingLayout.headerCount {
      header.append(unsafe ring_load_relaxed(words + index))
    }
    guard header[1] == RingLayout.version else {
      throw RingFileError(path, .otherVersion(header[1]))
    }
    let headCapacity = unsafe ring_load_relaxed(words + RingLayout.headCapacityByte / 8)
    let features = unsafe ring_load_relaxed(words + RingLayout.featuresByte / 8)
    guard [0, RingLayout.timestampsFeature].contains(features) else {
      throw RingFileError(path, .unknownFeature)
    }
    guard
      let layout = RingLayout(
        header: header, headCapacity: headCapacity,
        timestamps: features == RingLayout.timestampsFeature),
      layout.regionSize == size
    else { throw RingFileError(path, .damagedHeader) }
    return layout
  }
}

extension RingFile {
  /// Whether a file with the name of one that is being made is what its maker has left, having been
  /// killed on the way: empty, without a header, or complete and with a second name perhaps.
  ///
  /// - Parameter path: The file's name, for errors.
  package func isLeftover(_ path: String) throws(RingFileError) -> Bool {
    guard !isProducerAlive else { return false }
    if try status(path).size == 0 { return true }
    return [0, RingLayout.magic].contains(try firstWord(path))
  }
}

extension RingMemory {
  /// The bytes that the owner left in a file, as they are now.
  var metadata: [UInt8] {
    let count = min(headerWord(RingLayout.metadataCountByte), UInt64(layout.metadataCapacity))
    return unsafe Array(
      UnsafeRawBufferPointer(start: base + RingLayout.metadataStart, count: Int(count)))
  }

  /// Whether the machine has not been started anew since a file was made.
  var isOfThisBoot: Bool {
    Boot(high: headerWord(RingLayout.bootByte), low: headerWord(RingLayout.bootByte + 8))
      == .current
  }

  private func headerWord(_ byte: Int) -> UInt64 {
    unsafe ring_load_relaxed((base + byte).assumingMemoryBound(to: UInt64.self))
  }
}

// MARK: Boots

/// The number by which the system tells one boot of the machine from another; 0 if it does not.
private struct Boot: Equatable {
  let high: UInt64
  let low: UInt64

  static let current: Boot = {
    var text = [UInt8](repeating: 0, count: 64)
    var count = 0
    #if canImport(Darwin)
      var size = text.count
      if unsafe sysctlbyname("kern.bootsessionuuid", &text, &size, nil, 0) == 0 { count = size }
    #else
      let descriptor = unsafe open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
      if descriptor >= 0 {
        count = unsafe max(0, read(descriptor, &text, text.count))
        close(descriptor)
      }
    #endif
    let digits = text.prefix(count).compactMap { Character(UnicodeScalar($0)).hexDigitValue }
    func word(_ digits: some Sequence<Int>) -> UInt64 {
      digits.reduce(0) { $0 << 4 | UInt64($1) }
    }
    return Boot(high: word(digits.prefix(16)), low: word(digits.dropFirst(16).prefix(16)))
  }()
}

// MARK: Errors

/// An error that says why a ring cannot be created in a file, or found in one.
public struct RingFileError: Error, Sendable, Hashable {
  /// What was wrong.
  public enum Reason: Sendable, Hashable {
    /// There is a file of that name already.
    case exists
    /// The metadata are larger than 4,000 bytes.
    case metadataTooLarge(byteCount: Int)
    /// The file is no ring.
    case notARing
    /// The program that was creating the ring has not finished, or was killed before it had.
    case unfinished
    /// The ring was made on a machine with another byte order.
    case otherByteOrder
    /// The ring was made by another version of this library.
    case otherVersion(UInt64)
    /// The ring has a part that this version of the library does not know.
    case unknownFeature
    /// The header contradicts itself, or the size of the file.
    case damagedHeader
    /// A system call failed: its name and the error's number.
    case system(_ call: String, _ code: Int32)
  }

  /// The path as it was given.
  public let path: String
  /// What was wrong.
  public let reason: Reason

  /// The most bytes of metadata.
  package static let metadataLimit = 4_000

  package init(_ path: String, _ reason: Reason) {
    self.path = path
    self.reason = reason
  }
}

extension RingFileError: CustomStringConvertible {
  /// What was wrong, and what to do.
  public var description: String {
    let file = path.debugDescription
    return switch reason {
    case .exists:
      "there is a file \(file) already, and a ring is never written twice: "
        + "remove it, or choose another name"
    case .metadataTooLarge(let count):
      "the metadata for \(file) have \(count) bytes, and at most \(Self.metadataLimit) have room"
    case .notARing: "\(file) is no output ring"
    case .unfinished:
      "\(file) is an output ring that is not finished: the program that makes it has not come to "
        + "the end, or was killed on the way"
    case .otherByteOrder:
      "\(file) was written on a machine with another byte order: read it on such a machine"
    case .otherVersion(let version):
      "\(file) has version \(version) of the format, and this program reads \(RingLayout.version): "
        + "read it with the program that wrote it"
    case .unknownFeature:
      "\(file) has a part that this program does not know: read it with the program that wrote it"
    case .damagedHeader:
      "\(file) is damaged: its header contradicts itself, or the size of the file"
    case .system("posix_fallocate", let code) where code == ENOSPC:
      "there is no room for \(file): \(unsafe String(cString: strerror(code)))"
    case .system(let call, let code):
      "\(file): \(call): \(unsafe String(cString: strerror(code)))"
    }
  }
}
