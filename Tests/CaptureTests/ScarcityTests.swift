#if os(Linux)
  import Foundation
  import ProcessHost
  import Processes
  import Testing

  /// Where the system has no more of something, capture says so and ends.
  @Suite(.timeLimit(.minutes(10))) struct ScarcityTests {
    /// Runs capture after a shell's commands, and returns its status and what it wrote.
    private func attempt(
      _ preparation: String, _ arguments: [String] = ["--output", "/dev/null"] + shell("echo hi")
    ) async throws -> (ProcessExit, String) {
      var command = Command(
        "bash", arguments: ["-c", "\(preparation) \"$0\" \"$@\"", captureExecutable] + arguments)
      command.environment = .inherited(changing: ["SWIFT_BACKTRACE": "enable=no"])
      command.mergesStandardError = true
      let session = Session(id: "scarce", workspaceID: "tests")
      let process = try await CommandHost.shared.launch(command, into: session)
      let exit = try await process.waitUntilClosed()
      return (exit, session.output().chunks.payload.description)
    }

    /// Whether capture did its work, said what it lacks, or was not even loaded.
    private func isStated(_ exit: ProcessExit, _ text: String) -> Bool {
      switch exit {
      case .exited(0): text == "hi\n"
      case .exited(125): text.hasPrefix("capture: ")
      case .exited(127):
        // The dynamic loader's words.
        text.contains("error while loading shared libraries") || text == "out of memory\n"
      default: false
      }
    }

    @Test("Without address space capture does its work or reports what it lacks")
    func addressSpace() async throws {
      var kibibytes = 640_000
      var exits: Set<ProcessExit> = []
      while kibibytes > 16_000 {
        let (exit, text) = try await attempt("ulimit -v \(kibibytes); exec")
        // The last few pages let the program be loaded, but are too few for the language's runtime.
        let isLoaded =
          try await attempt("ulimit -v \(kibibytes); exec", ["--version"]).0 == .exited(0)
        #expect(isStated(exit, text) || !isLoaded, "\(kibibytes): \(exit) \(text)")
        exits.insert(exit)
        kibibytes = kibibytes * 14 / 15
      }
      #expect(exits.isSuperset(of: [.exited(0), .exited(125)]))
    }

    @Test(
      "Without processes to spare capture does its work or reports what it lacks",
      .enabled(if: unsafe geteuid() == 0 && access("/usr/bin/setpriv", X_OK) == 0))
    func processes() async throws {
      // capture may lie where no other user finds it.
      let copy = NSTemporaryDirectory() + "capture-" + UUID().uuidString
      // Copied by another program: while this one had the copy open to write, children that other
      // tests start meanwhile could hold it, and it could not be executed.
      let copying = try await CommandHost.shared.launch(
        Command("cp", captureExecutable, copy), into: Session())
      #expect(try await copying.waitUntilClosed() == .exited(0))
      defer { try? FileManager.default.removeItem(atPath: copy) }
      var exits: Set<ProcessExit> = []
      for count in [0, 1, 2, 4, 8, 9, 10, 12, 16, 40] {
        let (exit, text) = try await attempt(
          "exec setpriv --reuid 54322 --regid 54322 --clear-groups prlimit --nproc=\(count) '\(copy)'"
            + " --no-live sh -c 'echo hi'; exec true")
        #expect(isStated(exit, text), "\(count): \(exit) \(text)")
        exits.insert(exit)
      }
      #expect(exits.isSuperset(of: [.exited(0), .exited(125)]))
    }

    @Test("Without descriptors capture does its work or reports what it lacks", arguments: 0...40)
    func descriptors(_ count: Int) async throws {
      let (exit, text) = try await attempt("ulimit -n \(count); exec")
      #expect(isStated(exit, text), "\(exit) \(text)")
    }
  }
#endif
