#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The payload of a chunk: a slice of the memory that the chunks of one read share.
///
/// Indices start at 0, whatever the slice's place in that memory; a slice of it keeps its indices,
/// as an `ArraySlice` does. Holding one chunk's bytes keeps the memory of the whole read alive:
/// copy them (`Array(chunk.data)`) to keep a few for long.
@safe
public struct ChunkBytes: RandomAccessCollection, Sendable {
  @usableFromInline let storage: BatchStorage?
  /// Where index 0 lies in the storage's payload.
  @usableFromInline let origin: Int
  /// 0 for a chunk's bytes; the first index of a slice of them.
  public let startIndex: Int
  /// Just behind the last byte.
  public let endIndex: Int

  init(storage: BatchStorage?, origin: Int, count: Int) {
    self.storage = storage
    self.origin = origin
    startIndex = 0
    endIndex = count
  }

  @inlinable
  init(_ whole: ChunkBytes, _ bounds: Range<Int>) {
    storage = whole.storage
    origin = whole.origin
    startIndex = bounds.lowerBound
    endIndex = bounds.upperBound
  }

  /// Takes a slice, and counts its indices from 0.
  package init(rebasing slice: ChunkBytes) {
    self.init(
      storage: slice.storage, origin: slice.origin + slice.startIndex, count: slice.count)
  }

  /// The byte at an index.
  ///
  /// - Precondition: `index` is within the slice.
  /// - Complexity: O(1).
  @inlinable
  public subscript(index: Int) -> UInt8 {
    precondition(
      startIndex <= index && index < endIndex,
      "index \(index) is not among the chunk's \(startIndex)..<\(endIndex)")
    return unsafe storage!.payload.load(fromByteOffset: origin + index, as: UInt8.self)
  }

  /// Returns a part of the slice, with the same indices.
  ///
  /// - Precondition: `bounds` is within the slice.
  /// - Complexity: O(1).
  @inlinable
  public subscript(bounds: Range<Int>) -> ChunkBytes {
    precondition(
      startIndex <= bounds.lowerBound && bounds.upperBound <= endIndex,
      "range \(bounds) is not within the chunk's \(startIndex)..<\(endIndex)")
    return ChunkBytes(self, bounds)
  }

  /// Calls a closure with the bytes, without copying them.
  ///
  /// - Complexity: O(1) besides `body`.
  @inlinable
  public func withUnsafeBytes<Result: ~Copyable, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    guard let storage else {
      return try unsafe body(UnsafeRawBufferPointer(start: nil, count: 0))
    }
    defer { extendLifetime(storage) }
    return try unsafe body(
      UnsafeRawBufferPointer(start: storage.payload + origin + startIndex, count: count))
  }

  /// Calls a closure with the bytes, without copying them. Never returns nil.
  @inlinable
  public func withContiguousStorageIfAvailable<Result>(
    _ body: (UnsafeBufferPointer<UInt8>) throws -> Result
  ) rethrows -> Result? {
    try unsafe withUnsafeBytes { try unsafe $0.withMemoryRebound(to: UInt8.self, body) }
  }

  /// The bytes, without copying them.
  ///
  /// - Complexity: O(1).
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    get {
      let span =
        if let storage {
          unsafe RawSpan(
            _unsafeStart: storage.payload + origin + startIndex, byteCount: endIndex - startIndex)
        } else {
          RawSpan()
        }
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }
}

extension ChunkBytes: Sequence {
  /// Iterates over the bytes, and keeps the memory alive.
  @safe
  public struct Iterator: IteratorProtocol, @unchecked Sendable {
    @usableFromInline let storage: BatchStorage?
    @usableFromInline var position: UnsafeRawPointer?
    @usableFromInline let end: UnsafeRawPointer?

    @inlinable
    init(_ bytes: ChunkBytes) {
      storage = bytes.storage
      unsafe (position, end) = bytes.withUnsafeBytes { bytes in
        unsafe (bytes.baseAddress, bytes.baseAddress.map { unsafe $0 + bytes.count })
      }
    }

    /// Returns the next byte; nil behind the last.
    @inlinable
    public mutating func next() -> UInt8? {
      guard let here = unsafe position, unsafe here != end else { return nil }
      defer { extendLifetime(storage) }
      unsafe position = here + 1
      return unsafe here.load(as: UInt8.self)
    }
  }

  /// Returns an iterator that begins at the first byte.
  @inlinable
  public func makeIterator() -> Iterator { Iterator(self) }

  /// Copies for `Array(bytes)`, `array += bytes` and the like: one `memcpy`.
  @inlinable
  public func _copyContents(
    initializing destination: UnsafeMutableBufferPointer<UInt8>
  ) -> (Iterator, Int) {
    let copied = Swift.min(count, destination.count)
    unsafe withUnsafeBytes { bytes in
      unsafe UnsafeMutableRawBufferPointer(destination).copyMemory(
        from: UnsafeRawBufferPointer(rebasing: bytes[..<copied]))
    }
    return (Iterator(self[(startIndex + copied)...]), copied)
  }
}

extension ChunkBytes: Equatable {
  /// Returns whether two slices have the same bytes, wherever their indices start.
  public static func == (left: ChunkBytes, right: ChunkBytes) -> Bool {
    guard left.count == right.count else { return false }
    return unsafe left.withUnsafeBytes { left in
      unsafe right.withUnsafeBytes { right in
        guard let first = left.baseAddress, let second = right.baseAddress else { return true }
        return unsafe memcmp(first, second, left.count) == 0
      }
    }
  }
}

extension ChunkBytes: Hashable {
  /// Hashes the bytes, wherever the indices start.
  ///
  /// - Complexity: O(`count`).
  public func hash(into hasher: inout Hasher) {
    hasher.combine(count)
    unsafe withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
  }
}

extension ChunkBytes: CustomStringConvertible {
  /// The bytes as text, with U+FFFD for what is not valid UTF-8.
  public var description: String { String(self) }
}

extension String {
  /// Creates a string of bytes as UTF-8, with U+FFFD for what is not valid.
  ///
  /// A character of which a chunk holds only a part is not valid in it.
  ///
  /// - Complexity: O(`bytes.count`); the bytes are copied once.
  public init(_ bytes: ChunkBytes) { self.init(decoding: bytes, as: UTF8.self) }
}
