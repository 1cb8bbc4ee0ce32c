/// What the documents say about the recorded runs, by the name of a section.
struct Sections {
  let records: [Record]
  /// The pictures of appends that the documents show.
  static let plots = ["append-plain", "append-jittered"]

  /// Returns a section's content; nil if there is none of the name.
  func content(_ name: String) -> String? {
    switch name {
    case "machines": machines
    case "summary": eachRecord { summary($0) }
    case "plots": eachRecord { plots(of: $0, Self.plots, in: "plots") }
    case "losses": eachRecord { losses(of: $0) }
    case "comparison": eachRecord { comparison($0) }
    default:
      records.contains { !$0.results(of: name).isEmpty }
        ? eachRecord { GroupTables(results: $0.results(of: name)).text } : nil
    }
  }

  /// The name of a picture's file.
  static func plotFile(_ id: String, of record: Record) -> String { "\(id)-\(record.name).svg" }

  /// A part for each record that has something to say, below the name of its processor.
  private func eachRecord(_ part: (Record) -> String) -> String {
    records.map { ($0.processor, part($0)) }.filter { !$0.1.isEmpty }
      .map { "**\($0)**\n\n\($1)" }.joined(separator: "\n")
  }

  /// The facts of each run, side by side.
  private var machines: String {
    let labels = records.flatMap { $0.facts.map(\.label) }.uniqued
    let rows = labels.map { label in
      [label] + records.map { record in record.facts.first { $0.label == label }?.value ?? "" }
    }
    guard let header = rows.first else { return "" }
    return MarkdownTable(
      header: header, rows: Array(rows.dropFirst()), textColumns: header.count
    ).text
  }

  private func plots(of record: Record, _ ids: [String], in folder: String) -> String {
    let drawn = Set(record.results.map { slug($0.benchmark.group, $0.benchmark.name) })
    return ids.filter(drawn.contains).map { id in
      "![\(id.replacing("-", with: ", ")): throughput against the size of a chunk, "
        + "on \(record.processor)](\(folder)/\(Self.plotFile(id, of: record)))\n"
    }.joined(separator: "\n")
  }

  /// The first picture, and appends of equal chunks with a column for each size.
  private func summary(_ record: Record) -> String {
    let cases = record.results(of: "append").filter { $0.benchmark.name == "plain" }
    let names = ["ring", "producer", "session", "deque", "original"].filter { name in
      cases.contains { $0.row(name) != nil }
    }
    guard !names.isEmpty else { return "" }
    let table = MarkdownTable(
      header: ["append, time ÷ limit"] + cases.map { formatBytes(Double($0.benchmark.size)) },
      rows: names.map { name in [name] + cases.map { GroupTables.cell(name, in: $0) } })
    return plots(of: record, Array(Self.plots.prefix(1)), in: "docs/plots") + "\n" + table.text
  }

  /// Every contender that missed a target or is slower than an alternative.
  private func losses(of record: Record) -> String {
    record.results.flatMap { result in
      result.rows.compactMap { row in
        var losses = result.verdicts(on: row.name).filter { !$0.isMet }.map { verdict in
          "target \(verdict.target), measured \(verdict.measured)"
        }
        if let loss = result.loss(of: row.name) {
          losses.append("\(formatRatio(loss.ratio)) times as long as \(loss.alternative)")
        }
        return losses.isEmpty
          ? nil : "- `\(result.benchmark.path)` \(row.name): \(losses.joined(separator: "; "))\n"
      }
    }.joined()
  }

  /// Processes with a column for each way to run them.
  private func comparison(_ record: Record) -> String {
    let names = ["ProcessHost", "subprocess", "Foundation"]
    let captures = record.results(of: "capture")
    let cases =
      captures + record.results(of: "processes").filter { $0.benchmark.name == "crowd" }
      + record.results(of: "launch")
    guard !cases.isEmpty else { return "" }
    let times = cases.map { result in
      let isRatio = result.row(limitName) != nil
      return [
        "\(result.benchmark.group) \(result.benchmark.label), "
          + (isRatio ? "time ÷ limit" : "time")
      ] + names.map { GroupTables.cell($0, in: result) }
    }
    let short = names.map { name -> String in
      let total = { (metric: String) in
        captures.values(of: metric).filter { $0.row.name == name }.map(\.metric.value).reduce(0, +)
      }
      let bytes = total("missing_bytes")
      return "\(formatCount(Int(total("short_runs")))) of \(formatCount(Int(total("runs"))))"
        + (bytes > 0 ? ", \(formatBytes(bytes))" : "")
    }
    let rows = times + (captures.isEmpty ? [] : [["captures that lost output"] + short])
    return MarkdownTable(header: [""] + names, rows: rows).text
  }
}
