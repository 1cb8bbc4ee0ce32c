import BenchmarkContenders
import BenchmarkHarness
import OutputRing
import Processes

/// Appends to a ring and to a session whose head is full, beside the same without a head.
func headCases() -> [Case] {
  [64, 4_096].flatMap { size in
    [
      headCase("append to a ring", size) { headCapacity in
        let ring = RingProducer(headCapacity: headCapacity)
        return { payload, count in
          let writer = unsafe ring.writer
          unsafe payload.forEach(count) { unsafe writer.pointee.append($0) }
        }
      },
      headCase("append by a producer", size) { headCapacity in
        let producer = SessionProducer(headCapacity: headCapacity)
        return { payload, count in
          let producer = unsafe producer.producer
          unsafe payload.forEach(count) { unsafe producer.pointee.append($0, to: .stdout) }
        }
      },
    ]
  }
}

/// - Parameter append: Makes what appends, with a head of so many bytes.
private func headCase(
  _ name: String, _ size: Int,
  _ append: @escaping (_ headCapacity: Int) -> (_ payload: Payload, _ count: Int) -> Void
) -> Case {
  Case("heads", name, size: size, bytes: size, targets: ["full head": .timesLimit(1.03)]) {
    [limitName: 0, "full head": 65_536].sorted { $0.value < $1.value }.map { name, headCapacity in
      filled(name, Payload(size: size), append(headCapacity))
    }
  }
}
