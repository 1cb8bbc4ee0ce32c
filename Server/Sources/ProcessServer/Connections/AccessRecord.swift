#if canImport(FoundationEssentials)
  public import FoundationEssentials
#else
  public import Foundation
#endif

/// A request and its response, as an access log has them.
///
/// Ids of sessions, queries, bodies and tokens are not among them.
public struct AccessRecord: Sendable {
  /// When the head of the request had arrived.
  public var time: Date
  /// The client's address, or `unix` for one on the server's socket.
  public var address: String
  /// The workspace of the request's token; nil if it came with none that is
  /// known, or was not answered.
  public var workspace: String?
  /// The request's method; nil if what arrived is no request.
  public var method: String?
  /// The path as the API has it, such as `/api/sdk/processes/{sid}/output`; nil if there is no such
  /// route.
  public var route: String?
  /// The status of the response; nil if the connection ended before there was one.
  public var status: Int?
  /// The time from the request's head to the last part of the response, waits included.
  public var duration: Duration
  /// Whether the response was written completely. A stream that its client leaves is not.
  public var isComplete = false

  /// The record as a JSON object on one line: `time`, `address`, `workspace`, `method`, `route`,
  /// `status`, `seconds`, `complete`.
  public var json: String {
    let microseconds = Int(duration / .microseconds(1))
    let fraction = String(1_000_000 + microseconds % 1_000_000).dropFirst()
    return JSON.object([
      ("time", .string(time.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)))),
      ("address", .string(address)), ("workspace", .optional(workspace)),
      ("method", .optional(method)), ("route", .optional(route)),
      ("status", .optional(status)),
      ("seconds", .number("\(microseconds / 1_000_000).\(fraction)")),
      ("complete", .bool(isComplete)),
    ]).text
  }
}
