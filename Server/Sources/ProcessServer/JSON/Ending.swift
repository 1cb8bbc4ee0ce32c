import ProcessHost

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
  package var usage: Usage?
  /// The number of bytes that arrived after the session had been closed.
  package var droppedBytes = 0
  /// Whether the session has been removed: the next request about it is answered with that.
  package var isForgotten = false

  /// Whether the session's server, of a fleet, is silent for so long that the session is given up.
  package var isHostLost = false
  /// Whether the holder of the process is gone, and the process with it, before the process's exit
  /// was recorded.
  package var isHolderLost = false
  /// Whether the process is gone, and nobody knows how it ended.
  var isLost: Bool { isHostLost || isHolderLost }

  package init(signal: String? = nil) { self.signal = signal }
}

/// The resources that a process has used, as answers give them.
package struct Usage: Sendable {
  /// Seconds, with six digits after the point.
  let userSeconds: String
  let systemSeconds: String
  let maxRSSBytes: Int

  init(userSeconds: String, systemSeconds: String, maxRSSBytes: Int) {
    self.userSeconds = userSeconds
    self.systemSeconds = systemSeconds
    self.maxRSSBytes = maxRSSBytes
  }

  init(_ usage: ResourceUsage) {
    userSeconds = Self.seconds(usage.userTime)
    systemSeconds = Self.seconds(usage.systemTime)
    maxRSSBytes = usage.peakResidentBytes
  }

  private static func seconds(_ time: Duration) -> String {
    let (seconds, attoseconds) = time.components
    let microseconds = String(attoseconds / 1_000_000_000_000)
    let zeros = String(repeating: "0", count: max(0, 6 - microseconds.count))
    return "\(seconds).\(zeros)\(microseconds)"
  }

  var json: JSON {
    [
      "user_seconds": .number(userSeconds), "system_seconds": .number(systemSeconds),
      "max_rss_bytes": .int(maxRSSBytes),
    ]
  }
}

extension Output {
  /// Whether no more output can come: the session is closed, or the program that records it is
  /// gone.
  package var isOver: Bool { isClosed || isAbandoned }
}

extension Ending {
  /// The end of the process, in the order in which answers and events give it.
  var members: [(name: String, value: JSON)] {
    [
      ("signal", .optional(signal)), ("timed_out", .bool(hasTimedOut)),
      ("oom_killed", wasOOMKilled.map { .bool($0) } ?? .null), ("rusage", usage?.json ?? .null),
    ] + losses
  }

  /// What was lost, by name; nothing in most answers.
  var losses: [(name: String, value: JSON)] {
    (isHostLost ? [("host_lost", true)] : []) + (isHolderLost ? [("holder_lost", true)] : [])
  }
}
