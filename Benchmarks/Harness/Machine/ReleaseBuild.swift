#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#endif

/// Figures from a debug build would be wrong by an order of magnitude, and `swift run` builds
/// debug.
package enum ReleaseBuild {
  /// In a debug build, says so and turns this process into the release build's; else does nothing.
  package static func rerunIfDebug() throws {
    #if DEBUG
      let root = try packageRoot()
      let notice = "Benchmarks: this is a debug build; building and running a release build.\n"
      writeError(notice)
      let command =
        [
          "swift", "run", "--package-path", root, "-c", "release", "Benchmarks",
        ] + CommandLine.arguments.dropFirst()
      var arguments: [UnsafeMutablePointer<CChar>?] = unsafe command.map { unsafe strdup($0) }
      unsafe arguments.append(nil)
      unsafe execvp("swift", &arguments)
      throw Failure(message: "cannot run 'swift' (errno \(errno)): put it on PATH")
    #endif
  }

  /// The directory of Package.swift, above the executable.
  package static func packageRoot() throws -> String {
    var path = executablePath()
    while let slash = path.lastIndex(of: "/") {
      path = String(path[..<slash])
      if unsafe access(path + "/Package.swift", R_OK) == 0 { return path }
    }
    throw Failure(
      message: "no Package.swift above \(executablePath()): run 'swift run -c release Benchmarks'")
  }

  package static func executablePath() -> String {
    #if canImport(Glibc)
      var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
      let length = unsafe readlink("/proc/self/exe", &buffer, buffer.count - 1)
      if length > 0 {
        return String(
          decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
      }
    #endif
    return CommandLine.arguments[0]
  }
}
