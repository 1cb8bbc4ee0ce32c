/// A picture of some results.
package protocol Figure {
  /// The name of its file.
  var id: String { get }
  var title: String { get }
  /// How to read it.
  var caption: String { get }
  var svg: String { get }
}

/// A middle value, and the range in which half of all rounds lie.
package struct Estimate: Sendable {
  package let middle: Double
  package let low: Double
  package let high: Double

  package init(_ value: Double) { (middle, low, high) = (value, value, value) }

  /// The median and quartiles.
  ///
  /// - Precondition: `values` is not empty.
  package init(_ values: [Double]) {
    middle = values.median
    low = values.quantile(0.25)
    high = values.quantile(0.75)
  }
}
