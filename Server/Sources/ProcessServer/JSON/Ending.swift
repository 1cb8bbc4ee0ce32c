import ProcessHost

/// The state of a process that answers give in addition to its output.
package struct Ending: Sendable {
  /// The processor time and memory that a process has used.
  package struct Usage: Sendable {
    package var userTime: Duration
    package var systemTime: Duration
    package var peakResidentBytes: Int

    package init(userTime: Duration, systemTime: Duration, peakResidentBytes: Int) {
      self.userTime = userTime
      self.systemTime = systemTime
      self.peakResidentBytes = peakResidentBytes
    }
  }

  /// The name of the signal that ended the process; nil if none did.
  package var signal: String?
  /// Whether the process was ended because its time was up.
  package var hasTimedOut = false
  /// Whether the system has killed the process, or one that it started, for lack of memory; nil
  /// before its end, and if that is unknown.
  package var wasOOMKilled: Bool?
  /// Nil before its end.
  package var usage: Usage?
  /// The number of bytes that arrived after the session had been closed.
  package var droppedBytes = 0
  /// Whether the session has been removed: the next request about it is answered with that.
  package var isForgotten = false

  package init(signal: String? = nil) { self.signal = signal }
}

extension Ending.Usage {
  init(_ usage: ResourceUsage) {
    self.init(
      userTime: usage.userTime, systemTime: usage.systemTime,
      peakResidentBytes: usage.peakResidentBytes)
  }

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
