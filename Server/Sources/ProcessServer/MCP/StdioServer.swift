public import Logging
public import ServiceLifecycle
import Synchronization

/// The Model Context Protocol for one local agent, over stdin and stdout.
///
/// Each message is a line. No token is needed: the agent has started this process. Ends when the
/// agent closes stdin or does not read stdout any more, or when the service group is shut down
/// gracefully: then it ends all processes, and answers the requests that still wait.
public final class StdioServer: Service {
  /// The most requests that may wait for their answers.
  static let requestLimit = 64

  private let api: API
  private let input: LineInput
  private let output: LineOutput
  private let client: Grant
  private let state = Mutex(State())

  private struct State {
    /// What the client has asked for in its handshake.
    var revision = MCPRevision.newestOfHandshake
    /// The requests and batches that wait; of requests, by the JSON of their ids.
    var requests: [String: Waits] = [:]
    /// The number of requests and batches that wait, also of those that were cancelled.
    var count = 0
    var batchCount = 0
    var isEnding = false
  }

  /// Creates a server that does not read yet.
  ///
  /// - Parameters:
  ///   - configuration: The configuration; what is about connections and tokens has no effect.
  ///   - logger: Gets a line for each process that starts or ends, but never output.
  /// - Throws: ``TokenError``, which does not happen.
  public convenience init(
    _ configuration: APIServer.Configuration, logger: Logger
  ) throws(TokenError) {
    try self.init(configuration, input: 0, output: 1, logger: logger)
  }

  /// - Parameters:
  ///   - input: The descriptor to read from.
  ///   - output: The descriptor to write to.
  init(
    _ configuration: APIServer.Configuration, input: Int32, output: Int32, logger: Logger
  ) throws(TokenError) {
    client = Grant(workspace: "local")
    self.input = LineInput(Descriptor(input), limit: configuration.limits.bodyBytes)
    self.output = LineOutput(Descriptor(output))
    api = API(
      configuration: configuration,
      access: try Access(
        .fixed(TokenTable(token: TokenTable.makeToken(), workspace: client.workspace))),
      failedLogins: FailedLogins(burst: 0, interval: .seconds(1)),
      jobs: JobTable(configuration, host: OwnHost(configuration), logger: logger), fleet: nil,
      connections: Connections(configuration.limits),
      metrics: Metrics(report: MetricsReport(to: configuration.metricsFactory)), logger: logger)
  }

  var jobs: JobTable { api.jobs }

  /// Serves until the end.
  public func run() async {
    input.start()
    await withGracefulShutdownHandler {
      await withDiscardingTaskGroup { group in
        let sweeper = Task { try await Sweeper(api: api).run() }
        for await line in input.lines {
          await take(line, in: &group)
          input.next()
        }
        sweeper.cancel()
        await end()
      }
    } onGracefulShutdown: { [input] in
      input.stop()
      // The line that is being answered may be the last of many that the client does not take.
      Task { await self.end() }
    }
  }

  /// Ends all processes and waits, and gives the client some time to take its answers. May be
  /// called again.
  private func end() async {
    state.withLock { $0.isEnding = true }
    await api.jobs.shutDown()
    for waits in state.withLock({ Array($0.requests.values) }) { waits.end() }
    let farewell = api.configuration.limits.farewell
    Task {
      let deadline = ContinuousClock.now + farewell
      while state.withLock({ $0.count }) > 0, .now < deadline {
        try? await Task.sleep(for: .milliseconds(5))
      }
      output.giveUp()
    }
  }

  /// Takes a line. What may wait is done on the side.
  private func take(_ line: LineInput.Line, in group: inout DiscardingTaskGroup) async {
    do throws(MCPError) {
      let text: [UInt8]
      switch line {
      case .text(let bytes): text = bytes
      case .tooLong(let limit):
        throw MCPError(.invalidRequest, "a line may have \(limit) bytes at most")
      }
      switch try MCPMessage.parse(text) {
      case .array(let values):
        guard state.withLock(\.revision).hasBatches else {
          throw MCPError(.invalidRequest, "only revision 2025-03-26 has batches")
        }
        let batch = MCPBatch(values)
        guard batch.isAnswered else { return }
        // Not the JSON of any id.
        let name = state.withLock { state in
          state.batchCount += 1
          return "batch \(state.batchCount)"
        }
        let waits = try begin(name)
        group.addTask {
          let answers = try? await self.api.answers(to: batch, for: self.client(waits))
          await self.finish(name, waits, with: answers.map { .array($0) })
        }
      case let value: try await take(value, in: &group)
      }
    } catch {
      await write(error.json())
    }
  }

  private func take(
    _ value: JSONInput, in group: inout DiscardingTaskGroup
  ) async throws(MCPError) {
    let message: MCPMessage
    do {
      message = try MCPMessage(value)
    } catch {
      return await write(error.json(id: MCPMessage.id(of: value)))
    }
    switch message {
    case .response: break
    case .notification("notifications/cancelled", let params): cancel(params)
    case .notification: break
    case .request(let request):
      do throws(MCPError) {
        let waits = try begin(request.id.text)
        guard request.mayWait else { return await answer(request, waits) }
        group.addTask { await self.answer(request, waits) }
      } catch {
        await write(error.json(id: request.id))
      }
    }
  }

  private func client(_ waits: Waits) -> Client { Client(grant: client, waits: waits) }

  private func answer(_ request: MCPRequest, _ waits: Waits) async {
    var answer: JSON
    do {
      let revision = try revision(of: request)
      answer = .result(
        try await api.result(of: request, in: revision, for: client(waits)), of: request)
      if request.method == "initialize",
        let revision = try? API.revision(
          afterHandshake: request.params)
      {
        state.withLock { $0.revision = revision }
      }
    } catch let error as MCPError {
      answer = error.json(id: request.id)
    } catch {
      answer = api.unexpected(error).json(id: request.id)
    }
    await finish(request.id.text, waits, with: answer)
  }

  private func revision(of request: MCPRequest) throws(MCPError) -> MCPRevision {
    guard let stated = try request.statedRevision else { return state.withLock(\.revision) }
    guard let revision = MCPRevision(rawValue: stated), revision.isStateless else {
      throw .unsupported(stated)
    }
    return revision
  }

  /// Records that a request waits for its answer.
  private func begin(_ id: String) throws(MCPError) -> Waits {
    let waits = Waits()
    try state.withLock { state throws(MCPError) in
      guard state.count < Self.requestLimit else {
        throw MCPError(
          .internalError, "\(state.count) requests wait for their answers: no more may")
      }
      guard state.requests[id] == nil else {
        throw MCPError(.invalidRequest, "another request with this id waits for its answer")
      }
      state.requests[id] = waits
      state.count += 1
      if state.isEnding { waits.end() }
    }
    return waits
  }

  /// Answers a request that waits, unless it was cancelled.
  private func finish(_ id: String, _ waits: Waits, with answer: JSON?) async {
    // The client may use the id again as soon as it has the answer.
    let isWanted = state.withLock { state in
      guard state.requests[id] === waits else { return false }
      state.requests[id] = nil
      return true
    }
    if isWanted, let answer { await write(answer) }
    state.withLock { $0.count -= 1 }
  }

  /// Ends the waits of a request, which is not answered any more.
  private func cancel(_ params: Fields) {
    guard let id = params["requestId"] else { return }
    let waits = state.withLock { $0.requests.removeValue(forKey: id.text) }
    waits?.end()
  }

  private func write(_ answer: JSON) async {
    if await !output.write(answer.text) { input.stop() }
  }
}

extension MCPRequest {
  /// Whether the answer may take longer than a moment. All others are answered in their order, so
  /// that what is written to a command's stdin stays in order.
  fileprivate var mayWait: Bool {
    guard method == "tools/call", case .string(let name)? = params["name"] else { return false }
    return MCPTool(rawValue: name)?.mayWait ?? false
  }
}
