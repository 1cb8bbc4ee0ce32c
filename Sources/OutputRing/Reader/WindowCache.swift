import CRingShims

/// The part of a ring that is retained, as of one published seq.
struct Window {
  /// The newest published seq.
  var newest: Int
  /// Where it ends: the bytes appended so far.
  var end: Int
  /// The oldest retained seq; `newest + 1` if an append in flight is overwriting all of them.
  var head: Int
  /// The bytes no longer retained: where the head begins.
  var lost: Int

  static let empty = Window(newest: 0, end: 0, head: 1, lost: 0)
}

/// Where the retained window begins, noted by whichever reader searched for it last.
///
/// The window is a function of the newest seq alone, so a note for that seq spares a reader with
/// nothing to read all searching, whatever the number of chunks; and a note for an older seq is
/// where the next search starts, because the head never moves back.
///
/// A sequence lock whose writers do not wait: a reader that finds another one writing goes without.
@safe
struct WindowCache: @unchecked Sendable {
  private let version: UnsafeMutablePointer<UInt64>
  private let words: UnsafeMutablePointer<UInt64>

  init(at address: UnsafeMutableRawPointer) {
    unsafe version = address.assumingMemoryBound(to: UInt64.self)
    unsafe words = version + 1
  }

  /// The last note, or nil if one is being written right now.
  @inline(__always)
  func load() -> Window? {
    let before = unsafe ring_load_acquire(version)
    let window = unsafe Window(
      newest: Int(truncatingIfNeeded: ring_load_relaxed(words)),
      end: Int(truncatingIfNeeded: ring_load_relaxed(words + 1)),
      head: Int(truncatingIfNeeded: ring_load_relaxed(words + 2)),
      lost: Int(truncatingIfNeeded: ring_load_relaxed(words + 3)))
    ring_fence_acquire()
    guard before & 1 == 0, unsafe ring_load_relaxed(version) == before else { return nil }
    return window
  }

  /// Notes a window, unless another reader is writing or the note there is newer.
  func store(_ window: Window) {
    let before = unsafe ring_load_relaxed(version)
    guard before & 1 == 0, unsafe ring_compare_exchange_acquire(version, before, before &+ 1)
    else { return }
    if unsafe Int(ring_load_relaxed(words)) < window.newest {
      // The words must not become visible before the odd version does.
      ring_fence_release()
      unsafe ring_store_relaxed(words, UInt64(truncatingIfNeeded: window.newest))
      unsafe ring_store_relaxed(words + 1, UInt64(truncatingIfNeeded: window.end))
      unsafe ring_store_relaxed(words + 2, UInt64(truncatingIfNeeded: window.head))
      unsafe ring_store_relaxed(words + 3, UInt64(truncatingIfNeeded: window.lost))
    }
    unsafe ring_store_release(version, before &+ 2)
  }

  /// The most that any read has called lost; never less than what a reader was told before.
  var lostTold: Int { unsafe Int(ring_load_relaxed(words + 4)) }

  /// Notes what a read is about to call lost.
  ///
  /// A window is not always noted, and a read that is overtaken knows of more loss than its window;
  /// a later read that has to give up must not say less.
  @inline(__always)
  func tell(lost: Int) {
    var told = unsafe ring_load_relaxed(words + 4)
    // Tried again only if another reader raised it meanwhile.
    while told < UInt64(lost), unsafe !ring_compare_exchange_acquire(words + 4, told, UInt64(lost))
    {
      told = unsafe ring_load_relaxed(words + 4)
    }
  }
}
