import Processes

extension Script {
  /// What keeps the script from being run at all, as one from a file may not be; nil if nothing
  /// does.
  package var objection: String? {
    switch self {
    case .output(let geometry, let operations):
      geometry.objection ?? operations.lazy.compactMap(\.objection).first
    case .manager(_, let operations):
      operations.lazy.compactMap(\.objection).first
    case .interleaved(let geometry, let pieceSize, let operations):
      geometry.objection
        ?? (1...Self.most ~= pieceSize ? nil : "there are no pieces of \(pieceSize) bytes")
        ?? operations.lazy.flatMap(\.writes).compactMap(\.objection).first
    case .json(let appends, _):
      appends.lazy.compactMap(\.objection).first
    case .lines(let setting, let operations):
      setting.objection ?? operations.lazy.compactMap(\.objection).first
    }
  }

  /// More bytes than a script has use for.
  fileprivate static let most = 1 << 24
}

extension Geometry {
  fileprivate var objection: String? {
    let isValid =
      1...Script.most ~= capacity && 1...Script.most ~= chunkLimit
      && 1...Script.most ~= reservationLimit && 0...Script.most ~= headCapacity
    return isValid ? nil : "there is no \(kind) of \(self)"
  }
}

extension LineSetting {
  fileprivate var objection: String? {
    let isValid =
      1...Script.most ~= capacity && 4...Script.most ~= maxLength && !pattern.isEmpty
    return isValid ? nil : "lines cannot be read with \(self)"
  }
}

extension LineOperation {
  fileprivate var objection: String? {
    let isValid =
      switch self {
      case .append(let pieces, _, _): 0...Script.most ~= pieces
      case .tail(let lines, _): lines >= 0
      case .tailBytes(let bytes): bytes >= 0
      case .read, .resume, .setExit: true
      }
    return isValid ? nil : "\(self) cannot be done"
  }
}

extension Operation {
  fileprivate var objection: String? {
    let isValid =
      switch self {
      case .append(let length, _): length.isValid
      case .appendGroup(let lengths, _): lengths.allSatisfy(\.isValid)
      case .reserve(let length, _, .less(let less)): length.isValid && less >= 0
      case .reserve(let length, _, _): length.isValid
      case .resume(let reader, _, _, _): reader >= 0
      case .read, .readFromCursor, .readFromForeignCursor, .wait, .setExit, .close: true
      }
    return isValid ? nil : "\(self) cannot be done"
  }
}

extension Write {
  fileprivate var objection: String? {
    let isValid =
      switch self {
      case .append(let length): length.isValid
      case .appendGroup(let lengths): lengths.allSatisfy(\.isValid)
      case .reserve(let length, .less(let less)): length.isValid && less >= 0
      case .reserve(let length, _): length.isValid
      case .setExit: true
      }
    return isValid ? nil : "\(self) cannot be done"
  }
}

extension Length {
  fileprivate var isValid: Bool { -Script.most...Script.most ~= delta }
}

extension ManagerOperation {
  fileprivate var objection: String? {
    guard case .append(_, let bytes) = self, !(0...Script.most ~= bytes) else { return nil }
    return "\(self) cannot be done"
  }
}
