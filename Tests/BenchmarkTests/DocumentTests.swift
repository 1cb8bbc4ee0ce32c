import Foundation
import Testing

@testable import BenchmarkHarness

/// Text between markers in a document.
@Suite struct GeneratedTextTests {
  private func replaced(_ text: String) throws -> String {
    try GeneratedText(text: text, file: "a.md").replacing { $0 == "known" ? "new\n" : nil }
  }

  @Test("Only the text between markers is replaced, and a second replacement changes nothing")
  func sections() throws {
    let text = """
      before
      <!-- generated: known -->
      old
      older
      <!-- end -->
      between
      <!-- generated: known -->
      <!-- end -->
      after

      """
    let section = "<!-- generated: known -->\n\nnew\n\n<!-- end -->\n"
    let expected = "before\n\(section)between\n\(section)after\n"
    #expect(try replaced(text) == expected)
    #expect(try replaced(expected) == expected)
    #expect(try replaced("no section\n") == "no section\n")
  }

  @Test(
    "A marker without a partner or with an unknown name is an error with the file's path",
    arguments: [
      ("<!-- generated: known -->\n", "'known' has no end marker"),
      ("<!-- end -->\n", "without a beginning"),
      ("<!-- generated: known -->\n<!-- generated: known -->\n<!-- end -->\n", "begins inside"),
      ("<!-- generated: other -->\n<!-- end -->\n", "nothing is recorded for 'other'"),
    ])
  func errors(_ text: String, _ reason: String) {
    let error = #expect(throws: Failure.self) { try replaced(text) }
    #expect(error?.message.contains("'a.md'") == true)
    #expect(error?.message.contains(reason) == true)
  }
}

/// Sections that are generated from records.
@Suite struct SectionTests {
  private static func append(_ name: String, _ size: Int, mine: Double = 12) -> CaseResult {
    CaseResult(
      benchmark: Case(
        "append", name, size: size, bytes: size, targets: ["ring": .timesLimit(1.3)]
      ) { [] },
      rows: [
        ContenderResult(name: limitName, nanoseconds: [10, 10]),
        ContenderResult(name: "ring", nanoseconds: [mine, mine]),
        ContenderResult(name: "deque", nanoseconds: [20, 20]),
      ])
  }

  private static func record(_ processor: String, _ results: [CaseResult]) -> Record {
    Record(name: processor, facts: [Fact("processor", processor)], results: results)
  }

  @Test("A table has a row for each case and a ratio for each contender, and marks losses")
  func appends() {
    let record = Self.record(
      "chip", [Self.append("plain", 16), Self.append("jittered", 4_096, mine: 25)])
    #expect(
      Sections(records: [record]).content("append") == """
        **chip**

        | case | limit | ring ÷ limit | deque ÷ limit |
        | --- | --: | --: | --: |
        | plain, 16 B | 10 ns | 1.20 | 2.00 |
        | jittered, 4 KiB | 10 ns | 2.50 ✗ | 2.00 |

        """)
    #expect(
      Sections(records: [record]).content("losses") == """
        **chip**

        - `append/jittered/4096` ring: target ≤ 1.3 × limit, measured 2.500; 1.25 times as long as deque

        """)
  }

  @Test("A table without a limit has times, and marks figures that are too noisy")
  func times() {
    let result = CaseResult(
      benchmark: Case("sessions", "look-up", size: 1_000) { [] },
      rows: [ContenderResult(name: "one", nanoseconds: [1, 50, 99])])
    let text = Sections(records: [Self.record("chip", [result])]).content("sessions")
    #expect(text?.contains("| case | one |\n") == true)
    #expect(text?.contains("| look-up, 1,000 sessions | 50 ns ~ |\n") == true)
  }

  @Test("Cases with other contenders have a table of their own")
  func otherContenders() {
    let other = CaseResult(
      benchmark: Case("append", "parts", size: 64) { [] },
      rows: [ContenderResult(name: "lock", nanoseconds: [5])])
    let record = Self.record("chip", [Self.append("plain", 16), other])
    let text = Sections(records: [record]).content("append")
    #expect(text?.contains("\n\n| case | lock |\n| --- | --: |\n| parts, 64 B | 5 ns |\n") == true)
  }

  @Test("Metrics are columns without rows of zeros, and those that never differ are a note")
  func metrics() {
    let results = [0.25, 0.5].map { missed in
      CaseResult(
        benchmark: Case("together", "rate", size: missed < 0.5 ? 1 : 2) { [] },
        rows: [
          ContenderResult(
            name: "ring", metrics: [Metric("missed", missed, .share), Metric("torn", 0, .count)]),
          ContenderResult(
            name: "other", metrics: [Metric("missed", 0, .share), Metric("torn", 0, .count)]),
        ])
    }
    #expect(
      Sections(records: [Self.record("chip", results)]).content("together") == """
        **chip**

        | case | contender | missed |
        | --- | --- | --: |
        | rate, 1 reader | ring | 25 % |
        | rate, 2 readers | ring | 50 % |

        torn: 0 in all 4 rows.

        """)
  }

  @Test("Each processor with figures has a part below its name")
  func processors() {
    let records = [
      Self.record("one", [Self.append("plain", 16)]), Self.record("two", []),
      Self.record("three", [Self.append("plain", 64)]),
    ]
    let text = Sections(records: records).content("append") ?? ""
    #expect(text.contains("**one**\n\n|"))
    #expect(text.contains("**three**\n\n|"))
    #expect(!text.contains("two"))
    #expect(
      Sections(records: records).content("machines") == """
        | processor | one | two | three |
        | --- | --- | --- | --- |

        """)
    #expect(Sections(records: records).content("launch") == nil)
  }

  @Test("The summary has the plot, a column for each size and a row for each contender")
  func summary() {
    let record = Self.record("chip", [Self.append("plain", 16), Self.append("plain", 64)])
    let text = Sections(records: [record]).content("summary") ?? ""
    #expect(
      text.contains(
        "(docs/plots/append-plain-chip.svg)\n\n| append, time ÷ limit | 16 B | 64 B |\n"))
    #expect(text.contains("| ring | 1.20 | 1.20 |\n| deque | 2.00 | 2.00 |\n"))
    #expect(!text.contains("session |"))
  }

  @Test("The comparison counts the captures that lost output")
  func comparison() {
    let result = CaseResult(
      benchmark: Case("capture", "one-cpu", size: 80) { [] },
      rows: [
        ContenderResult(name: limitName, nanoseconds: [10]),
        ContenderResult(
          name: "ProcessHost", nanoseconds: [11],
          metrics: [
            Metric("runs", 16, .count), Metric("short_runs", 0, .count),
            Metric("missing_bytes", 0, .bytes),
          ]),
        ContenderResult(
          name: "Foundation", nanoseconds: [30],
          metrics: [
            Metric("runs", 16, .count), Metric("short_runs", 2, .count),
            Metric("missing_bytes", 2_048, .bytes),
          ]),
      ])
    let text = Sections(records: [Self.record("chip", [result])]).content("comparison") ?? ""
    #expect(text.contains("| capture one-cpu, 80 B, time ÷ limit | 1.10 |  | 3.00 |\n"))
    #expect(text.contains("| captures that lost output | 0 of 16 | 0 of 0 | 2 of 16, 2 KiB |\n"))
  }

  @Test("A vertical bar in a cell does not end the cell")
  func bars() {
    #expect(MarkdownTable(header: ["a|b"], rows: []).text == "| a\\|b |\n| --- |\n")
  }
}

/// Documents of a package, and whether they are up to date.
@Suite struct DocumentsTests {
  private let cases = [16, 64].map { Case("append", "plain", size: $0, bytes: $0) { [] } }

  /// A package with one record, a README with one section, and two more texts.
  private func withPackage(_ body: (_ root: String) throws -> Void) throws {
    let files = FileManager.default
    let root = files.temporaryDirectory.appendingPathComponent("documents-\(UUID().uuidString)")
      .path
    for folder in ["Benchmarks/Results", "docs"] {
      try files.createDirectory(atPath: "\(root)/\(folder)", withIntermediateDirectories: true)
    }
    defer { try? files.removeItem(atPath: root) }
    let record = Record(
      name: "chip", facts: [Fact("processor", "chip")],
      results: cases.map {
        CaseResult(benchmark: $0, rows: [ContenderResult(name: "ring", nanoseconds: [7])])
      })
    let texts = [
      "Benchmarks/Results/chip.json": record.json,
      "README.md": "<!-- generated: append -->\n<!-- end -->\n", "docs/benchmarks.md": "text\n",
      "docs/comparison.md": "text\n",
    ]
    for (path, text) in texts { try OutputFile(path: "\(root)/\(path)").write(text) }
    try body(root)
  }

  private func documents(_ root: String) throws -> Documents {
    try Documents(root: root, cases: cases) { $0 }
  }

  @Test("A written document is up to date until it is changed by hand")
  func outdated() throws {
    try withPackage { root in
      let plot = "docs/plots/append-plain-chip.svg"
      #expect(try documents(root).outdated() == ["README.md", plot])
      try documents(root).write()
      #expect(try documents(root).outdated() == [])
      let text = try String(contentsOfFile: "\(root)/README.md", encoding: .utf8)
      #expect(text.contains("| plain, 64 B | 7 ns |"))
      let changed = text.replacingOccurrences(of: "7 ns", with: "1 ns")
      try OutputFile(path: "\(root)/README.md").write(changed)
      #expect(try documents(root).outdated() == ["README.md"])
    }
  }

  @Test("The plots of a processor without a record are outdated, and the next writing removes them")
  func strayPlots() throws {
    try withPackage { root in
      try documents(root).write()
      let plot = "docs/plots/append-plain-old.svg"
      try OutputFile(path: "\(root)/\(plot)").write("<svg/>")
      #expect(try documents(root).outdated() == [plot])
      try documents(root).write()
      #expect(try documents(root).outdated() == [])
      #expect(!FileManager.default.fileExists(atPath: "\(root)/\(plot)"))
    }
  }

  @Test("A package without a record is an error")
  func noRecords() throws {
    try withPackage { root in
      try FileManager.default.removeItem(atPath: "\(root)/Benchmarks/Results")
      let error = #expect(throws: Failure.self) { try documents(root) }
      #expect(error?.message.contains("--record") == true)
    }
  }
}
