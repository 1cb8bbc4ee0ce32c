import BenchmarkHarness
import CBenchmarkShims

/// A child that floods its stdout, captured through a pipe.
func captureCases() -> [Case] {
  [-1, 0].flatMap { processor in
    [65_536, 4_096, 80].map { piece in
      // Many small writes take long for the child alone.
      let child = ChildWriter(bytes: (piece >= 4_096 ? 16 : 1) << 20, piece: piece)
      // Both ends on one processor is the placement that can be repeated.
      let targets: [String: Target] =
        processor == 0 && piece == 65_536 ? ["ProcessHost": .timesLimit(1.06)] : [:]
      return Case(
        "capture", processor < 0 ? "unpinned" : "one-cpu", size: piece, bytes: child.bytes,
        targets: targets
      ) {
        _ = benchmark_pin_process(Int32(processor))
        return [
          contender(limitName, child, Capturers.bareReadLoop),
          contender("ProcessHost", child, Capturers.processHost),
          contender("subprocess", child, Capturers.subprocess),
          contender("Foundation", child, Capturers.foundation),
        ]
      }
    }
  }
}

private func contender(
  _ name: String, _ child: ChildWriter, _ capture: @escaping (ChildWriter) -> Int
) -> Contender {
  var runs = 0
  var short = 0
  var missing = 0
  return Contender(
    name,
    metrics: {
      [
        Metric("runs", Double(runs), .count), Metric("short_runs", Double(short), .count),
        Metric("missing_bytes", Double(missing), .bytes),
      ]
    }
  ) { count in
    for _ in 0..<count {
      let received = capture(child)
      runs += 1
      if received != child.bytes {
        short += 1
        missing += child.bytes - received
      }
    }
  }
}
