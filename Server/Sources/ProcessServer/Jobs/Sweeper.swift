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
  let metrics: Metrics
  let idleTimeout: Duration

  func run() async throws {
    // Often enough that nobody is kept for much longer than the timeout.
    let interval = min(max(idleTimeout / 10, .milliseconds(20)), .seconds(5))
    try? await cancelWhenGracefulShutdown {
      var workBefore = 0
      var isWarm = false
      while true {
        try await Task.sleep(for: interval)
        jobs.sweep()
        let work = jobs.goneCount + metrics.answerCount
        // Once more after the last work: the buffers of its answers were in use at the time.
        if work != workBefore || isWarm { releaseUnusedMemory() }
        isWarm = work != workBefore
        workBefore = work
      }
    }
  }
}

/// Hands free memory back to the system, which glibc would keep: after a flood of large answers,
/// tens of megabytes. Does nothing where there is no `malloc_trim(3)`.
private func releaseUnusedMemory() {
  guard let symbol = unsafe dlsym(nil, "malloc_trim") else { return }
  let trim = unsafe unsafeBitCast(symbol, to: (@convention(c) (Int) -> Int32).self)
  _ = trim(0)
}
