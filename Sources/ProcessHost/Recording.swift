public import Processes

// What a recording's file tells of the process, as its host notes it.

// MARK: Noting

extension Session {
  /// Notes how the process ended. To be called before the session gets the exit status, so that a
  /// reader which finds that finds the note.
  func note(_ exit: ProcessExit) {
    switch exit {
    case .exited: note(.ending, EndingNote.exited)
    case .unknown: note(.ending, EndingNote.unknown)
    case .signaled(let signal):
      note(.ending, EndingNote.signaled | UInt64(UInt8(truncatingIfNeeded: signal)))
    }
  }

  /// Notes the resources that the process used, if they are known.
  func note(_ usage: ResourceUsage?) {
    guard let usage else { return }
    note(.userTime, UInt64(clamping: Int64(usage.userTime / .microseconds(1))))
    note(.systemTime, UInt64(clamping: Int64(usage.systemTime / .microseconds(1))))
    note(.peakResidentBytes, UInt64(clamping: usage.peakResidentBytes))
    // Last: a reader that finds it finds the three.
    note(.isUsageKnown, 1)
  }

  /// Notes whether the kernel killed for lack of memory, if that is known.
  func note(wasOOMKilled: Bool?) {
    if let wasOOMKilled { note(.outOfMemory, wasOOMKilled ? 2 : 1) }
  }

  /// Notes that the process still ran when its time was up.
  package func noteTimeOut() { note(.isTimedOut, 1) }
}

/// The values of ``RecordingNote/ending``.
private enum EndingNote {
  static let exited: UInt64 = 1
  static let unknown: UInt64 = 2
  /// To which the signal's number is added.
  static let signaled: UInt64 = 256
}

// MARK: Reading

extension RecordedSession {
  /// How the process ended, as its host noted it in the file; nil while it runs.
  ///
  /// Nil as well if that is not known: the output is not of a process that a ``CommandHost``
  /// started, or an earlier version of this library recorded it, or the file contradicts itself.
  /// `exitCode` then has the exit code alone.
  ///
  /// Like all that the file says of the process, this is known after the end of the recording
  /// program too, and a reader that finds the exit finds the other facts that were known by then.
  ///
  /// - Complexity: O(1); no system call.
  public var exit: ProcessExit? {
    // In this order: the note precedes the status.
    guard let code = exitCode else { return nil }
    switch note(.ending) {
    case EndingNote.exited:
      return 0...255 ~= code ? .exited(code) : nil
    case EndingNote.unknown:
      return .unknown
    case let ending where 1...64 ~= ending &- EndingNote.signaled:
      let exit = ProcessExit.signaled(Int32(ending - EndingNote.signaled))
      return exit.code == code ? exit : nil
    default:
      return nil
    }
  }

  /// The resources that the process and its descendants have used, as
  /// ``HostedProcess/resourceUsage`` has them; nil before the process's end, and if they are not
  /// known.
  ///
  /// - Complexity: O(1); no system call.
  public var resourceUsage: ResourceUsage? {
    guard note(.isUsageKnown) == 1 else { return nil }
    let words = (note(.userTime), note(.systemTime), note(.peakResidentBytes))
    let greatest = RecordingNote.greatest
    guard words.0 <= greatest, words.1 <= greatest, words.2 <= greatest else { return nil }
    return ResourceUsage(
      userTime: .microseconds(Int64(words.0)), systemTime: .microseconds(Int64(words.1)),
      peakResidentBytes: Int(words.2))
  }

  /// Whether the process still ran when its ``Command/timeLimit`` was over, so that its host
  /// terminated it; false if that is not known.
  ///
  /// - Complexity: O(1); no system call.
  public var isTimedOut: Bool { note(.isTimedOut) == 1 }

  /// Whether the kernel has killed the process, or a process that it started, for lack of memory:
  /// see ``HostedProcess/wasOOMKilled``. Nil before the process's end, and if that is not known.
  ///
  /// The value may become true after the exit: the host looks at the exit, and again when nothing
  /// is left of the process.
  ///
  /// - Complexity: O(1); no system call.
  public var wasOOMKilled: Bool? {
    switch note(.outOfMemory) {
    case 1: false
    case 2: true
    default: nil
    }
  }

  /// The number of bytes that were written to the process's output after the session had been
  /// closed: see ``HostedProcess/droppedBytes``. It may grow after the close; 0 if it is not known.
  ///
  /// - Complexity: O(1); no system call.
  public var droppedBytes: Int {
    let count = note(.droppedBytes)
    return count <= RecordingNote.greatest ? Int(count) : 0
  }
}
