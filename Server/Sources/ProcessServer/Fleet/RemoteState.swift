import Processes

/// What a fleet knows of a session besides its output: the fields of its hash in Redis.
///
/// `order` is what never changes, `state` what does; both are JSON, in the terms of `GET
/// /processes`.
struct RemoteState: Sendable {
  let life: String
  let host: String
  let workspace: String
  let isLost: Bool
  /// Whether the session's server holds its lease.
  let isReachable: Bool
  let order: Fields
  let state: Fields

  /// Reads the fields of a hash; nil if no server of this version can have stored them.
  init?(_ hash: [String: String], isReachable: Bool) {
    func fields(_ name: String) -> Fields? {
      hash[name].flatMap { text in
        (try? JSONInput(parsing: Array(text.utf8))).flatMap { try? Fields($0) }
      }
    }
    guard let life = hash["life"], let host = hash["host"], let workspace = hash["workspace"],
      let order = fields("order"), let state = fields("state")
    else { return nil }
    self.life = life
    self.host = host
    self.workspace = workspace
    isLost = hash["lost"] != nil && hash["closed"] == nil
    self.isReachable = isReachable
    self.order = order
    self.state = state
    // No chunk is empty.
    guard lastSeq <= totalBytes, totalBytes <= 1 << 60 else { return nil }
  }

  private func count(_ fields: Fields, _ name: String) -> Int {
    ((try? fields.integer(name, in: 0...(1 << 62))) ?? nil) ?? 0
  }

  var lastSeq: Int { count(state, "last_seq") }
  var totalBytes: Int { count(state, "total_bytes") }
  var exitCode: Int32? {
    ((try? state.integer("exit_code", in: Int(Int32.min)...Int(Int32.max))) ?? nil)
      .map { Int32($0) }
  }
  var isClosed: Bool { isLost || ((try? state.bool("closed")) ?? nil ?? false) }
  var hasTimestamps: Bool { (try? order.bool("timestamps")) ?? nil ?? false }
  var epoch: UInt32 { UInt32(clamping: count(order, "epoch")) }
  /// When the session began, since 1970.
  var start: Duration { .nanoseconds(count(order, "start_ns")) }

  /// Returns a cursor at a chunk's end, as the session's own server gives it.
  func cursor(seq: Int, offset: Int) -> Cursor {
    Cursor("\(seq).\(offset).0.\(epoch)") ?? Cursor(seq: seq, offset: offset)
  }

  /// How the process ended, if an output includes its end.
  func ending(for output: Output) -> Ending {
    var ending = Ending()
    ending.droppedBytes = count(state, "dropped_bytes")
    ending.hasTimedOut = (try? state.bool("timed_out")) ?? nil ?? false
    ending.isHostLost = isLost
    guard output.exitCode != nil else { return ending }
    ending.signal = (try? state.string("signal")) ?? nil
    ending.wasOOMKilled = (try? state.bool("oom_killed")) ?? nil
    if let usage = (try? state.object("rusage")) ?? nil,
      case .number(let user)? = usage["user_seconds"],
      case .number(let system)? = usage["system_seconds"]
    {
      ending.usage = Usage(
        userSeconds: user, systemSeconds: system, maxRSSBytes: count(usage, "max_rss_bytes"))
    }
    return ending
  }

  /// What lists of sessions say about the session.
  var summary: [(name: String, value: JSON)] {
    var members = Job.summaryNames.map { name in
      (name: name, value: (order[name] ?? state[name])?.json ?? .null)
    }
    if isLost {
      for (index, member) in members.enumerated() {
        switch member.name {
        case "session_alive", "lingering": members[index].value = false
        case "closed": members[index].value = true
        default: break
        }
      }
      members.append(("host_lost", true))
    } else if !isReachable {
      members.append(("unreachable", true))
    }
    members.append(("env", .string(host)))
    return members
  }
}

extension Job {
  /// What never changes about the job, for the other servers of a fleet.
  var fleetOrder: JSON {
    get async {
      let parts = session.output(since: Cursor(seq: .max)).cursor.description.split(separator: ".")
      let all = await summary.filter { !Self.changingNames.contains($0.name) }
      return .object(
        all + [
          ("epoch", .number(String(parts.count == 4 ? parts[3] : "0"))),
          ("start_ns", .int(session.start.nanoseconds)),
          ("timestamps", .bool(order.timestamps)),
        ])
    }
  }

  /// What changes about the job, once its output up to a seq and an offset is stored.
  ///
  /// - Parameter hidesEnd: Whether output is left that must be stored before its end.
  func fleetState(for output: Output, lastSeq: Int, end: Int, hidesEnd: Bool) async -> JSON {
    let hidden: [String: JSON] =
      hidesEnd
      ? [
        "session_alive": true, "closed": false, "exit_code": nil, "signal": nil, "lingering": false,
        "oom_killed": nil, "rusage": nil,
      ] : [:]
    return .object(
      await summary(for: output).compactMap { name, value in
        guard Self.changingNames.contains(name) else { return nil }
        switch name {
        case "last_seq": return (name, .int(lastSeq))
        case "total_bytes": return (name, .int(end))
        default: return (name, hidden[name] ?? value)
        }
      })
  }

  /// The members of the summary that change.
  private static let changingNames: Set<String> = [
    "session_alive", "closed", "exit_code", "signal", "last_seq", "total_bytes", "lost_bytes",
    "dropped_bytes", "timed_out", "lingering", "oom_killed", "rusage",
  ]
}
