import Processes
import Synchronization
import Testing

/// A clock that stands still until told otherwise.
final class ManualTime: Sendable {
  private let nanoseconds = Atomic<Int64>(1_000_000_000_000)

  var clock: ActivityClock {
    ActivityClock { [self] in nanoseconds.load(ordering: .relaxed) }
  }

  func advance(by duration: Duration) {
    let (seconds, attoseconds) = duration.components
    nanoseconds.wrappingAdd(
      seconds * 1_000_000_000 + attoseconds / 1_000_000_000, ordering: .relaxed)
  }
}

extension Session {
  convenience init(id: String = "s", capacity: Int = 1_000, time: ManualTime) {
    self.init(id: id, workspaceID: "w", capacity: capacity, clock: time.clock)
  }
}

extension Output {
  /// All chunks as text, for comparing.
  var texts: [String] { chunks.map { $0.data.description } }
}

func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

/// The cases that the original Go package tests, as they are there.
@Suite struct GoCompatibilityTests {
  @Test("A manager returns a registered session by its id")
  func registerAndGet() {
    let manager = SessionManager(idleTimeout: .seconds(60))
    let session = Session(id: "a")
    manager.register(session)
    #expect(manager.session(id: "a") === session)
    #expect(manager.session(id: "b") == nil)
    #expect(session.id == "a")
    #expect(session.workspaceID == "")
  }

  @Test("A manager returns a forgotten session once")
  func forget() {
    let manager = SessionManager(idleTimeout: .seconds(60))
    let session = Session(id: "a")
    manager.register(session)
    #expect(manager.forget(id: "a") === session)
    #expect(manager.session(id: "a") == nil)
    #expect(manager.forget(id: "a") == nil)
  }

  @Test("A read since a seq returns the chunks after it")
  func outputSinceASeq() {
    let session = Session()
    session.append("hello".utf8, to: .stdout)
    session.append("world".utf8, to: .stderr)
    let all = session.output()
    #expect(all.texts == ["hello", "world"])
    #expect(all.chunks.map(\.stream) == [.stdout, .stderr])
    #expect(all.exitCode == nil)
    #expect(all.isAlive)
    let later = session.output(since: 1)
    #expect(later.texts == ["world"])
    #expect(later.chunks.first?.stream == .stderr)
    #expect(later.chunks.first?.seq == 2)
  }

  @Test("A session retains no more than its capacity, and counts the lost bytes")
  func bufferStaysUnderTheCap() {
    let session = Session()
    session.append(zeros(600_000), to: .stdout)
    session.append(zeros(600_000), to: .stdout)
    let output = session.output()
    #expect(output.chunks.payload.count <= Session.maxBufferBytes)
    #expect(output.chunks.map(\.seq) == [2])
    #expect(session.lostBytes == 600_000)
    #expect(output.lostBytes == 600_000)
  }

  @Test("A session that exited returns its exit code and its output")
  func exit() {
    let session = Session()
    session.append("x".utf8, to: .stdout)
    session.setExit(3)
    let output = session.output()
    #expect(output.exitCode == 3)
    #expect(!output.isAlive)
    #expect(output.texts == ["x"])
  }

  @Test("A sweep drops an idle session and keeps a busy one")
  func idleSessionIsSwept() {
    let time = ManualTime()
    let manager = SessionManager(idleTimeout: .milliseconds(50))
    let idle = Session(id: "idle", time: time)
    let busy = Session(id: "busy", time: time)
    manager.register(idle)
    manager.register(busy)
    time.advance(by: .milliseconds(40))
    busy.append("x".utf8, to: .stdout)
    time.advance(by: .milliseconds(20))
    #expect(manager.sweep().map(\.id) == ["idle"])
    #expect(manager.session(id: "idle") == nil)
    #expect(manager.session(id: "busy") === busy)
  }

  @Test("A sweep by the system's clock drops an idle session")
  func idleSessionIsSweptByTheSystemsClock() async throws {
    let manager = SessionManager(idleTimeout: .milliseconds(50))
    manager.register(Session(id: "idle"))
    try await Task.sleep(for: .milliseconds(120))
    #expect(manager.sweep().map(\.id) == ["idle"])
    #expect(manager.count == 0)
    // A timeout that cannot have passed yet.
    let patient = SessionManager(idleTimeout: .seconds(3_600))
    patient.register(Session(id: "idle"))
    #expect(patient.sweep().isEmpty)
  }
}
