/// A session's exit and close state, in the one word that the ring keeps for its owner.
///
/// ```
///  63            34 33       32      31                    0
///  ┌───────────────┬────────┬────────┬──────────────────────┐
///  │ version       │ closed │ exited │ exit code            │
///  └───────────────┴────────┴────────┴──────────────────────┘
/// ```
///
/// The version grows with every change. So a reader notices a change between two loads even if the
/// state is the same at both.
struct SessionStatus {
  private(set) var word: UInt64

  private static let exited: UInt64 = 1 << 32
  private static let closed: UInt64 = 1 << 33
  private static let version: UInt64 = 1 << 34

  var exitCode: Int32? {
    word & Self.exited == 0 ? nil : Int32(truncatingIfNeeded: word)
  }

  var isClosed: Bool { word & Self.closed != 0 }

  mutating func exit(_ code: Int32) {
    word = word & ~0xffff_ffff | UInt64(UInt32(bitPattern: code)) | Self.exited
    word &+= Self.version
  }

  mutating func close() {
    word |= Self.closed
    word &+= Self.version
  }
}
