package import ProcessHost

/// The state of a process that answers give in addition to its output.
package struct Ending: Sendable {
  /// The name of the signal that ended the process; nil if none did.
  package var signal: String?
  /// Whether the process was ended because its time was up.
  package var hasTimedOut = false
  /// Whether the system has killed the process, or one that it started, for lack of memory; nil
  /// before its end, and if that is unknown.
  package var wasOOMKilled: Bool?
  /// Nil before its end.
  package var usage: ResourceUsage?
  /// The number of bytes that arrived after the session had been closed.
  package var droppedBytes = 0
  /// Whether the session has been removed: the next request about it is answered with that.
  package var isForgotten = false

  package init(signal: String? = nil) { self.signal = signal }
}

extension ResourceUsage {
  /// Returns a time in seconds, with six digits after the point.
  static func seconds(_ time: Duration) -> String {
    let (seconds, attoseconds) = time.components
    let microseconds = String(attoseconds / 1_000_000_000_000)
    let zeros = String(repeating: "0", count: max(0, 6 - microseconds.count))
    return "\(seconds).\(zeros)\(microseconds)"
  }

  var json: JSON {
    [
      "user_seconds": .number(Self.seconds(userTime)),
      "system_seconds": .number(Self.seconds(systemTime)),
      "max_rss_bytes": .int(peakResidentBytes),
    ]
  }
}

extension Ending {
  /// The end of the process, in the order in which answers and events give it.
  var members: [(name: String, value: JSON)] {
    [
      ("signal", .optional(signal)), ("timed_out", .bool(hasTimedOut)),
      ("oom_killed", wasOOMKilled.map { .bool($0) } ?? .null), ("rusage", usage?.json ?? .null),
    ]
  }
}
