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

/// Many processes that end in every way at once, while they are being ended.
@Suite(.timeLimit(.minutes(10))) struct EndingStormTests {
  /// What commands do until they are ended, or by themselves.
  static let lines = [
    "exec sleep 0.05", "exec sleep 1000", "trap '' TERM; echo; while :; do sleep 1; done",
    "sleep 1000 & exit 0", "sleep 1000 >/dev/null 2>&1 & exit 0", "kill -STOP $$; sleep 1000",
    "(sleep 1000 & sleep 1000 >/dev/null 2>&1 &) & exit 3", "exec >&- 2>&-; sleep 1000",
    "trap 'exit 4' TERM; (trap '' TERM; while :; do echo x; sleep 0.02; done) & wait",
    "sh -c 'kill -STOP $$; sleep 1000' & wait",
  ]

  static func launch(_ count: Int, on host: CommandHost) async throws -> [HostedProcess] {
    var processes: [HostedProcess] = []
    for index in 0..<count {
      let session = Session(id: "\(index)", workspaceID: "tests", capacity: 65_536)
      processes.append(
        try await host.launch(.shell(lines[index % lines.count]), into: session))
    }
    return processes
  }

  @Test(
    "Processes that are ended twice from several tasks while they exit are all over in the end",
    arguments: [CommandHost.Cgroups.none, .ifAvailable])
  func twice(cgroups: CommandHost.Cgroups) async {
    await #expect(processExitsWith: .success) { [isContained = (cgroups == .ifAvailable) as Bool] in
      let host = CommandHost(cgroups: isContained ? .ifAvailable : .none)
      let descriptors = try await settledDescriptorCount()
      let processes = try await EndingStormTests.launch(isContained ? 100 : 300, on: host)
      await withTaskGroup(of: Void.self) { group in
        for (index, process) in processes.enumerated() {
          group.addTask {
            process.terminate(grace: .milliseconds(index % 7 * 50))
            if index % 3 == 0 { try? process.signal(.interrupt) }
            await Task.yield()
            process.terminate(with: .hangUp, grace: .milliseconds(100))
          }
        }
      }
      for process in processes {
        await process.waitUntilOver()
        #expect(process.session.isClosed)
        #expect(!process.isRunning)
        #expect(!process.hasLingeringGroup)
      }
      #expect(host.lingeringGroupCount == 0)
      #expect(children() == [])
      #expect(await host.close().isEmpty)
      #expect(await eventually { descriptorCount() == descriptors })
    }
  }

  @Test("Closing a host twice while its processes are being ended leaves nothing behind")
  func closing() async {
    await #expect(processExitsWith: .success) {
      let descriptors = try await settledDescriptorCount()
      let host = CommandHost()
      let processes = try await EndingStormTests.launch(100, on: host)
      for process in processes { process.terminate(grace: .seconds(1_000)) }
      async let first = host.close(grace: .milliseconds(200))
      async let second = host.close(grace: .milliseconds(100))
      for process in processes { process.terminate(grace: .milliseconds(50)) }
      let survivors = await first + second
      #expect(survivors.isEmpty)
      #expect(processes.allSatisfy { $0.session.isClosed && !$0.isRunning })
      #expect(children() == [])
      #expect(await eventually { descriptorCount() == descriptors })
    }
  }
}
