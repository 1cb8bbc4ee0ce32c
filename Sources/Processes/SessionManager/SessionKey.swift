#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A session's id, compared and hashed as its bytes.
///
/// Strings are equal when they are canonically equivalent, as "é" composed and decomposed are. Ids
/// are equal when their bytes are.
package struct SessionKey: Hashable, Sendable {
  private let id: String

  package init(_ id: String) { self.id = id }

  package static func == (left: SessionKey, right: SessionKey) -> Bool {
    // Byte by byte takes longer than all the rest of a look-up.
    let areEqual = unsafe left.id.utf8.withContiguousStorageIfAvailable { left in
      unsafe right.id.utf8.withContiguousStorageIfAvailable { right in
        guard left.count == right.count else { return false }
        guard let first = left.baseAddress, let second = right.baseAddress else { return true }
        return unsafe memcmp(first, second, left.count) == 0
      }
    }
    return (areEqual ?? nil) ?? left.id.utf8.elementsEqual(right.id.utf8)
  }

  package func hash(into hasher: inout Hasher) {
    let done: Void? = unsafe id.utf8.withContiguousStorageIfAvailable { bytes in
      unsafe hasher.combine(bytes: UnsafeRawBufferPointer(bytes))
    }
    if done == nil { for byte in id.utf8 { hasher.combine(byte) } }
  }
}
