import BenchmarkHarness
import Foundation
import Testing

/// Records of a run, written and read back.
@Suite struct RecordTests {
  private let benchmark = Case("append", "plain", size: 64, bytes: 64) { [] }

  private var record: Record {
    Record(
      name: "a", facts: [Fact("processor", "a \"chip\""), Fact("cores", "2")],
      results: [
        CaseResult(
          benchmark: benchmark,
          rows: [
            ContenderResult(name: limitName, nanoseconds: [2, 2, 2]),
            ContenderResult(
              name: "ring", nanoseconds: [4, 3, 5.00004],
              allocations: Allocations(count: 1, bytes: 32)),
            ContenderResult(
              name: "latency",
              metrics: [Metric("p99.9", 7, .nanoseconds), Metric("x", .nan, .share)]),
          ])
      ])
  }

  private static let keys = [
    "group", "case", "contender", "size", "ns_per_op", "bytes_per_second", "ratio_to_limit",
    "spread", "allocations_per_op", "bytes_allocated_per_op", "rounds", "metrics",
  ]

  @Test("The JSON form contains the facts and every documented key of each row")
  func keysOfTheJSONForm() throws {
    let parsed = try JSONSerialization.jsonObject(with: Data(record.json.utf8))
    let document = try #require(parsed as? [String: Any])
    #expect(
      document["facts"] as? [[String: String]] == [
        ["label": "processor", "value": "a \"chip\""], ["label": "cores", "value": "2"],
      ])
    let rows = try #require(document["results"] as? [[String: Any]])
    #expect(rows.count == 3)
    for row in rows { #expect(Set(row.keys) == Set(Self.keys)) }
    #expect(rows[1]["group"] as? String == "append")
    #expect(rows[1]["case"] as? String == "plain")
    #expect(rows[1]["contender"] as? String == "ring")
    #expect(rows[1]["size"] as? Int == 64)
    #expect(rows[1]["ns_per_op"] as? Double == 4)
    #expect(rows[1]["bytes_per_second"] as? Double == 16e9)
    #expect(rows[1]["ratio_to_limit"] as? Double == 2)
    #expect(rows[1]["allocations_per_op"] as? Double == 1)
    #expect(rows[1]["bytes_allocated_per_op"] as? Double == 32)
    #expect(rows[1]["rounds"] as? [Double] == [4, 3, 5])
    #expect(rows[0]["spread"] as? Double == 0)
    #expect(rows[0]["allocations_per_op"] is NSNull)
    #expect(rows[2]["ns_per_op"] is NSNull)
    #expect(rows[2]["ratio_to_limit"] is NSNull)
    let metrics = try #require(rows[2]["metrics"] as? [[String: Any]])
    // What is no number is not a figure.
    #expect(metrics.count == 1)
    #expect(metrics[0]["name"] as? String == "p99.9")
    #expect(metrics[0]["value"] as? Double == 7)
    #expect(metrics[0]["unit"] as? String == "nanoseconds")
  }

  @Test("The JSON form of a run without results has two empty arrays")
  func noResults() throws {
    let json = Record(name: "a", facts: [], results: []).json
    #expect(json == "{\"facts\": [], \"results\": []}\n")
  }

  private func withFile(_ text: String, _ body: (String) throws -> Void) throws {
    let file = FileManager.default.temporaryDirectory
      .appendingPathComponent("record-\(UUID().uuidString).json").path
    try text.write(toFile: file, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(atPath: file) }
    try body(file)
  }

  @Test("A record read back equals the one written, without cases that no longer exist")
  func roundTrip() throws {
    try withFile(record.json) { file in
      let gone = Case("append", "gone", size: 64) { [] }
      let read = try Record(file: file, cases: [gone, benchmark])
      #expect(read.name == file.split(separator: "/").last?.dropLast(5) ?? "")
      #expect(read.facts == record.facts)
      #expect(read.processor == "a \"chip\"")
      #expect(read.results.map(\.benchmark.path) == ["append/plain/64"])
      let rows = read.results[0].rows
      #expect(rows.map(\.name) == [limitName, "ring", "latency"])
      #expect(rows.map(\.nanoseconds) == [[2, 2, 2], [4, 3, 5], []])
      #expect(rows[1].allocations?.count == 1)
      #expect(rows[1].allocations?.bytes == 32)
      #expect(rows[2].metrics == [Metric("p99.9", 7, .nanoseconds)])
      #expect(try Record(file: file, cases: []).results.isEmpty)
    }
  }

  @Test(
    "A file that is not a record is an error with its path and the reason",
    arguments: [
      ("[]", "Dictionary"), (#"{"facts": []}"#, "results"),
      (#"{"facts": [], "results": []}"#, "no fact 'processor'"),
      (#"{"facts": [], "results": [{"group": "append"}]}"#, "case"),
    ])
  func unreadable(_ text: String, _ reason: String) throws {
    try withFile(text) { file in
      let error = #expect(throws: Failure.self) { try Record(file: file, cases: []) }
      #expect(error?.message.contains("'\(file)'") == true)
      #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
    }
  }

  @Test("A missing file is an error with its path")
  func missing() {
    let error = #expect(throws: Failure.self) { try Record(file: "/no/such.json", cases: []) }
    #expect(error?.message.contains("'/no/such.json'") == true)
  }
}
