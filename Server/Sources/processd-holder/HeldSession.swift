import HolderProtocol
import ProcessHost
import Synchronization

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The session that a holder holds, and its command.
final class HeldSession: Sendable {
  let process: HostedProcess
  let stdin: StdinQueue?
  let losslessReader: LosslessReader?
  let files: StateFiles
  let orphanTimeout: Duration
  /// The time between the first signal and `SIGKILL` when the holder ends the command by itself.
  let grace: Duration
  private let host: CommandHost
  private let ring: FileIdentity?

  var session: Session { process.session }

  private init(
    _ process: HostedProcess, _ order: LaunchOrder, _ reader: LosslessReader?,
    host: CommandHost, ring: FileIdentity?
  ) {
    self.process = process
    self.host = host
    self.ring = ring
    losslessReader = reader
    stdin = process.input.map { StdinQueue($0, capacity: max(order.stdinBytes, 0)) }
    files = order.files
    orphanTimeout = order.orphanTimeout
    grace = order.command.terminationGrace
  }

  /// Waits until no process of the command runs.
  func waitUntilOver() async {
    _ = try? await process.waitUntilClosed()
    var interval: Duration = .milliseconds(10)
    while process.hasLingeringGroup {
      try? await Task.sleep(for: interval)
      interval = min(interval * 2, .milliseconds(500))
    }
    // Nothing is left to end, but the cgroup may be.
    await host.close(grace: .zero)
  }

  /// Ends the command and all that it has started, and waits until nothing is left that can be
  /// ended.
  func end() async { await host.close(grace: grace) }

  /// Removes the record and the ring, unless the ring's name stands for another file by now.
  ///
  /// - Parameter keepsRecord: Whether the record is another session's.
  func removeFiles(keepsRecord: Bool) {
    guard let ring, (try? FileIdentity(ofName: files.ring)) == ring else { return }
    // First: without it the session does not exist for a daemon.
    if !keepsRecord { unsafe unlink(files.record) }
    unsafe unlink(files.ring)
  }
}

// MARK: Launching

extension HeldSession {
  /// Makes the ring and the socket, and starts the command.
  ///
  /// - Throws: ``HolderFailure``; nothing is left then.
  static func launch(
    _ order: LaunchOrder, on loop: Loop
  ) throws(HolderFailure) -> (HeldSession, Listener) {
    try check(order)
    let session = try record(order)
    let ring = (try? FileIdentity(ofName: order.files.ring)) ?? nil
    do throws(HolderFailure) {
      let listener = try Listener(at: order.files.socket)
      do throws(HolderFailure) {
        // Last: a daemon that has given the session up removes its record, and does so after it
        // has looked for the ring.
        guard unsafe access(order.files.record, F_OK) == 0 else {
          throw .storage(reason: "\(order.files.record) is gone", code: errno)
        }
        return (try start(order, into: session, ring: ring, on: loop), listener)
      } catch {
        listener.remove()
        throw error
      }
    } catch {
      unsafe unlink(order.files.ring)
      throw error
    }
  }

  private static func check(_ order: LaunchOrder) throws(HolderFailure) {
    let files = order.files
    let id = files.id.utf8
    guard !id.isEmpty, !id.contains(0), !id.contains(UInt8(ascii: "/")),
      !files.directory.utf8.contains(0)
    else {
      let id = files.id.debugDescription
      throw .storage(reason: "the id \(id) cannot be a file's name", code: EINVAL)
    }
    guard (0...maxHeadBytes).contains(order.headBytes) else {
      throw .storage(reason: "a head of \(order.headBytes) bytes is impossible", code: EINVAL)
    }
  }

  /// The most bytes that a ring's head can have.
  private static let maxHeadBytes = 1 << 30

  private static func record(_ order: LaunchOrder) throws(HolderFailure) -> Session {
    do {
      return try Session(
        recordingTo: order.files.ring, id: order.files.id, workspaceID: order.workspace,
        headCapacity: order.headBytes, timestamps: order.hasTimestamps,
        commandBytes: [order.command.executable.bytes] + order.command.arguments.map(\.bytes))
    } catch {
      let code: Int32? =
        switch error.reason {
        case .system(_, let code): code
        case .exists: EEXIST
        default: nil
        }
      throw .storage(reason: error.description, code: code)
    }
  }

  private static func start(
    _ order: LaunchOrder, into session: Session, ring: FileIdentity?, on loop: Loop
  ) throws(HolderFailure) -> HeldSession {
    var order = order
    #if os(Linux)
      // Without the holder nothing reads the command's output, or could end it.
      order.command.parentDeathSignal = .kill
    #endif
    let command = order.command
    let host = CommandHost(cgroups: order.cgroups)
    let reader = order.losslessTime.map { LosslessReader(timeLimit: $0) }
    let result = loop.wait {
      do throws(LaunchError) {
        guard let reader else {
          return Result<_, LaunchError>.success(try await host.launch(command, into: session))
        }
        return .success(try await host.launch(command, into: session, waitingFor: reader))
      } catch {
        return .failure(error)
      }
    } look: { task in
      if Shutdown.isRequested { task.cancel() }
    }
    switch result {
    case .failure(let error): throw .launch(error)
    case .success(let process):
      return HeldSession(process, order, reader, host: host, ring: ring)
    }
  }
}
