import CBenchmarkShims

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#endif

/// What the figures were measured on.
enum Machine {
  static var description: String {
    var name = utsname()
    unsafe uname(&name)
    let system = unsafe withUnsafeBytes(of: &name.sysname) { unsafe text($0) }
    let release = unsafe withUnsafeBytes(of: &name.release) { unsafe text($0) }
    let architecture = unsafe withUnsafeBytes(of: &name.machine) { unsafe text($0) }
    let cores = sysconf(Int32(_SC_NPROCESSORS_ONLN))
    return "machine: \(processor), \(cores) cores, \(architecture), \(system) \(release)"
  }

  private static func text(_ bytes: UnsafeRawBufferPointer) -> String {
    unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
  }

  private static var processor: String {
    guard let file = unsafe fopen("/proc/cpuinfo", "r") else { return "unknown processor" }
    defer { unsafe fclose(file) }
    var line = [CChar](repeating: 0, count: 512)
    while unsafe fgets(&line, Int32(line.count), file) != nil {
      let text = String(
        decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      let parts = text.split(separator: ":")
      if parts.count == 2, parts[0].hasPrefix("model name") {
        return parts[1].drop { $0 == " " }.filter { $0 != "\n" }
      }
    }
    return "unknown processor"
  }

  /// Keeps this thread on one processor, so that a round is not split between two; where the system
  /// cannot, it goes unpinned.
  static func pin(to processor: Int) {
    _ = benchmark_pin(Int32(processor))
  }

  /// Nanoseconds of the monotonic clock.
  @inline(__always)
  static func nanoseconds() -> Int {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec &* 1_000_000_000 &+ time.tv_nsec
  }
}
