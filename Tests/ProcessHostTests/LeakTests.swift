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

/// Neither success nor failure leaves descriptors, children or threads behind.
///
/// Each test has a process of its own, so that it counts nobody else's.
@Suite struct LeakTests {
  @Test("Ended processes leave no descriptors and no children behind")
  func endedProcessesLeaveNothing() async {
    await #expect(processExitsWith: .success) {
      let host = CommandHost()
      try await capture(Command("true"), on: host)
      let descriptors = try await settledDescriptorCount()
      for _ in 0..<20 {
        try await capture(.shell("echo hello; exit 1"), on: host)
        try await capture(.shell("kill -9 $$"), on: host)
        #expect(descriptorCount() == descriptors)
        #expect(children() == [])
      }
    }
  }

  @Test("[failed-launch] Failed launches leave no descriptors and no children behind")
  func failedLaunchesLeaveNothing() async {
    await #expect(processExitsWith: .success) {
      let host = CommandHost()
      try await capture(Command("true"), on: host)
      let directory = TemporaryDirectory()
      let script = directory.file("none", "echo hello\n", mode: 0o755)
      let interpreter = directory.file("bad", "#!/no/such\n", mode: 0o755)
      let commands = [
        Command("no-such-command"), Command("/tmp"), Command(script), Command(interpreter),
        Command("true", arguments: [], workingDirectory: "/no/such"),
      ]
      let descriptors = try await settledDescriptorCount()
      for _ in 0..<100 {
        for command in commands {
          await #expect(throws: LaunchError.self) {
            try await host.launch(command, into: freshSession())
          }
        }
      }
      #expect(descriptorCount() == descriptors)
      #expect(children() == [])
      #expect(text(try await capture(Command("echo", "well"), on: host)) == "well\n")
    }
  }

  @Test(
    "[out-of-resources] A launch without free descriptors fails with EMFILE, and succeeds later"
  )
  func launchesWithoutDescriptorsFailClearlyAndRecover() async {
    await #expect(processExitsWith: .success) {
      let host = CommandHost()
      try await capture(Command("true"), on: host)
      let descriptors = try await settledDescriptorCount()
      var taken: [Int32] = []
      var limit = rlimit()
      #expect(unsafe getrlimit(Int32(RLIMIT_NOFILE.rawValue), &limit) == 0)
      let previous = limit.rlim_cur
      limit.rlim_cur = 256
      #expect(unsafe setrlimit(Int32(RLIMIT_NOFILE.rawValue), &limit) == 0)
      while true {
        let descriptor = dup(0)
        if descriptor < 0 { break }
        taken.append(descriptor)
      }
      // With each one given back a launch comes a step further, until it succeeds.
      var failures = 0
      while true {
        do {
          let process = try await host.launch(Command("true"), into: freshSession())
          #expect(try await process.waitUntilClosed() == .exited(0))
          break
        } catch {
          #expect((error as? LaunchError) == .outOfResources(code: EMFILE))
          failures += 1
          close(taken.removeLast())
        }
      }
      #expect(failures > 5)
      for descriptor in taken { close(descriptor) }
      limit.rlim_cur = previous
      #expect(unsafe setrlimit(Int32(RLIMIT_NOFILE.rawValue), &limit) == 0)
      #expect(descriptorCount() == descriptors)
      #expect(children() == [])
    }
  }

  @Test("A host adds no thread for each process")
  func manyProcessesShareOneThread() async {
    await #expect(processExitsWith: .success) {
      let host = CommandHost()
      try await capture(Command("true"), on: host)
      let threads = threadCount()
      var processes: [HostedProcess] = []
      for _ in 0..<100 {
        processes.append(
          try await host.launch(.shell("sleep 1000 & wait"), into: freshSession()))
      }
      // The runtime's own pool may still grow to its size.
      #expect(threadCount() <= threads + 4)
      for process in processes { try process.signal(.kill) }
      for process in processes { try await process.waitUntilClosed() }
      #expect(children() == [])
    }
  }

  @Test("A hundred concurrent launches each capture their own output and exit code")
  func launchesAtOnceAreAllRight() async {
    await #expect(processExitsWith: .success) {
      try await withThrowingTaskGroup(of: Session.self) { group in
        for index in 0..<100 {
          group.addTask { try await capture(.shell("echo \(index); exit \(index)")) }
        }
        var seen: Set<Int32> = []
        for try await session in group {
          let code = try #require(session.exitCode)
          #expect(text(session) == "\(code)\n")
          seen.insert(code)
        }
        #expect(seen.count == 100)
      }
      #expect(children() == [])
    }
  }
}
