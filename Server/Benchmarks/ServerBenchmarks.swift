import NIOCore
import ProcessServer
import Processes

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// What an answer with a full ring costs beside its base64 alone.
@main
struct ServerBenchmarks {
  static func main() {
    if isDebug() {
      print(
        "built for debug, whose figures say nothing; run instead:\n"
          + "  swift run --package-path Server -c release ServerBenchmarks")
      return
    }
    print(
      "an answer to GET …/output with a full ring of \(Session.maxBufferBytes) bytes;"
        + " medians of \(Measurement.rounds) rounds:")
    for size in [65_536, 4096, 256] {
      let session = Session(id: "full", workspaceID: "benchmark")
      var state: UInt64 = 0x9e37_79b9_7f4a_7c15
      while session.lostBytes == 0 {
        session.append(
          (0..<size).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1
            return UInt8(state >> 56)
          }, to: .stdout)
      }
      report(session, size: size)
    }
  }

  private static func report(_ session: Session, size: Int) {
    let output = session.output()
    let payload = output.chunks.payload
    let data = Data(payload)
    let letters = UnsafeMutableRawBufferPointer.allocate(
      byteCount: payload.base64Count, alignment: 16)
    defer { unsafe letters.deallocate() }
    var body = ByteBuffer()
    var work = [
      Measurement("base64 alone, into a buffer that is there") {
        unsafe payload.encodeBase64(into: letters)
      },
      Measurement("the answer, into a buffer that is there") {
        body.clear()
        body.writeJSON(output, Ending(), start: nil)
        return body.readableBytes
      },
      Measurement("the answer, into a fresh buffer") {
        var body = ByteBuffer()
        body.writeJSON(output, Ending(), start: nil)
        return body.readableBytes
      },
      Measurement("reading the ring, and that") {
        let output = session.output()
        var body = ByteBuffer()
        body.writeJSON(output, Ending(), start: nil)
        return body.readableBytes
      },
      Measurement("Foundation's base64EncodedData, for comparison") {
        data.base64EncodedData().count
      },
    ]
    for _ in 0..<Measurement.rounds { for index in work.indices { work[index].run() } }
    let base = work[0].median
    print("\n  chunks of \(size) bytes, \(output.chunks.count) of them:")
    for measurement in work {
      let microseconds = Int(measurement.median / .microseconds(1))
      let ratio = Double(Int(measurement.median / base * 1000)) / 1000
      print(
        "    " + measurement.name.padded(to: 52) + "\(microseconds) µs".padded(to: 12)
          + "÷ base64 alone: \(ratio)")
    }
  }
}

/// A piece of work, and how long it took each time.
struct Measurement {
  static let rounds = 201

  let name: String
  private let work: () -> Int
  private var times: [Duration] = []
  private var sum = 0

  init(_ name: String, _ work: @escaping () -> Int) {
    self.name = name
    self.work = work
  }

  mutating func run() {
    let start = ContinuousClock.now
    sum &+= work()
    times.append(.now - start)
  }

  var median: Duration {
    precondition(sum > 0)
    return times.sorted()[times.count / 2]
  }
}

extension String {
  fileprivate func padded(to length: Int) -> String {
    self + String(repeating: " ", count: max(1, length - count))
  }
}

private func isDebug() -> Bool {
  var isDebug = false
  assert(
    {
      isDebug = true
      return true
    }())
  return isDebug
}
