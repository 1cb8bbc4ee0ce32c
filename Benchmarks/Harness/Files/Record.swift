import Foundation

/// A whole run, as the file that `--json` writes holds it.
package struct Record {
  static let processorLabel = "processor"

  /// What files made from this record are named after.
  package let name: String
  package let facts: [Fact]
  package let results: [CaseResult]

  package init(name: String, facts: [Fact], results: [CaseResult]) {
    self.name = name
    self.facts = facts
    self.results = results
  }

  /// The processor that the figures are from.
  package var processor: String {
    facts.first { $0.label == Self.processorLabel }?.value ?? "unknown processor"
  }

  func results(of group: String) -> [CaseResult] {
    results.filter { $0.benchmark.group == group }
  }
}

// MARK: Writing

extension Record {
  /// An object with `facts` and `results`: an array of labels and values, and an array with one
  /// object, on one line, for each contender of each case.
  package var json: String {
    let facts = facts.map { fact in
      JSON.object([
        JSON.Member(key: "label", value: .string(fact.label)),
        JSON.Member(key: "value", value: .string(fact.value)),
      ])
    }
    let rows = results.flatMap { result in result.rows.map { Self.row($0, of: result) } }
    return "{\"facts\": \(Self.lines(facts)), \"results\": \(Self.lines(rows))}\n"
  }

  private static func lines(_ values: [JSON]) -> String {
    values.isEmpty ? "[]" : "[\n" + values.map(\.text).joined(separator: ",\n") + "\n]"
  }

  private static func row(_ row: ContenderResult, of result: CaseResult) -> JSON {
    // A thousandth of a nanosecond is enough.
    let rounds = row.nanoseconds.map { JSON.number(($0 * 1_000).rounded() / 1_000) }
    let metrics = row.metrics.filter(\.value.isFinite).map { metric in
      JSON.object([
        JSON.Member(key: "name", value: .string(metric.name)),
        JSON.Member(key: "value", value: .number(metric.value)),
        JSON.Member(key: "unit", value: .string(metric.unit.rawValue)),
      ])
    }
    return .object([
      JSON.Member(key: "group", value: .string(result.benchmark.group)),
      JSON.Member(key: "case", value: .string(result.benchmark.name)),
      JSON.Member(key: "contender", value: .string(row.name)),
      JSON.Member(key: "size", value: .integer(result.benchmark.size)),
      JSON.Member(key: "ns_per_op", value: .optional(row.median)),
      JSON.Member(key: "bytes_per_second", value: .optional(result.bytesPerSecond(row))),
      JSON.Member(
        key: "ratio_to_limit", value: .optional(result.ratio(of: row.name, to: limitName))),
      JSON.Member(key: "spread", value: .optional(row.spread)),
      JSON.Member(key: "allocations_per_op", value: .optional(row.allocations?.count)),
      JSON.Member(key: "bytes_allocated_per_op", value: .optional(row.allocations?.bytes)),
      JSON.Member(key: "rounds", value: .array(rounds)),
      JSON.Member(key: "metrics", value: .array(metrics)),
    ])
  }
}

// MARK: Reading

extension Record {
  /// Reads what `json` wrote.
  ///
  /// - Parameters:
  ///   - file: The file's path.
  ///   - cases: All cases that there are; what the file says of others is left out.
  /// - Throws: A `Failure` that names the file and says what is wrong with it.
  package init(file: String, cases: [Case]) throws {
    let document: Document
    do {
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      document = try decoder.decode(
        Document.self, from: Data(contentsOf: URL(fileURLWithPath: file)))
    } catch {
      throw Failure(message: "cannot read the results in '\(file)': \(error)")
    }
    guard document.facts.contains(where: { $0.label == Self.processorLabel }) else {
      throw Failure(
        message: "cannot read the results in '\(file)': no fact '\(Self.processorLabel)'")
    }
    let rows = Dictionary(grouping: document.results, by: \.path)
    self.init(
      name: URL(fileURLWithPath: file).deletingPathExtension().lastPathComponent,
      facts: document.facts,
      results: cases.compactMap { benchmark in
        rows[benchmark.path].map { rows in
          CaseResult(benchmark: benchmark, rows: rows.map(\.result))
        }
      })
  }

  private struct Document: Decodable {
    let facts: [Fact]
    let results: [Row]
  }

  /// What of a row cannot be computed from the rest of it.
  private struct Row: Decodable {
    let group: String
    let `case`: String
    let contender: String
    let size: Int
    let allocationsPerOp: Double?
    let bytesAllocatedPerOp: Double?
    let rounds: [Double]
    let metrics: [Metric]

    var path: String { Case.path(group, `case`, size) }

    var result: ContenderResult {
      let allocations = allocationsPerOp.map {
        Allocations(count: $0, bytes: bytesAllocatedPerOp ?? 0)
      }
      return ContenderResult(
        name: contender, nanoseconds: rounds, metrics: metrics, allocations: allocations)
    }
  }
}
