import Foundation
import Processes
import ReferenceModel

/// What a program that records does, and when it is killed, as a seed tells each of the programs
/// that take part.
struct KillRound {
  /// How the recording program ends.
  enum End: CaseIterable {
    /// By SIGKILL in the midst of its output.
    case killed
    /// By SIGKILL while it starts, makes the file or writes the first chunks.
    case killedEarly
    /// By SIGKILL after it has closed the session.
    case killedWhenClosed
    /// By itself, after it has closed the session.
    case closed
    /// By itself, in the midst of its output.
    case left
  }

  let seed: UInt64
  let end: End
  /// What is recorded; without an end, for all practical purposes, unless the producer closes.
  let stress: Stress
  /// How long the parent waits before it kills, from the first message, or from when there is any
  /// file.
  let delay: Duration
  /// The producer tells each seq that this divides.
  let interval: Int
  /// The seq after which the producer ends, if it does so by itself without closing.
  let lastSeq: Int

  init(seed: UInt64) {
    self.seed = seed
    var random = SplitMix64(seed: seed)
    end =
      random.oneIn(3)
      ? random.pick([.killedEarly, .killedEarly, .killedWhenClosed, .closed, .left]) : .killed
    let geometry = Geometry.session(
      capacity: random.pick([1, 100, 5_000, 70_000, 300_000, Session.maxBufferBytes, 4 << 20]),
      kind: random.pick([.session, .producer]), timestamps: random.oneIn(2))
    lastSeq = random.within(1...20_000)
    let isClosing = end == .closed || end == .killedWhenClosed
    var stress = Stress(
      chunks: isClosing ? lastSeq : 1 << 40, geometry: geometry,
      largest: random.pick([
        100, geometry.reservationLimit * 2, 1 + random.below(3 * geometry.capacity),
      ]))
    stress.seed = seed
    stress.usual = random.pick([1, 16, 300, 4_000, 30_000])
    stress.exitInterval = random.pick([1, 16, 4_096])
    self.stress = stress
    let limits = end == .killedEarly ? [200, 3_000] : [5_000, 40_000]
    delay = .microseconds(random.below(random.pick(limits)))
    interval = random.pick([1, 10, 1_000])
  }

  /// Whether the recording must be found ended, and not abandoned.
  var isClosed: Bool { end == .closed || end == .killedWhenClosed }
  /// Whether the parent ends the producer.
  var isKilled: Bool { end != .closed && end != .left }
}

// MARK: The producer

extension KillRound {
  /// Records to a file, and tells standard output which seqs are published: 0 when the file is
  /// there, and the last one again when the session is closed.
  func produce(to path: String) throws {
    alarm(120)
    let clock = SubjectClock()
    let session = try Session(
      recordingTo: path, id: "\(seed)", workspaceID: "kill rounds",
      capacity: stress.geometry.capacity, timestamps: stress.geometry.timestamps,
      command: ["fuzz", "\(seed)"], clock: clock.activity)
    let subject =
      stress.geometry.kind == .producer
      ? ProducerSubject(takingProducerOf: session, clock) : SessionSubject(session, clock)
    tell(0)
    stress.produce(on: subject) { seq in
      if seq % interval == 0, seq != stress.chunks { tell(seq) }
      if end == .left, seq == lastSeq { exit(0) }
    }
    tell(stress.chunks)
    while isKilled { pause() }
  }

  private func tell(_ seq: Int) {
    let count = unsafe withUnsafeBytes(of: seq) { unsafe write(1, $0.baseAddress, $0.count) }
    // Without a parent, the rest is of no use.
    if count < 0 { exit(1) }
  }
}

// MARK: A reader

extension KillRound {
  /// What a reader found in all of a recording.
  struct Total: Equatable, CustomStringConvertible {
    var seq: Int
    var offset: Int
    var state: RecordedSession.State
    var chunks: Int
    var missedChunks: Int
    /// Whether the reader attached before the producer's end.
    var wasLive: Bool

    init(_ checker: Stress.Checker, _ state: RecordedSession.State, wasLive: Bool) {
      self.wasLive = wasLive
      seq = checker.seq
      offset = checker.offset
      self.state = state
      chunks = checker.account.chunks
      missedChunks = checker.account.missedChunks
    }

    init?(_ text: String) {
      let words = text.split(whereSeparator: \.isWhitespace)
      guard words.count == 6, let seq = Int(words[0]), let offset = Int(words[1]),
        let state = RecordedSession.State(rawValue: String(words[2])), let chunks = Int(words[3]),
        let missedChunks = Int(words[4])
      else { return nil }
      (self.seq, self.offset, self.state) = (seq, offset, state)
      (self.chunks, self.missedChunks) = (chunks, missedChunks)
      wasLive = words[5] == "true"
    }

    var description: String { "\(seq) \(offset) \(state) \(chunks) \(missedChunks) \(wasLive)" }
  }

  /// Reads a recording to its end while it is written, and prints the total, or what is wrong.
  func read(_ path: String, as index: UInt64) {
    alarm(60)
    var random = SplitMix64(seed: seed ^ (index + 1) << 32)
    let recording: RecordedSession
    do {
      recording = try attach(path)
    } catch {
      print("cannot attach: \(error)")
      exit(1)
    }
    let wasLive = recording.state == .recording
    let habit = random.pick([Stress.Habit.spinning, .pausing, .lagging, .waiting])
    var checker = Stress.Checker(stress: stress, account: Stress.Account(habit: habit))
    var output = Output()
    repeat {
      let cursor = output.cursor
      let maxBytes = habit == .lagging ? 1 + random.below(stress.usual * 4) : nil
      if habit == .waiting {
        output = recording.waitForOutput(since: cursor, upTo: random.pick([nil, .milliseconds(1)]))
      } else {
        // The kernel is asked here; a read takes its word from the last time.
        _ = recording.state
        recording.read(since: cursor, maxBytes: maxBytes, into: &output)
      }
      if output.isDamaged { checker.fail("damaged after \(checker.seq)") }
      _ = checker.accept(Observed(output))
      if habit == .pausing || habit == .lagging && random.oneIn(16) { usleep(500) }
    } while checker.account.complaint == nil && !output.isComplete
    checker.checkEnd(of: recording)
    if let complaint = checker.account.complaint {
      print("\(habit): \(complaint)")
      exit(1)
    }
    print(Total(checker, recording.state, wasLive: wasLive))
  }

  /// Attaches to a recording as soon as it is there, which must be whole then.
  private func attach(_ path: String) throws(RingFileError) -> RecordedSession {
    while true {
      do throws(RingFileError) {
        return try RecordedSession(at: path)
      } catch {
        guard error.reason == .system("open", ENOENT) else { throw error }
        usleep(100)
      }
    }
  }
}

extension Stress.Checker {
  /// Takes note of what does not add up once nothing more can come.
  mutating func checkEnd(of recording: RecordedSession) {
    if recording.lastSeq != seq { fail("the end is \(seq), and \(recording.lastSeq) is there") }
    if recording.totalBytes != offset {
      fail("the end is at \(offset), and \(recording.totalBytes) bytes were recorded")
    }
    if account.chunks + account.missedChunks != seq
      || account.bytes + account.missedBytes != offset
    {
      fail("received + missed is not what was recorded: \(account)")
    }
  }
}
