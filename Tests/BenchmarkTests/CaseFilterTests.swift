import BenchmarkHarness
import Testing

/// Which cases a pattern selects.
@Suite struct CaseFilterTests {
  private static let paths = [
    "append/plain/16", "append/plain/16384", "append/parts/64", "append/plain/64",
    "capture/one-cpu/80", "processes/crowd/500", "wait/child-to-waiter/8",
    "together/spinning-64B/1",
  ]

  @Test(
    "A filter is a regular expression whose match does not end within a number",
    arguments: [
      ("append/plain/16", ["append/plain/16"]),
      ("append/plain/16384", ["append/plain/16384"]),
      ("append/plain/1", []),
      ("append/plain/(1|16)", ["append/plain/16"]),
      ("append/plain/(1|16)$", ["append/plain/16"]),
      ("append/plain/", ["append/plain/16", "append/plain/16384", "append/plain/64"]),
      ("plain/.*", ["append/plain/16", "append/plain/16384", "append/plain/64"]),
      ("append/parts", ["append/parts/64"]),
      ("spinning-64", ["together/spinning-64B/1"]),
      ("append/parts/64|append/plain/16", ["append/plain/16", "append/parts/64"]),
      ("capture|processes", ["capture/one-cpu/80", "processes/crowd/500"]),
      ("^wait|^processes", ["processes/crowd/500", "wait/child-to-waiter/8"]),
      ("", paths),
    ])
  func selection(_ pattern: String, _ selected: [String]) throws {
    let filter = try CaseFilter(pattern)
    #expect(Self.paths.filter(filter.matches) == selected)
  }

  @Test("A pattern that is not a regular expression is an error with the pattern")
  func invalid() {
    let error = #expect(throws: Failure.self) { try CaseFilter("append/(") }
    #expect(error?.message.contains("'append/('") == true)
  }
}
