import BenchmarkContenders
import Foundation
import ProcessHost
import Processes
import Subprocess
import Synchronization
import SystemPackage

/// Ways to capture a child's stdout into memory; each returns the number of bytes that arrived.
enum Capturers {
  /// The limit: a blocking `read` loop into one buffer of 64 KiB, and nothing else.
  static func bareReadLoop(_ child: ChildWriter) -> Int {
    guard let (process, pipe) = spawn(child.executable, child.environment) else { return -1 }
    var received = 0
    let size = 65_536
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 4_096)
    defer { unsafe buffer.deallocate() }
    while true {
      let count = unsafe read(pipe, buffer, size)
      if count <= 0 { break }
      received += count
    }
    close(pipe)
    var status: Int32 = 0
    unsafe waitpid(process, &status, 0)
    return received
  }

  /// Starts a child, with nothing but what the system has for it.
  ///
  /// - Returns: Its id, and the end to read from of a pipe that is its stdout.
  static func spawn(
    _ executable: String, _ environment: [String: String]
  ) -> (process: pid_t, pipe: Int32)? {
    var ends: [Int32] = [0, 0]
    guard unsafe pipe(&ends) == 0 else { return nil }
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    unsafe posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    unsafe posix_spawn_file_actions_addclose(&actions, ends[0])
    unsafe posix_spawn_file_actions_addclose(&actions, ends[1])
    var arguments = unsafe [strdup(executable), nil]
    var variables = unsafe environment.map { unsafe strdup("\($0.key)=\($0.value)") }
    unsafe variables.append(nil)
    var process: pid_t = 0
    let spawned = unsafe posix_spawn(
      &process, executable, &actions, nil, &arguments, &variables)
    unsafe posix_spawn_file_actions_destroy(&actions)
    unsafe arguments.forEach { unsafe free($0) }
    unsafe variables.forEach { unsafe free($0) }
    close(ends[1])
    guard spawned == 0 else { return nil }
    return (process, ends[0])
  }

  static func processHost(_ child: ChildWriter) -> Int {
    blocking { try await captureByProcessHost(child) }
  }

  static func captureByProcessHost(_ child: ChildWriter) async throws -> Int {
    let session = Session(id: "s", workspaceID: "w")
    let command = Command(
      child.executable, environment: .inherited(changing: child.environment))
    let process = try await CommandHost.shared.launch(command, into: session)
    try await process.waitUntilClosed()
    return session.totalBytes
  }

  static func subprocess(_ child: ChildWriter) -> Int {
    blocking { try await captureBySubprocess(child) }
  }

  static func captureBySubprocess(_ child: ChildWriter) async throws -> Int {
    let environment = Dictionary(
      uniqueKeysWithValues: child.environment.map {
        (Subprocess.Environment.Key(stringLiteral: $0.key), Optional($0.value))
      })
    let last = LastMebibyte()
    _ = try await Subprocess.run(
      .path(FilePath(child.executable)), environment: .inherit.updating(environment),
      input: .none, output: .sequence, error: .discarded
    ) { execution in
      for try await buffer in execution.standardOutput {
        unsafe buffer.withUnsafeBytes { unsafe last.append($0) }
      }
    }
    return last.received
  }

  static func foundation(_ child: ChildWriter) -> Int {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: child.executable)
    process.environment = child.environment
    let pipe = Pipe()
    process.standardOutput = pipe
    let last = LastMebibyte()
    let ended = DispatchSemaphore(value: 0)
    pipe.fileHandleForReading.readabilityHandler = { handle in
      let data = handle.availableData
      if data.isEmpty {
        handle.readabilityHandler = nil
        ended.signal()
      } else {
        unsafe data.withUnsafeBytes { unsafe last.append($0) }
      }
    }
    do { try process.run() } catch { return -1 }
    process.waitUntilExit()
    // The end may never be told, when output was lost; none has been seen to come after this long.
    _ = ended.wait(timeout: .now() + 0.5)
    return last.received
  }

  /// Waits for what an asynchronous function returns; -1 if it throws.
  static func blocking(_ body: @escaping @Sendable () async throws -> Int) -> Int {
    let result = Box()
    let done = DispatchSemaphore(value: 0)
    Task.detached {
      let received = (try? await body()) ?? -1
      result.value.withLock { $0 = received }
      done.signal()
    }
    done.wait()
    return result.value.withLock { $0 }
  }

  private final class Box: Sendable {
    let value = Mutex(-1)
  }
}

/// The last 1 MiB of what it is given, behind a lock: what capturing "into memory" comes to for
/// programs that have no ring.
private final class LastMebibyte: @unchecked Sendable {
  private let lock = NSLock()
  private let buffer = MemcpyLimit(size: Session.maxBufferBytes)
  private var count = 0

  func append(_ bytes: UnsafeRawBufferPointer) {
    lock.withLock {
      unsafe buffer.append(bytes)
      count += bytes.count
    }
  }

  var received: Int { lock.withLock { count } }
}
