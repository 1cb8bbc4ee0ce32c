import Foundation
import Processes

/// A ring in a file whose bytes are not what a producer stores, and what readers make of them.
///
/// There is no model of what they should make of them. Whatever the bytes are, a read must end
/// after bounded work, and what it returns must be consistent with itself and with the region.
package struct HostileRegion {
  private let file: RegionFile
  private let layout: RingLayout
  /// The recording's reader; nil if the file was refused, or is of a bare ring.
  private let session: RecordedSession?
  private let reader: RingReader
  /// Whether the region stays as it is during a read.
  private let isStill: Bool

  /// The most seqs and bytes that a reader reports.
  private static let greatest = 1 << 60
}

// MARK: Runs

extension HostileRegion {
  /// Makes the region that a seed stands for, reads it, and returns what is wrong, if anything is.
  package static func run(seed: UInt64) -> String? {
    var random = SplitMix64(seed: seed)
    return run(&random)
  }

  /// Makes the region that a fuzzer's bytes stand for, and reads it likewise.
  package static func run(bytes: some Collection<UInt8>) -> String? {
    var choices = ByteChoices(bytes)
    return run(&choices)
  }

  private static func run(_ choices: inout some Choices) -> String? {
    let file = RegionFile(&choices)
    let attachesFirst = choices.oneIn(4)
    var early = attachesFirst ? attach(to: file, isStill: true) : nil
    let count = choices.pick([1, 1, 1, 2, 5, 40])
    for _ in 0..<count { file.damage(&choices, sparesHeader: !choices.oneIn(8)) }
    // A file that is cut under a mapping raises SIGBUS, as it is documented.
    if !attachesFirst, choices.oneIn(16) { file.resize(&choices) }
    if early == nil { early = attach(to: file, isStill: true) }
    return early?.readAll(&choices)
  }

  /// Has several readers read what a lying producer changes at any time.
  package static func runWithLiar(seed: UInt64, readsEach: Int = 300) -> String? {
    var random = SplitMix64(seed: seed)
    let file = RegionFile(&random)
    guard let region = attach(to: file, isStill: false) else { return "a valid ring was refused" }
    let liar = Liar(file, seed: seed)
    let findings = (0..<2).map { _ in Finding() }
    var threads: [@Sendable () -> Void] = findings.enumerated().map { index, finding in
      {
        var random = SplitMix64(seed: seed &+ UInt64(index) &+ 1)
        for _ in 0..<readsEach where finding.text == nil {
          finding.text = region.readOnce(&random)
        }
        liar.readerIsDone()
      }
    }
    threads.append { liar.lie(until: findings.count) }
    Threads.run(threads)
    return findings.lazy.compactMap(\.text).first
  }

  /// What one thread leaves for the one that joins it.
  private final class Finding: @unchecked Sendable {
    var text: String?
  }

  /// Attaches to a file; nil if it is refused.
  private static func attach(to file: RegionFile, isStill: Bool) -> HostileRegion? {
    do throws(RingFileError) {
      var session: RecordedSession?
      let reader = try file.besideInaccessiblePage { () throws(RingFileError) in
        guard file.isSession else { return try RingReader(attachingTo: file.path) }
        let recorded = try RecordedSession(at: file.path)
        session = recorded
        return recorded.reader
      }
      return HostileRegion(
        file: file, layout: reader.layout, session: session, reader: reader, isStill: isStill)
    } catch {
      precondition(error.description.contains(file.path), "an error that does not name the file")
      return nil
    }
  }
}

// MARK: Reads

extension HostileRegion {
  /// Counts a read's steps.
  private final class StepCount: ReadProbe {
    let pieceSize: Int
    private(set) var steps = 0

    init(pieceSize: Int) { self.pieceSize = pieceSize }

    func reached(_ step: ReadStep) { steps += 1 }
  }

  private func readAll(_ choices: inout some Choices) -> String? {
    for _ in 0..<8 {
      if let fault = readOnce(&choices) { return fault }
    }
    return follow(maxBytes: nil) ?? follow(maxBytes: choices.within(0...layout.capacity))
      ?? followSession()
  }

  /// Makes one read of some kind.
  private func readOnce(_ choices: inout some Choices) -> String? {
    let since = cursor(&choices)
    let maxBytes = choices.oneIn(2) ? nil : number(&choices, near: layout.capacity)
    switch choices.below(session == nil ? 5 : 9) {
    case 0:
      return fault(in: reader.read(since: since, maxBytes: maxBytes), since, maxBytes)
    case 1:
      var batch = RingBatch(reservingBytes: layout.capacity / 2, chunks: 4)
      reader.read(since: since, maxBytes: maxBytes, into: &batch)
      return fault(in: batch, since, maxBytes)
    case 2, 3:
      let probe = StepCount(pieceSize: choices.pick([1, 3, 32_768]))
      var batch = RingBatch()
      reader.read(since: since, maxBytes: maxBytes, into: &batch, probe: probe)
      let pieces = (layout.capacity + probe.pieceSize - 1) / probe.pieceSize
      // As of an honest ring, but that the status may change at each look.
      guard probe.steps <= 17 * (64 + 7 + 3 * (pieces + 1)) else { return "\(probe.steps) steps" }
      return fault(in: batch, since, maxBytes)
    case 4:
      let numbers = [reader.lostBytes, reader.totalBytes, reader.lastSeq]
      guard numbers.allSatisfy({ 0...Self.greatest ~= $0 }) else {
        return "lost, total, last: \(numbers)"
      }
      if let fault = visitAll(since: since, maxBytes) { return fault }
      _ = (reader.status, reader.isProducerAlive, reader.isOfThisBoot, reader.note(0))
      return reader.metadata.count <= 4_096 ? nil : "metadata of \(reader.metadata.count) bytes"
    default:
      return readSession(choices.below(4), since, maxBytes)
    }
  }

  /// Looks at the region without copying, to the end; returns what is wrong, if anything is.
  private func visitAll(since start: RingCursor, _ maxBytes: Int?) -> String? {
    _ = (reader.lag(since: start), reader.peek(since: start))
    let fault = unsafe visitAll(since: start) { cursor, body in
      unsafe reader.visit(since: cursor, maxBytes: maxBytes) { bytes, _ in unsafe body(bytes) }
    }
    if let fault { return fault }
    return unsafe visitAll(since: start) { cursor, body in
      unsafe reader.visitRun(since: cursor, maxBytes: maxBytes) { bytes, _ in unsafe body(bytes) }
    }
  }

  private func visitAll(
    since start: RingCursor,
    by visit: (RingCursor, (UnsafeRawBufferPointer) -> Void) -> RingVisit
  ) -> String? {
    var cursor = start
    // No more visits than there can be chunks.
    for _ in 0...layout.chunkLimit + layout.headChunkLimit + 1 {
      var sum = 0
      let visit = unsafe visit(cursor) { bytes in
        for index in bytes.indices { sum &+= unsafe Int(bytes[index]) }
      }
      guard visit.range.count <= max(layout.capacity, layout.headCapacity),
        visit.missedChunks >= 0, visit.missedBytes ?? 0 >= 0
      else { return "\(visit) since \(cursor)" }
      if !visit.hasMore || !isStill { return nil }
      guard visit.cursor.seq > cursor.seq else { return "no progress: \(visit) since \(cursor)" }
      cursor = visit.cursor
    }
    return "visits without end since \(start)"
  }

  private func readSession(_ kind: Int, _ since: RingCursor, _ maxBytes: Int?) -> String? {
    guard let session else { return nil }
    let cursor = Cursor(seq: since.seq, offset: since.offset)
    switch kind {
    case 0:
      let output = session.output(since: cursor, maxBytes: maxBytes)
      return fault(in: output, since, maxBytes)
    case 1:
      let output = session.waitForOutput(
        since: cursor, maxBytes: maxBytes, upTo: .microseconds(10))
      return fault(in: output, since, maxBytes)
    case 2:
      _ = (session.state, session.childPID, session.lastActivity, session.exitCode)
      session.noteNews()
      _ = session.isWhole
      return session.description.isEmpty ? "no description" : nil
    default:
      guard let other = try? RecordedSession(at: file.path) else { return nil }
      return fault(in: other.output(since: cursor, maxBytes: maxBytes), since, maxBytes)
    }
  }

  private func fault(in output: Output, _ since: RingCursor, _ maxBytes: Int?) -> String? {
    _ = (output.description, output.isComplete, output.exitCode)
    for (index, chunk) in output.chunks.enumerated() {
      let seq = output.lastSeq - output.chunks.count + 1 + index
      guard chunk.seq == seq || chunk.seq == seq - output.missedChunks, !chunk.data.isEmpty
      else { return "chunk \(chunk) of \(output)" }
    }
    return output.chunks.payload.count <= layout.capacity + layout.headCapacity ? nil : "\(output)"
  }

  /// Returns what is wrong with a batch, if anything is.
  private func fault(in batch: RingBatch, _ since: RingCursor, _ maxBytes: Int?) -> String? {
    let shown =
      "since \(since), \(batch.count) chunks, \(batch.missedChunks) missed, \(batch.cursor)"
    guard batch.count <= layout.chunkLimit + layout.headChunkLimit else {
      return "too many chunks: \(shown)"
    }
    guard 0...Self.greatest ~= batch.lostBytes, batch.missedChunks >= 0,
      batch.missedBytes ?? 0 >= 0
    else { return "lost \(batch.lostBytes), missed \(batch.missedBytes ?? -1): \(shown)" }
    var next = batch.first?.offset ?? 0
    var nextSeq = batch.first?.seq ?? 0
    var (begin, payload, gaps) = (next, 0, 0)
    var time: Int64 = 0
    for chunk in batch {
      guard (chunk.timestamp != nil) == layout.hasTimestamps, chunk.timestamp ?? time >= time else {
        return "timestamp \(chunk.timestamp ?? -1) after \(time): \(shown)"
      }
      time = chunk.timestamp ?? time
      if chunk.seq != nextSeq || chunk.offset != next {
        // What is missed may lie behind the head, as a whole.
        gaps += 1
        guard layout.headCapacity > 0, gaps == 1, batch[0].seq == max(since.seq, 0) + 1,
          chunk.seq - nextSeq == batch.missedChunks, chunk.offset - next == batch.missedBytes
        else { return "chunk \(chunk.seq) at \(chunk.offset), not \(nextSeq) at \(next): \(shown)" }
        (next, begin, nextSeq) = (chunk.offset, chunk.offset, chunk.seq)
      }
      guard chunk.seq > since.seq, !chunk.data.isEmpty else {
        return "chunk \(chunk.seq): \(shown)"
      }
      next += chunk.data.count
      nextSeq += 1
      payload += chunk.data.count
      guard next - begin <= layout.capacity + layout.headCapacity else {
        return "beyond the capacity: \(shown)"
      }
      if isStill, !file.holds(chunk, in: layout) { return "bytes of chunk \(chunk.seq): \(shown)" }
    }
    if isStill, let maxBytes, batch.count > 1, payload > max(maxBytes, 0) {
      return "\(payload) bytes, not \(maxBytes): \(shown)"
    }
    if !batch.isEmpty {
      // Of the head alone it does not follow how much is lost behind it.
      let isHeadAlone = layout.headCapacity > 0 && gaps == 0 && batch.hasMore
      guard next == batch.cursor.offset, next <= Self.greatest,
        batch.lostBytes <= begin || !isStill || isHeadAlone
      else { return "ends at \(next), lost \(batch.lostBytes): \(shown)" }
    }
    guard batch.payload.count == payload, nextSeq == batch.lastSeq + 1 || batch.isEmpty else {
      return "payload: \(shown)"
    }
    let dealtWith = batch.count + batch.missedChunks
    guard batch.isCursorAhead || dealtWith == batch.cursor.seq - since.seq || dealtWith == 0 else {
      return "accounts: \(shown)"
    }
    return nil
  }

  /// Follows a region that stays as it is, from its beginning: that comes to an end.
  private func follow(maxBytes: Int?) -> String? {
    var cursor = RingCursor.start
    for _ in 0...(layout.chunkLimit + layout.headChunkLimit + 2) {
      let batch = reader.read(since: cursor, maxBytes: maxBytes)
      if let fault = fault(in: batch, cursor, maxBytes) { return fault }
      guard batch.hasMore else { return nil }
      guard batch.cursor.seq > cursor.seq else { return "no progress from \(cursor)" }
      cursor = batch.cursor
    }
    return "following does not end"
  }

  /// Follows a recording whose producer is gone, by waits without a limit: that comes to an end.
  private func followSession() -> String? {
    guard let session, session.state != .recording else { return nil }
    var cursor = Cursor.start
    for _ in 0...(layout.chunkLimit + layout.headChunkLimit + 2) {
      let output = session.waitForOutput(since: cursor, maxBytes: 1, upTo: nil)
      if output.isComplete { return nil }
      cursor = output.cursor
    }
    return "waiting for the end does not end"
  }

  // MARK: Questions

  /// A position to read from, likely or not.
  private func cursor(_ choices: inout some Choices) -> RingCursor {
    let seq = choices.oneIn(3) ? 0 : number(&choices, near: reader.lastSeq)
    return RingCursor(
      seq: seq, offset: choices.oneIn(2) ? nil : number(&choices, near: reader.totalBytes))
  }

  private func number(_ choices: inout some Choices, near value: Int) -> Int {
    Int(truncatingIfNeeded: RegionFile.word(&choices, near: UInt64(truncatingIfNeeded: value)))
  }
}
