import Foundation

/// The processor, named so that two generations of one brand can be told apart.
package struct Processor: Equatable, Sendable {
  /// For people: brand, vendor, family and model.
  package let name: String
  /// For file names: letters, digits and hyphens.
  package let id: String

  /// This machine's.
  package static var current: Processor {
    #if canImport(Darwin)
      var size = 0
      unsafe sysctlbyname("machdep.cpu.brand_string", nil, &size, nil, 0)
      var brand = [UInt8](repeating: 0, count: size)
      guard unsafe sysctlbyname("machdep.cpu.brand_string", &brand, &size, nil, 0) == 0 else {
        return Processor(brand: nil, key: [])
      }
      return Processor(
        brand: String(decoding: brand.prefix { $0 != 0 }, as: UTF8.self), key: [])
    #else
      return Processor(
        cpuInfo: (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? "")
    #endif
  }

  /// - Parameter cpuInfo: What Linux says in /proc/cpuinfo; the first processor in it counts.
  package init(cpuInfo: String) {
    var values: [String: String] = [:]
    for line in cpuInfo.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 1)
        .map { $0.trimmingCharacters(in: .whitespaces) }
      guard parts.count == 2, values[parts[0]] == nil else { continue }
      values[parts[0]] = parts[1]
    }
    let x86 = [("", "vendor_id"), ("family ", "cpu family"), ("model ", "model")]
    let arm = [("implementer ", "CPU implementer"), ("part ", "CPU part")]
    let key = (values["vendor_id"] == nil ? arm : x86).compactMap { label, field in
      values[field].map { (label: label, value: $0) }
    }
    self.init(brand: values["model name"], key: key)
  }

  private init(brand: String?, key: [(label: String, value: String)]) {
    let details = key.map { $0.label + $0.value }.joined(separator: " ")
    let brand = brand ?? "unknown processor"
    name = details.isEmpty ? brand : "\(brand) (\(details))"
    id = hyphenated((key.isEmpty ? [brand] : key.map(\.value)).joined(separator: "-"))
  }
}
