/// Why a command has no result.
package enum RedisError: Error, Hashable {
  /// There is no connection; the command was not sent.
  case notConnected
  /// The connection was lost while the command was outstanding; the server may have executed it.
  case connectionLost
  /// The oldest command was outstanding for too long, so the connection was closed; the server may
  /// have executed any command that was outstanding.
  case timedOut
  /// The caller's task was cancelled; the server may have executed the command, or may still.
  case cancelled
  /// Too many commands or bytes are outstanding; the command was not sent.
  case overloaded
  /// The server's reply is an error.
  case reply(String)
}

extension RedisError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .notConnected: "there is no connection to Redis; the command was not sent"
    case .connectionLost: "the connection to Redis was lost before the reply came"
    case .timedOut: "Redis did not reply in time"
    case .cancelled: "the task that waited for Redis was cancelled"
    case .overloaded: "too much waits for Redis already; the command was not sent"
    case .reply(let text): "Redis replied: \(text)"
    }
  }
}
