/// A JSON value that keeps the order of its keys.
package enum JSON: Equatable {
  case null
  case string(String)
  case integer(Int)
  case number(Double)
  case array([JSON])
  case object([Member])

  package struct Member: Equatable {
    package let key: String
    package let value: JSON
  }

  /// A number; null if there is none, or none that JSON could hold.
  package static func optional(_ value: Double?) -> JSON {
    guard let value, value.isFinite else { return .null }
    return .number(value)
  }

  /// On one line.
  package var text: String {
    switch self {
    case .null: "null"
    case .string(let string): Self.quoted(string)
    case .integer(let value): "\(value)"
    case .number(let value): value.isFinite ? "\(value)" : "null"
    case .array(let values): "[" + values.map(\.text).joined(separator: ", ") + "]"
    case .object(let members):
      "{"
        + members.map { "\(Self.quoted($0.key)): \($0.value.text)" }.joined(separator: ", ") + "}"
    }
  }

  private static func quoted(_ string: String) -> String {
    var result = "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "\0"..<" ":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
