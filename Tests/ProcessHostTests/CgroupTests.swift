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

/// Commands in cgroups of their own, and commands that cannot have one.
@Suite(.timeLimit(.minutes(10))) struct CgroupTests {
  /// Why this program cannot make a cgroup; nil if it can.
  private static let obstacle: String? = {
    guard let own = Cgroup.own() else { return "no cgroup file system of version 2 is mounted" }
    do throws(SystemError) {
      try Cgroup.make(in: own).remove()
      return nil
    } catch {
      return "no cgroup can be made in \(own): \(systemMessage(error.code))"
    }
  }()

  private func requireCgroups() throws {
    if let obstacle = Self.obstacle { try Test.cancel("\(obstacle)") }
  }

  /// Starts a command, and waits for its first line, which is the number of another process.
  private func start(
    _ line: String, on host: CommandHost
  ) async throws -> (HostedProcess, other: ProcessIdentity) {
    var command = Command.shell(line)
    command.quietGrace = .seconds(20)
    let process = try await host.launch(command, into: freshSession())
    // The command itself may have ended before.
    #expect(await eventually { text(process.session).contains("\n") })
    return (process, try #require(ProcessIdentity(text(process.session).prefix { $0 != "\n" })))
  }

  /// The cgroups that this program has made and not removed.
  private func cgroups() -> Int {
    guard let own = Cgroup.own(), let stream = unsafe opendir(own) else { return 0 }
    defer { unsafe closedir(stream) }
    var count = 0
    while let entry = unsafe readdir(stream) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name.hasPrefix("swift-processes-\(getpid())-") { count += 1 }
    }
    return count
  }

  /// Leaves its group and its session, twice.
  private static let escape =
    "setsid sh -c 'setsid sh -c \"trap \\\"\\\" TERM; echo \\$\\$; exec >&- 2>&-;"
    + " while :; do sleep 1; done\" &' &"

  @Test("[cgroup] A process that left its group and session is ended with the command's cgroup")
  func escaping() async throws {
    try requireCgroups()
    let host = CommandHost(cgroups: .ifAvailable)
    let (process, other) = try await start("\(Self.escape) exit 3", on: host)
    #expect(process.containment == .cgroup)
    #expect(try await process.waitUntilClosed() == .exited(3))
    #expect(process.hasLingeringGroup)
    #expect(host.lingeringGroupCount == 1)
    #expect(!other.isGone)
    #expect(getpgid(other.id) != process.processID)
    process.terminate(grace: .milliseconds(20))
    await process.waitUntilOver()
    #expect(other.isGone)
    #expect(!process.hasLingeringGroup)
    #expect(host.lingeringGroupCount == 0)
    #expect(throws: SignalError.processEnded) { try process.signal(.kill) }
  }

  @Test("[leaving-group] Without a cgroup a process that left its group and session lives on")
  func escapingFromTheGroup() async throws {
    let host = CommandHost()
    let (process, other) = try await start("\(Self.escape) exit 3", on: host)
    #expect(process.containment == .processGroup)
    process.terminate(grace: .zero)
    await process.waitUntilOver()
    #expect(!other.isGone)
    kill(other.id, SIGKILL)
  }

  @Test("[cgroup] A signal reaches processes of the cgroup that left the group and the session")
  func signals() async throws {
    try requireCgroups()
    let directory = TemporaryDirectory()
    let (process, other) = try await start(
      """
      setsid sh -c 'trap "echo >\(directory.path)/got" USR1; echo $$; while :; do sleep 1; done' &
      trap "" USR1; while :; do sleep 1; done
      """, on: CommandHost(cgroups: .ifAvailable))
    #expect(getpgid(other.id) == other.id)
    try process.signal(ProcessSignal(rawValue: SIGUSR1))
    #expect(await eventually { contents("\(directory.path)/got") != nil })
    process.terminate(grace: .zero)
    await process.waitUntilOver()
    #expect(other.isGone)
  }

  @Test("A process that left the group gets the first signal before it is killed")
  func graceForTheEscaped() async throws {
    try requireCgroups()
    let directory = TemporaryDirectory()
    let (process, _) = try await start(
      """
      setsid sh -c 'trap "echo >\(directory.path)/bye; exit" TERM; echo $$; exec >&- 2>&-; \\
      while :; do sleep 1; done' & wait
      """, on: CommandHost(cgroups: .ifAvailable))
    process.terminate(grace: .seconds(1_000))
    await process.waitUntilOver()
    #expect(contents("\(directory.path)/bye") != nil)
  }

  @Test("Closing a host ends all cgroups and removes them with those that commands made")
  func closing() async throws {
    try requireCgroups()
    await #expect(processExitsWith: .success) {
      let tests = CgroupTests()
      let own = try #require(Cgroup.own())
      let host = CommandHost(cgroups: .ifAvailable)
      var others: [ProcessIdentity] = []
      for line in [
        "\(CgroupTests.escape) exit 0", "\(CgroupTests.escape) sleep 1000",
        """
        mkdir \(own)$(sed -n 's/^0:://p' /proc/self/cgroup)/inner
        sh -c 'echo 0 >\(own)'$(sed -n 's/^0:://p' /proc/self/cgroup)'/inner/cgroup.procs; echo $$; \\
        exec sleep 1000 >&- 2>&-' & wait
        """,
      ] {
        others.append(try await tests.start(line, on: host).other)
      }
      #expect(tests.cgroups() == 3)
      #expect(others.allSatisfy { !$0.isGone })
      #expect(await host.close(grace: .zero).isEmpty)
      #expect(others.allSatisfy { $0.isGone })
      #expect(tests.cgroups() == 0)
      #expect(children() == [])
    }
  }

  @Test("[cgroup] A cgroup is removed when its command is over and when its launch fails")
  func removal() async throws {
    try requireCgroups()
    await #expect(processExitsWith: .success) {
      let tests = CgroupTests()
      let host = CommandHost(cgroups: .ifAvailable)
      let descriptors = try await settledDescriptorCount()
      for _ in 0..<5 {
        let process = try await host.launch(.shell("exit 3"), into: freshSession())
        await process.waitUntilOver()
        let directory = TemporaryDirectory()
        let script = directory.file("bad", "#!/no/such\n", mode: 0o755)
        await #expect(throws: LaunchError.self) {
          try await host.launch(Command(script), into: freshSession())
        }
      }
      #expect(tests.cgroups() == 0)
      await host.close()
      #expect(await eventually { descriptorCount() == descriptors })
    }
  }

  @Test("A launch that cannot make its cgroup fails with the directory's path")
  func nowhere() async throws {
    let directory = TemporaryDirectory()
    for path in ["/no/such", directory.path] {
      let host = CommandHost(cgroups: .inside(path: path))
      let error = await #expect(throws: LaunchError.self) {
        try await host.launch(Command("true"), into: freshSession())
      }
      #expect(error?.description.contains(path) == true)
    }
    // Nothing is left of the attempt.
    #expect(unsafe rmdir(directory.path) == 0)
  }

  @Test("[leaving-group] A command runs in its process group alone where no cgroup is available")
  func fallback() async throws {
    await #expect(processExitsWith: .success) {
      // A user that may make none, if this is root.
      if geteuid() == 0 {
        #expect(setgid(65_534) == 0)
        #expect(setuid(65_534) == 0)
      }
      let host = CommandHost(cgroups: .ifAvailable)
      let process = try await host.launch(.shell("echo hello; exit 3"), into: freshSession())
      #expect(try await process.waitUntilClosed() == .exited(3))
      #expect(text(process.session) == "hello\n")
      #expect(await host.close().isEmpty)
      if Cgroup.own().flatMap({ try? Cgroup.make(in: $0) }) == nil {
        #expect(process.containment == .processGroup)
      }
    }
  }

  @Test(
    "The program finds its own cgroup whatever part of the hierarchy is mounted",
    arguments: [
      ("0::/", "/", "/sys/fs/cgroup"), ("0::/a/b", "/", "/sys/fs/cgroup/a/b"),
      ("4:cpu:/x\n0::/a/b", "/a", "/sys/fs/cgroup/b"), ("0::/a/b", "/a/b", "/sys/fs/cgroup"),
      ("0::/ab", "/a", nil), ("0::/../x", "/", nil), ("4:cpu:/x", "/", nil), ("", "/", nil),
    ])
  func own(membership: String, root: String, expected: String?) {
    let mounts = """
      22 1 0:20 / /proc rw - proc proc rw
      30 25 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
      31 25 0:27 \(root) /sys/fs/cgroup rw,nosuid shared:9 master:3 - cgroup2 cgroup2 rw
      """
    #expect(Cgroup.directory(membership: membership, mounts: mounts) == expected)
  }
}
