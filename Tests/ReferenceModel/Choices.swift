/// Where a script's choices come from: chance, or the bytes of a fuzzer.
package protocol Choices {
  /// A number from 0 to `bound - 1`.
  mutating func below(_ bound: Int) -> Int

  /// Whether all that follows would be the same.
  var isEmpty: Bool { get }
}

extension Choices {
  /// A number in a range, both ends included.
  package mutating func within(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + below(range.count)
  }

  /// True once in `bound` times.
  package mutating func oneIn(_ bound: Int) -> Bool { below(bound) == 0 }

  package mutating func pick<Element>(_ elements: [Element]) -> Element {
    elements[below(elements.count)]
  }
}

/// Choices made by bytes, such as a fuzzer's: every sequence of bytes is one of choices, a change
/// in one place of the one is a change in one place of the other, and 0 when there are no more.
package struct ByteChoices: Choices {
  private var bytes: ArraySlice<UInt8>

  package init(_ bytes: some Collection<UInt8>) { self.bytes = Array(bytes)[...] }

  package var isEmpty: Bool { bytes.isEmpty }

  package mutating func below(_ bound: Int) -> Int {
    var value = 0
    // As few bytes as there is need for.
    var reach = 1
    while reach < bound {
      value = value << 8 | Int(bytes.popFirst() ?? 0)
      reach <<= 8
    }
    return value % bound
  }
}
