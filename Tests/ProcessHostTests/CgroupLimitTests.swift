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

/// Limits on the memory and the processes of a command and all that it starts.
@Suite(.timeLimit(.minutes(10))) struct CgroupLimitTests {
  /// Why no cgroup can have limits here; nil if one can.
  static let obstacle: String? = {
    guard let own = Cgroup.own() else { return Cgroup.noFileSystem }
    do throws(LaunchError) {
      if try !Cgroup.enable(["memory", "pids"], in: own) { return "processes are in \(own)" }
      return nil
    } catch {
      return error.description
    }
  }()

  private func limited(
    _ line: String, memory: Int? = nil, processes: Int? = nil
  ) -> Command {
    var command = Command.shell(line)
    command.memoryLimit = memory
    command.processLimit = processes
    return command
  }

  // MARK: Where there are no such cgroups

  @Test("[cgroup-limits] A limit without cgroups fails the launch, and says so")
  func withoutCgroups() async throws {
    for command in [limited("true", memory: 1 << 30), limited("true", processes: 10)] {
      let session = freshSession()
      let error = await #expect(throws: LaunchError.self) {
        try await CommandHost().launch(command, into: session)
      }
      guard case .limitsUnavailable = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
      #expect(error?.description.contains("cgroups") == true)
      // The session is as it was.
      let process = try await CommandHost.shared.launch(.shell("echo ok"), into: session)
      try await process.waitUntilClosed()
      #expect(text(session) == "ok\n")
    }
  }

  @Test("A limit where the cgroup does not exist fails the launch, and names the cgroup")
  func nowhere() async throws {
    let host = CommandHost(cgroups: .inside(path: "/no/such"))
    let error = await #expect(throws: LaunchError.self) {
      try await host.launch(limited("true", memory: 1 << 30), into: freshSession())
    }
    guard case .limitsUnavailable(let reason) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(reason.contains("/no/such"))
  }

  @Test(
    "A limit is not left out where a cgroup can be had, but none with controllers",
    .enabled(if: obstacle != nil, "cgroups can have limits here"))
  func withoutControllers() async throws {
    let host = CommandHost(cgroups: .ifAvailable)
    let error = await #expect(throws: LaunchError.self) {
      try await host.launch(limited("true", processes: 10), into: freshSession())
    }
    guard case .limitsUnavailable = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(throws: LaunchError.self) { try CommandHost.Cgroups.dividingOwn() }
  }

  @Test("Limits below 1 are refused", arguments: [0, -1, .min])
  func badLimits(value: Int) async throws {
    for command in [limited("true", memory: value), limited("true", processes: value)] {
      let error = await #expect(throws: LaunchError.self) {
        try await CommandHost().launch(command, into: freshSession())
      }
      guard case .invalidCommand(let reason) = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
      #expect(reason.contains("\(value)"))
    }
  }

  @Test("A command without a cgroup does not know whether it was killed for lack of memory")
  func unknown() async throws {
    let process = try await CommandHost.shared.launch(.shell("kill -9 $$"), into: freshSession())
    #expect(try await process.waitUntilClosed() == .signaled(9))
    #expect(process.wasOOMKilled == nil)
  }

  @Test(
    "The out-of-memory kills are read from memory.events",
    arguments: [
      ("low 0\nhigh 0\nmax 9\noom 1\noom_kill 0\noom_group_kill 0\n", false),
      ("low 0\nhigh 0\nmax 9\noom 1\noom_kill 2\noom_group_kill 1\n", true),
      ("low 0\nhigh 0\nmax 9\noom 1\n", nil), ("", nil),
    ])
  func events(text: String, expected: Bool?) {
    #expect(Cgroup.hasOOMKills(text) == expected)
  }
}

/// The same where there are such cgroups.
@Suite(
  .timeLimit(.minutes(10)),
  .enabled(
    if: CgroupLimitTests.obstacle == nil,
    "no cgroup can have limits here: \(CgroupLimitTests.obstacle ?? "")"))
struct EnforcedLimitTests {
  /// Gives a host that makes cgroups in one of its own, and sees that nothing is left in that.
  private func withHost(_ body: (CommandHost) async throws -> Void) async throws {
    let own = try #require(Cgroup.own())
    let path = "\(own)/test-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    try #require(unsafe mkdir(path, 0o755) == 0)
    try await body(CommandHost(cgroups: .inside(path: path)))
    #expect(unsafe rmdir(path) == 0, "something is left in \(path)")
  }

  @Test("A command above its memory limit is killed with all that it has started, and says why")
  func memory() async throws {
    try await withHost { host in
      var command = Command.shell(
        "sleep 1000 & dd if=/dev/zero of=/dev/null bs=512M count=1; echo survived")
      command.memoryLimit = 32 << 20
      let process = try await host.launch(command, into: freshSession())
      #expect(try await process.waitUntilClosed() == .signaled(SIGKILL))
      #expect(process.wasOOMKilled == true)
      #expect(text(process.session) == "")
      await process.waitUntilOver()
      #expect(process.wasOOMKilled == true)
    }
  }

  @Test("A command below its memory limit runs to its end, and was not killed for it")
  func enoughMemory() async throws {
    try await withHost { host in
      var command = Command.shell("dd if=/dev/zero of=/dev/null bs=8M count=1 2>&1; kill -9 $$")
      command.memoryLimit = 256 << 20
      let process = try await host.launch(command, into: freshSession())
      #expect(process.containment == .cgroup)
      #expect(try await process.waitForExit() == .signaled(SIGKILL))
      #expect(process.wasOOMKilled == false)
      await process.waitUntilOver()
      #expect(process.wasOOMKilled == false)
    }
  }

  @Test("A command that runs does not say yet whether it is killed for lack of memory")
  func running() async throws {
    try await withHost { host in
      var command = Command.shell("sleep 1000")
      command.memoryLimit = 256 << 20
      let process = try await host.launch(command, into: freshSession())
      #expect(process.wasOOMKilled == nil)
      process.terminate(grace: .zero)
      await process.waitUntilOver()
      #expect(process.wasOOMKilled == false)
    }
  }

  @Test("A memory limit too small for the command to start is an error, and the program lives on")
  func tooSmall() async throws {
    try await withHost { host in
      var command = Command.shell("true")
      command.memoryLimit = 1
      do {
        let process = try await host.launch(command, into: freshSession())
        // If the system charged less before, the first thing that it does kills it.
        #expect(try await process.waitUntilClosed() == .signaled(SIGKILL))
        #expect(process.wasOOMKilled == true)
        await process.waitUntilOver()
      } catch let error as LaunchError {
        #expect(error.description.contains("within 1 bytes of memory"))
      }
    }
  }

  @Test("A command at its process limit gets no more processes")
  func processes() async throws {
    try await withHost { host in
      var command = Command.shell("sleep 1000 & sleep 1000 & sleep 1000 & sleep 1000 & echo all")
      command.processLimit = 3
      command.quietGrace = .milliseconds(10)
      let process = try await host.launch(command, into: freshSession())
      #expect(try await process.waitForExit().code == 2)
      #expect(text(process.session, .stderr).contains("ork"))
      #expect(text(process.session) == "")
      process.terminate(grace: .zero)
      await process.waitUntilOver()
    }
  }

  @Test("A program can divide its cgroup: it moves below, and its commands have limits beside it")
  func dividing() async throws {
    await #expect(processExitsWith: .success) {
      let root = try #require(Cgroup.own())
      let path = "\(root)/test-\(getpid())"
      try #require(unsafe mkdir(path, 0o755) == 0)
      try #require(write("0", to: "\(path)/cgroup.procs"))
      #expect(Cgroup.own() == path)

      // Another process is in it, and stays where it is.
      let other = try await CommandHost.shared.launch(.shell("sleep 1000"), into: freshSession())
      let error = #expect(throws: LaunchError.self) { try CommandHost.Cgroups.dividingOwn() }
      #expect(error?.description.contains(path) == true)
      #expect(Cgroup.own() == path)
      #expect(unsafe access("\(path)/\(Cgroup.programName)", F_OK) != 0)
      // The same is said of a limit that is asked for.
      var command = Command.shell("echo $(cat); exit 3")
      command.input = .bytes(Array("hello".utf8))
      command.processLimit = 10
      let refused = await #expect(throws: LaunchError.self) {
        try await CommandHost(cgroups: .ifAvailable).launch(command, into: freshSession())
      }
      #expect(refused?.description.contains("processes are in the cgroup \(path)") == true)
      other.terminate(grace: .zero)
      await other.waitUntilOver()

      for _ in 0..<2 {
        #expect(try CommandHost.Cgroups.dividingOwn() == .inside(path: path))
        #expect(Cgroup.own() == "\(path)/\(Cgroup.programName)")
      }
      let host = CommandHost(cgroups: .inside(path: path))
      let process = try await host.launch(command, into: freshSession())
      #expect(try await process.waitUntilClosed() == .exited(3))
      #expect(text(process.session) == "hello\n")
      await host.close()
      try #require(write("0", to: "\(root)/cgroup.procs"))
      #expect(unsafe rmdir("\(path)/\(Cgroup.programName)") == 0)
      #expect(unsafe rmdir(path) == 0)
    }
  }
}

/// Writes a text to a file that exists.
private func write(_ text: String, to path: String) -> Bool {
  let descriptor = unsafe open(path, O_WRONLY | O_CLOEXEC)
  guard descriptor >= 0 else { return false }
  defer { close(descriptor) }
  return unsafe write(descriptor, text, text.utf8.count) == text.utf8.count
}
