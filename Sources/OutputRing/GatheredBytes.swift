/// Bytes that are gathered piece by piece in memory of their own, to become ``ChunkBytes``.
///
/// A value: a copy that is appended to gets memory of its own.
package struct GatheredBytes: Sendable {
  private var storage: BatchStorage?
  /// The number of bytes.
  package private(set) var count = 0

  /// Creates an empty collection, without memory.
  package init() {}

  /// Whether there are no bytes.
  package var isEmpty: Bool { count == 0 }

  /// Appends bytes.
  ///
  /// - Complexity: O(number of bytes appended) on average.
  package mutating func append(_ bytes: ChunkBytes) {
    let added = bytes.count
    guard added > 0 else { return }
    makeRoom(for: count + added)
    unsafe bytes.withUnsafeBytes { bytes in
      unsafe (storage!.payload + count).copyMemory(from: bytes.baseAddress!, byteCount: added)
    }
    count += added
  }

  /// Returns the bytes gathered so far, and begins anew.
  ///
  /// - Complexity: O(1); nothing is copied.
  package mutating func take() -> ChunkBytes {
    defer { self = GatheredBytes() }
    return ChunkBytes(storage: storage, origin: 0, count: count)
  }

  /// The byte at an index.
  ///
  /// - Precondition: `index` is less than ``count``.
  package subscript(index: Int) -> UInt8 {
    precondition(0 <= index && index < count, "byte \(index) is not among the \(count) gathered")
    return unsafe storage!.payload.load(fromByteOffset: index, as: UInt8.self)
  }

  private mutating func makeRoom(for needed: Int) {
    if storage != nil, storage!.reuse(bytes: needed, descriptors: 0) { return }
    // Twice as much as is needed if there was some already, so that bytes are seldom moved.
    let fresh = BatchStorage(bytes: count == 0 ? needed : 2 * needed, descriptors: 0)
    if count > 0 {
      unsafe fresh.payload.copyMemory(from: storage!.payload, byteCount: count)
    }
    storage = fresh
  }
}
