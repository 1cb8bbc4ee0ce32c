#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The clock by which a session notes its last activity: monotonic, coarse, and cheap enough to
/// read on every append.
///
/// Tests bring their own:
///
/// ```swift
/// let time = Atomic<Int64>(0)
/// let clock = ActivityClock { time.load(ordering: .relaxed) }
/// ```
public struct ActivityClock: Sendable {
  private let source: (@Sendable () -> Int64)?

  /// The system's monotonic clock at its coarse resolution: 1 to 10 milliseconds.
  ///
  /// `CLOCK_MONOTONIC_COARSE` on Linux (`clock_gettime(2)`), `CLOCK_MONOTONIC_RAW_APPROX` on
  /// Darwin.
  public static let system = ActivityClock(source: nil)

  private init(source: (@Sendable () -> Int64)?) { self.source = source }

  /// A clock of the caller's.
  ///
  /// - Parameter nanoseconds: The time since any fixed moment; never less than it returned before.
  public init(nanoseconds: @escaping @Sendable () -> Int64) { source = nanoseconds }

  /// The present.
  public var now: Instant {
    @inline(__always) get { Instant(nanoseconds: nanoseconds) }
  }

  /// Whether this is ``system``, so that one reading serves for many sessions.
  package var isSystem: Bool { source == nil }

  /// How long the clock may stand still, in nanoseconds: 0 for a clock of the caller's.
  @inline(__always)
  var resolution: Int64 { isSystem ? Self.systemResolution : 0 }

  private static let systemResolution: Int64 = {
    var resolution = timespec()
    #if canImport(Darwin)
      // What the approximate clock does is not told.
      resolution.tv_nsec = 10_000_000
    #else
      unsafe clock_getres(CLOCK_MONOTONIC_COARSE, &resolution)
    #endif
    return Int64(resolution.tv_sec) &* 1_000_000_000 &+ Int64(resolution.tv_nsec)
  }()

  @inline(__always)
  var nanoseconds: Int64 {
    if let source { return source() }
    #if canImport(Darwin)
      return Int64(clock_gettime_nsec_np(CLOCK_MONOTONIC_RAW_APPROX))
    #else
      var time = timespec()
      unsafe clock_gettime(CLOCK_MONOTONIC_COARSE, &time)
      return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    #endif
  }

  /// A moment on an ``ActivityClock``. Instants of different clocks have nothing in common.
  public struct Instant: InstantProtocol, Sendable {
    /// Nanoseconds since the clock's own fixed moment.
    public let nanoseconds: Int64

    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// The instant a duration later; as late as can be represented, if that is too late.
    public func advanced(by duration: Duration) -> Instant {
      let sum = nanoseconds.addingReportingOverflow(duration.saturatedNanoseconds)
      if !sum.overflow { return Instant(nanoseconds: sum.partialValue) }
      return Instant(nanoseconds: nanoseconds < 0 ? .min : .max)
    }

    /// The time from this instant to another, negative if that is earlier.
    public func duration(to other: Instant) -> Duration {
      .nanoseconds(other.nanoseconds) - .nanoseconds(nanoseconds)
    }

    /// Whether one instant is before another of the same clock.
    public static func < (left: Instant, right: Instant) -> Bool {
      left.nanoseconds < right.nanoseconds
    }
  }
}

extension Duration {
  /// The duration, or a century if it is longer, which is as good: a moment so far away still fits
  /// the clocks, and `Task.sleep` ends the program for one that does not.
  package var upToACentury: Duration { min(self, .seconds(1 << 32)) }

  /// The duration in nanoseconds, or as much of it as 64 bits hold (292 years).
  var saturatedNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let product = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let sum = product.partialValue.addingReportingOverflow(attoseconds / 1_000_000_000)
    guard !product.overflow, !sum.overflow else { return seconds < 0 ? .min : .max }
    return sum.partialValue
  }
}
