import Foundation
import ProcessHost

/// Runs twenty commands, four at a time, and ends with a summary.
///
/// The exit status is 0 if every job succeeded that must, and 1 otherwise. Ctrl-C ends the jobs
/// first and then this program.
@main
struct CIRunner {
  static func main() async {
    let host = CommandHost()
    endProcesses(of: host, at: [SIGINT, SIGTERM, SIGHUP])

    let results = await Runner(host: host, limit: 4).run(jobs)
    await host.close()

    print("")
    for result in results { print(result) }
    let succeeded = results.count { $0.outcome == .succeeded }
    let timedOut = results.count { $0.outcome == .timedOut }
    print(
      "\(results.count) jobs: \(succeeded) succeeded, \(timedOut) timed out, "
        + "\(results.count - succeeded - timedOut) failed")
    exit(results.contains(where: \.isFailure) ? 1 : 0)
  }

  /// What a pipeline might run: steps that print, steps that fail and one that hangs.
  static var jobs: [Job] {
    let compile = (1...8).map { number in
      Job(
        name: "compile-\(number)",
        command: .shell("for file in a b c; do echo \"compiling $file\"; sleep 0.05; done"))
    }
    let test = (1...8).map { number in
      Job(
        name: "test-\(number)",
        command: .shell("printf 'running… '; sleep 0.05; echo ok; echo 'no warnings' >&2"))
    }
    return compile + test + [
      Job(name: "logs", command: .shell("seq 200000 | tail -n 3; echo done")),
      Job(name: "lint", command: .shell("echo 'line 7: too long' >&2; exit 2"), mayFail: true),
      Job(
        name: "deploy", command: .shell("echo waiting; sleep 1000"), timeLimit: .seconds(1),
        mayFail: true),
      Job(name: "missing", command: Command("no-such-tool", "--version"), mayFail: true),
    ]
  }
}
