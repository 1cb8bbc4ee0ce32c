import CSpawn

/// What a process has used until its end, and what those of its descendants have that were waited
/// for: by the process itself, or by one that was waited for in turn. What lives on, or was left
/// to others to wait for, is not in it.
public struct ResourceUsage: Sendable, Hashable {
  /// The processor time spent in programs, to the microsecond.
  public let userTime: Duration

  /// The processor time spent in the kernel on their behalf, to the microsecond.
  public let systemTime: Duration

  /// The most memory that one of the processes had resident at a time, in bytes.
  ///
  /// On Linux it is never less than what this program had resident at the launch, since the process
  /// shares this program's memory until it executes its file: a figure not above that says that the
  /// processes had no more.
  public let peakResidentBytes: Int

  init(_ usage: spawn_usage) {
    userTime = .microseconds(usage.user_microseconds)
    systemTime = .microseconds(usage.system_microseconds)
    peakResidentBytes = Int(usage.peak_resident_bytes)
  }
}
