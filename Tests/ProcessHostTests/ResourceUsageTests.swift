import Processes
import Testing

@testable import ProcessHost

/// What is told of the resources that a process has used.
@Suite(.timeLimit(.minutes(10))) struct ResourceUsageTests {
  private func usage(of line: String) async throws -> ResourceUsage {
    let process = try await CommandHost.shared.launch(.shell(line), into: freshSession())
    _ = try await process.waitForExit()
    return try #require(process.resourceUsage)
  }

  @Test("A command that computes has used processor time, and one that sleeps less")
  func time() async throws {
    let busy = try await usage(of: "i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done")
    let idle = try await usage(of: "sleep 0.1")
    #expect(busy.userTime > .milliseconds(50))
    #expect(busy.userTime < .seconds(100))
    #expect(busy.systemTime >= .zero)
    #expect(idle.userTime + idle.systemTime < busy.userTime + busy.systemTime)
  }

  @Test("The peak of memory is in bytes, and includes a child that the command waited for")
  func memory() async throws {
    let usage = try await usage(of: "dd if=/dev/zero of=/dev/null bs=256M count=1 2>&1; true")
    #expect(usage.peakResidentBytes >= 256 << 20)
    #expect(usage.peakResidentBytes < 8 << 30)
  }

  @Test("[resource-usage] A process that runs has no usage yet")
  func running() async throws {
    let process = try await CommandHost.shared.launch(.shell("sleep 1000"), into: freshSession())
    #expect(process.resourceUsage == nil)
    process.terminate(grace: .zero)
    #expect(try await process.waitUntilClosed() == .signaled(9))
    #expect(process.resourceUsage != nil)
  }

  #if os(Linux)
    @Test("The usage is known with the exit, though another process holds the output open")
    func background() async throws {
      var command = Command.shell("sleep 1000 & exit 3")
      command.quietGrace = nil
      command.lingerLimit = nil
      let process = try await CommandHost.shared.launch(command, into: freshSession())
      #expect(try await process.waitForExit() == .exited(3))
      #expect(process.resourceUsage != nil)
      #expect(!process.session.isClosed)
      process.terminate(grace: .zero)
      _ = try await process.waitUntilClosed()
    }
  #endif

  @Test("The resource usage of a process stays the same after it was reaped")
  func reaped() async throws {
    let process = try await CommandHost.shared.launch(
      .shell("dd if=/dev/zero of=/dev/null bs=32M count=1 2>&1"), into: freshSession())
    _ = try await process.waitForExit()
    let atExit = process.resourceUsage
    await process.waitUntilOver()
    #expect(process.resourceUsage == atExit)
  }

  @Test("Reaping no child in particular reaps none", arguments: [0, -1])
  func noChild(number: Int32) async throws {
    await #expect(processExitsWith: .success) { [number] in
      var command = Command.shell("exec 3<&0; cat <&3 & exit 3")
      command.input = .pipe
      command.processGroup = .inherited
      command.quietGrace = nil
      command.lingerLimit = nil
      let process = try await CommandHost.shared.launch(command, into: freshSession())
      // Not reaped while another process holds its output open.
      _ = try await process.waitForExit()
      #expect(reap(number) == nil)
      #expect(peekUsage(of: number) == nil)
      #expect(peekState(of: process.processID).exit == .exited(3))
      process.input?.close()
      #expect(try await process.waitUntilClosed() == .exited(3))
    }
  }
}
