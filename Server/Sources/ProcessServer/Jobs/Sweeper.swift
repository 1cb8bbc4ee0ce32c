import ServiceLifecycle

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Drops idle sessions, from time to time, and gives back the memory of those that are gone.
struct Sweeper: Service {
  let jobs: JobTable
  let idleTimeout: Duration

  func run() async throws {
    // Often enough that nobody is kept for much longer than the timeout.
    let interval = min(max(idleTimeout / 10, .milliseconds(20)), .seconds(5))
    try? await cancelWhenGracefulShutdown {
      var goneBefore = 0
      while true {
        try await Task.sleep(for: interval)
        jobs.sweep()
        let gone = jobs.goneCount
        if gone != goneBefore { releaseUnusedMemory() }
        goneBefore = gone
      }
    }
  }
}

/// Hands free memory back to the system, which glibc would keep: after a flood of large answers, tens of
/// megabytes. Does nothing where there is no `malloc_trim(3)`.
private func releaseUnusedMemory() {
  guard let symbol = unsafe dlsym(nil, "malloc_trim") else { return }
  let trim = unsafe unsafeBitCast(symbol, to: (@convention(c) (Int) -> Int32).self)
  _ = trim(0)
}
