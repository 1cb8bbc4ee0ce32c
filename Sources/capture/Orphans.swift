#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Orphans: processes whose parent has ended, and which the system reparents to capture if capture
/// is the first process of a container. No other process reaps them when they end.
enum Orphans {
  /// Whether capture can get orphans.
  static var areLeftToThis: Bool { getpid() == 1 }

  /// Reaps all orphans that have ended.
  ///
  /// The host reaps the command itself, once nothing needs its PID any more. Until then waitpid(2)
  /// might find the command first when asked for “any child”; so this asks for each process by its
  /// PID.
  static func reap(except command: Int32) {
    guard let directory = unsafe opendir("/proc") else { return }
    defer { unsafe closedir(directory) }
    while let entry = unsafe readdir(directory) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      guard let process = Int32(name), process != command else { continue }
      // Fails for a process that is not a child.
      _ = waitpid(process, nil, WNOHANG)
    }
  }
}
