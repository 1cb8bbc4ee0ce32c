import Synchronization

/// The waits on behalf of one client. They end when the client hangs up, its token is revoked, or
/// the server ends.
final class Waits: Sendable {
  private struct State {
    var mayWait = true
    var lastTicket = 0
    var waits: [Int: Wait] = [:]
  }

  private struct Wait: Sendable {
    let grant: Grant
    let end: @Sendable () -> Void
  }

  private let state = Mutex(State())

  /// Whether the client is connected and the server is not about to end.
  var mayWait: Bool { state.withLock(\.mayWait) }

  var count: Int { state.withLock(\.waits.count) }

  /// Waits on behalf of the client. The wait is cancelled when the client hangs up, its token is
  /// revoked, or the server ends.
  func waiting<Value: Sendable>(
    with grant: Grant, _ wait: @escaping @Sendable () async -> Value
  ) async -> Value {
    let task = Task { await wait() }
    let ticket = state.withLock { state -> Int? in
      guard state.mayWait, grant.isInForce else { return nil }
      state.lastTicket += 1
      state.waits[state.lastTicket] = Wait(grant: grant) { task.cancel() }
      return state.lastTicket
    }
    if ticket == nil { task.cancel() }
    defer { if let ticket { state.withLock { _ = $0.waits.removeValue(forKey: ticket) } } }
    return await withTaskCancellationHandler {
      await task.value
    } onCancel: {
      task.cancel()
    }
  }

  /// Ends all waits, and allows no more.
  func end() {
    let waits = state.withLock { state in
      state.mayWait = false
      defer { state.waits = [:] }
      return Array(state.waits.values)
    }
    for wait in waits { wait.end() }
  }

  /// Ends the waits of grants that have been revoked.
  func endRevoked() {
    let waits = state.withLock { state in state.waits.values.filter { !$0.grant.isInForce } }
    for wait in waits { wait.end() }
  }
}

/// The client that a request comes from: what it may do, and how it waits.
struct Client: Sendable {
  let grant: Grant
  let waits: Waits
  /// The header field that has given the grant, for requests that go on to other servers.
  var authorization: String?

  var workspace: String { grant.workspace }

  /// Waits on behalf of the client; see ``Waits/waiting(with:_:)``.
  func waiting<Value: Sendable>(_ wait: @escaping @Sendable () async -> Value) async -> Value {
    await waits.waiting(with: grant, wait)
  }
}
