import ArgumentParser
import UnixSignals

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Passes the signals that processctl gets on to the command's group.
struct SignalForwarder: Sendable {
  /// The signals that are passed on, without those that are ignored: a program that starts
  /// processctl with a signal ignored, such as nohup(1), does not want it to have an effect.
  static var signals: [UnixSignal] {
    let all: [UnixSignal] = [
      .sigint, .sigterm, .sighup, .sigquit, .sigusr1, .sigusr2, .sigalrm, .sigwinch,
    ]
    return all.filter { !isIgnored($0.rawValue) }
  }
  /// Signals of which the third kills the group. `SIGHUP` is not one: a terminal that hangs up may
  /// cause three at once.
  private static let impatience: [UnixSignal] = [.sigint, .sigterm, .sigquit]
  private static let impatienceSpan: Duration = .seconds(5)

  let session: RemoteSession
  private let sizeChanges: AsyncStream<Void>
  private let sizeChanged: AsyncStream<Void>.Continuation

  init(session: RemoteSession) {
    self.session = session
    (sizeChanges, sizeChanged) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// Tells the command's terminal the size of processctl's own, when that changes, until the task
  /// is cancelled.
  func forwardSizes() async {
    for await _ in sizeChanges {
      // It is not an error if the command has no terminal.
      try? await session.client.persistently {
        if let size = WindowSize.own { try await session.resize(to: size) }
      }
    }
  }

  /// Forwards signals until the task is cancelled.
  ///
  /// - Throws: ``Failure``; `ExitCode` if a signal ends processctl, since neither it nor the one
  ///   before can be passed on.
  func forward(_ signals: UnixSignalsSequence) async throws {
    let (queue, put) = AsyncStream<Received>.makeStream()
    try await withThrowingTaskGroup { group in
      group.addTask { try await receive(signals, put) }
      group.addTask { try await deliver(queue) }
      defer { group.cancelAll() }
      while try await group.next() != nil {}
    }
  }

  /// Takes signals at once, also while the daemon is away and an earlier one waits for it.
  private func receive(
    _ signals: UnixSignalsSequence, _ put: AsyncStream<Received>.Continuation
  ) async throws {
    /// The outage in which a signal was kept.
    var known: Int?
    for await signal in signals {
      if signal == .sigwinch {
        sizeChanged.yield()
        continue
      }
      put.yield(Received(signal: signal, time: .now))
      guard Self.impatience.contains(signal) else { continue }
      guard let outage = session.client.outage.current else { continue }
      if known == outage {
        complain(Failure(status: .unavailable, message: "\(signal)").losing(session).message)
        throw ExitCode(128 + signal.rawValue)
      }
      complain("\(signal) is passed on when the daemon answers; another one ends processctl")
      known = outage
    }
  }

  private struct Received: Sendable {
    let signal: UnixSignal
    let time: ContinuousClock.Instant
  }

  private func deliver(_ queue: AsyncStream<Received>) async throws {
    var times: [ContinuousClock.Instant] = []
    for await received in queue {
      let signal = received.signal
      try await session.signal(unlessEnded: signal.description)
      // A stopped process handles the signal only then.
      try await session.signal(unlessEnded: "SIGCONT")
      guard Self.impatience.contains(signal) else { continue }
      times.removeAll { received.time - $0 > Self.impatienceSpan }
      times.append(received.time)
      if times.count == 3 {
        complain("the command is killed at the third signal, \(signal)")
        try await session.signal(unlessEnded: "SIGKILL")
      }
    }
  }
}

private func isIgnored(_ number: Int32) -> Bool {
  var action = sigaction()
  unsafe sigaction(number, nil, &action)
  #if canImport(Darwin)
    let handler = unsafe action.__sigaction_u.__sa_handler
  #elseif canImport(Glibc)
    let handler = unsafe action.__sigaction_handler.sa_handler
  #elseif canImport(Musl)
    let handler = unsafe action.__sa_handler.sa_handler
  #endif
  return unsafe unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
}

extension RemoteSession {
  /// Sends a signal to the command's group. If the command has ended, ends what it has left in the
  /// background.
  func signal(unlessEnded name: String) async throws {
    do {
      try await client.persistently(isRepeatable: false) { try await signal(name) }
    } catch let failure as Failure where failure.hasCode("process_ended") {
      if name != "SIGCONT" { try await client.persistently { try await terminate() } }
    } catch let failure as Failure where failure.hasCode("signal_refused") {
      complain(failure.message)
    }
  }
}
