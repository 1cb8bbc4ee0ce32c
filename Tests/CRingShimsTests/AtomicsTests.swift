import CRingShims
import Foundation
import Testing

/// Each shim on one thread, and the atomicity of read-modify-write on several. The order that they
/// guarantee is the model checker's subject: no run of a test can show it.
@Suite struct AtomicsTests {
  @Test("Loads return what was stored, and stores change one word alone")
  func loadsAndStores() {
    var words: [UInt64] = [1, 2, 3]
    unsafe words.withUnsafeMutableBufferPointer { words in
      let middle = unsafe words.baseAddress! + 1
      unsafe ring_store_relaxed(middle, .max)
      #expect(unsafe ring_load_relaxed(middle) == .max)
      unsafe ring_store_release(middle, 0x0123_4567_89ab_cdef)
      #expect(unsafe ring_load_acquire(middle) == 0x0123_4567_89ab_cdef)
      ring_fence_release()
      ring_fence_acquire()
    }
    #expect(words == [1, 0x0123_4567_89ab_cdef, 3])
  }

  @Test("A compare-exchange stores only if the word has the expected value")
  func compareExchange() {
    var word: UInt64 = 5
    #expect(unsafe !ring_compare_exchange_acquire(&word, 4, 9))
    #expect(word == 5)
    #expect(unsafe ring_compare_exchange_acquire(&word, 5, 9))
    #expect(word == 9)
  }

  @Test("Concurrent compare-exchanges lose no update")
  func compareExchangeIsAtomic() {
    let word = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
    unsafe word.initialize(to: 0)
    defer { unsafe word.deallocate() }
    let address = UInt(bitPattern: word)
    DispatchQueue.concurrentPerform(iterations: 4) { _ in
      let word = unsafe UnsafeMutablePointer<UInt64>(bitPattern: address)!
      for _ in 0..<20_000 {
        while true {
          let value = unsafe ring_load_relaxed(word)
          if unsafe ring_compare_exchange_acquire(word, value, value + 1) { break }
        }
      }
    }
    #expect(unsafe ring_load_relaxed(word) == 80_000)
  }

  #if os(Linux)
    @Test("A pipe has the flags that it was made with, and invalid flags are an error")
    func pipe() {
      var ends: [Int32] = [-1, -1]
      #expect(unsafe ring_pipe2(&ends, O_CLOEXEC | O_NONBLOCK) == 0)
      for end in ends {
        #expect(end >= 0)
        #expect(fcntl(end, F_GETFD) & FD_CLOEXEC != 0)
        #expect(fcntl(end, F_GETFL) & O_NONBLOCK != 0)
        close(end)
      }
      // The flags are checked by the kernel, and its refusal is passed on.
      #expect(unsafe ring_pipe2(&ends, -1) == -1)
      #expect(errno == EINVAL)
    }
  #endif
}
