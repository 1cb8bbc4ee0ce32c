import Foundation
import OutputRing
import ReferenceModel
import Testing

@testable import Processes

/// A directory of recordings: what is listed, and what a sweep removes and leaves.
@Suite struct RecordingDirectoryTests {
  private let temporary = TemporaryDirectory()
  private var directory: RecordingDirectory { RecordingDirectory(temporary.path) }

  private func path(_ name: String) -> String { temporary.path + "/" + name }

  private func record(_ name: String) throws -> Session {
    try Session(
      recordingTo: path(name), id: name, workspaceID: "tests", capacity: 1_000,
      command: ["make", name])
  }

  /// Makes a recording that ended.
  private func recordEnded(_ name: String) throws {
    let session = try record(name)
    session.append("output of \(name)")
    session.setExit(0)
  }

  private func write(_ bytes: [UInt8], to name: String) {
    #expect(FileManager.default.createFile(atPath: path(name), contents: Data(bytes)))
  }

  /// Stores a word in a file.
  private func put(_ word: UInt64, at byte: Int, in name: String) throws {
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: path(name)))
    try file.seek(toOffset: UInt64(byte))
    try file.write(contentsOf: unsafe withUnsafeBytes(of: word) { unsafe Data($0) })
    try file.close()
  }

  /// Sets when a file was written last.
  private func setAge(of name: String, to age: TimeInterval) throws {
    try FileManager.default.setAttributes(
      [.modificationDate: Date(timeIntervalSinceNow: -age)], ofItemAtPath: path(name))
  }

  // MARK: Listing

  @Test("A directory lists its recordings in the order in which they began, with their state")
  func lists() throws {
    let before = RecordingInfo.wallClock
    let running = try record("c.ring")
    running.append("output")
    try recordEnded("b.ring")
    var abandoned: Session? = try record("a.ring")
    abandoned!.append("last words")
    abandoned = nil

    let contents = try directory.contents()
    #expect(contents.errors == [])
    #expect(contents.recordings.map(\.path) == ["c.ring", "b.ring", "a.ring"].map(path))
    #expect(contents.recordings.map(\.state) == [.recording, .ended, .abandoned])
    #expect(contents.recordings.map(\.info.id) == ["c.ring", "b.ring", "a.ring"])
    #expect(
      contents.recordings.map(\.info.command) == ["c", "b", "a"].map { ["make", "\($0).ring"] })
    for recording in contents.recordings {
      #expect(recording.lastActivity >= recording.info.start)
      #expect(recording.lastActivity >= before)
      #expect(recording.lastActivity <= RecordingInfo.wallClock)
      let attributes = try FileManager.default.attributesOfItem(atPath: recording.path)
      #expect(attributes[.size] as? Int == recording.fileSize)
    }
    let attached = try RecordedSession(at: contents.recordings[2].path)
    #expect(attached.output().chunks.map(\.data.description) == ["last words"])
    #expect(running.lastSeq == 1)
  }

  @Test("Recordings that began at the same moment are listed by name")
  func listsByName() throws {
    for name in ["c", "a", "d", "b"] { try recordEnded(name) }
    let start = Array("start=".utf8)
    for name in ["c", "a", "d", "b"] {
      var bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path(name))))
      let place = bytes.indices.first { bytes[$0...].starts(with: start) }!
      for digit in bytes[place...].firstRange(of: start)!.upperBound..<bytes.endIndex {
        guard bytes[digit] != 0 else { break }
        bytes[digit] = UInt8(ascii: "1")
      }
      try Data(bytes).write(to: URL(fileURLWithPath: path(name)))
    }
    #expect(try directory.contents().recordings.map(\.info.id) == ["a", "b", "c", "d"])
  }

  @Test("An empty directory has no recordings, and a slash at its end changes nothing")
  func empty() throws {
    #expect(try directory.contents() == RecordingDirectory.Contents())
    try recordEnded("a.ring")
    let directory = RecordingDirectory(temporary.path + "/")
    #expect(try directory.contents().recordings.map(\.path) == [path("a.ring")])
  }

  @Test("A directory that is missing is an error that names it")
  func missing() throws {
    let directory = RecordingDirectory(path("none"))
    let error = RingFileError(path("none"), .system("opendir", ENOENT))
    #expect(throws: error) { _ = try directory.contents() }
    #expect(throws: error) { try directory.sweep(endedLongerAgoThan: .zero) }
    #expect(error.description.contains("none"))
    // The system would list what is named before the zero byte.
    #expect(throws: RingFileError.self) {
      _ = try RecordingDirectory(temporary.path + "\0").contents()
    }
  }

  /// Makes one of each thing that is no recording; returns their names.
  private func makeOthers() throws -> [String] {
    write(
      Array("just text, and longer than the header of a ring: ".utf8) + zeros(1_000), to: "text")
    write([], to: "empty")
    write([1], to: "short")
    #expect(unsafe mkfifo(path("fifo"), 0o600) == 0)
    #expect(unsafe mkdir(path("directory"), 0o700) == 0)
    #expect(unsafe symlink("/dev/zero", path("device")) == 0)
    #expect(unsafe symlink("nowhere", path("dangling")) == 0)
    // A ring without what makes it a recording.
    var ring = try RingWriter(
      recordingTo: path("ring"), RingLayout(capacity: 100), metadata: Array("mine".utf8))
    ring.append([1])
    return ["text", "empty", "short", "fifo", "directory", "device", "dangling", "ring"]
  }

  @Test("Files that are no recordings are not listed and not swept, nor are symbolic links")
  func others() throws {
    let others = try makeOthers()
    let target = TemporaryDirectory()
    let elsewhere = target.path + "/elsewhere.ring"
    try Session(recordingTo: elsewhere, capacity: 100).close()
    #expect(unsafe symlink(elsewhere, path("link")) == 0)
    #expect(try directory.contents() == RecordingDirectory.Contents())
    let sweep = try directory.sweep(endedLongerAgoThan: .seconds(-10))
    #expect(sweep == RecordingDirectory.Sweep())
    #expect(temporary.names == (others + ["link"]).sorted())
    #expect(target.names == ["elsewhere.ring"])
  }

  @Test("A file that cannot be read is reported, never removed, and the others are found")
  func unreadable() throws {
    for name in ["a", "version", "order", "cut", "unfinished"] { try recordEnded(name) }
    try put(3, at: 8, in: "version")
    try put(UInt64(0x676e_6972_7475_6f31).byteSwapped, at: 0, in: "order")
    #expect(unsafe truncate(path("cut"), 5_000) == 0)
    try put(0, at: 0, in: "unfinished")
    let reasons: [String: RingFileError.Reason] = [
      "version": .otherVersion(3), "order": .otherByteOrder, "cut": .damagedHeader,
      "unfinished": .unfinished,
    ]
    let errors = Set(reasons.map { RingFileError(path($0.key), $0.value) })

    let contents = try directory.contents()
    #expect(contents.recordings.map(\.info.id) == ["a"])
    #expect(Set(contents.errors) == errors)
    let sweep = try directory.sweep(endedLongerAgoThan: .seconds(-10))
    #expect(sweep.removed == [path("a")])
    #expect(Set(sweep.errors) == errors)
    #expect(temporary.names == reasons.keys.sorted())
  }

  @Test("A file whose name is no text is reported, and the others are found")
  func noText() throws {
    try recordEnded("a")
    try recordEnded("b")
    let bytes = path("").utf8.map(CChar.init(bitPattern:)) + [CChar(bitPattern: 0xff), 0]
    #expect(unsafe rename(path("b"), bytes) == 0)
    let contents = try directory.contents()
    #expect(contents.recordings.map(\.info.id) == ["a"])
    #expect(contents.errors.map(\.reason) == [.system("readdir", EILSEQ)])
    let sweep = try directory.sweep(endedLongerAgoThan: .seconds(-10))
    #expect(sweep.removed == [path("a")])
    #expect(sweep.errors == contents.errors)
  }

  @Test("Listing and sweeping need one descriptor at a time, however many files there are")
  func manyFiles() async throws {
    for index in 0..<60 { try recordEnded("\(index)") }
    await #expect(processExitsWith: .success) { [path = temporary.path as String] in
      var limit = rlimit(rlim_cur: 40, rlim_max: 40)
      #if canImport(Darwin) || canImport(Musl)
        #expect(unsafe setrlimit(RLIMIT_NOFILE, &limit) == 0)
      #else
        #expect(unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
      #endif
      let directory = RecordingDirectory(path)
      let contents = try directory.contents()
      #expect(contents.recordings.count == 60)
      #expect(contents.errors == [])
      #expect(try directory.sweep(endedLongerAgoThan: .seconds(-10)).removed.count == 60)
    }
    #expect(temporary.names == [])
  }

  // MARK: Sweeping

  @Test(
    "[recording-sweep] A sweep removes what ended or was abandoned, and not what is being written")
  func sweeps() throws {
    let running = try record("running")
    running.setExit(1, closing: false)
    try recordEnded("ended")
    _ = try record("abandoned")
    // Closed, and still open in the program that recorded it.
    let closed = try record("closed")
    closed.close()

    let sweep = try directory.sweep(endedLongerAgoThan: .seconds(-10))
    #expect(sweep.removed == ["abandoned", "closed", "ended"].map(path))
    #expect(sweep.errors == [])
    #expect(temporary.names == ["running"])
    // Neither is disturbed.
    running.append("goes on")
    closed.append("late")
    #expect(try RecordedSession(at: path("running")).output().chunks.count == 1)
    #expect(closed.output().chunks.count == 1)
  }

  @Test("A recording stays as long as its last activity is not longer ago than the limit")
  func limit() throws {
    try recordEnded("a")
    let start = try RecordedSession(at: path("a")).info.start
    // The second of the owner's notes.
    let nanoseconds = UInt64((start + .seconds(3_600)) / .nanoseconds(1))
    try put(nanoseconds, at: 256 + 8, in: "a")
    let last = try RecordedSession(at: path("a")).lastActivity
    #expect(last == .nanoseconds(nanoseconds))
    func sweep(at now: Duration) throws -> [String] {
      try directory.sweep(endedLongerAgoThan: .seconds(60), at: now) { _ in }.removed
    }
    #expect(try sweep(at: last) == [])
    #expect(try sweep(at: last + .seconds(60)) == [])
    // The wall clock was set back.
    #expect(try sweep(at: .zero) == [])
    #expect(try sweep(at: last + .seconds(60) + .nanoseconds(1)) == [path("a")])
  }

  @Test("A limit of any length is one")
  func extremeLimits() throws {
    try recordEnded("a")
    for limit in [Duration.seconds(1 << 62), .seconds(1 << 40)] {
      #expect(try directory.sweep(endedLongerAgoThan: limit).removed == [])
    }
    let limit = Duration.seconds(-(1 << 62))
    #expect(try directory.sweep(endedLongerAgoThan: limit).removed == [path("a")])
  }

  @Test("What is left of creation is swept after a minute, if its maker is gone and it is a ring's")
  func leftovers() throws {
    // Killed before it had a size, before it had a header, and before the second name was gone.
    write([], to: ".ring.aaaaaa")
    write(zeros(10_000), to: ".ring.bbbbbb")
    try recordEnded("a")
    #expect(unsafe link(path("a"), path(".ring.cccccc")) == 0)
    // Still being made.
    let running = try record("running")
    #expect(unsafe link(path("running"), path(".ring.dddddd")) == 0)
    // Not made by this library.
    write(
      Array("a text that is as long as the header of a ring or longer".utf8) + zeros(400),
      to: ".ring.backup")
    write(Array("short".utf8), to: ".ring.notes1")
    write([], to: ".ring.eeeeeee")
    write([], to: ".ringaaaaaaa")
    #expect(unsafe mkfifo(path(".ring.ffffff"), 0o600) == 0)
    let left = [".ring.aaaaaa", ".ring.bbbbbb", ".ring.cccccc"]
    let other = [
      ".ring.dddddd", ".ring.backup", ".ring.notes1", ".ring.eeeeeee", ".ringaaaaaaa",
    ]

    // They are not recordings yet, nor once more.
    #expect(try directory.contents().recordings.map(\.info.id) == ["a", "running"])
    for name in left + other { try setAge(of: name, to: 55) }
    #expect(try directory.sweep(endedLongerAgoThan: .seconds(30)).removed == [])
    for name in left + other { try setAge(of: name, to: 65) }
    #expect(try directory.sweep(endedLongerAgoThan: .seconds(100)).removed == [])
    let sweep = try directory.sweep(endedLongerAgoThan: .seconds(30))
    #expect(sweep.removed == left.map(path))
    #expect(sweep.errors == [])
    #expect(temporary.names == (other + [".ring.ffffff", "a", "running"]).sorted())
    #expect(running.lastSeq == 0)
  }

  @Test("A file that was replaced under its name since it was looked at is not removed")
  func replaced() throws {
    try recordEnded("a")
    let sweep = try directory.sweep(
      endedLongerAgoThan: .seconds(-10), at: RecordingInfo.wallClock
    ) { path in
      unsafe unlink(path)
      do { try recordEnded("a") } catch { Issue.record(error) }
    }
    #expect(sweep == RecordingDirectory.Sweep())
    #expect(temporary.names == ["a"])
  }

  @Test("A file that another sweep removes first is no error, and is not counted twice")
  func gone() throws {
    for name in ["a", "b"] { try recordEnded(name) }
    let sweep = try directory.sweep(
      endedLongerAgoThan: .seconds(-10), at: RecordingInfo.wallClock
    ) { path in
      if path.hasSuffix("a") { unsafe unlink(path) }
    }
    #expect(sweep.removed == [path("b")])
    #expect(sweep.errors == [])
  }

  @Test("Sweeps, listings and creations at the same time do not disturb each other")
  func atTheSameTime() async throws {
    for index in 0..<100 { try recordEnded("old\(index)") }
    let directory = directory
    let removed = try await withThrowingTaskGroup(of: [String].self) { group in
      for _ in 0..<4 {
        group.addTask {
          let sweep = try directory.sweep(endedLongerAgoThan: .seconds(-10))
          #expect(sweep.errors == [])
          return sweep.removed
        }
      }
      group.addTask {
        for _ in 0..<20 {
          let contents = try directory.contents()
          #expect(contents.errors == [])
        }
        return []
      }
      group.addTask {
        for index in 0..<100 {
          let session = try record("new\(index)")
          session.append("output")
          #expect(try RecordedSession(at: path("new\(index)")).state == .recording)
        }
        return []
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    let old = removed.filter { $0.contains("old") }
    #expect(old.count == 100)
    #expect(Set(removed).count == removed.count)
  }

  @Test("A reader of a recording that is removed reads on")
  func readerStays() throws {
    try recordEnded("a")
    let attached = try RecordedSession(at: path("a"))
    #expect(try directory.sweep(endedLongerAgoThan: .seconds(-10)).removed == [path("a")])
    #expect(attached.output().chunks.map(\.data.description) == ["output of a"])
    #expect(attached.state == .ended)
  }

  @Test("A file that may not be read, or not be removed, is reported")
  func forbidden() async throws {
    try recordEnded("root")
    #expect(unsafe chmod(path("root"), 0) == 0)
    #expect(unsafe chmod(temporary.path, 0o755) == 0)
    await #expect(processExitsWith: .success) { [path = temporary.path as String] in
      // Root may read everything, so the test needs an ordinary user.
      if geteuid() == 0 { #expect(setuid(65_534) == 0) }
      let secret = RingFileError(path + "/root", .system("open", EACCES))
      #expect(try RecordingDirectory(path).contents().errors == [secret])
      #expect(try RecordingDirectory(path).sweep(endedLongerAgoThan: .zero).errors == [secret])

      let own = TemporaryDirectory()
      try Session(recordingTo: own.path + "/a", capacity: 100).close()
      #expect(unsafe chmod(own.path, 0o500) == 0)
      let sweep = try RecordingDirectory(own.path).sweep(endedLongerAgoThan: .seconds(-10))
      #expect(sweep.removed == [])
      #expect(sweep.errors == [RingFileError(own.path + "/a", .system("unlink", EACCES))])
      #expect(own.names == ["a"])
      #expect(unsafe chmod(own.path, 0o700) == 0)
    }
  }
}
