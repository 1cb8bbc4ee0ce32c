import Foundation
import Processes

/// Runs the steps of a script on a ring or session and on the model, and compares after each.
package struct OutputInterpreter {
  private let geometry: Geometry
  private let subject: any Subject
  private var model: SessionModel
  /// The readers that go on where they were.
  private var readers: [Reader]
  /// Chunks that somebody held on to, and what their bytes must be for ever.
  private var kept: [(chunk: Observed.Chunk, bytes: [UInt8])] = []
  /// The readers that sleep.
  private var waits: [Wait] = []

  private struct Reader {
    var memory = ReadMemory()
    var cursor = ReadStart(seq: 0, offset: 0)
    var lastRead: Observed?
  }

  private struct FillFailure: Error {}

  package init(_ geometry: Geometry) {
    self.geometry = geometry
    subject = geometry.makeSubject()
    model = SessionModel(
      capacity: geometry.capacity, chunkLimit: geometry.chunkLimit, slotCount: subject.slotCount,
      headCapacity: geometry.headCapacity, headChunkLimit: geometry.layout.headChunkLimit)
    readers = [Reader(), Reader(), Reader()]
  }

  package static func run(_ operations: [Operation], in geometry: Geometry) -> Difference? {
    var interpreter = OutputInterpreter(geometry)
    for (step, operation) in operations.enumerated() {
      if let details = interpreter.run(operation) {
        return Difference(step: step, operation: "\(operation)", details: details)
      }
    }
    if let details = interpreter.checkKept() {
      return Difference(step: operations.count - 1, operation: "the end", details: details)
    }
    return nil
  }

  /// Runs one step; returns how library and model differ after it, if they do.
  package mutating func run(_ operation: Operation) -> String? {
    switch operation {
    case .append(let length, let isError):
      let count = length.resolved(in: geometry, model)
      let bytes = Stamp.bytes(count, at: model.totalBytes)
      unsafe bytes.withUnsafeBytes { unsafe subject.append($0, isError: isError) }
      model.append(bytes, isError: isError)
    case .appendGroup(let lengths, let isError):
      let time = Stamp.time(model.lastSeq + 1)
      var chunks: [[UInt8]] = []
      for length in lengths {
        chunks.append(Stamp.bytes(length.resolved(in: geometry, model), at: model.totalBytes))
        model.append(chunks[chunks.count - 1], isError: isError, at: time)
      }
      subject.append(contentsOf: chunks, isError: isError)
    case .reserve(let length, let isError, let filling):
      if let details = reserve(
        max(1, length.resolved(in: geometry, model)), isError, filling)
      {
        return details
      }
    case .read(let place, let maxBytes):
      var memory = ReadMemory()
      return compare(ReadStart(seq: place.resolved(model)), maxBytes, &memory).difference
    case .readFromCursor(let place, let error, let maxBytes):
      let seq = place.resolved(model)
      let offset = model.ends[min(max(seq, 0), model.lastSeq)].addingReportingOverflow(error)
      var memory = ReadMemory()
      let start = ReadStart(seq: seq, offset: offset.overflow ? .max : offset.partialValue)
      return compare(start, maxBytes, &memory).difference
    case .readFromForeignCursor(let place, let maxBytes):
      // A ring has no sessions to tell apart.
      guard subject.session != nil else { return nil }
      var memory = ReadMemory()
      let start = ReadStart(seq: place.resolved(model), offset: 7, isForeign: true)
      return compare(start, maxBytes, &memory).difference
    case .wait(let place, let knowledge):
      wait(from: place.resolved(model), knowledge)
    case .resume(let reader, let byCursor, let keeping, let maxBytes):
      return resume(reader % readers.count, byCursor, keeping, maxBytes)
    case .setExit(let code, let closing):
      subject.setExit(code, closing: closing)
      model.setExit(code, closing: closing)
    case .close:
      subject.close()
      model.close()
    }
    return compareState()
  }

  // MARK: Waiting

  private struct Wait {
    var pending: PendingWait
    var start: ReadStart
    var knownChanges: Int
  }

  private mutating func wait(from seq: Int, _ knowledge: Knowledge) {
    guard let session = subject.session else { return }
    let start = ReadStart(seq: seq, isForeign: knowledge == .otherSession)
    var cursor = Cursor(start)
    var knownChanges = 0
    if knowledge == .everything {
      cursor = cursor.with(session.output(since: Cursor(seq: .max)).cursor)
      knownChanges = model.statusChanges
    }
    let pending = PendingWait(for: session, past: cursor)
    waits.append(Wait(pending: pending, start: start, knownChanges: knownChanges))
  }

  /// Those for which there is news are over, no others, and no wait begins anew.
  private mutating func compareWaits() -> String? {
    for wait in waits {
      let isOver = model.hasNews(past: wait.start, knownChanges: wait.knownChanges)
      if wait.pending.isOver != isOver {
        return "a wait past \(wait.start) is \(isOver ? "not " : "")over"
      }
    }
    waits.removeAll { $0.pending.isOver }
    return nil
  }

  // MARK: Steps

  private mutating func reserve(_ count: Int, _ isError: Bool, _ filling: Filling) -> String? {
    model.reserve()
    let room = model.isHeadComplete ? Int.max : model.headRoom
    let expected = min(count, geometry.reservationLimit, room)
    let offset = model.totalBytes
    var stored: [UInt8] = []
    var difference: String?
    let returned = try? unsafe subject.append(reserving: count, isError: isError) {
      (first, second) throws -> Int in
      let reserved = first.count + second.count
      if reserved != expected { difference = "\(reserved) bytes reserved, not \(expected)" }
      // What lies past the count returned must never show.
      unsafe memset(first.baseAddress!, 0xa5, first.count)
      if second.count > 0 { unsafe memset(second.baseAddress!, 0xa5, second.count) }
      let written: Int
      switch filling {
      case .all: written = reserved
      case .less(let less): written = max(1, reserved - less)
      case .nothing: written = 0
      case .failure: written = 0
      }
      stored = Stamp.bytes(written, at: offset)
      unsafe stored.withUnsafeBytes { bytes in
        let head = min(bytes.count, first.count)
        unsafe first.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<head]))
        unsafe second.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[head...]))
      }
      // An open reservation disturbs nobody.
      if difference == nil { difference = compareState() }
      if filling == .failure { throw FillFailure() }
      return written
    }
    if let difference { return "while reserved: \(difference)" }
    if returned != (filling == .failure ? nil : stored.count) {
      return "reservation returned \(returned as Any), not \(stored.count)"
    }
    if filling != .failure { model.append(stored, isError: isError) }
    return nil
  }

  private mutating func resume(
    _ index: Int, _ byCursor: Bool, _ keeping: Bool, _ maxBytes: Int?
  ) -> String? {
    if keeping, let last = readers[index].lastRead {
      // One is enough to keep the memory of all.
      for chunk in last.chunks.suffix(1) {
        kept.append((chunk, Stamp.bytes(chunk.data.count, at: chunk.offset)))
      }
      if kept.count > 16 { kept.removeFirst() }
    }
    readers[index].lastRead = nil
    var start = readers[index].cursor
    if !byCursor { start.offset = nil }
    let (observed, difference) = compare(start, maxBytes, &readers[index].memory)
    if let difference { return difference }
    let state = observed.state
    readers[index].cursor = ReadStart(seq: state.cursorSeq, offset: state.cursorOffset)
    readers[index].lastRead = observed
    return checkKept()
  }

  // MARK: Comparing

  private func compare(
    _ start: ReadStart, _ maxBytes: Int?, _ memory: inout ReadMemory
  ) -> (observed: Observed, difference: String?) {
    let observed = subject.read(start, maxBytes: maxBytes, into: &memory)
    let difference = observed.difference(
      from: model.read(start, maxBytes: maxBytes), timestamps: geometry.timestamps)
    return (observed, difference)
  }

  /// Compares, after each step, which waiters were woken, what is new to a reader that knows all
  /// but the newest chunk, and the counters.
  private mutating func compareState() -> String? {
    if let difference = compareWaits() { return difference }
    if subject.lostBytes != model.lostBytes {
      return "lostBytes is \(subject.lostBytes), not \(model.lostBytes)"
    }
    if subject.lastSeq != model.lastSeq {
      return "lastSeq is \(subject.lastSeq), not \(model.lastSeq)"
    }
    var memory = ReadMemory()
    // The whole of a tiny ring is as cheap as a part.
    let since = geometry.capacity <= 64 ? 0 : model.lastSeq - 1
    return compare(ReadStart(seq: since), nil, &memory).difference
  }

  private func checkKept() -> String? {
    for (chunk, bytes) in kept where !chunk.data.isEqual(to: bytes) {
      return "bytes of chunk \(chunk.seq) changed while held"
    }
    return nil
  }
}
