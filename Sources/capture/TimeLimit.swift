import ArgumentParser
import ProcessHost
import Synchronization

/// How long a command may run.
struct TimeLimit {
  let time: Duration
  let grace: Duration

  /// Ends what a host runs when the time is up.
  func start(on host: CommandHost) -> Timer {
    let timer = Timer()
    timer.task.withLock { task in
      task = Task.detached { [time, grace] in
        guard (try? await Task.sleep(for: time)) != nil, timer.expire() else { return }
        await host.close(grace: grace)
      }
    }
    return timer
  }

  /// A time limit that runs.
  final class Timer: Sendable {
    fileprivate let task = Mutex<Task<Void, Never>?>(nil)
    /// Whether the time was up; nil while that is open.
    private let isExpired = Mutex<Bool?>(nil)

    fileprivate func expire() -> Bool { decide(true) }

    /// Stops it; returns whether the time was up before.
    func stop() -> Bool {
      defer { task.withLock { $0?.cancel() } }
      return !decide(false)
    }

    private func decide(_ answer: Bool) -> Bool {
      isExpired.withLock { isExpired in
        if isExpired == nil { isExpired = answer }
        return isExpired == answer
      }
    }
  }
}

extension Duration {
  /// Reads a time such as `90`, `1.5h` or `250ms`.
  @Sendable static func parse(_ text: String) throws -> Duration {
    let units: [(name: String, seconds: Double)] = [
      ("ms", 0.001), ("s", 1), ("m", 60), ("h", 3_600), ("", 1),
    ]
    for unit in units where text.hasSuffix(unit.name) {
      guard let number = Double(text.dropLast(unit.name.count)) else { continue }
      let seconds = number * unit.seconds
      guard seconds >= 0, seconds < 1e9 else { break }
      return .seconds(seconds)
    }
    throw ValidationError(
      "“\(text)” is no time: give a number from 0, and ms, s, m or h, as in 90s or 1.5h")
  }
}
