import ServiceLifecycle

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Removes idle sessions at intervals, gives back the memory of removed ones, and reports metrics.
struct Sweeper: Service {
  let api: API

  func run() async throws {
    // Often enough that no session is kept for much longer than the timeout.
    let interval = min(
      max(api.configuration.idleTimeout / 10, .milliseconds(20)), .seconds(5))
    let (jobs, connections, metrics) = (api.jobs, api.connections, api.metrics)
    defer { metrics.report.report(metrics.values(of: api)) }
    try? await cancelWhenGracefulShutdown {
      var workBefore = 0
      var isWarm = false
      while true {
        try await Task.sleep(for: interval)
        jobs.sweep()
        metrics.report.report(metrics.values(of: api))
        // A connection that closes frees what it had sent and what it was to be sent.
        let work = jobs.goneCount + metrics.answerCount + connections.closedCount
        // Once more after the last work: its buffers may have been in use at the time.
        if work != workBefore || isWarm { releaseUnusedMemory() }
        isWarm = work != workBefore
        workBefore = work
      }
    }
  }
}

/// Returns free memory to the system, which glibc would keep: tens of megabytes after a flood of
/// large answers. Does nothing where there is no `malloc_trim(3)`.
private func releaseUnusedMemory() {
  guard let symbol = unsafe dlsym(nil, "malloc_trim") else { return }
  let trim = unsafe unsafeBitCast(symbol, to: (@convention(c) (Int) -> Int32).self)
  _ = trim(0)
}
