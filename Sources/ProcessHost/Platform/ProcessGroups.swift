#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Which process groups have members that have not ended.
///
/// The system tells by `kill(2)` whether a group exists, but counts those who have ended and were not
/// reaped. So this looks at all processes, at most every few milliseconds for all who ask.
struct ProcessGroups {
  private var groups: Set<Int32> = []
  private var time: ContinuousClock.Instant?

  /// How old an answer may be.
  private static let shelfLife: Duration = .milliseconds(10)

  /// Whether somebody in a group has not ended.
  ///
  /// - Complexity: O(processes of the system) if nobody asked within the last 10 ms.
  mutating func isAlive(_ group: Int32) -> Bool {
    let now = ContinuousClock.Instant.now
    if let time, now - time < Self.shelfLife { return groups.contains(group) }
    groups = Self.living()
    time = now
    return groups.contains(group)
  }

  #if os(Linux) || os(Android)
    private static func living() -> Set<Int32> {
      var groups: Set<Int32> = []
      guard let directory = unsafe opendir("/proc") else { return [] }
      defer { unsafe closedir(directory) }
      while let entry = unsafe readdir(directory) {
        let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
          unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        guard Int32(name) != nil, let group = group(of: "/proc/\(name)/stat") else { continue }
        groups.insert(group)
      }
      return groups
    }

    /// The group of a process that has not ended, from its `stat` file (proc(5)): “pid (name) state
    /// parent group …”, where the name may hold anything.
    private static func group(of path: String) -> Int32? {
      let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { return nil }
      defer { close(descriptor) }
      return unsafe withUnsafeTemporaryAllocation(byteCount: 512, alignment: 1) { buffer in
        let count = unsafe read(descriptor, buffer.baseAddress, buffer.count)
        guard count > 0 else { return nil }
        let text = unsafe buffer[..<count]
        guard let end = unsafe text.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = unsafe text[(end + 1)...].split(
          separator: UInt8(ascii: " "), maxSplits: 3, omittingEmptySubsequences: true)
        guard unsafe fields.count > 2, let state = unsafe fields[0].first,
          state != UInt8(ascii: "Z"), state != UInt8(ascii: "X")
        else { return nil }
        return unsafe Int32(String(decoding: fields[2], as: UTF8.self))
      }
    }
  #else
    private static func living() -> Set<Int32> {
      var count = Int(unsafe proc_listallpids(nil, 0)) + 64
      var processes = [pid_t](repeating: 0, count: count)
      count = Int(
        unsafe proc_listallpids(&processes, Int32(count * MemoryLayout<pid_t>.stride)))
      var groups: Set<Int32> = []
      for process in processes.prefix(max(0, count)) {
        var info = proc_bsdshortinfo()
        let size = Int32(MemoryLayout<proc_bsdshortinfo>.size)
        guard
          unsafe proc_pidinfo(process, PROC_PIDT_SHORTBSDINFO, 0, &info, size) == size,
          info.pbsi_status != SZOMB
        else { continue }
        groups.insert(Int32(info.pbsi_pgid))
      }
      return groups
    }
  #endif
}
