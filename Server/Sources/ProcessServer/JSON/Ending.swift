package import ProcessHost

/// What is told of a process beside its output.
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

  /// The name of the signal that ended the process, if one did.
  package var signal: String?
  /// Whether the process was ended because its time was up.
  package var hasTimedOut = false
  /// Whether the system has killed it, or another that it started, for lack of memory; nil before
  /// its end, and where that is not known.
  package var wasOOMKilled: Bool?
  /// Nil before its end.
  package var usage: Usage?
  /// The bytes that came after the session had been closed.
  package var droppedBytes = 0
  /// Whether the session is no longer known: the next request about it is answered so.
  package var isForgotten = false

  package init(signal: String? = nil) { self.signal = signal }
}

extension Ending.Usage {
  init(_ usage: ResourceUsage) {
    self.init(
      userTime: usage.userTime, systemTime: usage.systemTime,
      peakResidentBytes: usage.peakResidentBytes)
  }

  /// A time in seconds, with six digits behind the point.
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
  /// How the process ended, in the order in which answers and events tell it.
  var members: [(name: String, value: JSON)] {
    [
      ("signal", .optional(signal)), ("timed_out", .bool(hasTimedOut)),
      ("oom_killed", wasOOMKilled.map { .bool($0) } ?? .null), ("rusage", usage?.json ?? .null),
    ]
  }
}
