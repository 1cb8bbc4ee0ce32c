import Foundation
import Processes
import ReferenceModel

/// Rounds in which a program records, two others read its recording all the while, and it is killed
/// at a random moment; see `KillRound`.
///
/// A seed determines all but the moment: how far the producer gets in the time is up to the
/// machine.
struct KillRounds {
  /// The directory in which a directory for the recordings is made.
  let directory: String

  private(set) var counts: [KillRound.End: Int] = [:]
  private var killedBeforeFile = 0
  private var leftovers = 0
  private var readers = 0
  private var liveReaders = 0
  private var readChunks = 0
  private var missedChunks = 0
  private var retainedChunks = 0
  private var mostUntold = 0

  init(in directory: String) { self.directory = directory }

  /// Something that is wrong with a round.
  struct Finding: Error, CustomStringConvertible {
    let description: String
  }

  /// Runs the round of a seed.
  mutating func run(_ seed: UInt64) throws {
    let round = KillRound(seed: seed)
    var template = Array((directory + "/kill-rounds.XXXXXX").utf8CString)
    guard unsafe mkdtemp(&template) != nil else {
      throw Finding(
        description: "no directory in \(directory): \(unsafe String(cString: strerror(errno)))")
    }
    let directory = String(
      decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try run(round, in: directory)
    try sweep(directory)
    counts[round.end, default: 0] += 1
  }

  /// What came of all rounds.
  var summary: String {
    let ends = KillRound.End.allCases.map { "\($0): \(counts[$0] ?? 0)" }
    return """
      \(ends.joined(separator: ", "))
      \(killedBeforeFile) were killed before the file was there, and \(leftovers) left a temporary
      \(readers) readers, of which \(liveReaders) attached before the producer's end, got \
      \(readChunks) chunks and missed \(missedChunks)
      \(retainedChunks) chunks were retained afterwards; at most \(mostUntold) were published after the \
      last one that was told
      """
  }

  private mutating func run(_ round: KillRound, in directory: String) throws {
    let path = directory + "/a.ring"
    let producer = try Child("producer", path, seed: round.seed)
    var followers: [Child] = []
    if round.end != .killedEarly {
      followers = try (0..<2).map { try Child("reader\($0)", path, seed: round.seed) }
    }
    let told = producer.follow(round, in: directory)
    try producer.expectEnd(byKill: round.isKilled)

    let isThere = unsafe access(path, F_OK) == 0
    if !isThere {
      guard round.end == .killedEarly, told < 0 else { throw Finding(description: "no recording") }
      killedBeforeFile += 1
      return
    }
    let total = try verify(round, path, producer: producer.id, told: max(told, 0))
    for follower in followers {
      let text = follower.text()
      guard let found = KillRound.Total(text) else {
        throw Finding(description: "reader: \(text)\(follower.wait())")
      }
      guard found.seq == total.seq, found.offset == total.offset, found.state == total.state else {
        throw Finding(description: "a reader found \(found), and afterwards there is \(total)")
      }
      try follower.expectEnd(byKill: false)
      readers += 1
      liveReaders += found.wasLive ? 1 : 0
      readChunks += found.chunks
      missedChunks += found.missedChunks
    }
    retainedChunks += total.chunks
    mostUntold = max(mostUntold, total.seq - max(told, 0))
  }

  /// Attaches to the recording of a producer that is gone, and checks all that is in it.
  private func verify(
    _ round: KillRound, _ path: String, producer: Int32, told: Int
  ) throws -> KillRound.Total {
    let recording = try RecordedSession(at: path)
    let state: RecordedSession.State = round.isClosed ? .ended : .abandoned
    guard recording.state == state else {
      throw Finding(description: "\(recording.state), not \(state)")
    }
    let info = recording.info
    guard info.id == "\(round.seed)", info.workspaceID == "kill rounds",
      info.command == ["fuzz", "\(round.seed)"], info.recorderPID == producer,
      recording.isOfThisBoot, recording.lastActivity >= info.start
    else { throw Finding(description: "info: \(info)") }
    let output = recording.output()
    var checker = Stress.Checker(
      stress: round.stress, account: Stress.Account(habit: .spinning))
    if output.isDamaged { checker.fail("damaged") }
    if !output.isComplete { checker.fail("not complete") }
    _ = checker.accept(Observed(output))
    checker.checkEnd(of: recording)
    if checker.seq < told { checker.fail("up to \(checker.seq), and \(told) was told") }
    checker.checkRetained(isClosed: round.isClosed)
    if let complaint = checker.account.complaint {
      throw Finding(description: "afterwards: \(complaint)")
    }
    return KillRound.Total(checker, recording.state, wasLive: false)
  }

  /// Sweeps the directory, which must be empty then.
  private mutating func sweep(_ directory: String) throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: directory)
    // What a killed producer has left counts as such when it is old enough.
    let temporaries = names.filter { $0.hasPrefix(".") }
    leftovers += temporaries.count
    for name in temporaries {
      try FileManager.default.setAttributes(
        [.modificationDate: Date(timeIntervalSince1970: 1)], ofItemAtPath: directory + "/" + name)
    }
    let contents = try RecordingDirectory(directory).contents()
    guard contents.errors.isEmpty, contents.recordings.count == names.count - temporaries.count
    else { throw Finding(description: "in the directory: \(names), listed: \(contents)") }
    let sweep = try RecordingDirectory(directory).sweep(endedLongerAgoThan: .zero)
    guard sweep.errors.isEmpty, sweep.removed.count == names.count else {
      throw Finding(description: "in the directory: \(names), swept: \(sweep)")
    }
  }
}

extension Stress.Checker {
  /// Takes note of a chunk that is missing after one read of everything, though it was retained
  /// when the producer ended.
  mutating func checkRetained(isClosed: Bool) {
    let newestMissed = account.missedChunks
    let geometry = stress.geometry
    guard newestMissed > 0, newestMissed > seq - geometry.chunkLimit else { return }
    let begin = (1..<newestMissed).reduce(0) { $0 + Stress.Plan(stress, $1).size }
    // An append in flight overwrites from the oldest byte on, except for the slack.
    let inFlight = isClosed ? 0 : Stress.Plan(stress, seq + 1).size
    let bound = offset + max(-geometry.capacity, inFlight - geometry.payloadSize)
    if begin >= bound { fail("chunk \(newestMissed) is gone, and nothing was in its place") }
  }
}

// MARK: Programs

extension KillRounds {
  /// This program, started in another role.
  private final class Child {
    let id: pid_t
    /// Where its standard output arrives.
    private let output: Int32

    init(_ role: String, _ path: String, seed: UInt64) throws {
      var ends: [Int32] = [0, 0]
      guard unsafe pipe(&ends) == 0 else { throw Finding(description: "no pipe") }
      defer { close(ends[1]) }
      for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
      output = ends[0]
      #if canImport(Darwin)
        var actions: posix_spawn_file_actions_t?
      #else
        var actions = unsafe posix_spawn_file_actions_t()
      #endif
      unsafe posix_spawn_file_actions_init(&actions)
      defer { unsafe posix_spawn_file_actions_destroy(&actions) }
      unsafe posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
      let program = Bundle.main.executablePath ?? CommandLine.arguments[0]
      let arguments = [program, "--kill-role", role, "--directory", path, "--seed", "\(seed)"]
      var words = unsafe arguments.map { unsafe strdup($0) } + [nil]
      defer { unsafe words.forEach { unsafe free($0) } }
      var id = pid_t()
      let code = unsafe posix_spawn(&id, program, &actions, nil, &words, environ)
      guard code == 0 else {
        throw Finding(description: "cannot start: \(unsafe String(cString: strerror(code)))")
      }
      self.id = id
    }

    deinit { close(output) }

    private static func isEmpty(_ directory: String) -> Bool {
      (try? FileManager.default.contentsOfDirectory(atPath: directory))?.isEmpty ?? true
    }

    /// Reads what a producer that records in a directory tells, and kills it when the round says
    /// so. Returns the last seq that it told, or -1 if there was none.
    func follow(_ round: KillRound, in directory: String) -> Int {
      _ = fcntl(output, F_SETFL, O_NONBLOCK)
      let clock = ContinuousClock()
      var told = -1
      var end: ContinuousClock.Instant?
      var isKilled = false
      while true {
        var seq = 0
        let count = unsafe withUnsafeMutableBytes(of: &seq) {
          unsafe read(output, $0.baseAddress, $0.count)
        }
        if count == 0 { return told }
        if count > 0 { told = seq }
        if end == nil {
          let isDue =
            switch round.end {
            case .killed: told >= 0
            case .killedEarly: !Self.isEmpty(directory)
            case .killedWhenClosed: told == round.stress.chunks
            case .closed, .left: false
            }
          if isDue { end = clock.now + round.delay }
        }
        if count < 0, round.end != .killedEarly { usleep(50) }
        if !isKilled, let end, end <= clock.now {
          kill(id, SIGKILL)
          isKilled = true
        }
      }
    }

    /// Returns all that a reader prints.
    func text() -> String {
      var text: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 4_096)
      while true {
        let count = unsafe read(output, &buffer, buffer.count)
        guard count > 0 else { return String(decoding: text, as: UTF8.self) }
        text += buffer[..<count]
      }
    }

    /// Waits for the end, and returns it in words.
    func wait() -> String {
      var status: Int32 = 0
      while unsafe waitpid(id, &status, 0) < 0, errno == EINTR {}
      let signal = status & 0x7f
      return signal == 0 ? "exit \(status >> 8 & 0xff)" : "signal \(signal)"
    }

    func expectEnd(byKill: Bool) throws {
      let end = wait()
      let expected = byKill ? "signal \(SIGKILL)" : "exit 0"
      guard end == expected else {
        throw Finding(description: "\(end), not \(expected), of a program that took part")
      }
    }
  }
}
