#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Finds the members of process groups that have not ended.
///
/// `kill(2)` reports whether a group exists, but also counts members that have ended and were not
/// reaped. So this type scans all processes of the system.
enum ProcessGroups {
  /// The processes of each group that has any.
  typealias Members = [Int32: [Int32]]

  /// Returns the members of some groups that have not ended; nil if the system does not report
  /// them, for lack of descriptors or of `/proc`.
  ///
  /// - Complexity: O(processes of the system). Takes about 10 µs for each.
  static func members(of groups: Set<Int32>) -> Members? {
    var members: Members = [:]
    if groups.isEmpty { return members }
    let isComplete = forEachProcess { process, group in
      if groups.contains(group) { members[group, default: []].append(process) }
    }
    return isComplete ? members : nil
  }

  #if os(Linux) || os(Android)
    /// Calls a closure with each process that has not ended, and its group.
    ///
    /// - Returns: Whether the scan is complete.
    private static func forEachProcess(_ body: (_ process: Int32, _ group: Int32) -> Void) -> Bool {
      guard let directory = unsafe opendir("/proc") else { return false }
      defer { unsafe closedir(directory) }
      var hasProcess = false
      while let entry = unsafe readdir(directory) {
        let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
          unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        guard let process = Int32(name) else { continue }
        hasProcess = true
        switch state(at: "/proc/\(name)/stat") {
        case .member(let group): body(process, group)
        case .ended: break
        case .unknown: return false
        }
      }
      // A directory named `/proc` may be something else.
      return hasProcess
    }

    private enum State {
      case member(of: Int32)
      case ended
      /// The state is unknown, for lack of a descriptor for example.
      case unknown
    }

    /// Returns the state and group in a process's `stat` file (proc(5)): “pid (name) state parent
    /// group …”, where the name may contain anything.
    private static func state(at path: String) -> State {
      let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else {
        return errno == ENOENT || errno == ESRCH ? .ended : .unknown
      }
      defer { close(descriptor) }
      return unsafe withUnsafeTemporaryAllocation(byteCount: 512, alignment: 1) { buffer in
        let count = unsafe read(descriptor, buffer.baseAddress, buffer.count)
        // The process may end between the two calls.
        guard count > 0 else { return .ended }
        let text = unsafe buffer[..<count]
        guard let end = unsafe text.lastIndex(of: UInt8(ascii: ")")) else { return .ended }
        let fields = unsafe text[(end + 1)...].split(
          separator: UInt8(ascii: " "), maxSplits: 3, omittingEmptySubsequences: true)
        guard unsafe fields.count > 2, let state = unsafe fields[0].first,
          state != UInt8(ascii: "Z"), state != UInt8(ascii: "X"),
          let group = unsafe Int32(String(decoding: fields[2], as: UTF8.self))
        else { return .ended }
        return .member(of: group)
      }
    }
  #else
    private static func forEachProcess(_ body: (_ process: Int32, _ group: Int32) -> Void) -> Bool {
      var count = Int(unsafe proc_listallpids(nil, 0)) + 64
      var processes = [pid_t](repeating: 0, count: count)
      count = Int(
        unsafe proc_listallpids(&processes, Int32(count * MemoryLayout<pid_t>.stride)))
      for process in processes.prefix(max(0, count)) {
        var info = proc_bsdshortinfo()
        let size = Int32(MemoryLayout<proc_bsdshortinfo>.size)
        guard
          unsafe proc_pidinfo(process, PROC_PIDT_SHORTBSDINFO, 0, &info, size) == size,
          info.pbsi_status != SZOMB
        else { continue }
        body(process, Int32(info.pbsi_pgid))
      }
      return count > 0
    }
  #endif
}
