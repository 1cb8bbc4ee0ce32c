#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What the file of a recording says about it: the session, the command and the program that
/// recorded it.
public struct RecordingInfo: Sendable, Hashable {
  /// The session's id.
  public var id: String
  /// The workspace that the session belongs to.
  public var workspaceID: String
  /// The command and its arguments, as the recording program gave them; bytes, since arguments need
  /// not be text. Empty if it gave none.
  public var commandBytes: [[UInt8]]
  /// Whether the command had too many bytes for the file, so that its last arguments are missing.
  public var isCommandCut = false
  /// The PID of the program that recorded.
  public var recorderPID: Int32
  /// When the recording began, since the beginning of 1970 UTC.
  public var start: Duration
  /// How far ``start`` and a chunk's timestamp together may be from when the chunk was appended;
  /// see ``SessionReader/startUncertainty``.
  public var startUncertainty: Duration
  /// The session's number in its cursors; see ``SessionEpoch``.
  var epoch: UInt32

  /// The command and its arguments as text, with U+FFFD for what is not valid UTF-8.
  public var command: [String] { commandBytes.map { String(decoding: $0, as: UTF8.self) } }

  /// Describes a recording that this program begins.
  init(
    id: String, workspaceID: String, commandBytes: [[UInt8]], epoch: UInt32, start: SessionStart
  ) {
    self.id = id
    self.workspaceID = workspaceID
    self.commandBytes = commandBytes
    self.epoch = epoch
    recorderPID = getpid()
    self.start = start.wallTime
    startUncertainty = start.uncertainty
  }

  /// The present, since the beginning of 1970 UTC.
  static var wallClock: Duration {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return .seconds(Int64(time.tv_sec)) + .nanoseconds(Int64(time.tv_nsec))
  }
}

// MARK: In the file

/// In the file, the info is a list of fields like those of `/proc/PID/environ`: a name, `=`, a
/// value, and a zero byte, which no value contains. The command's words come last, a field each.
extension RecordingInfo {
  /// Returns the fields, with as many of the command's words as have room; more than `limit` bytes
  /// only if not even the other fields have.
  func encoded(upTo limit: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    func field(_ name: String, _ value: some Sequence<UInt8>) -> [UInt8] {
      // A command's word contains no zero byte. An id may, and is cut there.
      Array(name.utf8) + [UInt8(ascii: "=")] + value.prefix { $0 != 0 } + [0]
    }
    bytes += field("id", id.utf8)
    bytes += field("workspace", workspaceID.utf8)
    bytes += field("epoch", String(epoch).utf8)
    bytes += field("pid", String(recorderPID).utf8)
    bytes += field("start", String(start.saturatedNanoseconds).utf8)
    bytes += field("uncertainty", String(startUncertainty.saturatedNanoseconds).utf8)
    let cut = field("cut", "1".utf8)
    for word in commandBytes {
      let field = field("arg", word)
      guard bytes.count + field.count + cut.count <= limit else { return bytes + cut }
      bytes += field
    }
    return bytes
  }

  /// Reads the fields of a file, which may hold anything: a field that is missing or makes no sense
  /// has the value of an empty one.
  init(decoding bytes: [UInt8]) {
    (id, workspaceID, commandBytes, epoch) = ("", "", [], 0)
    (recorderPID, start, startUncertainty) = (0, .zero, .zero)
    for field in bytes.split(separator: 0) {
      guard let equals = field.firstIndex(of: UInt8(ascii: "=")) else { continue }
      let value = field[(equals + 1)...]
      let text = String(decoding: value, as: UTF8.self)
      switch String(decoding: field[..<equals], as: UTF8.self) {
      case "id": id = text
      case "workspace": workspaceID = text
      case "epoch": epoch = UInt32(text) ?? 0
      case "pid": recorderPID = Int32(text) ?? 0
      case "start": start = .nanoseconds(Int64(text) ?? 0)
      case "uncertainty": startUncertainty = .nanoseconds(Int64(text) ?? 0)
      case "arg": commandBytes.append(Array(value))
      case "cut": isCommandCut = true
      default: break
      }
    }
  }
}
