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

/// Processes that a host must not end, because they have changed their user.
///
/// As root: the host has a process of its own, which becomes an ordinary user and then starts a
/// program that makes itself root. As another user: `sudo` does so, if it needs no password.
@Suite(.timeLimit(.minutes(10))) struct SurvivorTests {
  /// A command that runs a line as root, from a process that is not root.
  struct Foreign {
    /// Belongs to the test, which removes it: a host that is not root cannot.
    let directory: String
    private let prefix: [String]

    /// Nil if this user cannot do it. Gives up being root.
    init?(in directory: String) {
      self.directory = directory
      if geteuid() != 0 {
        guard Self.succeeds("sudo -n true") else { return nil }
        prefix = ["sudo", "-n"]
        return
      }
      let program = "\(directory)/become-root"
      guard Self.succeeds("cp $(command -v setpriv) \(program) && chmod 4755 \(program)"),
        Self.succeeds("chmod 755 \(directory)"), setgid(65_534) == 0, setuid(65_534) == 0
      else { return nil }
      prefix = [program, "--reuid=0", "--regid=0", "--clear-groups"]
    }

    /// The name of the pipe that ends what the line runs.
    var gate: String { "\(directory)/gate" }

    func command(_ line: String) -> Command {
      Command(prefix[0], arguments: prefix.dropFirst() + ["/bin/sh", "-c", line])
    }

    /// Ends what waits at the gate.
    func open() { _ = Self.succeeds("\(prefix.joined(separator: " ")) sh -c 'echo >\(gate)'") }

    private static func succeeds(_ line: String) -> Bool {
      unsafe system("\(line) >/dev/null 2>&1") == 0
    }
  }

  /// Whether a process can be such a host, and its child become root.
  private static let isPossible: Bool = {
    let directory = TemporaryDirectory()
    let line =
      geteuid() != 0
      ? "sudo -n true"
      : """
      cd \(directory.path) && chmod 755 . && cp $(command -v setpriv) p && chmod 4755 p && \
      setpriv --reuid=65534 --regid=65534 --clear-groups ./p --reuid=0 sh -c '[ $(id -u) -eq 0 ]'
      """
    return unsafe system("(\(line)) >/dev/null 2>&1") == 0
  }()

  private func requirePossible() throws {
    if !Self.isPossible {
      try Test.cancel("no child can become root: no sudo without password, no setpriv, or nosuid")
    }
  }

  @Test("[signal] A signal that is not permitted is an error, and the command runs on")
  func signals() async throws {
    try requirePossible()
    let shared = TemporaryDirectory()
    defer { withExtendedLifetime(shared) {} }
    await #expect(processExitsWith: .success) { [path = shared.path as String] in
      let foreign = try #require(Foreign(in: path))
      let process = try await CommandHost.shared.launch(
        foreign.command("mkfifo \(foreign.gate); echo; read x <\(foreign.gate); exit 4"),
        into: freshSession())
      _ = await process.session.output(since: 0, waitingUpTo: nil)
      #expect(throws: SignalError.notPermitted) { try process.signal(.kill) }
      process.terminate(grace: .zero)
      #expect(process.isRunning)
      foreign.open()
      #expect(try await process.waitUntilClosed() == .exited(4))
    }
  }

  @Test(
    "[host-close] Closing a host returns though a command cannot be ended, and names that command")
  func closing() async throws {
    try requirePossible()
    let shared = TemporaryDirectory()
    defer { withExtendedLifetime(shared) {} }
    await #expect(processExitsWith: .success) { [path = shared.path as String] in
      let foreign = try #require(Foreign(in: path))
      let host = CommandHost()
      let process = try await host.launch(
        foreign.command("mkfifo \(foreign.gate); echo; read x <\(foreign.gate); exit 4"),
        into: freshSession())
      let other = try await host.launch(Command("sleep", "1000"), into: freshSession())
      _ = await process.session.output(since: 0, waitingUpTo: nil)
      let survivors = await host.close(grace: .milliseconds(50))
      #expect(survivors.map(\.reason) == [.notPermitted])
      #expect(survivors.map(\.session.id) == [process.session.id])
      #expect(survivors.first?.processIDs.contains(process.processID) == true)
      #expect(process.session.isClosed)
      #expect(process.isRunning)
      #expect(process.session.exitCode == nil)
      #expect(other.exit == .signaled(SIGTERM))
      // As long as it lives.
      #expect(await host.close(grace: .zero).count == 1)
      foreign.open()
      #expect(try await process.waitForExit() == .exited(4))
      #expect(process.session.exitCode == 4)
      #expect(await eventually { children() == [] })
      #expect(await host.close(grace: .zero).isEmpty)
    }
  }

  @Test("Closing a host names the processes that it cannot end in a command's group")
  func closingWithARest() async throws {
    try requirePossible()
    let shared = TemporaryDirectory()
    defer { withExtendedLifetime(shared) {} }
    await #expect(processExitsWith: .success) { [path = shared.path as String] in
      let foreign = try #require(Foreign(in: path))
      let host = CommandHost()
      let prefix = foreign.command("")
      let root = ([prefix.executable] + prefix.arguments.dropLast()).map(\.description)
        .joined(separator: " ")
      let directory = TemporaryDirectory()
      let process = try await host.launch(
        .shell(
          """
          \(root) 'mkfifo \(foreign.gate); echo $$ >&3; exec >&- 2>&- 3>&-; read x <\(foreign.gate)' \\
            3>\(directory.path)/rest &
          while ! [ -s \(directory.path)/rest ]; do sleep 0.01; done
          """), into: freshSession())
      try await process.waitUntilClosed()
      let line = try #require(contents("\(directory.path)/rest"))
      let left = try #require(ProcessIdentity(line.dropLast()))
      #expect(process.hasLingeringGroup)
      #expect(host.lingeringGroupCount == 1)
      #expect(throws: SignalError.notPermitted) { try process.signal(.terminate) }
      let survivors = await host.close(grace: .zero)
      #expect(survivors.first?.processIDs.contains(left.id) == true)
      #expect(survivors.map(\.reason) == [.notPermitted])
      foreign.open()
      #expect(await eventually { left.isGone })
    }
  }

  @Test("Shutting a manager down returns though a process cannot be ended, and names it")
  func shuttingDown() async throws {
    try requirePossible()
    let shared = TemporaryDirectory()
    defer { withExtendedLifetime(shared) {} }
    await #expect(processExitsWith: .success) { [path = shared.path as String] in
      let foreign = try #require(Foreign(in: path))
      let manager = ProcessManager(idleTimeout: .seconds(100), grace: .zero)
      let process = try await manager.launch(
        foreign.command("mkfifo \(foreign.gate); echo; read x <\(foreign.gate)"),
        into: freshSession())
      _ = await process.session.output(since: 0, waitingUpTo: nil)
      // It is not forgotten by the host.
      manager.forget(id: process.session.id)
      #expect(await manager.shutDown().map(\.session.id) == [process.session.id])
      foreign.open()
      _ = try await process.waitForExit()
    }
  }
}
