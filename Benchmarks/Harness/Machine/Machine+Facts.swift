import Foundation

/// One line of the header.
package struct Fact: Codable, Equatable, Sendable {
  package let label: String
  package let value: String

  package init(_ label: String, _ value: String) {
    self.label = label
    self.value = value
  }
}

extension Machine {
  /// What a reader must know to judge the figures.
  ///
  /// - Parameter allocator: Which one is linked.
  package static func facts(allocator: String) -> [Fact] {
    pin(to: 0)
    return [
      Fact(Record.processorLabel, Processor.current.name),
      Fact("cores", "\(ProcessInfo.processInfo.activeProcessorCount)"),
      Fact("caches", caches),
      Fact("system", system),
      Fact("load before", load),
      Fact("allocator", allocator),
      Fact("Swift", swiftVersion),
      Fact("threads", pinning),
    ]
  }

  private static var system: String {
    var name = utsname()
    guard unsafe uname(&name) == 0 else { return "unknown" }
    let system = unsafe withUnsafeBytes(of: &name.sysname) { unsafe text($0) }
    let release = unsafe withUnsafeBytes(of: &name.release) { unsafe text($0) }
    let architecture = unsafe withUnsafeBytes(of: &name.machine) { unsafe text($0) }
    return "\(system) \(release), \(architecture)"
  }

  private static func text(_ bytes: UnsafeRawBufferPointer) -> String {
    unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
  }

  /// The caches that the first processor sees.
  private static var caches: String {
    var caches: [String] = []
    for index in 0..<8 {
      let folder = "/sys/devices/system/cpu/cpu0/cache/index\(index)/"
      let kind = contents(folder + "type")
      guard kind == "Data" || kind == "Unified" else { continue }
      let size = cacheSize(contents(folder + "size"))
      caches.append("L\(contents(folder + "level"))\(kind == "Data" ? "d" : "") \(size)")
    }
    return caches.isEmpty ? "unknown" : caches.joined(separator: ", ")
  }

  /// The kernel writes `512K`.
  static func cacheSize(_ text: String) -> String {
    let factors: [Character: Double] = ["K": 1_024, "M": 1_048_576]
    guard let unit = text.last, let factor = factors[unit], let size = Double(text.dropLast())
    else { return text }
    return formatBytes(size * factor)
  }

  private static var load: String {
    let averages = contents("/proc/loadavg").split(separator: " ")
    return averages.first.map { "\($0) runnable threads in the last minute" } ?? "unknown"
  }

  /// What `swift` on PATH says it is, which is how the benchmarks are built.
  private static var swiftVersion: String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["swift", "--version"]
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return "unknown" }
    let text = String(
      decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return text.split(separator: "\n").first.map(String.init) ?? "unknown"
  }

  private static func contents(_ path: String) -> String {
    (try? String(contentsOfFile: path, encoding: .utf8))?
      .trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
  }
}
