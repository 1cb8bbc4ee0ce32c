import Foundation
import OutputRing
import Processes
import Testing

/// Lets the process have no more memory than it has.
private func forbidMappings() {
  var limit = rlimit(rlim_cur: 1 << 20, rlim_max: 1 << 20)
  #if canImport(Glibc)
    _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
  #else
    _ = unsafe setrlimit(RLIMIT_AS, &limit)
  #endif
}

private func reserve(_ count: Int, filling written: Int) {
  unsafe Session(id: "s").append(reserving: count, to: .stdout) { _, _ in written }
}

/// What callers must not do ends the process, rather than harming a ring. Each runs in a process of
/// its own.
@Suite struct PreconditionTests {
  @Test("A layout out of bounds ends the program")
  func layouts() async {
    await #expect(processExitsWith: .failure) { _ = RingLayout(capacity: 0) }
    await #expect(processExitsWith: .failure) { _ = RingLayout(capacity: 1 << 30 + 1) }
    await #expect(processExitsWith: .failure) { _ = RingLayout(capacity: 1, chunkLimit: 0) }
    await #expect(processExitsWith: .failure) { _ = RingLayout(capacity: 1, reservationLimit: 0) }
  }

  @Test("A capacity or a sweep interval out of bounds ends the program")
  func sessions() async {
    await #expect(processExitsWith: .failure) {
      _ = Session(id: "", workspaceID: "", capacity: RingLayout.maxCapacity + 1)
    }
    await #expect(processExitsWith: .failure) {
      _ = SessionManager(idleTimeout: .zero, sweepInterval: .zero)
    }
  }

  @Test("The throwing initializer makes a session like any other")
  func memory() throws {
    let session = try Session(allocating: "s", workspaceID: "w", capacity: 100)
    session.append([1, 2, 3], to: .stdout)
    #expect(session.id == "s")
    #expect(session.workspaceID == "w")
    #expect(session.capacity == 100)
    #expect(session.output().chunks.count == 1)
  }

  @Test(
    "[session-memory] Without memory one initializer throws, and the other ends the program"
  )
  func noMemory() async throws {
    await #expect(processExitsWith: .success) {
      forbidMappings()
      do throws(RingAllocationError) {
        _ = try Session(allocating: "s", workspaceID: "w")
        exit(1)
      } catch {
        guard error.code == ENOMEM, error.description.contains("ulimit -v") else { exit(2) }
      }
    }
    let result = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) {
      forbidMappings()
      _ = Session(id: "s", workspaceID: "w")
    }
    let message = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(message.contains("no memory for an output ring"))
  }

  @Test("A reservation of no bytes, or a written count out of bounds, ends the program")
  func reservations() async {
    await #expect(processExitsWith: .failure) {
      reserve(0, filling: 0)
    }
    // More than was reserved would show whatever lies behind.
    await #expect(processExitsWith: .failure) {
      reserve(5, filling: 6)
    }
    await #expect(processExitsWith: .failure) {
      reserve(5, filling: -1)
    }
  }

  @Test("An index out of bounds ends the program")
  func collections() async {
    await #expect(processExitsWith: .failure) { _ = Output(reservingBytes: -1, chunks: 1) }
    await #expect(processExitsWith: .failure) { _ = Session(id: "s").output().chunks[0] }
    await #expect(processExitsWith: .failure) {
      let session = Session(id: "s")
      session.append([1, 2], to: .stdout)
      _ = session.output().chunks[0].data[2]
    }
    await #expect(processExitsWith: .failure) {
      let session = Session(id: "s")
      session.append([1, 2], to: .stdout)
      session.append([3, 4], to: .stdout)
      _ = session.output().chunks[0].data[1..<3]
    }
  }
}
