import BenchmarkHarness
import Testing

/// Scales, labels and styles of a plot.
@Suite struct ScaleTests {
  @Test("A logarithmic scale runs between round numbers")
  func logarithmicScalesRunBetweenRoundNumbers() {
    let scale = Scale(.logarithmic, covering: [3, 40])
    #expect((scale.low, scale.high) == (2, 50))
    #expect(scale.ticks == [2, 5, 10, 20, 50])
    #expect(scale.position(2) == 0)
    #expect(scale.position(50) == 1)
    #expect(abs(scale.position(10) - 0.5) < 1e-9)
    #expect(scale.position(1) == 0)
    #expect(scale.position(0) == 0)
  }

  @Test("A scale whose values end at round numbers ends there")
  func roundNumbersStayTheEnds() {
    let scale = Scale(.logarithmic, covering: [0.2, 1])
    #expect(scale.ticks == [0.2, 0.5, 1])
  }

  @Test("A narrow scale has ticks at equal steps")
  func narrowScalesAreMarkedInEqualSteps() {
    #expect(
      Scale(.logarithmic, covering: [1, 1.9]).ticks.map { fixed($0, 1) }
        == ["1.0", "1.2", "1.4", "1.6", "1.8", "2.0"])
  }

  @Test("A scale of bytes has ticks at powers of two")
  func bytesAreMarkedByPowersOfTwo() {
    let scale = Scale(.logarithmic, covering: [5_000, 1_700_000], isBinary: true)
    #expect(scale.ticks == [4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304])
    #expect(scale.high == 4_194_304)
    #expect(Scale(.linear, covering: [900], isBinary: true).ticks == [0, 256, 512, 768, 1_024])
  }

  @Test("A scale of many decades has ticks at powers of ten alone")
  func manyDecadesAreMarkedByPowersOfTenAlone() {
    let scale = Scale(.logarithmic, covering: [0.03, 20_000])
    #expect(scale.ticks == [0.1, 1, 10, 100, 1_000, 10_000])
  }

  @Test("A scale of one value or none is not empty")
  func oneValueOrNoneStillHasAScale() {
    for values in [[], [5.0], [0, -1]] {
      let scale = Scale(.logarithmic, covering: values)
      #expect(scale.low < scale.high)
      #expect(scale.low > 0)
      #expect(scale.ticks.count >= 2)
      let linear = Scale(.linear, covering: values)
      #expect(linear.high > 0)
      #expect(linear.low == 0)
    }
  }

  @Test("A linear scale begins at zero")
  func linearScalesBeginAtZero() {
    let scale = Scale(.linear, covering: [7, 83])
    #expect(scale.ticks == [0, 20, 40, 60, 80, 100])
    #expect(scale.position(50) == 0.5)
  }

  @Test("Marked values are ticks within the scale, up to nine of them")
  func valuesThatAreMarkedLieWithinTheScaleAndAreNotTooMany() {
    let sizes = [16.0, 64, 256, 64, 65_536]
    let scale = Scale(marking: sizes)
    #expect(scale.ticks == [16, 64, 256, 65_536])
    #expect(scale.position(16) > 0)
    #expect(scale.position(65_536) < 1)
    let many = Scale(marking: (0..<40).map { Double(1 << $0) })
    #expect(many.ticks.count <= 9)
    #expect(many.ticks.count > 3)
  }

  @Test("Overlapping labels move apart and stay inside the plot")
  func overlappingLabelsMoveApartAndStayInside() {
    let moved = spreadApart([50, 10, 12, 99], gap: 10, within: 0...100)
    #expect(moved == [50, 10, 20, 99])
    #expect(spreadApart([98, 99, 100], gap: 10, within: 0...100) == [80, 90, 100])
    #expect(spreadApart([5, 5, 5], gap: 10, within: 0...15) == [0, 10, 20])
    #expect(spreadApart([], gap: 10, within: 0...15) == [])
  }

  @Test("The series of a plot have different styles, and keep them from plot to plot")
  func seriesOfOnePlotLookDifferent() {
    let names = [limitName] + (0..<12).map { "c\($0)" }
    let palette = Palette(names)
    let few = palette.styles(for: [limitName, "c0", "c7", "c3"])
    for (index, style) in few.enumerated() { #expect(!few[..<index].contains(style)) }
    // A name keeps its look from plot to plot unless that is taken.
    #expect(palette.styles(for: ["c3"])[0] == few[3])
    #expect(palette.styles(for: ["c3", limitName])[1] == few[0])
  }
}
