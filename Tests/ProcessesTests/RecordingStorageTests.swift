import Foundation
import OutputRing
import Processes
import ReferenceModel
import Testing

/// Recordings on full and limited file systems, of other machines, and with very many readers.
@Suite struct RecordingStorageTests {
  private let temporary = TemporaryDirectory()
  private var path: String { temporary.path + "/a.ring" }

  // MARK: Readers

  /// The recording that producer and readers of the test below agree on.
  private static let stress: Stress = {
    var stress = Stress(
      chunks: 20_000, geometry: .session(capacity: 200_000), largest: 300_000)
    stress.exitInterval = 256
    return stress
  }()

  /// Reads a recording to its end; returns what is wrong with it, if anything is.
  private static func follow(_ path: String) async throws -> String? {
    let recording = try RecordedSession(at: path)
    var checker = Stress.Checker(stress: stress, account: Stress.Account(habit: .waiting))
    for await output in recording.outputs() {
      if output.isDamaged { checker.fail("damaged") }
      guard checker.accept(Observed(output)) else { break }
    }
    if checker.seq != stress.chunks { checker.fail("ended at \(checker.seq)") }
    return checker.account.complaint
  }

  @Test(
    "[recording-readers] A hundred readers here, and some in other programs, follow one recording"
  )
  func hundredReaders() async throws {
    let stress = Self.stress
    let session = try Session(recordingTo: path, capacity: stress.geometry.capacity)
    let directory = temporary
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<100 {
        group.addTask { [path] in
          let complaint = try await Self.follow(path)
          #expect(complaint == nil)
        }
      }
      for index in 0..<4 {
        group.addTask { [path] in
          await #expect(processExitsWith: .success) {
            [path = path as String, index = index as Int] in
            let marker = path + ".reader\(index)"
            #expect(FileManager.default.createFile(atPath: marker, contents: nil))
            let complaint = try await Self.follow(path)
            #expect(complaint == nil)
          }
        }
      }
      group.addTask {
        // On a thread of its own: there may be one alone for tasks, and the producer blocks it.
        await withCheckedContinuation { continuation in
          Thread.detachNewThread {
            stress.produce(on: SessionSubject(session)) { seq in
              // The other programs have begun to read before the second half is written.
              if seq == stress.chunks / 2 { while directory.names.count < 5 { usleep(1_000) } }
            }
            continuation.resume()
          }
        }
      }
      try await group.waitForAll()
    }
  }

  // MARK: Room

  @Test(
    "[recording-file] A full disk is an error at creation, leaves nothing, and is no signal later"
  )
  func fullDisk() throws {
    let disk = TemporaryDirectory()
    guard mountDisk(at: disk.path, size: "1m") else {
      try Test.cancel("mounting a file system is not permitted here")
    }
    defer { unmountDisk(at: disk.path) }
    let path = disk.path + "/a.ring"
    let error = #expect(throws: RingFileError.self) { _ = try Session(recordingTo: path) }
    #expect(error?.reason == .system("posix_fallocate", ENOSPC))
    #expect(error?.description.contains("there is no room for") == true)
    #expect(disk.names == [])

    // What fits is made; with not a byte left beside it, it is written again and again.
    let session = try Session(recordingTo: path, capacity: 100_000)
    let rest = disk.path + "/rest"
    #expect(FileManager.default.createFile(atPath: rest, contents: nil))
    let file = unsafe open(rest, O_WRONLY)
    defer { close(file) }
    let page = zeros(4_096)
    while unsafe write(file, page, page.count) > 0 {}
    #expect(throws: RingFileError.self) {
      _ = try Session(recordingTo: disk.path + "/b.ring", capacity: 1)
    }
    for seq in 1...300 { session.append(Stamp.bytes(1_000, at: (seq - 1) * 1_000), to: .stdout) }
    let output = try RecordedSession(at: path).output()
    #expect(output.chunks.count == 100)
    #expect(Array(output.chunks.payload) == Stamp.bytes(100_000, at: 200_000))
  }

  /// Mounts an empty file system in memory; returns whether it did.
  private func mountDisk(at path: String, size: String) -> Bool {
    #if os(Linux)
      unsafe mount("tmpfs", path, "tmpfs", 0, "size=\(size)") == 0
    #else
      false
    #endif
  }

  private func unmountDisk(at path: String) {
    #if os(Linux)
      #expect(unsafe umount2(path, Int32(MNT_DETACH)) == 0)
    #endif
  }

  @Test("A limit on the size of files is an error at creation, and not a signal")
  func fileSizeLimit() async throws {
    await #expect(processExitsWith: .success) { [path = path as String] in
      // The main thread would get the signal; this one blocks most.
      signal(SIGXFSZ, SIG_DFL)
      var signals = sigset_t()
      unsafe sigemptyset(&signals)
      unsafe sigaddset(&signals, SIGXFSZ)
      #expect(unsafe pthread_sigmask(SIG_UNBLOCK, &signals, nil) == 0)
      var limit = rlimit(rlim_cur: 1 << 20, rlim_max: 1 << 40)
      #if canImport(Darwin) || canImport(Musl)
        #expect(unsafe setrlimit(RLIMIT_FSIZE, &limit) == 0)
      #else
        #expect(unsafe setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
      #endif
      #expect(throws: RingFileError(path, .system("posix_fallocate", EFBIG))) {
        _ = try Session(recordingTo: path)
      }
      // What the limit allows is made.
      _ = try Session(recordingTo: path, capacity: 100_000)
    }
    #expect(temporary.names == ["a.ring"])
  }

  // MARK: Other machines

  @Test("A recording whose words have another byte order is refused")
  func otherByteOrder() throws {
    try Session(recordingTo: path, capacity: 1_000).close()
    var bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
    // All but the metadata and the payload are words.
    for word in stride(from: 0, to: 384, by: 8) { bytes[word..<word + 8].reverse() }
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    let error = #expect(throws: RingFileError.self) { _ = try RecordedSession(at: path) }
    #expect(error?.reason == .otherByteOrder)
    #expect(error?.description.contains("byte order") == true)
  }
}
