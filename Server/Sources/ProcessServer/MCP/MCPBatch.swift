extension MCPMessage {
  /// The most messages that may come as one.
  private static let batchLimit = 32

  /// Reads what a client has sent as one: a message, or several.
  ///
  /// - Throws: ``MCPError`` for what is no JSON, and for too many messages.
  static func parse(_ text: [UInt8]) throws(MCPError) -> JSONInput {
    let value: JSONInput
    do throws(APIError) {
      value = try JSONInput(parsing: text)
    } catch {
      throw MCPError(.parseError, error.message)
    }
    if case .array(let values) = value, !(1...batchLimit).contains(values.count) {
      throw MCPError(.invalidRequest, "a batch has from 1 to \(batchLimit) messages")
    }
    return value
  }
}

/// Several messages that came as one.
struct MCPBatch: Sendable {
  enum Element: Sendable {
    case message(MCPMessage)
    case failure(MCPError, id: JSON)
  }

  let elements: [Element]

  init(_ values: [JSONInput]) {
    elements = values.map { value in
      do throws(MCPError) {
        return .message(try MCPMessage(value))
      } catch {
        return .failure(error, id: MCPMessage.id(of: value))
      }
    }
  }

  /// Whether any of them is answered.
  var isAnswered: Bool {
    elements.contains {
      switch $0 {
      case .failure, .message(.request): true
      case .message: false
      }
    }
  }
}

extension API {
  /// The size of a batch's answers, in bytes, from which on no more of its requests are performed.
  private static let batchBytes = 1 << 20

  /// Answers the requests of a batch, one after the other. When waits have ended, because the
  /// client has hung up or the server ends, no more tools are called: the order would be lost.
  ///
  /// - Throws: ``APIError`` with 401 if the token was revoked meanwhile.
  func answers(to batch: MCPBatch, for client: Client) async throws(APIError) -> [JSON] {
    var answers: [JSON] = []
    var size = 0
    var hasCalled = false
    for element in batch.elements {
      guard client.grant.isInForce else { throw .revoked }
      switch element {
      case .message(.request(let request)) where size > Self.batchBytes:
        answers.append(
          MCPError(
            .internalError, "the answers to this batch are too large: send the rest again"
          ).json(id: request.id))
      case .message(.request(let request))
      where request.method == "tools/call" && hasCalled && !client.waits.mayWait:
        answers.append(
          MCPError(
            .internalError, "the client has hung up, or the server ends: this was not called"
          ).json(id: request.id))
      case .failure(let error, let id): answers.append(error.json(id: id))
      case .message(.request(let request)):
        hasCalled = hasCalled || request.method == "tools/call"
        let outcome =
          request.method == "initialize"
          ? MCPOutcome(
            json: MCPError(.invalidRequest, "initialize comes alone").json(id: request.id))
          : await outcome(of: request, in: .march2025, for: client)
        guard let json = outcome.json else { throw outcome.error ?? .overloaded }
        size += json.text.utf8.count
        answers.append(json)
      case .message: break
      }
    }
    return answers
  }
}
