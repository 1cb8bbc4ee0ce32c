import BenchmarkHarness

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#endif

/// A child: this very executable, told by its environment to write what time it is, so many times,
/// with pauses, and to exit.
struct StampingChild: Sendable {
  let stamps: Int
  /// Nanoseconds between two of them.
  let pause: Int

  private static let variable = "BENCHMARKS_CHILD_STAMPS"

  var executable: String { ReleaseBuild.executablePath() }
  var environment: [String: String] { [Self.variable: "\(stamps),\(pause)"] }

  /// In such a child, writes and exits; else returns at once.
  static func runIfChild() {
    guard let value = unsafe getenv(variable) else { return }
    let numbers = unsafe String(cString: value).split(separator: ",").compactMap { Int($0) }
    guard numbers.count == 2 else { exit(64) }
    for _ in 0..<numbers[0] {
      var pause = timespec(tv_sec: 0, tv_nsec: numbers[1])
      unsafe nanosleep(&pause, nil)
      var now = UInt64(Machine.nanoseconds())
      guard unsafe write(STDOUT_FILENO, &now, 8) == 8 else { exit(1) }
    }
    exit(0)
  }
}
