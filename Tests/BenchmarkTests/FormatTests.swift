import BenchmarkHarness
import Testing

/// How numbers, times and sizes are printed.
@Suite struct FormatTests {
  @Test(
    "A number has a fixed count of decimals",
    arguments: [
      (1.005, 1, "1.0"), (0.05, 1, "0.1"), (-0.25, 2, "-0.25"), (12.0, 0, "12"), (0.004, 2, "0.00"),
    ])
  func fixedDecimals(_ value: Double, _ decimals: Int, _ text: String) {
    #expect(fixed(value, decimals) == text)
  }

  @Test(
    "A number has three significant digits and commas between thousands",
    arguments: [
      (0, "0"), (1, "1"), (9.876, "9.88"), (9.996, "10"), (98.76, "98.8"), (99.96, "100"),
      (0.05, "0.05"), (0.01234, "0.0123"), (1_234_567, "1,234,567"), (-1_234, "-1,234"),
      (-0.5, "-0.5"), (0.99999, "1"),
    ])
  func threeSignificantDigits(_ value: Double, _ text: String) {
    #expect(formatSignificant(value) == text)
  }

  @Test(
    "A time is given in the unit that fits it",
    arguments: [
      (9.5, "9.5 ns"), (999.4, "999 ns"), (999.6, "1 µs"), (28_400, "28.4 µs"), (2e6, "2 ms"),
      (1.5e9, "1.5 s"), (0.2, "0.2 ns"),
    ])
  func timesInTheirUnit(_ nanoseconds: Double, _ text: String) {
    #expect(formatTime(nanoseconds) == text)
  }

  @Test(
    "A size is given in the unit that fits it",
    arguments: [
      (16, "16 B"), (1_023, "1,023 B"), (1_024, "1 KiB"), (1_536, "1.5 KiB"),
      (1_048_576, "1 MiB"), (3_221_225_472, "3 GiB"),
    ])
  func bytesInTheirUnit(_ bytes: Double, _ text: String) {
    #expect(formatBytes(bytes) == text)
  }

  @Test("A count has commas between thousands")
  func countsHaveCommasBetweenThousands() {
    #expect(formatCount(100) == "100")
    #expect(formatCount(1_000) == "1,000")
    #expect(formatCount(-65_536) == "-65,536")
  }

  @Test("A file name consists of letters, digits and hyphens")
  func fileNamesHoldNothingButLettersDigitsAndHyphens() {
    #expect(slug("read", "Nothing new", "p99.9/max") == "read-nothing-new-p99-9-max")
  }
}
