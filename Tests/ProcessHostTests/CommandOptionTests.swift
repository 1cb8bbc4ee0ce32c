import CSpawn
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

private func launchError(_ command: Command) async -> LaunchError? {
  do throws(LaunchError) {
    _ = try await CommandHost.shared.launch(command, into: freshSession())
    return nil
  } catch {
    return error
  }
}

private func reason(_ command: Command) async -> String? {
  await launchError(command)?.description
}

/// Commands whose stdout and stderr share one pipe.
@Suite(.timeLimit(.minutes(10))) struct MergedOutputTests {
  @Test("[stream-order] Merged stdout and stderr keep the order in which the command wrote them")
  func order() async throws {
    var command = Command.shell(
      "i=0; while [ $i -lt 500 ]; do echo out$i; echo err$i >&2; i=$((i+1)); done")
    command.mergesStandardError = true
    let session = try await capture(command)
    #expect(session.output().chunks.allSatisfy { $0.stream == .stdout })
    #expect(text(session) == (0..<500).map { "out\($0)\nerr\($0)\n" }.joined())
  }

  @Test("A merged command takes two descriptors fewer and leaves none behind")
  func mergedDescriptors() async throws {
    // Alone, since other tests open descriptors as well.
    await #expect(processExitsWith: .success) {
      let before = try await settledDescriptorCount()
      var command = Command.shell("exec sleep 1000")
      command.mergesStandardError = true
      let process = try await CommandHost.shared.launch(command, into: freshSession())
      // One for the pipe, and one for the process.
      #expect(descriptorCount() - before <= 2)
      process.terminate(grace: .zero)
      try await process.waitUntilClosed()
      #expect(await eventually { descriptorCount() == before })
    }
  }
}

/// Descriptors of this program that a command inherits.
@Suite(.timeLimit(.minutes(10))) struct InheritedDescriptorTests {
  /// A file that holds its own name, opened for reading by this program alone.
  private final class Marked {
    private let directory = TemporaryDirectory()
    let descriptor: Int32
    init(_ text: String) {
      descriptor = unsafe open(directory.file("marked", text, mode: 0o600), O_RDONLY | O_CLOEXEC)
    }
    deinit { close(descriptor) }
  }

  @Test("[descriptors] A command inherits a descriptor under another number")
  func mapped() async throws {
    let file = Marked("hello")
    var command = Command.shell("cat <&7; ls /proc/self/fd >/dev/null")
    command.inheritedDescriptors = [7: file.descriptor]
    #expect(text(try await capture(command)) == "hello")
  }

  @Test("A command inherits a close-on-exec descriptor under its own number")
  func kept() async throws {
    let file = Marked("hello")
    var command = Command("bash", "-c", "cat <&\(file.descriptor)")
    command.inheritedDescriptors = [file.descriptor: file.descriptor]
    #expect(text(try await capture(command)) == "hello")
    #expect(fcntl(file.descriptor, F_GETFD) & FD_CLOEXEC != 0)
  }

  @Test("Inherited descriptors can swap numbers, and one can have several numbers")
  func swapped() async throws {
    let (a, b, c) = (Marked("a"), Marked("b"), Marked("c"))
    let taken = [a.descriptor, b.descriptor, c.descriptor]
    let free = try #require((99...103).first { !taken.contains($0) })
    var command = Command(
      "bash", "-c",
      [a, b, c].map { "cat /proc/self/fd/\($0.descriptor)" }.joined(separator: ";")
        + "; cat /proc/self/fd/\(free)")
    command.inheritedDescriptors = [
      a.descriptor: b.descriptor, b.descriptor: c.descriptor, c.descriptor: a.descriptor,
      free: a.descriptor,
    ]
    #expect(text(try await capture(command)) == "bcaa")
  }

  @Test(
    "A command can inherit a descriptor under every number from 3, even one that the launch uses")
  func allNumbers() async throws {
    let file = Marked("x")
    var command = Command("ls", "/proc/self/fd")
    for number in 3..<200 { command.inheritedDescriptors[Int32(number)] = file.descriptor }
    for isTerminal in [false, true] {
      command.terminal = isTerminal ? TerminalSize() : nil
      let names = text(try await capture(command)).split { $0.isWhitespace || $0.isNewline }
      // ls has opened the directory as well.
      #expect(Set(names.compactMap { Int($0) }) == Set(0...200))
    }
  }

  @Test("A command inherits a standard descriptor under another number as well")
  func standard() async throws {
    await #expect(processExitsWith: .success) {
      var ends: [Int32] = [0, 0]
      #expect(unsafe pipe(&ends) == 0)
      #expect(dup2(ends[0], 0) == 0)
      expectWritten(Array("old".utf8), to: ends[1])
      close(ends[1])
      var command = Command.shell("cat <&5; cat")
      command.inheritedDescriptors = [5: 0]
      command.input = .bytes(Array("new".utf8))
      let session = try await capture(command)
      #expect(text(session) == "oldnew")
    }
  }

  @Test("A command inherits only the descriptors that are named")
  func others() async throws {
    let file = Marked("x")
    let other = dup(file.descriptor)
    defer { close(other) }
    var command = Command("ls", "/proc/self/fd")
    command.inheritedDescriptors = [10: file.descriptor]
    let names = text(try await capture(command)).split(separator: "\n").compactMap { Int($0) }
    #expect(names == [0, 1, 10, 2, 3])
  }

  @Test("A lock on an inherited descriptor is held while the command lives")
  func lock() async throws {
    let directory = TemporaryDirectory()
    let path = directory.file("lock", "", mode: 0o600)
    let lock = unsafe open(path, O_RDWR | O_CLOEXEC)
    #expect(flock(lock, LOCK_EX) == 0)
    var command = Command("sleep", "1000")
    command.inheritedDescriptors = [3: lock]
    let process = try await CommandHost.shared.launch(command, into: freshSession())
    close(lock)
    let rival = unsafe open(path, O_RDWR | O_CLOEXEC)
    defer { close(rival) }
    #expect(flock(rival, LOCK_EX | LOCK_NB) < 0)
    process.terminate(grace: .zero)
    try await process.waitUntilClosed()
    #expect(flock(rival, LOCK_EX | LOCK_NB) == 0)
  }

  @Test("Invalid numbers for inherited descriptors are refused with the reason")
  func refused() async throws {
    let file = Marked("x")
    var command = Command("true")
    for (target, words) in [
      (1, "0, 1 and 2 are its input and its outputs"), (-1, "give it a number from 3"),
      (.max, "the limit on open files"),
    ] as [(Int32, String)] {
      command.inheritedDescriptors = [target: file.descriptor]
      #expect(await reason(command)?.contains(words) == true)
    }
    for source in [-1, 999] as [Int32] {
      command.inheritedDescriptors = [3: source]
      #expect(
        await reason(command)
          == "descriptor \(source), which the command is to inherit as 3, is not open")
    }
    for number in 3...259 { command.inheritedDescriptors[Int32(number)] = file.descriptor }
    #expect(await reason(command)?.contains("256 descriptors") == true)
  }
}

#if os(Linux)
  /// Limits, umask, nice value, process group and parent-death signal of a command.
  @Suite(.timeLimit(.minutes(10))) struct AttributeTests {
    @Test(
      "[attributes] A command runs with its soft and hard limits, and this program keeps its own")
    func limits() async throws {
      let before = spawn_open_file_limit()
      var command = Command("cat", "/proc/self/limits")
      command.limits = [
        .openFiles: Command.Limit(soft: 20, hard: 30), .coreFileSize: 0, .cpuTime: 77,
        .fileSize: 123_456, .addressSpace: Command.Limit(1 << 32),
        .dataSize: Command.Limit(1 << 31), .stackSize: Command.Limit(1 << 20),
        .lockedMemory: 4_096, .processes: 999,
      ]
      let lines = text(try await capture(command)).split(separator: "\n").map {
        $0.split(separator: " ").joined(separator: " ")
      }
      for line in [
        "Max open files 20 30 files", "Max core file size 0 0 bytes", "Max cpu time 77 77 seconds",
        "Max file size 123456 123456 bytes", "Max address space 4294967296 4294967296 bytes",
        "Max data size 2147483648 2147483648 bytes", "Max stack size 1048576 1048576 bytes",
        "Max locked memory 4096 4096 bytes", "Max processes 999 999 processes",
      ] { #expect(lines.contains(line)) }
      #expect(spawn_open_file_limit() == before)
    }

    @Test("A launch under a limit of three open files starts its command")
    func fewFiles() async throws {
      var command = Command("echo", "hello")
      command.limits = [.openFiles: 3]
      // The loader cannot open the C library, and says so: the command itself was started.
      #expect(try await capture(command).output().exitCode == 127)
    }

    @Test(
      "[attributes] A command runs with its umask and nice value, and this program keeps its own")
    func maskAndNiceness() async throws {
      var command = Command.shell("umask; nice")
      command.umask = 0o027
      command.niceness = 7
      #expect(text(try await capture(command)) == "0027\n7\n")
      let (mask, own) = (Glibc.umask(0), getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0))
      _ = Glibc.umask(mask)
      #expect(mask != 0o027)
      #expect(own != 7)
    }

    @Test("Invalid attributes are refused with the reason before the command starts")
    func refused() async {
      var command = Command("true")
      command.umask = 0o1000
      #expect(await reason(command) == "a umask is from 0 to 0o777, and not 0o1000")
      command.umask = nil
      command.niceness = 20
      #expect(await reason(command) == "a nice value is from -20 to 19, and not 20")
      command.niceness = nil
      command.limits = [.cpuTime: Command.Limit(soft: 2, hard: 1)]
      #expect(
        await reason(command) == "the soft limit on processor time (2) is above the hard one (1)")
      command.limits = [:]
      for number in [0, -1, 65] as [Int32] {
        command.parentDeathSignal = ProcessSignal(rawValue: number)
        #expect(await reason(command)?.hasPrefix("there is no signal \(number) ") == true)
      }
      command.parentDeathSignal = nil
      command.user = Command.User(userID: .max, groupID: 0)
      #expect(await reason(command)?.contains("number of no user") == true)
      command.user = nil
      command.processGroup = .inherited
      command.terminal = TerminalSize()
      #expect(await reason(command)?.contains("cannot join this program's group") == true)
    }

    @Test("A command can stay in this program's group, and signals reach it alone")
    func group() async throws {
      var command = Command.shell("echo $(ps -o pgid= -p $$); exec sleep 1000")
      command.processGroup = .inherited
      let session = freshSession()
      let process = try await CommandHost.shared.launch(command, into: session)
      #expect(await eventually { text(session).hasSuffix("\n") })
      #expect(Int32(text(session).dropLast()) == getpgrp())
      process.terminate()
      #expect(try await process.waitUntilClosed() == .signaled(SIGTERM))
    }

    @Test("A command can lead a session without a terminal, and its group ends with it")
    func session() async throws {
      var command = Command.shell(
        "ps -o pid=,pgid=,sid=,tty= -p $$; sleep 1000 & echo; exec sleep 1000")
      command.processGroup = .ownSession
      let session = freshSession()
      let process = try await CommandHost.shared.launch(command, into: session)
      #expect(await eventually { text(session).hasSuffix("\n\n") })
      let number = String(process.processID)
      let fields = text(session).split { $0 == " " || $0 == "\n" }.map(String.init)
      #expect(fields == [number, number, number, "?"])
      process.terminate()
      // The other holds the output open.
      #expect(try await process.waitUntilClosed() == .signaled(SIGTERM))
      #expect(process.droppedBytes == 0)
    }

    @Test("[killed-program] A command gets its parent-death signal when this program is killed")
    func parentDeath() async throws {
      let result = try await #require(
        processExitsWith: .signal(SIGKILL), observing: [\.standardOutputContent]
      ) {
        var command = Command.shell("trap 'exit 0' TERM; while :; do sleep 1; done")
        command.parentDeathSignal = .terminate
        var plain = Command("sleep", "1000")
        plain.parentDeathSignal = .kill
        for command in [command, plain] {
          let process = try await CommandHost.shared.launch(command, into: freshSession())
          print("pid=\(process.processID)=")
        }
        _ = fflush(nil)
        kill(getpid(), SIGKILL)
      }
      let output = String(decoding: result.standardOutputContent, as: UTF8.self)
      let processes = output.split(separator: "=").compactMap { ProcessIdentity($0) }
      #expect(processes.count == 2)
      for process in processes { #expect(await eventually { process.isGone }) }
    }

    @Test("A command outlives the thread that asked for its launch")
    func threadsStay() async throws {
      var command = Command("sleep", "1000")
      command.parentDeathSignal = .kill
      // From a thread that ends: the command does not belong to it.
      let task = Task.detached {
        try await CommandHost.shared.launch(command, into: freshSession())
      }
      let process = try await task.value
      for _ in 0..<20 { try await capture(Command("true")) }
      #expect(process.isRunning)
      process.terminate(grace: .zero)
      try await process.waitUntilClosed()
    }
  }

  /// Whether this program may become another user.
  private let isRoot = geteuid() == 0

  /// Commands that run as another user, which only root can launch.
  @Suite(.enabled(if: isRoot), .timeLimit(.minutes(10))) struct UserTests {
    private static let nobody = Command.User(
      userID: 65_534, groupID: 65_533, supplementaryGroups: [65_532, 65_531])

    @Test("A command runs as another user, with that user's groups and no others")
    func becomes() async throws {
      var command = Command.shell("id -u; id -g; id -G; grep -h ^Uid: /proc/self/status")
      command.user = Self.nobody
      #expect(
        text(try await capture(command))
          == "65534\n65533\n65533 65531 65532\nUid:\t65534\t65534\t65534\t65534\n")
      command.user = Command.User(userID: 65_534, groupID: 65_533)
      #expect(text(try await capture(command)).hasPrefix("65534\n65533\n65533\nUid"))
    }

    @Test("A command of another user has its limits, its nice value and its parent-death signal")
    func others() async throws {
      var command = Command.shell("ulimit -n; nice; exec sleep 1000")
      command.user = Self.nobody
      command.limits = [.openFiles: Command.Limit(soft: 50, hard: 60)]
      command.niceness = 3
      let session = try await capture(command, until: "3\n")
      #expect(text(session) == "50\n3\n")
      let result = try await #require(
        processExitsWith: .signal(SIGKILL), observing: [\.standardOutputContent]
      ) {
        var command = Command("sleep", "1000")
        command.user = Command.User(userID: 65_534, groupID: 65_533)
        command.parentDeathSignal = .kill
        let process = try await CommandHost.shared.launch(command, into: freshSession())
        print("pid=\(process.processID)=")
        _ = fflush(nil)
        kill(getpid(), SIGKILL)
      }
      let output = String(decoding: result.standardOutputContent, as: UTF8.self)
      let processes = output.split(separator: "=").compactMap { ProcessIdentity($0) }
      let process = try #require(processes.first)
      #expect(await eventually { process.isGone })
    }

    @Test("A command of another user owns its terminal, and this program remains traceable")
    func terminal() async throws {
      var command = Command.shell("stat -c %u $(tty); echo opened >$(tty)")
      command.user = Self.nobody
      command.terminal = TerminalSize()
      #expect(text(try await capture(command)) == "65534\r\nopened\r\n")
      // A child of this program's memory would have changed that for the program as well.
      typealias Control = @convention(c) (Int32, Int, Int, Int, Int) -> Int32
      let control = unsafe unsafeBitCast(dlsym(nil, "prctl"), to: Control.self)
      let getDumpable: Int32 = 3
      #expect(control(getDumpable, 0, 0, 0, 0) == 1)
    }

    @Test("A launch fails where the command's user may not enter a directory or execute a file")
    func permissions() async throws {
      let directory = TemporaryDirectory()
      let tool = directory.file("tool", "#!/bin/sh\n", mode: 0o700)
      unsafe _ = chmod(directory.path, 0o755)
      var command = Command(tool, arguments: [])
      command.user = Self.nobody
      #expect(
        await launchError(command) == .notExecutable(path: tool, reason: .noPermission))
      unsafe _ = chmod(directory.path, 0o700)
      command = Command("true", arguments: [], workingDirectory: directory.path)
      command.user = Self.nobody
      #expect(
        await launchError(command) == .badWorkingDirectory(path: directory.path, code: EACCES))
    }

    @Test("[attributes] The error of a launch names the step that failed")
    func steps() async throws {
      await #expect(processExitsWith: .success) {
        // As another user, without privileges.
        #expect(setgid(65_533) == 0)
        #expect(setuid(65_534) == 0)
        var command = Command("/bin/true", arguments: [])
        command.user = Command.User(userID: 0, groupID: 0, supplementaryGroups: [7])
        #expect(
          await launchError(command)
            == .other(reason: "/bin/true: cannot get the groups [7]", code: EPERM))
        command.user = nil
        command.niceness = -5
        #expect(
          await launchError(command)
            == .other(reason: "/bin/true: cannot get the nice value -5", code: EACCES))
        command.niceness = nil
        command.limits = [.coreFileSize: 0, .openFiles: Command.Limit(1 << 40)]
        #expect(
          await launchError(command)
            == .other(
              reason: "/bin/true: cannot get the limit 1099511627776 on open files", code: EPERM))
        // A user's processes are counted, and root alone may have more.
        command.limits = [.processes: 0]
        let exit = try await capture(.shell("exit 3")).output().exitCode
        #expect(exit == 3)
      }
    }

    @Test("A launch as another user can be cancelled while the execution hangs")
    func cancelled() async throws {
      let directory = TemporaryDirectory()
      unsafe _ = chmod(directory.path, 0o755)
      let hanging = await Hanging(directory)
      var command = Command(hanging.path, arguments: [])
      command.user = Self.nobody
      let task = Task { [command] in
        try await CommandHost.shared.launch(command, into: freshSession())
      }
      try await Task.sleep(for: .milliseconds(100))
      task.cancel()
      await #expect(throws: LaunchError.cancelled) { try await task.value }
      hanging.release()
    }

    @Test("A user is found by name, with its groups")
    func names() {
      #expect(Command.User(named: "root")?.userID == 0)
      #expect(Command.User(named: "root")?.supplementaryGroups.contains(0) == true)
      #expect(Command.User(named: "no-such-user-anywhere") == nil)
    }
  }

  /// Runs a command until its output ends in a text, and ends it.
  private func capture(_ command: Command, until end: String) async throws -> Session {
    let session = freshSession()
    let process = try await CommandHost.shared.launch(command, into: session)
    #expect(await eventually { text(session).hasSuffix(end) })
    process.terminate(grace: .zero)
    try await process.waitUntilClosed()
    return session
  }
#endif
