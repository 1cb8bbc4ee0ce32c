#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The threads that start processes, for all hosts of the program.
///
/// A launch blocks its thread until the child executes its file, which takes as long as the file
/// system does. So it must not run on the event loop's thread or in the tasks' pool. The same is
/// true of scans of process groups and of work on cgroups, which run here too.
///
/// There are up to eight threads. Each is started when a launch finds the others busy, and none of
/// them ever ends. If all of them hang, because of an unresponsive file server for example, another
/// eight may be started, and again for as long as jobs wait and none finishes: launches that hang
/// delay no others.
@safe
final class Launchers: @unchecked Sendable {
  static let shared = Launchers()

  typealias Job = @Sendable () -> Void

  /// The number of additional threads once all are busy and none makes progress.
  private static let step = 8

  /// How long the threads may make no progress before more are started.
  private static let patience: Duration = .milliseconds(500)

  // `mutex` guards all fields below.
  private var jobs: [Job] = []
  private var limit = Launchers.step
  private var threads = 0
  private var idleThreads = 0
  /// The number of jobs that have finished.
  private var completed = 0
  private var isWatched = false

  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  /// Signalled for each job.
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  private init() {
    unsafe pthread_mutex_init(mutex, nil)
    unsafe pthread_cond_init(condition, nil)
  }

  private func withLock<Result, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    return try body()
  }

  /// Runs a job on one of the threads, after all earlier jobs.
  ///
  /// - Throws: `EAGAIN` if there is no thread, and none can be started.
  func run(_ job: @escaping Job) throws(SystemError) {
    let needsWatch = try withLock { () throws(SystemError) -> Bool in
      var isServed = jobs.count < idleThreads
      if !isServed, threads < limit {
        do throws(SystemError) {
          try startThread { self.work() }
          threads += 1
          isServed = true
        } catch {
          // Otherwise the existing threads run the jobs, one after the other.
          if threads == 0 { throw error }
        }
      }
      jobs.append(job)
      unsafe pthread_cond_signal(condition)
      guard !isServed, !isWatched else { return false }
      isWatched = true
      return true
    }
    if needsWatch { Task.detached { await self.watch() } }
  }

  private func work() {
    while true { nextJob()() }
  }

  private func nextJob() -> Job {
    withLock {
      idleThreads += 1
      defer { idleThreads -= 1 }
      while true {
        if !jobs.isEmpty {
          let job = jobs.removeFirst()
          return {
            job()
            self.withLock { self.completed += 1 }
          }
        }
        unsafe pthread_cond_wait(condition, mutex)
      }
    }
  }

  /// Checks, as long as jobs wait, whether any thread makes progress.
  private func watch() async {
    var seen: Int? = withLock { completed }
    while let before = seen {
      try? await Task.sleep(for: Self.patience)
      seen = withLock {
        isWatched = !jobs.isEmpty
        guard isWatched else { return nil }
        if completed == before {
          limit = threads + Self.step
          for _ in 0..<min(Self.step, jobs.count) {
            // If no thread can be started, the next check tries again.
            guard (try? startThread { self.work() }) != nil else { break }
            threads += 1
          }
        }
        return completed
      }
    }
  }
}
