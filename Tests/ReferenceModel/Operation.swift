/// One step of a script that runs on a ring or a session.
///
/// Sizes and positions are relative to the geometry and to what was appended so far, so that a step
/// keeps its meaning when steps before it are taken out.
package enum Operation: Codable, Equatable, Sendable {
  case append(Length, isError: Bool)
  /// Several appends that are published at once.
  case appendGroup([Length], isError: Bool)
  case reserve(Length, isError: Bool, filling: Filling)
  /// A read by seq, into fresh memory.
  case read(Place, maxBytes: Int?)
  /// A read by a cursor whose offset is right, or wrong by the error given.
  case readFromCursor(Place, offsetError: Int, maxBytes: Int?)
  /// A read by a cursor of another session.
  case readFromForeignCursor(Place, maxBytes: Int?)
  /// A reader begins to wait; what follows must wake it exactly when there is news for it.
  case wait(Place, Knowledge)
  /// One of a few readers goes on where it was, in its own memory; by cursor or by seq. Keeps
  /// chunks of its last read beyond this one, if asked to: their bytes must not change.
  case resume(reader: Int, byCursor: Bool, keeping: Bool, maxBytes: Int?)
  case setExit(Int32, closing: Bool)
  case close
}

/// What a waiter's cursor knows besides its place.
package enum Knowledge: String, Codable, CaseIterable, Sendable {
  /// Nothing, as a bare seq.
  case nothing
  /// The session, and its process's state.
  case everything
  /// Another session.
  case otherSession
}

/// What is done with a reservation.
package enum Filling: Codable, Equatable, Sendable {
  /// As much as was reserved.
  case all
  /// So much less than was reserved, at least 1 byte.
  case less(Int)
  case nothing
  /// The closure throws.
  case failure
}

/// A number of bytes.
package struct Length: Codable, Equatable, Sendable {
  package enum Base: String, Codable, CaseIterable, Sendable {
    case nothing, capacity, threeCapacities, reservationLimit, slackAndCapacity
    /// What is left up to the end of the payload storage.
    case toTheWrap
    /// What the head has room for.
    case headRoom
  }

  package var base: Base
  package var delta: Int

  package init(_ base: Base, _ delta: Int = 0) {
    self.base = base
    self.delta = delta
  }

  package func resolved(in geometry: Geometry, _ model: SessionModel) -> Int {
    resolved(in: geometry, at: model.totalBytes, headRoom: model.headRoom)
  }

  package func resolved(in geometry: Geometry, at offset: Int, headRoom: Int = 0) -> Int {
    let length =
      switch base {
      case .nothing: 0
      case .capacity: geometry.capacity
      case .threeCapacities: 3 * geometry.capacity
      case .reservationLimit: geometry.reservationLimit
      case .slackAndCapacity: geometry.payloadSize
      case .toTheWrap: geometry.payloadSize - offset % geometry.payloadSize
      case .headRoom: headRoom
      }
    return max(0, length + delta)
  }
}

/// A seq.
package struct Place: Codable, Equatable, Sendable {
  package enum Base: String, Codable, CaseIterable, Sendable {
    case zero, oldest, newest
    /// The oldest seq whose descriptor a ring still has.
    case oldestSlot
  }

  package var base: Base
  package var delta: Int

  package init(_ base: Base, _ delta: Int = 0) {
    self.base = base
    self.delta = delta
  }

  package func resolved(_ model: SessionModel) -> Int {
    let seq =
      switch base {
      case .zero: 0
      case .oldest: model.oldestSeq
      case .newest: model.lastSeq
      case .oldestSlot: model.lastSeq - model.slotCount + 1
      }
    let (sum, overflow) = seq.addingReportingOverflow(delta)
    return overflow ? (delta < 0 ? .min : .max) : sum
  }
}

/// One step of a script that runs on a session manager. Ids are small numbers.
package enum ManagerOperation: Codable, Equatable, Sendable {
  case register(id: Int)
  /// Registers once more the session that is registered under the id, if one is.
  case registerAgain(id: Int)
  case forget(id: Int)
  case lookUp(id: Int)
  case append(id: Int, bytes: Int)
  case abandonReservation(id: Int)
  case setExit(id: Int)
  case close(id: Int)
  case read(id: Int)
  /// A reader that knows all there is begins to wait for more.
  case wait(id: Int)
  case advance(nanoseconds: Int64)
  case sweep
}

/// The numbers that a ring or session is made from.
package struct Geometry: Codable, Equatable, Sendable {
  /// A bare ring, a session whose producers take turns, one with a producer of its own, or a ring
  /// in a file that its readers have attached to.
  package enum Kind: String, Codable, CaseIterable, Sendable {
    case ring, session, producer, attached
  }

  package var kind: Kind
  package var capacity: Int
  package var chunkLimit: Int
  package var reservationLimit: Int
  package var headCapacity = 0
  package var timestamps = false

  package var payloadSize: Int { capacity + reservationLimit }

  /// The same, but a bare ring lies in a file, and its readers attach to that.
  package var attached: Geometry {
    var geometry = self
    if kind == .ring { geometry.kind = .attached }
    return geometry
  }
}

/// What a seed stands for, and what a replay file holds.
package enum Script: Codable, Equatable, Sendable {
  case output(Geometry, [Operation])
  case manager(idleTimeout: Int64, [ManagerOperation])
  /// On a ring whose reads confirm their copies in pieces of so many bytes.
  case interleaved(Geometry, pieceSize: Int, [InterleavedOperation])
  /// Appends alone, and an exit code, to be written as `capture --json` does.
  case json([Operation], exitCode: Int32?)
  /// Lines and patterns of a session's output.
  case lines(LineSetting, [LineOperation])

  /// Runs the script, and says where and how the library first differs from the model, if it does.
  package func run() -> Difference? {
    switch self {
    case .output(let geometry, let operations):
      OutputInterpreter.run(operations, in: geometry)
    case .manager(let idleTimeout, let operations):
      ManagerInterpreter.run(operations, idleTimeout: idleTimeout)
    case .interleaved(let geometry, let pieceSize, let operations):
      InterleavedInterpreter.run(operations, in: geometry, pieceSize: pieceSize)
    case .json(let appends, let exitCode):
      JSONInterpreter.run(appends, exitCode: exitCode)
    case .lines(let setting, let operations):
      LineInterpreter.run(operations, setting)
    }
  }

  /// The same script, but a bare ring's lies in a file, and its readers attach to that.
  package var attached: Script {
    switch self {
    case .output(let geometry, let operations): .output(geometry.attached, operations)
    case .interleaved(let geometry, let pieceSize, let operations):
      .interleaved(geometry.attached, pieceSize: pieceSize, operations)
    case .manager, .json, .lines: self
    }
  }

  /// The shortest script found that still fails.
  package func shrunk() -> Script {
    switch self {
    case .output(let geometry, let operations):
      .output(
        geometry,
        shrink(operations) { OutputInterpreter.run($0, in: geometry) })
    case .manager(let idleTimeout, let operations):
      .manager(
        idleTimeout: idleTimeout,
        shrink(operations) { ManagerInterpreter.run($0, idleTimeout: idleTimeout) })
    case .interleaved(let geometry, let pieceSize, let operations):
      .interleaved(
        geometry, pieceSize: pieceSize,
        shrinkBursts(
          of: shrink(operations) {
            InterleavedInterpreter.run($0, in: geometry, pieceSize: pieceSize)
          }
        ) { InterleavedInterpreter.run($0, in: geometry, pieceSize: pieceSize) })
    case .json(let appends, let exitCode):
      .json(shrink(appends) { JSONInterpreter.run($0, exitCode: exitCode) }, exitCode: exitCode)
    case .lines(let setting, let operations):
      .lines(setting, shrink(operations) { LineInterpreter.run($0, setting) })
    }
  }

  package var count: Int {
    switch self {
    case .output(_, let operations): operations.count
    case .manager(_, let operations): operations.count
    case .interleaved(_, _, let operations): operations.count
    case .json(let appends, _): appends.count
    case .lines(_, let operations): operations.count
    }
  }
}

extension Script: CustomStringConvertible {
  /// One step a line.
  package var description: String {
    switch self {
    case .output(let geometry, let operations):
      "\(geometry)\n" + operations.map { "  \($0)" }.joined(separator: "\n")
    case .manager(let idleTimeout, let operations):
      "idle timeout \(idleTimeout) ns\n" + operations.map { "  \($0)" }.joined(separator: "\n")
    case .interleaved(let geometry, let pieceSize, let operations):
      "\(geometry), pieces of \(pieceSize)\n"
        + operations.map { "  \($0)" }.joined(separator: "\n")
    case .json(let appends, let exitCode):
      "as JSON, exit code \(exitCode.map(String.init) ?? "none")\n"
        + appends.map { "  \($0)" }.joined(separator: "\n")
    case .lines(let setting, let operations):
      "\(setting)\n" + operations.map { "  \($0)" }.joined(separator: "\n")
    }
  }
}

/// Where library and model first disagreed.
package struct Difference: Error, Equatable, CustomStringConvertible, Sendable {
  /// The index of the step.
  package var step: Int
  package var operation: String
  package var details: String

  package init(step: Int, operation: String, details: String) {
    self.step = step
    self.operation = operation
    self.details = details
  }

  package var description: String { "step \(step), \(operation): \(details)" }
}
