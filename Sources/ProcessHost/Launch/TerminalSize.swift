/// The size of a terminal, in characters.
public struct TerminalSize: Sendable, Hashable {
  /// The number of lines.
  public var rows: UInt16
  /// The number of characters in a line.
  public var columns: UInt16

  /// Creates a size; 24 lines of 80 characters by default.
  public init(rows: UInt16 = 24, columns: UInt16 = 80) {
    self.rows = rows
    self.columns = columns
  }
}

/// Why a terminal's size could not be changed.
public enum TerminalError: Error, Sendable, Hashable {
  /// The process has no terminal: see ``Command/terminal``.
  case noTerminal
  /// The process has ended, and its terminal with it.
  case processEnded
}

extension TerminalError: CustomStringConvertible {
  /// What was wrong.
  public var description: String {
    switch self {
    case .noTerminal:
      "the process has pipes and no terminal; set the terminal of its command to start it in one"
    case .processEnded: "the process has ended, and its terminal with it"
    }
  }
}
