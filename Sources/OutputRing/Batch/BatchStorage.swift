/// The memory of one batch: one allocation, which the batch and its chunks share.
///
/// ```
///  ┌───────────────┬──────────────────────────────────────┬─────────────────────────────┐
///  │ object header │ descriptors: the first chunk's       │ payload, from the first     │
///  │ and counts    │ predecessor's, then one per chunk    │ chunk's first byte          │
///  └───────────────┴──────────────────────────────────────┴─────────────────────────────┘
/// ```
///
/// Written only while uniquely referenced; after that, what it holds never changes.
@safe
@usableFromInline
struct BatchStorage: @unchecked Sendable {
  @usableFromInline
  struct Counts {
    /// The words allocated, for descriptors and payload together.
    let words: Int
    /// The words in use for descriptors; the payload begins behind them.
    @usableFromInline var descriptors: Int
  }

  @usableFromInline var buffer: ManagedBuffer<Counts, UInt64>

  /// Allocates room for a batch.
  init(bytes: Int, descriptors: Int) {
    let words = Self.wordsNeeded(bytes: bytes, descriptors: descriptors)
    buffer = .create(minimumCapacity: words) { _ in Counts(words: words, descriptors: descriptors) }
  }

  /// Makes room in memory that is there, if it is large enough and nobody else refers to it.
  mutating func reuse(bytes: Int, descriptors: Int) -> Bool {
    guard isKnownUniquelyReferenced(&buffer),
      buffer.header.words >= Self.wordsNeeded(bytes: bytes, descriptors: descriptors)
    else { return false }
    buffer.header.descriptors = descriptors
    return true
  }

  private static func wordsNeeded(bytes: Int, descriptors: Int) -> Int {
    descriptors + (bytes + 7) / 8
  }

  /// - Safety: valid while the storage is referenced; see `extendLifetime`.
  @unsafe
  @inlinable
  var descriptors: UnsafeMutablePointer<UInt64> {
    @inline(__always) get { unsafe buffer.withUnsafeMutablePointerToElements { unsafe $0 } }
  }

  /// - Safety: valid while the storage is referenced; see `extendLifetime`.
  @unsafe
  @inlinable
  var payload: UnsafeMutableRawPointer {
    @inline(__always) get {
      // By the header's address: `buffer.header` would be checked for exclusive access each time.
      unsafe buffer.withUnsafeMutablePointers { header, elements in
        unsafe UnsafeMutableRawPointer(elements + header.pointee.descriptors)
      }
    }
  }
}

/// Chunks that lie in a batch's storage, while a read is still confirming them.
struct LocalChunks {
  let storage: BatchStorage
  /// The seq of chunk 0.
  let firstSeq: Int
  let count: Int
  /// Where chunk 0 begins, and with it the payload in storage.
  let begin: Int

  /// Where the last chunk ends.
  var end: Int { unsafe Descriptor(word: storage.descriptors[count]).end }

  /// Where a chunk begins; for `count`, where the last one ends.
  ///
  /// Only chunk 0 can be larger than the cap: it would have evicted whatever came before it.
  func begin(_ index: Int) -> Int {
    index == 0 ? begin : unsafe Descriptor(word: storage.descriptors[index]).end
  }

  /// The first chunk from `start` on that begins at an offset or after it; `count` if none does.
  ///
  /// Descriptors before `start` may have been reused while they were copied, and are not looked at.
  func firstBeginning(at offset: Int, from start: Int) -> Int {
    var (left, right) = (start, count)
    while left < right {
      let middle = (left + right) / 2
      if begin(middle) < offset { left = middle + 1 } else { right = middle }
    }
    return left
  }
}
