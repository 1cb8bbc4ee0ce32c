import Foundation
import HolderProtocol
import ProcessHost
import Processes
import Testing

@Suite("Stdin of a holder's command", .timeLimit(.minutes(10)))
struct InputTests {
  private func write(
    _ text: String, isEnd: Bool = false, patience: Duration = .seconds(3_600), to holder: Holder
  ) async throws -> StdinQueue.Answer? {
    StdinQueue.Answer(
      try await holder.connection.ask(.write) {
        $0.append(.data, text)
        $0.append(.end, isEnd ? 1 : 0)
        $0.append(.patience, patience)
      })
  }

  @Test("A command answers what it reads, until its input ends")
  func dialogue() async throws {
    let holder = try await Holder.launch(
      "while read number; do echo \"is $((number * 2))\"; done; echo over", hasInput: true)
    for number in 1...20 {
      #expect(try await write("\(number)\n", to: holder) == .written)
      try await holder.output(contains: "is \(number * 2)\n")
    }
    #expect(try await write("", isEnd: true, to: holder) == .written)
    #expect(try await holder.output().hasSuffix("over\n"))
    #expect(try await holder.exit() == 0)
  }

  @Test("Writes keep their order, however fast they come")
  func order() async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    var last: UInt32 = 0
    for number in 0..<1_000 {
      last = try await holder.connection.post(.write) { $0.append(.data, "\(number)\n") }
    }
    let end = try await holder.connection.post(.write) { $0.append(.end, 1) }
    #expect(try await holder.connection.answer(to: last).kind == .written)
    #expect(try await holder.connection.answer(to: end).kind == .written)
    #expect(try await holder.output() == (0..<1_000).map { "\($0)\n" }.joined())
    #expect(try await holder.exit() == 0)
  }

  @Test("A large write arrives whole")
  func large() async throws {
    let holder = try await Holder.launch("wc -c", hasInput: true) { $0.stdinBytes = 16 << 20 }
    let bytes = [UInt8](repeating: 0x78, count: 12 << 20)
    let answer = try await holder.connection.ask(.write) {
      $0.append(.data, bytes)
      $0.append(.end, 1)
      $0.append(.patience, Duration.seconds(3_600))
    }
    #expect(StdinQueue.Answer(answer) == .written)
    #expect(
      try await holder.output().trimmingCharacters(in: .whitespacesAndNewlines) == "\(12 << 20)")
    #expect(try await holder.exit() == 0)
  }

  @Test("A write that waits for its command holds up no other message")
  func slow() async throws {
    let holder = try await Holder.launch("sleep 1000", hasInput: true)
    let text = String(repeating: "x", count: 500_000)
    let number = try await holder.connection.post(.write) {
      $0.append(.data, text)
      $0.append(.patience, Duration.seconds(3_600))
    }
    #expect(try await holder.connection.ask(.hello).kind == .welcome)
    #expect(holder.connection.hasNothing)
    #expect(try await write("y", patience: .zero, to: holder) == .waiting(bytes: 500_001))
    #expect(
      try await holder.connection.ask(.terminate) { $0.append(.grace, Duration.zero) }.kind == .done
    )
    let answer = try await holder.connection.answer(to: number)
    #expect(StdinQueue.Answer(answer) == .failed(.brokenPipe))
    #expect(try await holder.exit() == 0)
  }

  @Test("Bytes beyond the limit are refused, and those below it are not")
  func full() async throws {
    let holder = try await Holder.launch("sleep 1000", hasInput: true) { $0.stdinBytes = 10 }
    #expect(try await write(String(repeating: "x", count: 11), to: holder) == .full(waiting: 0))
    #expect(try await write(String(repeating: "x", count: 10), to: holder) == .written)
  }

  @Test("A limit that is no number of bytes permits none")
  func noLimit() async throws {
    let holder = try await Holder.launch("sleep 1000", hasInput: true) { $0.stdinBytes = .min }
    #expect(try await write("x", to: holder) == .full(waiting: 0))
  }

  @Test("A write after the end of the input fails")
  func afterEnd() async throws {
    let holder = try await Holder.launch("cat >/dev/null; sleep 1000", hasInput: true)
    #expect(try await write("a", isEnd: true, to: holder) == .written)
    #expect(try await write("b", to: holder) == .failed(.closed))
  }

  @Test("A command without an input takes none")
  func noInput() async throws {
    let holder = try await Holder.launch("sleep 1000")
    #expect(try await write("a", to: holder) == .failed(.closed))
  }

  @Test("A write without any fields writes nothing, and times of any length are permitted")
  func odd() async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    #expect(StdinQueue.Answer(try await holder.connection.ask(.write)) == .written)
    for patience in [Duration.nanoseconds(Int.max), .nanoseconds(Int.min)] {
      let answer = try await write("a", patience: patience, to: holder)
      #expect(answer == .written || answer == .waiting(bytes: 1))
    }
    let done = try await holder.connection.ask(.terminate) {
      $0.append(.grace, Duration.nanoseconds(Int.min))
    }
    #expect(done.kind == .done)
    #expect(try await holder.exit() == 0)
  }
}
