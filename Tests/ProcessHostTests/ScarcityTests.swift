#if os(Linux) && canImport(Glibc)
  import CSpawn
  import Glibc
  import OutputRing
  import Processes
  import Testing

  @testable import ProcessHost

  /// Where the system has no more of something, a launch fails and says so.
  @Suite(.timeLimit(.minutes(10))) struct ScarcityTests {
    @Test("Without address space a session or a launch fails, and succeeds later")
    func addressSpace() async {
      await #expect(processExitsWith: .success) {
        // The tasks' own threads, which wait for memory without an end, are there from now on.
        await withTaskGroup { group in
          for _ in 0..<16 { group.addTask { usleep(20_000) } }
        }
        var (failures, successes) = (0, 0)
        for mebibytes in stride(from: UInt64(40), through: 1, by: -1) {
          setLimit(SPAWN_ADDRESS_SPACE, addressSpaceSize() + mebibytes << 20)
          let outcome = await attempt()
          setLimit(SPAWN_ADDRESS_SPACE, .max)
          switch outcome {
          case nil: successes += 1
          case .some(ENOMEM), .some(EAGAIN): failures += 1
          case .some(let code): Issue.record("error \(code)")
          }
        }
        #expect(successes > 0, "\(successes) \(failures)")
        #expect(failures > 0, "\(successes) \(failures)")
        #expect(await attempt() == nil)
      }
    }

    @Test(
      "A launch fails with EAGAIN where the user may have no more processes",
      .enabled(if: geteuid() == 0))
    func processes() async {
      await #expect(processExitsWith: .success) {
        await withTaskGroup { group in
          for _ in 0..<16 { group.addTask { usleep(20_000) } }
        }
        // Not before the thread that starts processes is there, and then without it.
        for isWarm in [false, true] {
          if isWarm {
            #expect(await attempt() == nil)
          } else {
            #expect(setgid(54_321) == 0)
            #expect(setuid(54_321) == 0)
          }
          setLimit(SPAWN_PROCESSES, 1)
          #expect(await attempt() == EAGAIN)
          setLimit(SPAWN_PROCESSES, 100_000)
        }
      }
    }
  }

  /// Runs a command in a session of its own; returns what was missing.
  private func attempt() async -> Int32? {
    do {
      let session = try Session(allocating: "scarce", workspaceID: "tests")
      let process = try await CommandHost.shared.launch(.shell("exit 3"), into: session)
      #expect(try await process.waitUntilClosed() == .exited(3))
      return nil
    } catch LaunchError.outOfResources(let code) {
      return code
    } catch let error as RingAllocationError {
      return error.code
    } catch {
      Issue.record(error)
      return -1
    }
  }

  private func setLimit(_ resource: spawn_resource, _ value: UInt64) {
    var limit = rlimit()
    unsafe getrlimit(__rlimit_resource_t(resource.rawValue), &limit)
    limit.rlim_cur = min(rlim_t(value), limit.rlim_max)
    unsafe setrlimit(__rlimit_resource_t(resource.rawValue), &limit)
  }

  private func addressSpaceSize() -> UInt64 {
    let pages = contents("/proc/self/statm")?.split(separator: " ").first.flatMap { UInt64($0) }
    return (pages ?? 0) * UInt64(sysconf(Int32(_SC_PAGESIZE)))
  }
#endif
