import Foundation
import ProcessHost

/// Follows the log of one command with several readers at their own pace.
///
/// The exit status is 0 if the account of every reader balances: received + missed = written.
@main
struct LogFollower {
  static func main() async throws {
    let session = Session(id: "log")
    let command = Command.shell("seq 1 150000; sleep 0.2; seq 150001 300000")
    let process = try await CommandHost.shared.launch(command, into: session)

    async let follower = follow(session)
    async let poller = poll(session, every: .milliseconds(20))
    try await process.waitUntilClosed()
    let late = readAll(of: session)

    let accounts = await [("follower", follower), ("poller", poller), ("latecomer", late)]
    for (name, account) in accounts {
      print(
        "\(name): \(account.reads) reads, \(account.received) bytes received, "
          + "\(account.missed) missed")
    }
    print("written: \(session.totalBytes) bytes")
    exit(accounts.allSatisfy { $0.1.total == session.totalBytes } ? 0 : 1)
  }

  /// Waits for output, and takes it as it comes.
  static func follow(_ session: Session) async -> Account {
    var account = Account()
    for await output in session.outputs() { account.add(output) }
    return account
  }

  /// Looks for output at intervals, as a client of a server does.
  static func poll(_ session: Session, every interval: Duration) async -> Account {
    var account = Account()
    var cursor = Cursor.start
    while true {
      let output = session.output(since: cursor, maxBytes: 256 * 1024)
      account.add(output)
      cursor = output.cursor
      if output.isComplete { return account }
      if !output.hasMore { try? await Task.sleep(for: interval) }
    }
  }

  /// Reads once, after the end: only the last 1 MiB is left.
  static func readAll(of session: Session) -> Account {
    var account = Account()
    account.add(session.output())
    return account
  }
}
