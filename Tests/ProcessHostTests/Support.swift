import Processes
import Testing

@testable import ProcessHost

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Everything a session has, one stream.
func text(_ session: Session, _ stream: StandardStream = .stdout) -> String {
  var bytes: [UInt8] = []
  for chunk in session.output().chunks where chunk.stream == stream {
    bytes.append(contentsOf: chunk.data)
  }
  return String(decoding: bytes, as: UTF8.self)
}

func freshSession() -> Session { Session(id: "test", workspaceID: "tests") }

/// Runs a command to its end.
@discardableResult
func capture(_ command: Command, on host: CommandHost = .shared) async throws -> Session {
  let session = freshSession()
  let process = try await host.launch(command, into: session)
  try await process.waitUntilClosed()
  return session
}

/// Waits for something that another process or thread is about to bring about.
func eventually(_ condition: () -> Bool) async -> Bool {
  for _ in 0..<60_000 {
    if condition() { return true }
    try? await Task.sleep(for: .milliseconds(1))
  }
  return false
}

/// As programs that write to pipes do.
func ignoreBrokenPipes() { _ = signal(SIGPIPE, SIG_IGN) }

/// Names in a directory.
private func entries(of directory: String) -> [String] {
  guard let stream = unsafe opendir(directory) else { return [] }
  defer { unsafe closedir(stream) }
  var names: [String] = []
  while let entry = unsafe readdir(stream) {
    let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    if name != "." && name != ".." { names.append(name) }
  }
  return names
}

/// How many descriptors this process has open, one more for looking.
func descriptorCount() -> Int { entries(of: "/proc/self/fd").count }

/// The same, once the runtime and the shared host have opened what they open once and keep: for the
/// first process, and for the first times that a task sleeps.
func settledDescriptorCount() async throws -> Int {
  try await capture(Command("true"))
  for _ in 0..<3 {
    try await Task.sleep(for: .milliseconds(1), clock: .continuous)
    try await Task.sleep(for: .milliseconds(1), clock: .suspending)
  }
  return descriptorCount()
}

/// How many threads this process has.
func threadCount() -> Int { entries(of: "/proc/self/task").count }

/// The first bytes of a file, as text.
func contents(_ path: String) -> String? {
  let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { return nil }
  defer { close(descriptor) }
  var bytes = [UInt8](repeating: 0, count: 4096)
  let count = unsafe bytes.withUnsafeMutableBytes { bytes in
    unsafe read(descriptor, bytes.baseAddress, bytes.count)
  }
  return count < 0 ? nil : String(decoding: bytes.prefix(count), as: UTF8.self)
}

/// The children of this process that nobody has reaped, or that still run.
func children() -> [String] {
  let own = getpid()
  return entries(of: "/proc").filter { name in
    guard Int(name) != nil, let stat = contents("/proc/\(name)/stat") else { return false }
    // "pid (name) state parent …"; the name may hold anything.
    let fields = stat[stat.index(after: stat.lastIndex(of: ")")!)...].split(separator: " ")
    return Int32(fields[1]) == own
  }
}

/// Whether a process exists; a zombie does.
func exists(_ process: Int32) -> Bool { kill(process, 0) == 0 }

/// A process, as its PID and the time of its start: the system may give the PID to another process
/// later. These tests start so many that it does, within a minute.
struct ProcessIdentity {
  let id: Int32
  private let startTime: Substring?

  init(_ id: Int32) {
    self.id = id
    startTime = Self.state(of: id)?.startTime
  }

  /// A process whose ID is all of a text.
  init?(_ text: some StringProtocol) {
    guard let id = Int32(text) else { return nil }
    self.init(id)
  }

  /// Whether the process exists; a zombie does.
  var exists: Bool { current != nil }

  /// Whether the process has ended; its zombie may be left.
  var isGone: Bool {
    // X: it is being reaped.
    current.map { $0.state == "Z" || $0.state == "X" } ?? true
  }

  private var current: (state: Substring, startTime: Substring)? {
    Self.state(of: id).flatMap { $0.startTime == startTime ? $0 : nil }
  }

  private static func state(of id: Int32) -> (state: Substring, startTime: Substring)? {
    guard let stat = contents("/proc/\(id)/stat") else { return nil }
    // The name, in parentheses, is the second field; the state is the third, the time the 22nd.
    let fields = stat[stat.lastIndex(of: ")")!...].split(separator: " ")
    return (fields[1], fields[20])
  }
}

/// Writes bytes to a pipe that has room for them.
func expectWritten(_ bytes: [UInt8], to descriptor: Int32) {
  let count = unsafe bytes.withUnsafeBytes { bytes in
    unsafe write(descriptor, bytes.baseAddress, bytes.count)
  }
  #expect(count == bytes.count)
}

/// A directory for one test, removed with what is in it.
final class TemporaryDirectory {
  let path: String

  init() {
    var template = Array("/tmp/swift-processes-test-XXXXXX".utf8CString)
    path = unsafe template.withUnsafeMutableBufferPointer { template in
      unsafe String(cString: mkdtemp(template.baseAddress!)!)
    }
  }

  deinit {
    for name in entries(of: path) { unsafe _ = unlink("\(path)/\(name)") }
    unsafe _ = rmdir(path)
  }

  /// Makes a file.
  func file(_ name: String, _ text: String, mode: mode_t) -> String {
    let path = "\(path)/\(name)"
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    precondition(descriptor >= 0)
    var text = text
    text.withUTF8 { bytes in _ = unsafe write(descriptor, bytes.baseAddress, bytes.count) }
    close(descriptor)
    unsafe _ = chmod(path, mode)
    return path
  }
}

/// An executable that cannot be opened while this is held: a lease on it would have to be given up
/// first. After a while the system takes the lease away.
final class Hanging {
  let path: String
  private let descriptor: Int32
  private let start = ContinuousClock.now

  init(_ directory: TemporaryDirectory) async {
    path = directory.file("hanging", "#!/bin/sh\necho late\n", mode: 0o755)
    descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    // The system tells by SIGIO that somebody waits.
    _ = signal(SIGIO, SIG_IGN)
    // F_SETLEASE, which the C library only shows to C. Refused as long as a child that is just
    // being started has a copy of the descriptor that wrote the file.
    while fcntl(descriptor, 1024, Int32(F_WRLCK)) != 0, errno == EAGAIN {
      try? await Task.sleep(for: .milliseconds(1))
    }
  }

  func release() { close(descriptor) }

  /// Whether the system may have taken the lease away.
  var mayHaveEnded: Bool {
    let seconds = contents("/proc/sys/fs/lease-break-time").flatMap { Int($0.dropLast()) } ?? 45
    return ContinuousClock.now - start >= .seconds(seconds)
  }
}
