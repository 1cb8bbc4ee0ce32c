import BenchmarkHarness
import CBenchmarkShims

/// A child that floods its stdout, captured through a pipe.
func captureCases() -> [Case] {
  // Time over the limit's, by the size of the child's writes: both ends on one processor, which is the
  // placement that can be repeated, or wherever the scheduler puts them.
  let bounds: [(processor: Int, name: String, bounds: [(piece: Int, bound: Double)])] = [
    (-1, "unpinned", [(65_536, 0.5), (4_096, 1.2), (80, 1.0)]),
    (0, "one-cpu", [(65_536, 1.02), (4_096, 0.92), (80, 0.75)]),
  ]
  return bounds.flatMap { processor, name, bounds in
    bounds.map { piece, bound in
      // So many that starting the child is a small part. Many small writes take long for the child alone.
      let child = ChildWriter(bytes: (piece >= 4_096 ? 64 : 8) << 20, piece: piece)
      return Case(
        "capture", name, size: piece, bytes: child.bytes,
        targets: ["ProcessHost": .timesLimit(bound)]
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
