extension [Double] {
  /// - Precondition: Not empty.
  package var median: Double { quantile(0.5) }

  /// The value below which a share of the values lies, interpolated between neighbours.
  ///
  /// - Precondition: Not empty; `share` is between 0 and 1.
  package func quantile(_ share: Double) -> Double {
    precondition(!isEmpty && (0...1).contains(share))
    let sorted = sorted()
    let place = share * Double(sorted.count - 1)
    let below = Int(place)
    let above = Swift.min(below + 1, sorted.count - 1)
    return sorted[below] + (sorted[above] - sorted[below]) * (place - Double(below))
  }

  /// Half the distance between the quartiles, relative to the median.
  package var spread: Double { (quantile(0.75) - quantile(0.25)) / 2 / median }
}
