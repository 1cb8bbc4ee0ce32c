package import Processes

/// A ring with its writer in a box, so that a probe can append in the middle of a read, and beside
/// it the model that knows what was appended.
package final class RingHarness {
  private var writer: RingWriter
  package private(set) var model: SessionModel
  package let layout: RingLayout
  package let reader: RingReader
  /// The size of the pieces in which disturbed reads copy payload.
  let pieceSize: Int
  /// The most bytes that a read has reported as lost.
  private var reportedLoss = 0
  /// All statuses so far, and the newest seq when each was set.
  private var statuses: [(status: UInt64, lastSeq: Int)] = [(0, 0)]

  /// - Parameter isAttached: Whether the ring lies in a file, and the reader is one that attached
  ///   to it, as another program's would.
  package init(_ layout: RingLayout, pieceSize: Int = 32_768, isAttached: Bool = false) {
    self.layout = layout
    var attached: RingReader?
    writer = isAttached ? ScratchFile.makeRing(layout, attaching: &attached) : RingWriter(layout)
    reader = attached ?? writer.reader
    self.pieceSize = pieceSize
    model = SessionModel(
      capacity: layout.capacity, chunkLimit: layout.chunkLimit, slotCount: layout.slotCount,
      headCapacity: layout.headCapacity, headChunkLimit: layout.headChunkLimit)
  }

  package convenience init(
    capacity: Int, chunkLimit: Int = .max, reservationLimit: Int = 4, pieceSize: Int = 32_768,
    headCapacity: Int = 0, timestamps: Bool = false, isAttached: Bool = false
  ) {
    self.init(
      RingLayout(
        capacity: capacity, chunkLimit: min(chunkLimit, capacity),
        reservationLimit: reservationLimit, headCapacity: headCapacity, timestamps: timestamps),
      pieceSize: pieceSize, isAttached: isAttached)
  }

  /// The tags of chunks that were appended in groups, by seq.
  private var groupTags: [Int: Bool] = [:]

  /// Whether the chunk of a seq has its tag set.
  private func tag(_ seq: Int) -> Bool { groupTags[seq] ?? (seq % 3 == 0) }

  /// Sets the timestamp of the next chunk, and returns its tag.
  private func nextTag() -> Bool {
    writer.timestamp = Stamp.time(model.lastSeq + 1)
    return tag(model.lastSeq + 1)
  }

  package func append(_ size: Int) {
    let bytes = Stamp.bytes(size, at: model.totalBytes)
    let tag = nextTag()
    unsafe bytes.withUnsafeBytes { unsafe writer.append($0, tag: tag) }
    model.append(bytes, isError: tag)
  }

  /// Appends several chunks that are published at once.
  package func append(group sizes: [Int]) {
    let tag = nextTag()
    let time = writer.timestamp
    var chunks: [[UInt8]] = []
    for size in sizes {
      chunks.append(Stamp.bytes(size, at: model.totalBytes))
      if size > 0 { groupTags[model.lastSeq + 1] = tag }
      model.append(chunks[chunks.count - 1], isError: tag, at: time)
    }
    writer.append(contentsOf: chunks, tag: tag)
  }

  private struct Meanwhile: WriteProbe {
    let body: () -> Void
    func announcedPiece() { body() }
  }

  /// Appends in pieces, and calls a closure when each has been announced.
  package func append(_ size: Int, meanwhile: @escaping () -> Void) {
    let bytes = Stamp.bytes(size, at: model.totalBytes)
    let tag = nextTag()
    unsafe bytes.withUnsafeBytes {
      unsafe writer.append($0, tag: tag, probe: Meanwhile(body: meanwhile))
    }
    model.append(bytes, isError: tag)
  }

  /// Reserves, scribbles over all of it, and commits as much as told; nil throws.
  @discardableResult
  package func reserve(_ count: Int, commit: Int?, meanwhile: () -> Void = {}) -> Int {
    struct Failure: Error {}
    let tag = nextTag()
    let offset = model.totalBytes
    model.reserve()
    var reserved = 0
    _ = try? unsafe writer.append(reserving: count, tag: tag) { first, second in
      reserved = first.count + second.count
      for index in first.indices { unsafe first[index] = 0xa5 }
      for index in second.indices { unsafe second[index] = 0xa5 }
      let bytes = Stamp.bytes(min(commit ?? 0, reserved), at: offset)
      for (index, byte) in bytes.enumerated() {
        if index < first.count {
          unsafe first[index] = byte
        } else {
          unsafe second[index - first.count] = byte
        }
      }
      meanwhile()
      guard commit != nil else { throw Failure() }
      return bytes.count
    }
    model.append(Stamp.bytes(min(commit ?? 0, reserved), at: offset), isError: tag)
    return reserved
  }

  package var status: UInt64 {
    get { writer.status }
    set {
      writer.status = newValue
      statuses.append((newValue, model.lastSeq))
    }
  }

  /// Sets the status that stands for an exit.
  func setExit(_ code: Int32, closing: Bool) {
    status = status.exited(code, closing: closing)
    model.setExit(code, closing: closing)
  }

  package var writerState: (lastSeq: Int, endOffset: Int) { (writer.lastSeq, writer.endOffset) }
}

// MARK: Undisturbed reads

extension RingHarness {
  /// Reads while nobody writes; returns how the outcome differs from the model's, if it does.
  package func compare(
    since start: ReadStart, maxBytes: Int? = nil, into batch: inout RingBatch
  ) -> String? {
    reader.read(
      since: RingCursor(seq: start.seq, offset: start.offset), maxBytes: maxBytes, into: &batch)
    return Observed(batch).difference(
      from: model.read(start, maxBytes: maxBytes), timestamps: layout.hasTimestamps)
  }
}

// MARK: Reads between whose steps the writer goes on

/// Lets the writer go on between the steps of a read.
package final class Interruption: ReadProbe {
  package fileprivate(set) var pieceSize = 32_768
  package private(set) var steps = 0
  package private(set) var reached: [ReadStep] = []
  private let action: (_ index: Int, _ step: ReadStep) -> Void

  package init(_ action: @escaping (_ index: Int, _ step: ReadStep) -> Void) {
    self.action = action
  }

  package func reached(_ step: ReadStep) {
    let index = steps
    steps += 1
    reached.append(step)
    action(index, step)
  }
}

extension RingHarness {
  /// Reads while a probe appends, and returns what is wrong with the outcome, if anything is.
  ///
  /// What a read must deliver while it is being lapped is not one exact answer; but whatever it
  /// delivers must be intact, in order, and add up, and nothing may be called missed that is
  /// retained even after the read.
  package func read(
    since start: ReadStart, maxBytes: Int? = nil, into batch: inout RingBatch, _ probe: Interruption
  ) -> String? {
    let before = model
    let settled = statuses.count - 1
    probe.pieceSize = pieceSize
    reader.read(
      since: RingCursor(seq: start.seq, offset: start.offset), maxBytes: maxBytes, into: &batch,
      probe: probe)
    return fault(in: batch, since: start, maxBytes: maxBytes, before: before)
      ?? fault(inStatusOf: batch, settled: settled)
      ?? fault(inWorkOf: probe)
  }

  private func fault(
    in batch: RingBatch, since start: ReadStart, maxBytes: Int?, before: SessionModel
  ) -> String? {
    let since = max(start.seq, 0)
    let cursor = batch.cursor
    if batch.isDamaged { return "damaged" }
    if batch.isCursorAhead { return fault(inReadAhead: batch, since: start, before: before) }
    if !batch.hasMore, cursor.seq < before.lastSeq {
      return "no more than \(cursor.seq), though \(before.lastSeq) was there"
    }
    if cursor.seq > model.lastSeq { return "cursor \(cursor) of the future" }
    if cursor.seq < since { return "cursor \(cursor) before \(since)" }

    // Chunks: what the model says was sent, each intact, one after the other.
    // Those of the head that are due come first, and what is missed lies behind them.
    let head = batch.prefix { $0.seq <= model.head.count }
    for (index, chunk) in batch.enumerated() {
      let isOfHead = index < head.count
      let seq = isOfHead ? since + 1 + index : cursor.seq - batch.count + 1 + index
      let end = model.ends[seq]
      let begin = isOfHead ? model.ends[seq - 1] : max(model.ends[seq - 1], end - layout.capacity)
      if chunk.seq != seq { return "seq \(chunk.seq) instead of \(seq)" }
      if chunk.offset != begin { return "chunk \(seq) at \(chunk.offset), not \(begin)" }
      if chunk.data.count != end - begin { return "chunk \(seq) of \(chunk.data.count) bytes" }
      if chunk.tag != tag(seq) { return "tag of chunk \(seq)" }
      if chunk.timestamp != (layout.hasTimestamps ? model.timestamps[seq] : nil) {
        return "timestamp of chunk \(seq): \(chunk.timestamp as Any)"
      }
      guard unsafe chunk.data.withUnsafeBytes({ unsafe Stamp.matches($0, at: begin) }) else {
        return "chunk \(seq) is torn"
      }
    }

    // Accounts: received + missed is what was sent up to the cursor.
    if batch.count + batch.missedChunks != cursor.seq - since {
      return "\(batch.count) + \(batch.missedChunks) chunks from \(since) to \(cursor.seq)"
    }
    let received = batch.reduce(0) { $0 + $1.data.count }
    if let maxBytes, batch.count > 1, received > maxBytes { return "\(received) bytes" }
    let known = since == 0 ? 0 : start.offset ?? -1
    if cursor.offset != nil || known >= 0 || cursor.seq > since {
      if cursor.offset != model.ends[cursor.seq] { return "cursor \(cursor)" }
    }
    if let missedBytes = batch.missedBytes {
      if cursor.seq > since, received + missedBytes != model.ends[cursor.seq] - model.ends[since] {
        return "\(received) + \(missedBytes) bytes from \(model.ends[since]) to \(cursor)"
      }
    } else if known >= 0 || since + layout.slotCount > model.lastSeq + 1 {
      return "missed bytes not known"
    }
    // A chunk that is retained even now was never in the way of the writer.
    let from = max(since, head.last?.seq ?? 0)
    if batch.missedChunks > 0, from + batch.missedChunks >= model.oldestSeq {
      return "missed up to \(from + batch.missedChunks), though \(model.oldestSeq) is retained"
    }
    if head.isEmpty, since < before.head.count, !(batch.isEmpty && batch.hasMore) {
      return "no head, from \(since)"
    }

    // Without a limit all that was due is dealt with, unless descriptors were reused at every
    // attempt, or all but the head was overwritten.
    let gaveUp = batch.count == head.count && batch.missedChunks == 0 && batch.hasMore
    if maxBytes == nil, batch.hasMore, !gaveUp { return "more, beyond \(cursor.seq)" }
    if let fault = fault(inLostBytesOf: batch, gaveUp: gaveUp, before: before) { return fault }
    let headEnd = head.last.map { model.ends[$0.seq] } ?? 0
    if let first = batch.dropFirst(head.count).first, since == 0,
      batch.lostBytes != first.offset - headEnd
    {
      return "lost \(batch.lostBytes) but the first chunk is at \(first.offset)"
    }
    return nil
  }

  /// Lost is as of some moment during the read. A read that gave up can only report what reads
  /// reported before.
  private func fault(
    inLostBytesOf batch: RingBatch, gaveUp: Bool, before: SessionModel
  ) -> String? {
    let least = gaveUp ? reportedLoss : before.lostBytes
    if batch.lostBytes < least || batch.lostBytes > model.lostBytes {
      return "lost \(batch.lostBytes), not \(least)...\(model.lostBytes)"
    }
    reportedLoss = max(reportedLoss, batch.lostBytes)
    return nil
  }

  /// A position beyond the newest chunk finds nothing, and becomes that chunk's.
  private func fault(
    inReadAhead batch: RingBatch, since start: ReadStart, before: SessionModel
  ) -> String? {
    let cursor = batch.cursor
    if start.seq <= cursor.seq { return "ahead of \(cursor.seq)" }
    if !(before.lastSeq...model.lastSeq ~= cursor.seq) { return "newest is \(cursor.seq)" }
    if !batch.isEmpty || batch.missedChunks > 0 || batch.missedBytes != 0 {
      return "ahead, and \(batch.count) chunks, \(batch.missedChunks) missed"
    }
    if cursor.offset != (batch.hasMore ? nil : model.ends[cursor.seq]) { return "cursor \(cursor)" }
    return fault(inLostBytesOf: batch, gaveUp: batch.hasMore, before: before)
  }

  /// A status is one that stood at some time during the read, and all chunks appended before it was
  /// set are in the read, or before it, or announced by `hasMore`.
  private func fault(inStatusOf batch: RingBatch, settled: Int) -> String? {
    let isExplained = statuses[settled...].contains {
      $0.status == batch.status && (batch.hasMore || batch.cursor.seq >= $0.lastSeq)
    }
    return isExplained ? nil : "status \(batch.status) with chunks to \(batch.cursor.seq)"
  }

  /// A read must end, whatever the writer does. It makes a fixed number of attempts, and each goes
  /// over its payload at most twice; newest first by whole chunks, two of which may make no more
  /// than one piece.
  private func fault(inWorkOf probe: Interruption) -> String? {
    let pieces = (layout.capacity + pieceSize - 1) / pieceSize
    let bound = 16 * (7 + 3 * (pieces + 1))
    return probe.steps <= bound ? nil : "\(probe.steps) steps"
  }
}
