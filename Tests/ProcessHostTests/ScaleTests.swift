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

/// Many processes at once, and many one after the other.
///
/// Where descriptors or threads are counted, in a process of its own.
@Suite struct ScaleTests {
  /// Bytes that each child of a crowd writes to each of its two streams.
  static let bytesEach = 2_000_000

  /// What a crowd came to.
  struct Result {
    var ended = 0
    var refused = 0
    var wrong: [String] = []
  }

  /// Starts as many children as told, all at once, and waits for the end of all.
  static func crowd(_ count: Int, on host: CommandHost) async -> Result {
    await withTaskGroup(of: (index: Int, session: Session?, error: LaunchError?).self) { group in
      for index in 0..<count {
        group.addTask {
          let session = Session(id: "\(index)", workspaceID: "tests", capacity: 65_536)
          let line = """
            head -c \(bytesEach) /dev/zero & head -c \(bytesEach) /dev/zero >&2; wait; \
            exit \(index % 256)
            """
          do throws(LaunchError) {
            let process = try await host.launch(.shell(line), into: session)
            await process.waitUntilOver()
            return (index, session, nil)
          } catch {
            return (index, nil, error)
          }
        }
      }
      var result = Result()
      for await (index, session, error) in group {
        if let error {
          result.refused += 1
          if case .outOfResources(let code) = error, code == EMFILE { continue }
          result.wrong.append("\(index): \(error)")
        } else if let session {
          result.ended += 1
          let output = session.output()
          let retained = output.chunks.reduce(0) { $0 + $1.data.count }
          if session.totalBytes != 2 * bytesEach || retained + output.lostBytes != 2 * bytesEach
            || output.missedBytes != output.lostBytes || session.exitCode != Int32(index % 256)
            || !session.isClosed
          {
            result.wrong.append("\(index): \(session.totalBytes) bytes, \(output.exitCode as Any)")
          }
        }
      }
      return result
    }
  }

  private static func setDescriptorLimit(_ limit: (rlimit) -> rlim_t) {
    var limits = rlimit()
    #if canImport(Glibc)
      let resource = Int32(RLIMIT_NOFILE.rawValue)
    #else
      let resource = RLIMIT_NOFILE
    #endif
    unsafe getrlimit(resource, &limits)
    limits.rlim_cur = limit(limits)
    unsafe setrlimit(resource, &limits)
  }

  @Test("A host runs 500 processes at once without a thread for each")
  func fiveHundredAtOnce() async {
    await #expect(processExitsWith: .success) {
      ScaleTests.setDescriptorLimit { min($0.rlim_max, 8_192) }
      let host = CommandHost()
      _ = await ScaleTests.crowd(2, on: host)
      let descriptors = try await settledDescriptorCount()
      let threads = threadCount()
      let result = await ScaleTests.crowd(500, on: host)
      #expect(result.wrong == [])
      #expect(result.ended == 500)
      // The runtime's own pool may still grow to its size, and there may be eight launchers.
      #expect(threadCount() <= threads + 12)
      #expect(await eventually { descriptorCount() == descriptors })
      #expect(children() == [])
    }
  }

  @Test("With few descriptors a host serves each launch in full or refuses it clearly")
  func fiveHundredWithFewDescriptors() async {
    await #expect(processExitsWith: .success) {
      let host = CommandHost()
      _ = await ScaleTests.crowd(2, on: host)
      let descriptors = try await settledDescriptorCount()
      ScaleTests.setDescriptorLimit { _ in 256 }
      let result = await ScaleTests.crowd(500, on: host)
      // Each is served in full or refused clearly.
      #expect(result.wrong == [])
      #expect(result.ended + result.refused == 500)
      #expect(result.ended >= 10)
      #expect(result.refused >= 10)
      #expect(await eventually { descriptorCount() == descriptors })
      #expect(children() == [])
      // As many as there are descriptors for, and nobody is refused.
      let after = await ScaleTests.crowd(20, on: host)
      #expect(after.ended == 20)
      #expect(after.wrong == [])
    }
  }

  /// They write, and have ended before anybody looks.
  @Test("A thousand short commands lose no output and no exit code")
  func aThousandShortOnesLoseNothing() async throws {
    var wrong: [String] = []
    for round in 0..<125 {
      try await withThrowingTaskGroup(of: String?.self) { group in
        for index in (8 * round)..<(8 * round + 8) {
          group.addTask {
            let session = try await capture(.shell("echo \(index); exit \(index % 256)"))
            let isRight = text(session) == "\(index)\n" && session.exitCode == Int32(index % 256)
            return isRight ? nil : "\(index): \(text(session)) \(session.exitCode as Any)"
          }
        }
        for try await mistake in group { if let mistake { wrong.append(mistake) } }
      }
    }
    #expect(wrong == [])
  }

  /// A flood in one process does not keep another's line from coming; how soon is for Benchmarks.
  @Test("[flood] A process that floods its output does not delay the output of others without end")
  func aFloodDoesNotStarveOthers() async throws {
    let flood = try await CommandHost.shared.launch(
      Command("cat", "/dev/zero"), into: freshSession())
    var command = Command("cat")
    command.input = .pipe
    var quiet: [HostedProcess] = []
    for _ in 0..<50 {
      quiet.append(try await CommandHost.shared.launch(command, into: freshSession()))
    }
    let before = flood.session.totalBytes
    for process in quiet { try await process.input?.write("hello\n".utf8) }
    for process in quiet {
      let output = await process.session.output(since: 0, waitingUpTo: nil)
      #expect(output.chunks.first?.data.description == "hello\n")
      process.input?.close()
    }
    for process in quiet { #expect(try await process.waitUntilClosed() == .exited(0)) }
    #expect(flood.session.totalBytes > before)
    flood.terminate(grace: .zero)
    try await flood.waitUntilClosed()
  }
}
