import CRingShims
import Foundation
import Processes
import Synchronization

/// One producer and several readers on threads of their own, and the reckoning afterwards.
///
/// Nothing here depends on time. What the producer does with a seq follows from the seed and the
/// seq, so each reader knows by itself where every chunk must begin and what must be in it, even of
/// the chunks that it missed.
package struct Stress: Sendable {
  /// How a reader goes about it.
  package enum Habit: Sendable, CaseIterable {
    /// Reads as fast as it can.
    case spinning
    /// Reads, then sleeps for a millisecond.
    case pausing
    /// Reads a little at a time, too slowly, so that it is lapped over and over.
    case lagging
    /// Waits until it has missed something, then reads all.
    case absent
    /// Sleeps until there is news; of a bare ring, as `spinning`.
    case waiting
  }

  package var seed: UInt64 = 1
  package var chunks: Int
  package var geometry: Geometry
  package var habits: [Habit] = [.spinning, .pausing, .lagging]
  /// The largest of the usual chunks; others are up to `largest`.
  package var usual = 300
  package var largest: Int
  /// An exit status is set after one chunk of so many: a power of two.
  package var exitInterval = 4_096

  package init(chunks: Int, geometry: Geometry, largest: Int) {
    self.chunks = chunks
    self.geometry = geometry
    self.largest = largest
  }

  /// What one reader went through.
  package struct Account: Sendable {
    package var habit: Habit

    package init(habit: Habit) { self.habit = habit }

    package var reads = 0
    package var chunks = 0
    package var bytes = 0
    package var missedChunks = 0
    package var missedBytes = 0
    /// Reads that found something missing.
    package var gaps = 0
    /// The first thing wrong.
    package var complaint: String?
  }

  package struct Report: Sendable, CustomStringConvertible {
    package var sentChunks = 0
    package var sentBytes = 0
    package var readers: [Account] = []

    package var complaints: [String] { readers.compactMap { $0.complaint } }

    package var description: String {
      let lines = readers.map {
        "  \($0.habit): \($0.reads) reads, \($0.chunks) chunks, \($0.missedChunks) missed in "
          + "\($0.gaps) gaps\($0.complaint.map { ", WRONG: \($0)" } ?? "")"
      }
      return "sent \(sentChunks) chunks, \(sentBytes) bytes\n" + lines.joined(separator: "\n")
    }
  }

  /// Runs it to the end.
  package func run() -> Report {
    let subject = geometry.makeSubject()
    // Joining the threads is all the ordering there is, and one that ThreadSanitizer sees; a
    // contended Mutex would not be.
    let slots = habits.map { _ in Slot() }
    let sentBytes = Atomic<Int>(0)
    var threads: [@Sendable () -> Void] = zip(habits, slots).map { habit, slot in
      { slot.account = read(subject, habit) }
    }
    threads.append { sentBytes.store(produce(on: subject), ordering: .relaxed) }
    Threads.run(threads)

    var report = Report()
    report.sentChunks = chunks
    report.sentBytes = sentBytes.load(ordering: .relaxed)
    report.readers = slots.compactMap(\.account)
    for index in report.readers.indices {
      let account = report.readers[index]
      if account.complaint == nil,
        account.chunks + account.missedChunks != chunks
          || account.bytes + account.missedBytes != report.sentBytes
      {
        report.readers[index].complaint = "received + missed is not what was sent: \(account)"
      }
    }
    return report
  }

  /// What one thread leaves for the one that joins it.
  private final class Slot: @unchecked Sendable {
    var account: Account?
  }

  // MARK: What is sent

  /// What the producer does for one seq.
  package struct Plan {
    package var size: Int
    var isError: Bool
    /// Bytes reserved beyond the size, if it goes by a reservation.
    var reservedBeyond: Int?
    /// Whether a reservation is abandoned first.
    var abandonsFirst: Bool
    /// Whether an exit status that names this seq is set afterwards.
    var setsExit: Bool

    package init(_ stress: Stress, _ seq: Int) {
      let dice = SplitMix64.mix(stress.seed &+ UInt64(seq) &* 0x9e37_79b9_7f4a_7c15)
      let magnitude = Int(dice >> 32)
      switch dice & 0xff {
      case 0: size = 1 + magnitude % stress.largest
      case 1..<16: size = 1 + magnitude % (stress.usual * 8)
      case 16..<128: size = 1 + magnitude % max(1, stress.usual / 16)
      default: size = 1 + magnitude % stress.usual
      }
      isError = dice >> 8 & 1 == 1
      abandonsFirst = dice >> 9 & 63 == 0
      setsExit = Int(dice >> 15) & (stress.exitInterval - 1) == 0
      reservedBeyond =
        dice >> 27 & 3 == 0 && size <= stress.geometry.reservationLimit
        ? Int(dice >> 29 & 7) * stress.usual : nil
    }
  }

  /// Appends all chunks, and closes the output.
  ///
  /// - Parameter publishing: Called with each seq once it is published.
  /// - Returns: The bytes appended.
  @discardableResult
  package func produce(on subject: any Subject, publishing: (Int) -> Void = { _ in }) -> Int {
    var offset = 0
    var bytes = [UInt8](repeating: 0, count: max(largest, usual * 8))
    for seq in 1...chunks {
      let plan = Plan(self, seq)
      // A reservation in the head may be shorter than the chunk.
      let mayReserve = offset >= geometry.headCapacity
      if plan.abandonsFirst { reserve(subject, plan.size + usual, plan, 0, at: offset) }
      if mayReserve, let beyond = plan.reservedBeyond {
        reserve(subject, plan.size + beyond, plan, plan.size, at: offset)
      } else {
        unsafe bytes.withUnsafeMutableBytes { bytes in
          let chunk = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[..<plan.size])
          unsafe Stamp.fill(chunk, at: offset)
          unsafe subject.append(UnsafeRawBufferPointer(chunk), isError: plan.isError)
        }
      }
      offset += plan.size
      // More may come after an exit; a reader that sees it must have all up to the seq that it
      // names.
      if plan.setsExit { subject.setExit(Int32(truncatingIfNeeded: seq), closing: false) }
      publishing(seq)
    }
    subject.setExit(Int32(truncatingIfNeeded: chunks), closing: true)
    return offset
  }

  private func reserve(
    _ subject: any Subject, _ count: Int, _ plan: Plan, _ size: Int, at offset: Int
  ) {
    _ = try? unsafe subject.append(reserving: count, isError: plan.isError) { first, second in
      // As the kernel may, write past what is returned.
      var bytes = [UInt8](repeating: 0xa5, count: first.count + second.count)
      unsafe bytes.withUnsafeMutableBytes { bytes in
        unsafe Stamp.fill(UnsafeMutableRawBufferPointer(rebasing: bytes[..<size]), at: offset)
        // The kernel's stores race with nothing as far as a sanitizer knows; ours must be atomic.
        let start = bytes.baseAddress!
        unsafe ring_copy_in(first.baseAddress!, start, first.count, Self.copyMethod)
        if second.count > 0 {
          unsafe ring_copy_in(
            second.baseAddress!, start + first.count, second.count, Self.copyMethod)
        }
      }
      return size
    }
  }

  private static let copyMethod = ring_copy_method_detect()

  // MARK: What is received

  private func read(_ subject: any Subject, _ habit: Habit) -> Account {
    var checker = Checker(stress: self, account: Account(habit: habit))
    var memory = ReadMemory()
    var random = SplitMix64(seed: seed ^ 0xabcd)
    var cursor = Cursor.start
    while true {
      let start = ReadStart(seq: checker.seq, offset: checker.offset)
      let maxBytes = habit == .lagging ? 1 + random.below(usual * 4) : nil
      let observed: Observed
      if habit == .waiting, let session = subject.session {
        if random.oneIn(8), let complaint = waitAnywhere(session, &random) {
          checker.fail(complaint)
          break
        }
        // Half of them know of the exits, and sleep where the others return at once.
        let from = random.oneIn(2) ? cursor : Cursor(start)
        observed = Observed(session.waitForOutput(since: from, upTo: nil))
      } else {
        observed = subject.read(start, maxBytes: maxBytes, into: &memory)
      }
      cursor = observed.cursor ?? cursor
      if !checker.accept(observed) || checker.isComplete { break }
      switch habit {
      case .spinning, .waiting: break
      case .pausing: usleep(1_000)
      case .lagging: if random.oneIn(16) { usleep(UInt32(random.below(500))) }
      case .absent:
        let lost = subject.lostBytes
        for _ in 0..<1_000 where subject.lostBytes == lost && subject.lastSeq < chunks {
          usleep(100)
        }
      }
    }
    return checker.account
  }

  /// Waits from where no reader has been; returns what is wrong with the end, if anything is.
  private func waitAnywhere(_ session: Session, _ random: inout SplitMix64) -> String? {
    let seq = random.pick([.min, -1, 0, chunks + 1, .max])
    let start = ReadStart(
      seq: seq, offset: random.pick([nil, .min, -1, 7, .max]), isForeign: random.oneIn(2))
    let output = session.waitForOutput(since: Cursor(start), upTo: nil)
    let isAhead = seq > chunks && !start.isForeign
    if output.isCursorForeign != start.isForeign { return "foreign, or not, at \(start)" }
    if output.isCursorAhead != isAhead { return "ahead, or not, at \(start)" }
    if isAhead, !output.chunks.isEmpty { return "chunks beyond the newest, at \(start)" }
    // A read that gives up has dealt with nothing, and says that there is more.
    let hasNews = output.lastSeq > 0 || output.hasMore || output.isClosed
    if seq <= 0, !start.isForeign, !hasNews { return "no news" }
    return nil
  }

  /// Follows one reader, and reckons for itself what it must get.
  package struct Checker {
    package let stress: Stress
    package private(set) var account: Account
    package private(set) var seq = 0
    package private(set) var offset = 0
    var lost = 0
    var isComplete = false
    /// The bytes of the head, as far as this has got; and whether no more belong to it.
    private var headBytes = 0
    private var isHeadComplete: Bool

    package init(stress: Stress, account: Account) {
      self.stress = stress
      self.account = account
      isHeadComplete = stress.geometry.headCapacity == 0
    }

    /// Takes one read into account; returns false if something is wrong with it.
    package mutating func accept(_ observed: Observed) -> Bool {
      account.complaint = complaint(observed)
      return account.complaint == nil
    }

    /// Takes note of something wrong.
    package mutating func fail(_ complaint: String) {
      account.complaint = account.complaint ?? complaint
    }

    private mutating func complaint(_ observed: Observed) -> String? {
      let state = observed.state
      account.reads += 1
      if state.lostBytes < lost { return "lost fell from \(lost) to \(state.lostBytes)" }
      lost = state.lostBytes
      if state.isCursorAhead { return "told to be ahead at \(seq)" }

      // What was missed, by our own reckoning. It lies behind the head.
      var missedBytes = 0
      var hasPassedGap = false
      for chunk in observed.chunks {
        let isOfHead = nextIsOfHead
        var isBehindGap = false
        if !isOfHead, !hasPassedGap {
          missedBytes += miss(state.missedChunks)
          hasPassedGap = true
          isBehindGap = true
        }
        let plan = Plan(stress, seq + 1)
        let kept = isOfHead ? plan.size : min(plan.size, stress.geometry.capacity)
        let begin = offset + plan.size - kept
        if isBehindGap { missedBytes += plan.size - kept }
        guard chunk.seq == seq + 1 else { return "seq \(chunk.seq) after \(seq)" }
        guard chunk.offset == begin else {
          return "chunk \(chunk.seq) at \(chunk.offset), not \(begin)"
        }
        guard chunk.time == stress.geometry.timestamp(chunk.seq) else {
          return "timestamp of chunk \(chunk.seq): \(chunk.time as Any)"
        }
        guard chunk.isError == plan.isError else { return "stream of chunk \(chunk.seq)" }
        guard chunk.data.count == kept else {
          return "chunk \(chunk.seq) of \(chunk.data.count) bytes, not \(kept)"
        }
        guard unsafe chunk.data.withUnsafeBytes({ unsafe Stamp.matches($0, at: begin) }) else {
          return "chunk \(chunk.seq) is torn"
        }
        account.bytes += kept
        step()
      }
      if !hasPassedGap { missedBytes += miss(state.missedChunks) }
      account.chunks += observed.chunks.count
      account.missedChunks += state.missedChunks
      account.missedBytes += missedBytes
      if missedBytes > 0 { account.gaps += 1 }
      if state.missedBytes != missedBytes {
        return "missed \(state.missedBytes as Any) bytes, not \(missedBytes), up to \(seq)"
      }
      if state.cursorSeq != seq || state.cursorOffset != offset {
        return "cursor is \(state.cursorSeq) at \(state.cursorOffset), not \(seq) at \(offset)"
      }
      if let code = state.exitCode, code > seq, !state.hasMore {
        return "saw exit after \(code) with nothing beyond \(seq)"
      }
      if state.isClosed, !state.hasMore {
        if seq != stress.chunks { return "closed, with nothing beyond \(seq)" }
        isComplete = true
      }
      return nil
    }

    private mutating func step() {
      if nextIsOfHead { headBytes += Plan(stress, seq + 1).size } else { isHeadComplete = true }
      seq += 1
      offset += Plan(stress, seq).size
    }

    /// Steps over chunks that were missed; returns their bytes.
    private mutating func miss(_ count: Int) -> Int {
      let from = offset
      for _ in 0..<count { step() }
      return offset - from
    }

    /// Whether the next chunk fits in the head.
    private var nextIsOfHead: Bool {
      let layout = stress.geometry.layout
      return !isHeadComplete && seq < layout.headChunkLimit
        && headBytes + Plan(stress, seq + 1).size <= layout.headCapacity
    }
  }
}

extension Stress {
  /// The same, but a bare ring lies in a file, and its readers attach to that.
  package var attached: Stress {
    var stress = self
    stress.geometry = geometry.attached
    return stress
  }

  /// The run that a seed stands for; some thousand chunks.
  package static func random(seed: UInt64) -> Stress {
    var random = SplitMix64(seed: seed)
    let geometry: Geometry =
      if random.oneIn(3) {
        .session(
          capacity: random.pick([1, 100, 5_000, 70_000, Session.maxBufferBytes]),
          kind: random.pick([.session, .producer]), headCapacity: random.pick([0, 0, 20_000]),
          timestamps: random.oneIn(3))
      } else {
        .ring(
          capacity: random.pick([1, 2, 7, 64, 1_000, 40_000]),
          chunkLimit: random.pick([1, 2, 3, 8, 100, 10_000]),
          reservationLimit: random.pick([1, 4, 64, 4_096]),
          headCapacity: random.pick([0, 0, 10, 3_000]), timestamps: random.oneIn(3))
      }
    var stress = Stress(
      chunks: random.within(1_000...40_000), geometry: geometry,
      largest: 1 + random.below(3 * geometry.capacity))
    stress.seed = seed
    stress.usual = random.pick([1, 16, 300, 4_000])
    stress.habits = (0..<random.within(1...4)).map { _ in random.pick(Habit.allCases) }
    return stress
  }
}
