/// Which of a process's two output streams a chunk was written to.
public enum StandardStream: String, Sendable, Codable, CaseIterable {
  /// Descriptor 1.
  case stdout
  /// Descriptor 2.
  case stderr
}

extension StandardStream {
  /// The bit that the ring keeps with each chunk.
  @inlinable var tag: Bool { self == .stderr }

  init(tag: Bool) { self = tag ? .stderr : .stdout }
}
