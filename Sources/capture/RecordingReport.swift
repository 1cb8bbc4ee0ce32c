import CaptureFormat
import ProcessHost
import Processes

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What `capture read --info` tells of a recording.
struct RecordingReport {
  /// A line of the report: its name as text and in JSON, and its value in each.
  private typealias Field = (title: String, key: String, text: String?, json: String)
  private let fields: [Field]
  /// Whether the file holds what no program of this library stores.
  let isDamaged: Bool

  init(_ recording: RecordedSession) {
    let info = recording.info
    // Looked up first, so that the counts are not of an earlier moment.
    let state = recording.state
    // With a chunk, since damage shows when chunks are read.
    isDamaged = recording.output(maxBytes: 0).isDamaged
    let output = recording.output(since: Cursor(seq: .max))
    let signal = recording.exit?.signal
    let total = output.cursor.offset ?? recording.totalBytes
    func string(_ text: String) -> String { "\"\(jsonEscaped(text))\"" }
    func number(_ value: some FixedWidthInteger) -> String { "\(value)" }
    let command =
      info.command.map(shellQuoted).joined(separator: " ") + (info.isCommandCut ? " …" : "")
    fields = [
      ("state", "state", Self.explanation(state), string(state.rawValue)),
      ("id", "id", shellQuoted(info.id), string(info.id)),
      (
        "workspace", "workspace", info.workspaceID.isEmpty ? nil : shellQuoted(info.workspaceID),
        string(info.workspaceID)
      ),
      (
        "command", "command", info.command.isEmpty ? nil : command,
        "[\(info.command.map(string).joined(separator: ","))]"
      ),
      ("started", "started", utc(info.start), string(utc(info.start))),
      (
        "timestamps", "timestamps",
        recording.hasTimestamps
          ? "yes, right within \(fixed(max(recording.startUncertainty, .zero).seconds, 3)) s" : nil,
        "\(recording.hasTimestamps)"
      ),
      ("start", "start", nil, fixed(max(recording.start, .zero).seconds, 6)),
      (
        "uncertainty", "start_uncertainty", nil,
        fixed(max(recording.startUncertainty, .zero).seconds, 6)
      ),
      (
        "last activity", "last_activity", utc(recording.lastActivity),
        string(utc(recording.lastActivity))
      ),
      ("recorder's PID", "recorder_pid", number(info.recorderPID), number(info.recorderPID)),
      (
        "command's PID", "pid", recording.childPID.map(number),
        recording.childPID.map(number) ?? "null"
      ),
      (
        "exit code", "exit_code", output.exitCode.map(number),
        output.exitCode.map(number) ?? "null"
      ),
      ("signal", "signal", signal.map(number), signal.map(number) ?? "null"),
      ("timed out", "timed_out", recording.isTimedOut ? "yes" : nil, "\(recording.isTimedOut)"),
      ("chunks", "chunks", number(output.lastSeq), number(output.lastSeq)),
      ("bytes", "total_bytes", number(total), number(total)),
      ("lost bytes", "lost_bytes", number(output.lostBytes), number(output.lostBytes)),
      ("capacity", "capacity", number(recording.capacity), number(recording.capacity)),
      (
        "head", "head_capacity",
        recording.headCapacity > 0 ? number(recording.headCapacity) : nil,
        number(recording.headCapacity)
      ),
      (
        "machine", "this_boot",
        recording.isOfThisBoot ? nil : "started anew since the recording",
        "\(recording.isOfThisBoot)"
      ),
      ("damaged", "damaged", isDamaged ? "yes" : nil, "\(isDamaged)"),
    ]
  }

  private static func explanation(_ state: RecordedSession.State) -> String {
    switch state {
    case .recording: "being written"
    case .ended: "ended: the output is complete"
    case .abandoned: "abandoned: the program that recorded it ended without closing it"
    }
  }

  /// A line for each fact that there is.
  var text: String {
    let width = fields.map(\.title.count).max() ?? 0
    return fields.map { field in
      guard let text = field.text else { return "" }
      let padding = String(repeating: " ", count: width - field.title.count)
      return "\(field.title):\(padding) \(text)\n"
    }.joined()
  }

  /// One JSON object, on a line.
  var json: String { "{\(fields.map { "\"\($0.key)\":\($0.json)" }.joined(separator: ","))}\n" }
}

/// A word as a shell takes it; one with characters that a terminal would act upon with escapes for
/// them.
func shellQuoted(_ word: String) -> String {
  func has(_ characters: String) -> Bool { word.contains { characters.contains($0) } }
  if word.unicodeScalars.contains(where: \.isInvisible) {
    return "\""
      + word.unicodeScalars.map {
        $0.isInvisible ? "\\u{\(String($0.value, radix: 16))}" : String($0)
      }.joined()
      + "\""
  }
  if !word.isEmpty,
    word.allSatisfy({ $0.isLetter || $0.isNumber || "-_./=:,+@%".contains($0) })
  {
    return word
  }
  if has("'"), !has("\"$`\\!") { return "\"\(word)\"" }
  return "'"
    + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
}

extension Unicode.Scalar {
  /// Whether it is a control or a format character, or a separator of lines.
  fileprivate var isInvisible: Bool {
    switch properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator: true
    default: false
    }
  }
}

/// A time since the beginning of 1970 as RFC 3339 has it, in UTC.
private func utc(_ time: Duration) -> String {
  var seconds = time_t(clamping: time.components.seconds)
  var parts = unsafe tm()
  guard unsafe gmtime_r(&seconds, &parts) != nil else { return "unknown" }
  let numbers = unsafe [
    parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
    parts.tm_sec,
  ]
  let texts = numbers.map { $0 < 10 ? "0\($0)" : "\($0)" }
  return texts[..<3].joined(separator: "-") + "T" + texts[3...].joined(separator: ":") + "Z"
}
