import ArgumentParser

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Starts, follows and ends sessions of a processd.
@main
struct Processctl: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "processctl",
    abstract: "Run commands in a processd, and read, write to and end its sessions.",
    discussion: """
      --server or PROCESSD_URL says where the daemon is, PROCESSD_TOKEN or --token-file holds the \
      token.

      EXAMPLES:
        processctl run make -j4               with its output and its exit status
        id=$(processctl run --detach --keep-alive ./server)
        processctl wait $id --for listening --timeout 30s
        processctl read $id --tail 20         the last 20 lines
        processctl follow $id                 all of it, as it comes, to the end
        echo quit | processctl write $id - --eof
        processctl end $id

      Exit status: \(ExitStatus.summary)
      """,
    version: "processctl 0.1.0",
    subcommands: [
      Run.self, List.self, Read.self, Follow.self, Write.self, Signal.self, End.self, Wait.self,
      Delete.self,
    ])

  static func main() async {
    openStandardDescriptors()
    for index in 0..<Int(CommandLine.argc) {
      // An argument would be another one behind its repair, such as the name of another file.
      guard let bytes = unsafe CommandLine.unsafeArgv[index],
        unsafe String(validatingCString: bytes) == nil
      else { continue }
      complain("argument \(index) is not UTF-8, which is all that the daemon's API can carry")
      exit(withError: ExitCode(ExitStatus.usage.rawValue))
    }
    await main(nil)
  }
}

/// The exit statuses of processctl itself, as far as possible those of sysexits.h.
enum ExitStatus: Int32 {
  /// The daemon refuses what was asked for, or a wait ends without what was waited for.
  case refused = 1
  case usage = 64
  case noSession = 66
  case unavailable = 69
  case output = 74
  /// The answer is not one that this program understands.
  case foreignAnswer = 76
  case denied = 77
  /// The time of `wait` is up.
  case timeout = 124
  case launch = 125
  case notExecutable = 126
  case notFound = 127

  static let summary = """
    64 for a usage error; 66 if there is no such session; 69 if no daemon answers, the session's \
    holder was killed, the connection cannot be made again, or the daemon has no room; 74 if the \
    output cannot be written, or stdin not read; 76 if the answer is not that of a processd, or \
    that of one too old; 77 if the token is refused; 125 if the command cannot be started, 126 if \
    it cannot be executed, and 127 if it was not found; 1 if the daemon refuses anything else, \
    such as input for a command that has ended. run and wait end with the command's own status as \
    well.
    """
}

/// The reason that processctl cannot do what it was told.
struct Failure: Error {
  let status: ExitStatus
  let message: String
  /// The daemon's code for it; nil if the daemon has not answered with one.
  var code: String?
  /// Whether the same request may succeed a little later.
  var isTransient = false
  /// Whether the daemon has done nothing of the request.
  var isUnsent = false
}

/// A subcommand that talks to the daemon.
protocol ClientCommand: AsyncParsableCommand {
  var server: ServerOptions { get }

  /// Does what the subcommand is for.
  @MainActor func run(_ client: Client) async throws
}

extension ClientCommand {
  // Runs on the main thread: writing blocks, and must not hold up the runtime's few threads.
  @MainActor
  func run() async throws {
    ignoreBrokenPipes()
    do {
      let client = try Client(server)
      do {
        try await run(client)
      } catch {
        await client.close()
        throw error
      }
      await client.close()
    } catch let failure as Failure {
      complain(failure.message)
      throw ExitCode(failure.status.rawValue)
    } catch let error as WriteError where error.isBrokenPipe {
      return
    } catch let error as WriteError {
      complain("cannot write to stdout: \(error.message)")
      throw ExitCode(ExitStatus.output.rawValue)
    }
  }
}
