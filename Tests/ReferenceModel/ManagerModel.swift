/// The sessions of a manager, in an array, with their last activity.
package struct ManagerModel: Sendable {
  /// A session: its name, and which of all sessions ever made it is.
  package struct Entry: Equatable, Sendable {
    package var id: Int
    package var serial: Int
  }

  package let idleTimeout: Int64
  package private(set) var entries: [Entry] = []
  private var lastActivity: [Int64] = []
  /// Whether a session was registered, and is not any more.
  private var isForgotten: [Bool] = []

  package init(idleTimeout: Int64) { self.idleTimeout = idleTimeout }

  /// A session comes to be, not registered yet; returns its serial number.
  package mutating func create(now: Int64) -> Int {
    lastActivity.append(now)
    isForgotten.append(false)
    return lastActivity.count - 1
  }

  package func lastActivity(of serial: Int) -> Int64 { lastActivity[serial] }

  package func isForgotten(_ serial: Int) -> Bool { isForgotten[serial] }

  package mutating func touch(_ serial: Int, now: Int64) { lastActivity[serial] = now }

  /// Returns the session replaced.
  package mutating func register(_ entry: Entry, now: Int64) -> Entry? {
    touch(entry.serial, now: now)
    let replaced = forget(entry.id)
    entries.append(entry)
    isForgotten[entry.serial] = false
    return replaced
  }

  package func session(_ id: Int) -> Entry? { entries.first { $0.id == id } }

  package mutating func forget(_ id: Int) -> Entry? {
    guard let place = entries.firstIndex(where: { $0.id == id }) else { return nil }
    isForgotten[entries[place].serial] = true
    return entries.remove(at: place)
  }

  /// Returns the sessions dropped: those idle for longer than the timeout, not those idle as long.
  package mutating func sweep(now: Int64) -> [Entry] {
    let dropped = entries.filter { now - lastActivity[$0.serial] > idleTimeout }
    entries.removeAll { dropped.contains($0) }
    for entry in dropped { isForgotten[entry.serial] = true }
    return dropped
  }
}
