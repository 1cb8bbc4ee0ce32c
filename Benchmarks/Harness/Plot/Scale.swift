import Foundation

/// Where on an axis a value lies, and which values are marked.
package struct Scale {
  package enum Kind: Sendable { case linear, logarithmic }

  package let kind: Kind
  package let low: Double
  package let high: Double
  package let ticks: [Double]

  /// A scale that covers values, from one round number to another.
  ///
  /// A linear one begins at zero. A logarithmic one leaves out what is not positive.
  ///
  /// - Parameter isBinary: Round numbers are powers of two, as suits counts of bytes.
  package init(_ kind: Kind, covering values: [Double], isBinary: Bool = false) {
    self.kind = kind
    let values = values.filter { $0.isFinite && (kind == .linear || $0 > 0) }
    switch kind {
    case .linear:
      low = 0
      // Whatever is all zero has an axis too.
      let top = max(values.max() ?? 1, 1e-9)
      let step = isBinary ? Self.powerOfTwo(top / 5, .up) : Self.step(for: top / 5)
      high = (top / step).rounded(.up) * step
      ticks = (0...Int((high / step).rounded())).map { Double($0) * step }
    case .logarithmic where isBinary:
      low = Self.powerOfTwo(values.min() ?? 1, .down)
      let span = log2(max(values.max() ?? 2, low * 2) / low)
      let step = max(1, (span / 5).rounded(.up))
      let count = (span / step).rounded(.up)
      high = low * exp2(step * count)
      ticks = stride(from: 0, through: count, by: 1).map { [low] in low * exp2(step * $0) }
    case .logarithmic:
      let bottom = Self.round(values.min() ?? 1, .down)
      let top = Self.round(values.max() ?? 10, .up)
      low = bottom
      high = top > bottom ? top : bottom * 10
      ticks = Self.logarithmicTicks(from: low, to: high)
    }
  }

  /// A logarithmic scale whose marks are the values themselves; a few per cent wider than they.
  package init(marking values: [Double]) {
    kind = .logarithmic
    let values = Set(values.filter { $0.isFinite && $0 > 0 }).sorted()
    let first = values.first ?? 1
    let last = values.last ?? 1
    let margin = last > first ? pow(last / first, 0.03) : 2
    low = first / margin
    high = last * margin
    // No more than fit beside each other.
    let every = (values.count + 8) / 9
    ticks = values.enumerated().filter { $0.offset % max(1, every) == 0 }.map(\.element)
  }

  /// 0 at the low end, 1 at the high end; held within them.
  package func position(_ value: Double) -> Double {
    let place =
      switch kind {
      case .linear: (value - low) / (high - low)
      case .logarithmic: value > 0 ? log(value / low) / log(high / low) : 0
      }
    return min(1, max(0, place))
  }

  /// The next of 1, 2, 5, 10, 20, … that is at least a value.
  package static func step(for value: Double) -> Double { round(value, .up) }

  /// The nearest of …, 0.5, 1, 2, 5, 10, … at or below, or at or above, a positive value.
  package static func round(_ value: Double, _ rule: FloatingPointRoundingRule) -> Double {
    let exponent = Int(log10(value).rounded(.down))
    var candidates: [Double] = []
    for power in exponent - 1...exponent + 1 {
      for digit in [1.0, 2, 5] { candidates.append(scaled(digit, power)) }
    }
    // A value that is round itself stays, whatever its last bit.
    let tolerance = value * 1e-9
    return rule == .down
      ? candidates.last { $0 <= value + tolerance } ?? candidates[0]
      : candidates.first { $0 >= value - tolerance } ?? candidates[candidates.count - 1]
  }

  private static func powerOfTwo(_ value: Double, _ rule: FloatingPointRoundingRule) -> Double {
    exp2(log2(value).rounded(rule))
  }

  /// 1, 2, 5, 10, … if they are few; else powers of ten; and if they are very few, steps of one
  /// size.
  package static func logarithmicTicks(from low: Double, to high: Double) -> [Double] {
    let exponents = Int(log10(low).rounded(.down))...Int(log10(high).rounded(.up))
    // The ends may be a last bit off.
    let range = low * (1 - 1e-9)...high * (1 + 1e-9)
    var fine: [Double] = []
    for power in exponents {
      for digit in [1.0, 2, 5] where range.contains(scaled(digit, power)) {
        fine.append(scaled(digit, power))
      }
    }
    if fine.count < 3 {
      let step = step(for: (high - low) / 5)
      let first = Int((low / step).rounded(.up))
      return (first...Int((high / step + 1e-9).rounded(.down))).map { Double($0) * step }
    }
    if fine.count <= 10 { return fine }
    return exponents.map { scaled(1, $0) }.filter(range.contains)
  }

  /// Exactly the number that one would write: 0.2, not 0.2 and a bit.
  private static func scaled(_ digit: Double, _ power: Int) -> Double {
    Double("\(Int(digit))e\(power)") ?? digit * pow(10, Double(power))
  }
}

/// Moves labels apart that would overlap, each as little as the others allow.
///
/// - Parameters:
///   - positions: Where the labels would like to be.
///   - gap: The least distance between two.
///   - range: Where there is room; if there is too little, the labels leave it at its end.
/// - Returns: Where they go, in the same order.
package func spreadApart(
  _ positions: [Double], gap: Double, within range: ClosedRange<Double>
) -> [Double] {
  let order = positions.indices.sorted { positions[$0] < positions[$1] }
  var result = positions
  var least = range.lowerBound
  for index in order {
    result[index] = max(least, positions[index])
    least = result[index] + gap
  }
  var most = range.upperBound
  for index in order.reversed() where result[index] > most {
    result[index] = most
    most -= gap
  }
  // Too many for the room: from the top, evenly.
  if let first = order.first, result[first] < range.lowerBound {
    for (place, index) in order.enumerated() {
      result[index] = range.lowerBound + Double(place) * gap
    }
  }
  return result
}
