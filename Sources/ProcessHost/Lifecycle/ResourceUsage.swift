import CSpawn

/// The resources that a process used until its end, together with those of its descendants that
/// were waited for: by the process itself, or by a descendant that was waited for in turn. It does
/// not include descendants that live on, or that other processes wait for.
public struct ResourceUsage: Sendable, Hashable {
  /// The processor time spent in programs, to the microsecond.
  public let userTime: Duration

  /// The processor time spent in the kernel on their behalf, to the microsecond.
  public let systemTime: Duration

  /// The most memory that one of the processes had resident at a time, in bytes.
  ///
  /// On Linux the value is never less than this program's resident memory at the launch, since the
  /// process shares this program's memory until it executes its file. A value that does not exceed
  /// it means that the processes used no more than that.
  public let peakResidentBytes: Int

  init(userTime: Duration, systemTime: Duration, peakResidentBytes: Int) {
    self.userTime = userTime
    self.systemTime = systemTime
    self.peakResidentBytes = peakResidentBytes
  }

  init(_ usage: spawn_usage) {
    userTime = .microseconds(usage.user_microseconds)
    systemTime = .microseconds(usage.system_microseconds)
    peakResidentBytes = Int(usage.peak_resident_bytes)
  }
}
