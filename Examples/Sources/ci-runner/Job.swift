import ProcessHost

/// One command of a run.
struct Job: Sendable {
  /// Stands in front of each line of its output.
  var name: String
  var command: Command
  /// How long the command may run.
  var timeLimit: Duration = .seconds(60)
  /// Whether the run succeeds although this job does not.
  var mayFail = false
}

/// How a job ended.
struct JobResult: Sendable {
  enum Outcome: Sendable, Equatable {
    case succeeded
    case failed(ProcessExit)
    case timedOut
    case cancelled
    case notStarted(String)
  }

  var job: Job
  var outcome: Outcome
  /// The bytes of output that were overwritten before this program printed them.
  var missedBytes = 0

  var isFailure: Bool { outcome != .succeeded && !job.mayFail }
}

extension JobResult: CustomStringConvertible {
  var description: String {
    let outcome =
      switch outcome {
      case .succeeded: "succeeded"
      case .failed(let exit): "failed: \(exit)"
      case .timedOut: "timed out after \(job.timeLimit)"
      case .cancelled: "cancelled"
      case .notStarted(let reason): "not started: \(reason)"
      }
    let remark = self.outcome != .succeeded && job.mayFail ? " (allowed)" : ""
    let gap = missedBytes > 0 ? ", \(missedBytes) bytes of output missed" : ""
    return "\(job.name): \(outcome)\(remark)\(gap)"
  }
}
