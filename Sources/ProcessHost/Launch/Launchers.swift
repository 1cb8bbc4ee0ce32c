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
/// system does. So it is no work for the event loop's thread or the tasks' pool. Looking at process
/// groups and cgroups is none either, and is done here too.
///
/// There are up to eight, each made when a launch finds the others busy, and none of them ever
/// ends. If all of them hang, for want of a file server for example, there may be eight more:
/// launches that hang hold up no others.
@safe
final class Launchers: @unchecked Sendable {
  static let shared = Launchers()

  typealias Job = @Sendable () -> Void

  /// How many more threads there may be once all are busy and none of them gets anywhere.
  private static let step = 8

  /// How long none of them may get anywhere.
  private static let patience: Duration = .milliseconds(500)

  // All that follows is guarded by `mutex`.
  private var jobs: [Job] = []
  private var limit = Launchers.step
  private var threads = 0
  private var idleThreads = 0
  /// How many launches have come to an end.
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

  /// Runs a job on one of the threads, after those that came before.
  ///
  /// - Throws: `EAGAIN` if there is no such thread, and none can be made.
  func run(_ job: @escaping Job) throws(SystemError) {
    let needsWatch = try withLock { () throws(SystemError) -> Bool in
      var isServed = jobs.count < idleThreads
      if !isServed, threads < limit {
        do throws(SystemError) {
          try startThread { self.work() }
          threads += 1
          isServed = true
        } catch {
          // Then those that there are do it, one after the other.
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

  /// Looks, as long as there are jobs that wait, whether any thread gets anywhere.
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
            // Without memory for one there is another look.
            guard (try? startThread { self.work() }) != nil else { break }
            threads += 1
          }
        }
        return completed
      }
    }
  }
}
