import Synchronization

/// Sessions by id, in shards with a lock each, so that neither look-ups nor a sweep through all of
/// them hold each other up for longer than one shard takes.
struct SessionTable: ~Copyable, Sendable {
  private let shards: [Shard]

  init(shardCount: Int = 256) {
    precondition(shardCount > 0 && shardCount & (shardCount - 1) == 0)
    shards = (0..<shardCount).map { _ in Shard() }
  }

  private func shard(of id: String) -> Shard { shards[id.hashValue & (shards.count - 1)] }

  /// - Complexity: O(1).
  func insert(_ session: Session) -> Session? {
    shard(of: session.id).contents.withLock { $0.insert(session) }
  }

  /// - Complexity: O(1).
  func session(id: String) -> Session? { shard(of: id).contents.withLock { $0.session(id: id) } }

  /// - Complexity: O(1).
  func remove(id: String) -> Session? { shard(of: id).contents.withLock { $0.remove(id: id) } }

  /// Removes whatever has expired, one shard after the other.
  func removeAll(where hasExpired: (borrowing Session) -> Bool) -> [Session] {
    var removed: [Session] = []
    for shard in shards {
      shard.contents.withLock { $0.removeAll(where: hasExpired, into: &removed) }
    }
    return removed
  }

  var count: Int { shards.reduce(0) { $0 + $1.contents.withLock { $0.count } } }

  var all: [Session] { shards.flatMap { $0.contents.withLock { $0.all } } }
}

/// A lock and what it guards; on a heap object of its own, away from its neighbours' cache lines.
private final class Shard: Sendable {
  let contents = Mutex(ShardContents())
}

/// A dictionary from id to place, and the sessions in an array, which a sweep runs through in order.
private struct ShardContents {
  private var places: [String: Int] = [:]
  private var sessions: [Session] = []

  var count: Int { sessions.count }
  var all: [Session] { sessions }

  func session(id: String) -> Session? { places[id].map { sessions[$0] } }

  mutating func insert(_ session: Session) -> Session? {
    if let place = places[session.id] {
      let replaced = sessions[place]
      sessions[place] = session
      return replaced
    }
    places[session.id] = sessions.count
    sessions.append(session)
    return nil
  }

  mutating func remove(id: String) -> Session? { places[id].map { remove(at: $0) } }

  /// The last session takes the place of the one removed.
  private mutating func remove(at place: Int) -> Session {
    let removed = sessions[place]
    places[removed.id] = nil
    let last = sessions.removeLast()
    if place < sessions.count {
      sessions[place] = last
      places[last.id] = place
    }
    return removed
  }

  mutating func removeAll(where hasExpired: (borrowing Session) -> Bool, into removed: inout [Session])
  {
    // From the end, because a removal moves only what has been looked at.
    for place in sessions.indices.reversed() where hasExpired(sessions[place]) {
      removed.append(remove(at: place))
    }
  }
}
