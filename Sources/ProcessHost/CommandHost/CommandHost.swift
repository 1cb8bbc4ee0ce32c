import Synchronization

/// Starts commands, and captures what they write.
///
/// One thread serves all processes of a host, however many there are. It starts with the first
/// launch, and ends when the host is gone and so are its processes.
///
/// ```swift
/// let session = Session(id: "build-7", workspaceID: "acme")
/// let process = try await CommandHost.shared.launch(Command("make", "-j4"), into: session)
/// try await process.waitUntilClosed()
/// print(session.output().chunks.payload)
/// ```
public final class CommandHost: Sendable {
  /// A host for everyone who needs none of their own.
  public static let shared = CommandHost()

  private let pump = Mutex<Pump?>(nil)

  /// A host without processes.
  public init() {}

  deinit { pump.withLock { $0?.stop() } }

  /// The pump, started if need be.
  func runningPump() throws(SystemError) -> Pump {
    try pump.withLock { pump throws(SystemError) in
      if let pump { return pump }
      let started = try Pump.start()
      pump = started
      return started
    }
  }
}
