/// One step of a script in which a ring's producer goes on between the steps of a read: what two
/// threads may do to each other, on one.
package enum InterleavedOperation: Codable, Equatable, Sendable {
  case write(Write)
  /// A read from a seq, or from the cursor at that seq.
  case read(Place, byCursor: Bool, maxBytes: Int?, [Burst])
  /// A reader goes on where its last read ended.
  case resume(maxBytes: Int?, [Burst])
}

/// One thing that the producer does.
package enum Write: Codable, Equatable, Sendable {
  case append(Length)
  case appendGroup([Length])
  case reserve(Length, Filling)
  case setExit(Int32, closing: Bool)
}

/// What the producer does at one step of a read, or from there on at each.
package struct Burst: Codable, Equatable, Sendable {
  package var step: Int
  package var isRepeated: Bool
  package var writes: [Write]

  func happens(at index: Int) -> Bool { isRepeated ? index >= step : index == step }
}

extension InterleavedOperation {
  /// What the producer does meanwhile.
  var bursts: [Burst] {
    get {
      switch self {
      case .write: []
      case .read(_, _, _, let bursts), .resume(_, let bursts): bursts
      }
    }
    set {
      switch self {
      case .write: break
      case .read(let place, let byCursor, let maxBytes, _):
        self = .read(place, byCursor: byCursor, maxBytes: maxBytes, newValue)
      case .resume(let maxBytes, _): self = .resume(maxBytes: maxBytes, newValue)
      }
    }
  }

  var writes: [Write] {
    if case .write(let write) = self { [write] } else { bursts.flatMap(\.writes) }
  }
}

/// Takes out of a failing script's bursts what it does not need to fail.
func shrinkBursts(
  of operations: [InterleavedOperation], _ run: ([InterleavedOperation]) -> Difference?
) -> [InterleavedOperation] {
  var shortest = operations
  func attempt(_ change: (inout [InterleavedOperation]) -> Void) {
    var candidate = shortest
    change(&candidate)
    if run(candidate) != nil { shortest = candidate }
  }
  for index in shortest.indices {
    for burst in shortest[index].bursts.indices.reversed() {
      attempt { $0[index].bursts.remove(at: burst) }
      guard burst < shortest[index].bursts.count else { continue }
      for write in shortest[index].bursts[burst].writes.indices.reversed() {
        attempt { $0[index].bursts[burst].writes.remove(at: write) }
      }
    }
  }
  return shortest
}
