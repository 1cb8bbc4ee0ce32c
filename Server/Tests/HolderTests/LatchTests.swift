import HolderProtocol
import Testing

@Suite("Latches", .timeLimit(.minutes(10)))
struct LatchTests {
  /// One task alone, so that another thread is free for what counts the time.
  @Test("A wait whose time is up at once ends", arguments: [Duration.zero, .nanoseconds(1)])
  func noTime(limit: Duration) async {
    for _ in 0..<20_000 { #expect(!(await Latch().wait(upTo: limit))) }
  }

  @Test("A wait ends when its task is cancelled, also before it begins")
  func cancellation() async {
    for isEarly in [false, true] {
      let latch = Latch()
      let task = Task {
        while isEarly, !Task.isCancelled { await Task.yield() }
        return await latch.wait()
      }
      if !isEarly { await Task.yield() }
      task.cancel()
      #expect(await task.value == false)
    }
  }

  @Test("Opening a latch ends all waits, and later ones at once")
  func opening() async {
    let latch = Latch()
    await withTaskGroup { group in
      for index in 0..<100 {
        group.addTask { await latch.wait(upTo: index % 2 == 0 ? nil : .seconds(3_600)) }
      }
      await Task.yield()
      latch.open()
      for await isOpen in group { #expect(isOpen) }
    }
    #expect(await latch.wait())
    #expect(await latch.wait(upTo: .zero))
  }
}
