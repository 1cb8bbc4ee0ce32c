import BenchmarkHarness
import CBenchmarkShims

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#endif

/// A child: this very executable, told by its environment to write so many bytes to stdout, in
/// pieces of a size, and to exit; perhaps on a processor of its own.
struct ChildWriter: Sendable {
  let bytes: Int
  let piece: Int
  /// Where it runs; nil for where its parent may.
  var processor: Int? = nil

  private static let variable = "BENCHMARKS_CHILD_WRITES"

  var executable: String { ReleaseBuild.executablePath() }
  var environment: [String: String] { [Self.variable: "\(bytes),\(piece),\(processor ?? -1)"] }

  /// In such a child, writes and exits; else returns at once.
  static func runIfChild() {
    StampingChild.runIfChild()
    guard let value = unsafe getenv(variable) else { return }
    let numbers = unsafe String(cString: value).split(separator: ",").compactMap { Int($0) }
    guard numbers.count == 3 else { exit(64) }
    if numbers[2] >= 0 { _ = benchmark_pin_process(Int32(numbers[2])) }
    let piece = [UInt8](repeating: UInt8(ascii: "x"), count: numbers[1])
    var left = numbers[0]
    while left > 0 {
      let written = unsafe write(STDOUT_FILENO, piece, min(left, piece.count))
      if written < 0 {
        if errno == EINTR { continue }
        exit(1)
      }
      left -= written
    }
    exit(0)
  }
}
