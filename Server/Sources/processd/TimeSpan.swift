import ArgumentParser

/// A time as people write it: 500ms, 90s, 30m, 2h; seconds without a unit.
struct TimeSpan: ExpressibleByArgument, CustomStringConvertible {
  let duration: Duration
  let description: String

  init(duration: Duration, text: String) {
    self.duration = duration
    description = text
  }

  init?(argument: String) {
    let number = argument.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    guard let value = Double(number), value > 0, value <= 1e9 else { return nil }
    switch argument.dropFirst(number.count) {
    case "ms": duration = .seconds(value / 1000)
    case "", "s": duration = .seconds(value)
    case "m": duration = .seconds(value * 60)
    case "h": duration = .seconds(value * 3600)
    default: return nil
    }
    description = argument
  }
}

extension TimeSpan {
  var defaultValueDescription: String { description }
}
