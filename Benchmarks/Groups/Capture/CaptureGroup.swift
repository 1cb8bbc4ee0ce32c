import BenchmarkHarness
import CBenchmarkShims

/// A child that floods its stdout, captured through a pipe.
func captureCases() -> [Case] {
  placements.flatMap { placement in
    placement.bounds.map { piece, bound in
      // So many that starting the child is a small part. Many small writes take long for the child
      // alone.
      let child = ChildWriter(
        bytes: (piece >= 4_096 ? 64 : 8) << 20, piece: piece, processor: placement.child)
      return Case(
        "capture", placement.name, size: piece, bytes: child.bytes,
        targets: bound.map { ["ProcessHost": .both(.timesLimit($0), alternatives)] } ?? [:]
      ) {
        _ = benchmark_pin_process(Int32(placement.reader ?? -1))
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

/// Where the two ends of the pipe run, and how much time over the limit's is the target, by the
/// size of the child's writes.
private struct Placement {
  let name: String
  var reader: Int?
  var child: Int?
  let bounds: [(piece: Int, bound: Double?)]
}

/// Both ends on one processor or on two can be repeated. Where the scheduler puts them depends on
/// what else the machine does.
private let placements = [
  Placement(name: "unpinned", bounds: [(65_536, nil), (4_096, nil), (80, nil)]),
  Placement(
    name: "two-cpus", reader: 0, child: 1, bounds: [(65_536, 0.5), (4_096, 1.2), (80, 1.0)]),
  Placement(
    name: "one-cpu", reader: 0, bounds: [(65_536, 1.02), (4_096, 0.92), (80, 0.75)]),
]

/// How many times as fast as the alternatives is the target.
private let alternatives = Target.both(
  .timesFaster(than: "subprocess", 1.25), .timesFaster(than: "Foundation", 4))

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
