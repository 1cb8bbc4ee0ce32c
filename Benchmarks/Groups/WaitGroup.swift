import BenchmarkContenders
import BenchmarkHarness
import Dispatch
import Foundation
import ProcessHost
import Processes
import Synchronization

/// Waiting for output instead of polling for it.
func waitCases() -> [Case] {
  let toWaiter = Case.measuring("wait", "child-to-waiter", size: 8) { plan in
    // A child pauses for 0.2 ms and more between two stamps.
    let child = StampingChild(
      stamps: min(2_000, max(200, plan.available / 3 / 400_000)), pause: 200_000)
    return [
      delays(limitName, bareRead(child)),
      delays("thread", waitOnThread(child)),
      delays("await", waitInTask(child)),
    ]
  }
  let waking = [0, 1, 100, 10_000].map { waiters in
    Case.measuring("wait", "append-that-wakes", size: waiters, sizeMeaning: .other("waiters")) {
      _ in [delays("session", appendsThatWake(waiters, times: waiters > 1_000 ? 20 : 200))]
    }
  }
  // A waiter's fence interrupts every thread of the process, and so the producer's.
  let beside = Case("wait", "producer-beside-waiter", size: 64, bytes: 64) {
    let box = SessionProducer()
    let payload = Payload(size: 64)
    func append(_ count: Int) {
      let producer = unsafe box.producer
      let now = ActivityClock.system.now
      unsafe payload.forEach(count) { unsafe producer.pointee.append($0, to: .stdout, at: now) }
    }
    return [
      Contender("alone") { count in append(count) },
      Contender("beside a waiter") { count in besideAWaiter { append(count) } },
    ]
  }
  return [toWaiter] + waking + [beside]
}

/// Runs a body while a thread on another processor waits for another session's output again and
/// again, each time for as little as possible.
private func besideAWaiter(_ body: () -> Void) {
  let silent = Session(id: "silent", workspaceID: "w")
  let crew = Readers()
  crew.start(1) { crew in
    while !crew.stop.load(ordering: .acquiring) {
      _ = silent.waitForOutput(since: .start, upTo: .nanoseconds(1))
    }
    return ReaderSums()
  }
  body()
  _ = crew.finish()
}

/// The limit: a thread blocked in `read`.
private func bareRead(_ child: StampingChild) -> Delays {
  var delays = makeDelays()
  guard let (process, pipe) = Capturers.spawn(child.executable, child.environment) else {
    return delays
  }
  unsafe withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 8) { buffer in
    while true {
      let count = unsafe read(pipe, buffer.baseAddress!, buffer.count)
      if count <= 0 { break }
      unsafe delays.record(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    }
  }
  close(pipe)
  var status: Int32 = 0
  unsafe waitpid(process, &status, 0)
  return delays
}

/// Starts a child, lets a closure read its session, and returns what that found.
func withChild(
  _ child: StampingChild, into session: Session, _ read: @escaping @Sendable () async -> Delays
) -> Delays {
  let found = Mutex(makeDelays())
  withExtendedLifetime(found) {
    _ = Capturers.blocking {
      let command = Command(
        child.executable, environment: .inherited(changing: child.environment))
      try await CommandHost.shared.launch(command, into: session)
      let delays = await read()
      found.withLock { $0 = delays }
      return 0
    }
  }
  return found.withLock { $0 }
}

private func waitInTask(_ child: StampingChild) -> Delays {
  let session = Session(id: "s", workspaceID: "w")
  return withChild(child, into: session) {
    var delays = makeDelays()
    for await output in session.outputs() {
      unsafe output.chunks.payload.withUnsafeBytes { unsafe delays.record($0) }
    }
    return delays
  }
}

private func waitOnThread(_ child: StampingChild) -> Delays {
  let session = Session(id: "s", workspaceID: "w")
  return withChild(child, into: session) {
    await withCheckedContinuation { continuation in
      Thread.detachNewThread {
        var delays = makeDelays()
        var cursor = Cursor.start
        while true {
          let output = session.waitForOutput(since: cursor, upTo: nil)
          unsafe output.chunks.payload.withUnsafeBytes { unsafe delays.record($0) }
          if output.isComplete { break }
          cursor = output.cursor
        }
        continuation.resume(returning: delays)
      }
    }
  }
}

/// How long an append takes while so many tasks wait for it.
private func appendsThatWake(_ waiters: Int, times: Int) -> Delays {
  var delays = makeDelays()
  let session = Session(id: "s", workspaceID: "w")
  for _ in 0..<times {
    let asleep = DispatchGroup()
    let cursor = session.output().cursor
    for _ in 0..<waiters {
      asleep.enter()
      Task {
        _ = await session.output(since: cursor, waitingUpTo: nil)
        asleep.leave()
      }
    }
    // Nothing tells from outside whether they sleep; by then nearly all of them do.
    usleep(waiters == 0 ? 0 : 1_000 + UInt32(waiters) * 4)
    let before = Machine.nanoseconds()
    session.append([1], to: .stdout)
    delays.record(UInt64(max(1, Machine.nanoseconds() - before)))
    asleep.wait()
  }
  return delays
}
