import Foundation

/// What a row of Benchmarks/Thresholds.json allows.
package struct Threshold: Decodable, Sendable {
  /// The case: group/case/size.
  package let path: String
  package let contender: String
  /// The contenders whose time together this one's is divided by, in the same round; in the file,
  /// their names with " + " between them.
  package let reference: [String]?
  /// The contenders whose time together is taken off this one's first, so that the ratio is that of
  /// what it does beyond them; none unless given.
  package let base: [String]
  /// The most that the ratio may be.
  package let max: Double?
  /// The most allocations per operation; checked if the allocator can count.
  package let maxAllocations: Double?

  private enum Key: String, CodingKey, CaseIterable {
    case path, contender, base = "minus", reference = "to", max
    case maxAllocations = "max_allocations", why
  }

  /// Any key, to find those that mean nothing: one misspelt would be a check left out.
  private struct AnyKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { return nil }
  }

  package init(from decoder: any Decoder) throws {
    for key in try decoder.container(keyedBy: AnyKey.self).allKeys
    where Key(rawValue: key.stringValue) == nil {
      let known = Key.allCases.map(\.rawValue).joined(separator: ", ")
      throw Failure(message: "unknown key '\(key.stringValue)'; there are: \(known)")
    }
    let values = try decoder.container(keyedBy: Key.self)
    path = try values.decode(String.self, forKey: .path)
    contender = try values.decode(String.self, forKey: .contender)
    func sum(_ key: Key) throws -> [String]? {
      try values.decodeIfPresent(String.self, forKey: key)?.components(separatedBy: " + ")
    }
    reference = try sum(.reference)
    base = try sum(.base) ?? []
    max = try values.decodeIfPresent(Double.self, forKey: .max)
    maxAllocations = try values.decodeIfPresent(Double.self, forKey: .maxAllocations)
    guard (reference == nil) == (max == nil) else {
      throw Failure(message: "\(name): 'to' and 'max' come together or not at all")
    }
    guard base.isEmpty || max != nil else {
      throw Failure(message: "\(name): 'minus' needs 'to' and 'max'")
    }
    guard max != nil || maxAllocations != nil else {
      throw Failure(message: "\(name): it allows anything; give it 'to' and 'max', or allocations")
    }
  }

  /// What a message calls it.
  package var name: String {
    (["\(path) \(contender)"] + base).joined(separator: " - ")
  }

  package static func load(_ file: String) throws -> [Threshold] {
    let text: String
    do {
      text = try String(contentsOfFile: file, encoding: .utf8)
    } catch {
      throw Failure(message: "cannot read the thresholds in '\(file)': \(error)")
    }
    do {
      return try parse(text)
    } catch {
      throw Failure(message: "'\(file)' is not a list of thresholds: \(error)")
    }
  }

  package static func parse(_ json: String) throws -> [Threshold] {
    try JSONDecoder().decode([Threshold].self, from: Data(json.utf8))
  }
}
