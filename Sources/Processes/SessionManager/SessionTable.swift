/// Sessions by id, in shards with a lock each. So a look-up and a sweep through all sessions hold
/// each other up for no longer than one shard takes.
@safe
struct SessionTable: ~Copyable, @unchecked Sendable {
  private let shards: UnsafeMutablePointer<Shard>

  /// A power of two.
  private static let shardCount = 256

  /// - Parameter forgetsDropped: Whether a session is forgotten (``SessionReader/isForgotten``)
  ///   when it leaves the table.
  init(forgetsDropped: Bool) {
    // No array of objects: counting references to a shard would cost as much as its lock.
    unsafe shards = .allocate(capacity: Self.shardCount)
    for index in 0..<Self.shardCount {
      unsafe (shards + index).initialize(to: Shard(forgetsDropped: forgetsDropped))
    }
  }

  deinit {
    unsafe shards.deinitialize(count: Self.shardCount)
    unsafe shards.deallocate()
  }

  /// - Complexity: O(1).
  func insert(_ session: Session) -> Session? {
    withShard(of: session.id) { $0.insert(session) }
  }

  /// - Complexity: O(1).
  func session(id: String) -> Session? { withShard(of: id) { $0.session(id: id) } }

  /// - Complexity: O(1).
  func remove(id: String) -> Session? { withShard(of: id) { $0.remove(id: id) } }

  /// Removes a session, unless another session has its id by now.
  ///
  /// - Complexity: O(1).
  func remove(_ session: Session) -> Bool {
    withShard(of: session.id) { shard in
      guard shard.session(id: session.id) === session else { return false }
      return shard.remove(id: session.id) != nil
    }
  }

  /// Removes the expired sessions, one shard after the other.
  func removeAll(where hasExpired: (borrowing Session) -> Bool) -> [Session] {
    var removed: [Session] = []
    forEachShard { $0.removeAll(where: hasExpired, into: &removed) }
    return removed
  }

  var count: Int {
    var count = 0
    forEachShard { count += $0.count }
    return count
  }

  var all: [Session] {
    var all: [Session] = []
    forEachShard { all += $0.all }
    return all
  }

  @inline(__always)
  private func withShard<Result>(
    of id: String, _ body: (inout ShardContents) -> sending Result
  ) -> sending Result {
    unsafe shards[Self.shardIndex(id)].contents.withLock { body(&$0) }
  }

  @inline(__always)
  private func forEachShard(_ body: (inout ShardContents) -> Void) {
    for index in 0..<Self.shardCount { unsafe shards[index].contents.withLock { body(&$0) } }
  }

  /// Returns a hash of the id's first and last bytes and its length. It only spreads the load: ids
  /// chosen to collide share one lock, and the dictionary behind it uses the standard library's
  /// keyed hashing.
  @inline(__always)
  private static func shardIndex(_ id: String) -> Int {
    let hash = unsafe id.utf8.withContiguousStorageIfAvailable { unsafe mix($0) }
    if let hash { return hash }
    return unsafe Array(id.utf8).withUnsafeBufferPointer { unsafe mix($0) }
  }

  @inline(__always)
  private static func mix(_ id: UnsafeBufferPointer<UInt8>) -> Int {
    let bytes = UnsafeRawBufferPointer(id)
    var first: UInt64 = 0
    var last: UInt64 = 0
    if bytes.count >= 8 {
      unsafe first = bytes.loadUnaligned(as: UInt64.self)
      unsafe last = bytes.loadUnaligned(fromByteOffset: bytes.count - 8, as: UInt64.self)
    } else {
      for index in 0..<bytes.count { unsafe first = first << 8 | UInt64(bytes[index]) }
    }
    // Fibonacci hashing: the product's upper bits depend on all of both words.
    let word = first ^ (last << 29 | last >> 35) ^ UInt64(bytes.count)
    return Int((word &* 0x9e37_79b9_7f4a_7c15) >> 32) & (shardCount - 1)
  }
}

/// A lock and what it guards, a cache line away from its neighbours'.
private struct Shard: ~Copyable {
  let contents: LockedState<ShardContents>
  private let padding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) =
    (0, 0, 0, 0, 0, 0, 0, 0)

  init(forgetsDropped: Bool) {
    contents = LockedState(ShardContents(forgetsDropped: forgetsDropped))
  }
}

/// A dictionary for look-ups, and an array for sweeps, which run through it in order.
///
/// Whether a session is forgotten changes together with the table, under the same lock. Otherwise a
/// thread that registers a session and one that drops it could leave the two inconsistent.
private struct ShardContents {
  private let forgetsDropped: Bool

  init(forgetsDropped: Bool) { self.forgetsDropped = forgetsDropped }

  private struct Entry {
    var session: Session
    /// Its index in `sessions`.
    var place: Int
  }

  private var entries: [SessionKey: Entry] = [:]
  private var sessions: [Session] = []

  var count: Int { sessions.count }
  var all: [Session] { sessions }

  func session(id: String) -> Session? { entries[SessionKey(id)]?.session }

  mutating func insert(_ session: Session) -> Session? {
    let key = SessionKey(session.id)
    session.isForgotten = false
    if let replaced = entries[key] {
      if replaced.session !== session { markForgotten(replaced.session) }
      entries[key]!.session = session
      sessions[replaced.place] = session
      return replaced.session
    }
    entries[key] = Entry(session: session, place: sessions.count)
    sessions.append(session)
    return nil
  }

  private func markForgotten(_ session: Session) {
    if forgetsDropped { session.isForgotten = true }
  }

  /// The last session takes the place of the one removed.
  mutating func remove(id: String) -> Session? {
    guard let removed = entries.removeValue(forKey: SessionKey(id)) else { return nil }
    markForgotten(removed.session)
    let last = sessions.removeLast()
    if removed.place < sessions.count {
      sessions[removed.place] = last
      entries[SessionKey(last.id)]!.place = removed.place
    }
    return removed.session
  }

  mutating func removeAll(
    where hasExpired: (borrowing Session) -> Bool, into removed: inout [Session]
  ) {
    var expired: [String] = []
    unsafe sessions.withUnsafeBufferPointer { sessions in
      for index in sessions.indices {
        // Read without counting a reference, which would be an atomic operation on a cold line for
        // each session, and most of a sweep's cost.
        unsafe Unmanaged.passUnretained(sessions[index])._withUnsafeGuaranteedRef { session in
          if hasExpired(session) { expired.append(session.id) }
        }
      }
    }
    for id in expired { removed.append(remove(id: id)!) }
  }
}
