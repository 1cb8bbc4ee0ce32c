/// A revision of the Model Context Protocol.
enum MCPRevision: String, CaseIterable, Comparable {
  case november2024 = "2024-11-05"
  case march2025 = "2025-03-26"
  case june2025 = "2025-06-18"
  case november2025 = "2025-11-25"
  /// The first without a handshake: each request says which revision it speaks.
  case july2026 = "2026-07-28"

  /// The revision of HTTP clients that name none: later ones must.
  static let unnamed = march2025
  /// The newest that a client can ask for in a handshake.
  static let newestOfHandshake = november2025

  /// Whether a request stands alone, without a handshake before it.
  var isStateless: Bool { self >= .july2026 }
  /// Whether several messages may come as one. A single revision has this.
  var hasBatches: Bool { self == .march2025 }
  var hasAnnotations: Bool { self >= .march2025 }
  /// Whether tools have titles and schemas of their results, and results structured content.
  var hasStructuredContent: Bool { self >= .june2025 }

  static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

  /// All revisions, the newest first.
  static var names: JSON { .array(allCases.reversed().map { .string($0.rawValue) }) }
}
