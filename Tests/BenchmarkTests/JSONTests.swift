import BenchmarkHarness
import Foundation
import Testing

@Suite struct JSONTests {
  @Test func stringsAreEscaped() throws {
    let string = "a\"b\\c\n\r\t\u{1}\u{1F}é€😀/<>&"
    let text = JSON.string(string).text
    #expect(text == #""a\"b\\c\n\r\t\u0001\u001fé€😀/<>&""#)
    #expect(try JSONDecoder().decode([String].self, from: Data("[\(text)]".utf8)) == [string])
  }

  @Test func numbersThatJSONCannotHoldAreNull() {
    #expect(JSON.optional(nil).text == "null")
    #expect(JSON.optional(.infinity).text == "null")
    #expect(JSON.optional(.nan).text == "null")
    #expect(JSON.number(-.infinity).text == "null")
    #expect(JSON.optional(0.25).text == "0.25")
    #expect(JSON.integer(65_536).text == "65536")
  }

  private static let keys = [
    "group", "case", "contender", "size", "ns_per_op", "bytes_per_second", "ratio_to_limit",
    "spread", "allocations_per_op", "bytes_allocated_per_op", "metrics",
  ]

  @Test func rowsHaveTheKeysThatTheFormatPromises() throws {
    let result = CaseResult(
      benchmark: Case("append", "plain", size: 64, bytes: 64) { [] },
      rows: [
        ContenderResult(name: limitName, nanoseconds: [2, 2, 2]),
        ContenderResult(
          name: "ring", nanoseconds: [4, 3, 5], allocations: Allocations(count: 1, bytes: 32)),
        ContenderResult(
          name: "latency", metrics: [Metric("p99.9", 7, .nanoseconds), Metric("x", .nan, .share)]),
      ])
    let text = JSON.document([result])
    let parsed = try JSONSerialization.jsonObject(with: Data(text.utf8))
    let rows = try #require(parsed as? [[String: Any]])
    #expect(rows.count == 3)
    for row in rows { #expect(Set(row.keys) == Set(Self.keys)) }
    #expect(rows[1]["group"] as? String == "append")
    #expect(rows[1]["case"] as? String == "plain")
    #expect(rows[1]["contender"] as? String == "ring")
    #expect(rows[1]["size"] as? Int == 64)
    #expect(rows[1]["ns_per_op"] as? Double == 4)
    #expect(rows[1]["bytes_per_second"] as? Double == 16e9)
    #expect(rows[1]["ratio_to_limit"] as? Double == 2)
    #expect(rows[1]["spread"] as? Double == 0.125)
    #expect(rows[1]["allocations_per_op"] as? Double == 1)
    #expect(rows[1]["bytes_allocated_per_op"] as? Double == 32)
    #expect(rows[1]["metrics"] is NSNull)
    #expect(rows[0]["allocations_per_op"] is NSNull)
    #expect(rows[2]["ns_per_op"] is NSNull)
    #expect(rows[2]["ratio_to_limit"] is NSNull)
    let metrics = try #require(rows[2]["metrics"] as? [String: Any])
    #expect(metrics["p99.9"] as? Double == 7)
    #expect(metrics["x"] is NSNull)
  }

  @Test func noResultsAreAnEmptyArray() { #expect(JSON.document([]) == "[]\n") }
}
