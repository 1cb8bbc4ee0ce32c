import Foundation

/// Returns the path of an executable that is built beside the tests.
func builtExecutable(_ name: String) -> String {
  let arguments = ProcessInfo.processInfo.arguments
  let places = [arguments[0]] + arguments.filter { $0.contains(".xctest") }
  let candidates = places.map { place in
    URL(fileURLWithPath: place).deletingLastPathComponent().path + "/" + name
  }
  return candidates.first(where: FileManager.default.isExecutableFile) ?? name
}
