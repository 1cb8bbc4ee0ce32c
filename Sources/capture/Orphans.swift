#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Processes that the system leaves to capture because it is the first one of a container: those
/// whose parent has ended. When they end, no other process reaps them.
enum Orphans {
  /// Whether there can be any.
  static var areLeftToThis: Bool { getpid() == 1 }

  /// Reaps all that have ended.
  ///
  /// The command itself is reaped by its host, when nothing needs its number any more. Until then
  /// it may be what waitpid(2) finds first for “any child”; so each process is asked for by its
  /// number.
  static func reap(except command: Int32) {
    guard let directory = unsafe opendir("/proc") else { return }
    defer { unsafe closedir(directory) }
    while let entry = unsafe readdir(directory) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      guard let process = Int32(name), process != command else { continue }
      // Fails for one that is no child.
      _ = waitpid(process, nil, WNOHANG)
    }
  }
}
