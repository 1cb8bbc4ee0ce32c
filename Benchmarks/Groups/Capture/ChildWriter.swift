import BenchmarkHarness

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#endif

/// A child: this very executable, told by its environment to write so many bytes to stdout, in pieces
/// of a size, and to exit.
struct ChildWriter: Sendable {
  let bytes: Int
  let piece: Int

  private static let variable = "BENCHMARKS_CHILD_WRITES"

  var executable: String { ReleaseBuild.executablePath() }
  var environment: [String: String] { [Self.variable: "\(bytes),\(piece)"] }

  /// In such a child, writes and exits; else returns at once.
  static func runIfChild() {
    StampingChild.runIfChild()
    guard let value = unsafe getenv(variable) else { return }
    let numbers = unsafe String(cString: value).split(separator: ",").compactMap { Int($0) }
    guard numbers.count == 2 else { exit(64) }
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
