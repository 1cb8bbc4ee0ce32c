import Logging
import NIOCore
import Processes
import RESPClient
import ServiceLifecycle
import Synchronization

/// This server as a member of a fleet: it stores what its own sessions put out, and finds those of
/// the others.
///
/// Nothing here holds up a command or a local reader. While Redis does not answer, requests about
/// sessions of other servers are refused with 503, and the sessions' own rings keep what there is
/// to store.
final class Fleet: Sendable {
  private struct State {
    /// A number for each connection that may be used; 0 while there is none.
    var connection = 0
    var connectedAt = ContinuousClock.now
    /// When the connection was lost; while there has been none, when the server began.
    var lostAt = ContinuousClock.now
    var lastConnection = 0
    /// When this life began, as Redis has it.
    var beginning: String?
    /// When it was noticed last that Redis had forgotten this life, and so perhaps all sessions.
    var forgottenAt: ContinuousClock.Instant?
    var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
    var lastWaiter = 0
    var hasLease = false
    /// Whether sessions may have been declared lost that have not been ended yet.
    var mayHaveLost = false
    /// Whether a renewal has failed, which may have been done.
    var isUnsure = false
    var complaints: Set<String> = []
    var remotes: [String: RemoteSession] = [:]
    /// The tasks return whether Redis may know the session.
    var replicators: [String: (replicator: Replicator, task: Task<Bool, Never>)] = [:]
    var isEnding = false
    var ending: Task<Void, Never>?
  }

  let name: String
  let configuration: APIServer.FleetMembership
  let idleTimeout: Duration
  /// This run of the server.
  let life = randomID()
  let logger: Logger
  let client: RedisClient
  let subscriber: RedisSubscriber
  /// The copies of other servers' sessions, by their ids.
  let copies = SessionManager(idleTimeout: .seconds(1 << 40))
  let slots: Slots
  let peers: Peers
  private let state = Mutex(State())
  private let storedBytes = Atomic(0)
  private let missedBytes = Atomic(0)
  private let relay: Relay

  /// Passes a connection's events on to the fleet, which is made after the client.
  private final class Relay: Sendable {
    let fleet = Mutex<Reference?>(nil)
    struct Reference { unowned let fleet: Fleet }
  }

  /// - Throws: An error of NIOSSL if TLS cannot be used.
  init(
    _ configuration: APIServer.FleetMembership, name: String, idleTimeout: Duration, logger: Logger
  ) throws {
    self.configuration = configuration
    self.name = name
    self.idleTimeout = idleTimeout
    self.logger = logger
    let relay = Relay()
    self.relay = relay
    var redis = configuration.redis
    // A connection without a reply for the time of a lease is closed, so that a pause of Redis is
    // noticed; and no wait before another attempt is longer than half a lease.
    redis.timeLimit = min(redis.timeLimit, configuration.lease)
    redis.lastDelay = min(redis.lastDelay, configuration.lease / 2)
    client = try RedisClient(redis, logger: logger) { _ in
      await relay.fleet.withLock { $0?.fleet }?.connected()
    }
    subscriber = try RedisSubscriber(redis, logger: logger)
    slots = Slots(configuration.batchesInFlight)
    peers = Peers()
    relay.fleet.withLock { $0 = Relay.Reference(fleet: self) }
  }

  /// How long Redis keeps what this server does not renew.
  var timeToLive: Duration { max(idleTimeout, .seconds(60)) }
  /// How often an idle session is renewed there.
  var renewal: Duration { min(timeToLive / 3, max(idleTimeout / 3, .milliseconds(500))) }

  // MARK: Connection

  /// Waits until Redis can be used.
  ///
  /// - Returns: Whether it can: not if the task was cancelled, or the server ends.
  func waitForConnection() async -> Bool {
    while !Task.isCancelled, !isEnding {
      if isConnected { return true }
      let id = state.withLock { state in
        state.lastWaiter += 1
        return state.lastWaiter
      }
      await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
          let mayWait = state.withLock { state in
            guard state.connection == 0, !state.isEnding, !Task.isCancelled else { return false }
            state.waiters[id] = continuation
            return true
          }
          if !mayWait { continuation.resume() }
        }
      } onCancel: {
        state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
      }
    }
    return false
  }

  /// Whether Redis can be used.
  var isConnected: Bool { state.withLock { $0.connection > 0 } }

  /// Whether Redis cannot be used, and that for longer than it takes to connect again.
  var isAway: Bool {
    state.withLock { $0.connection == 0 && $0.lostAt + .seconds(2) < .now }
  }

  /// Checks a new connection, takes the lease, and lets the connection be used.
  private func connected() async {
    // The one before is lost.
    disconnected()
    if let obstacle = await obstacle() { return complain(obstacle) }
    await renewLease()
    let waiters = state.withLock { state in
      state.lastConnection += 1
      state.connection = state.lastConnection
      state.connectedAt = .now
      state.complaints = []
      defer { state.waiters = [:] }
      return state.waiters
    }
    for waiter in waiters.values { waiter.resume() }
    // Redis may have lost what it had last, such as by a failover.
    for replicator in replicators { replicator.registerAgain() }
  }

  /// Records that the connection is lost.
  private func disconnected() {
    state.withLock { state in
      if state.connection > 0 { (state.connection, state.lostAt) = (0, .now) }
    }
  }

  /// Why this Redis cannot be used; nil if it can. One that evicts keys would lose sessions and
  /// leases without a word.
  private func obstacle() async -> String? {
    do throws(RedisError) {
      let info = try await client.send(RESPCommand("INFO", "memory")).string ?? ""
      let policy = info.split(whereSeparator: \.isNewline)
        .first { $0.hasPrefix("maxmemory_policy:") }?.dropFirst("maxmemory_policy:".count)
      guard let policy, policy != "noeviction" else { return nil }
      return "its maxmemory-policy is \(policy), which drops sessions: set it to noeviction"
    } catch {
      return "\(error)"
    }
  }

  /// Whether Redis knows all sessions that there are, as far as this server can tell. If it was
  /// away, or has forgotten what it knew, it may know some only when each server has renewed its
  /// lease.
  var isSettled: Bool {
    state.withLock { state in
      let latest = ContinuousClock.now - configuration.lease - configuration.grace
      return (state.lastConnection <= 1 || state.connectedAt < latest)
        && state.forgottenAt.map { $0 < latest } ?? true
    }
  }

  /// The answer about a session that Redis does not know.
  func notFound(_ id: String) -> APIError {
    isSettled ? .sessionNotFound(id) : .fleetUnsettled
  }

  /// Logs what is wrong with Redis, once for each connection.
  func complain(_ text: String) {
    let isNew = state.withLock { $0.complaints.count < 16 && $0.complaints.insert(text).inserted }
    if isNew { logger.error("Redis cannot be used", metadata: ["why": "\(text)"]) }
  }

  /// Calls a closure that sends commands; records the loss of the connection if they tell it.
  private func using<Value: Sendable>(
    _ body: (RedisClient) async throws(RedisError) -> Value
  ) async throws(RedisError) -> Value {
    let number = state.withLock(\.connection)
    guard number > 0 else { throw .notConnected }
    do throws(RedisError) {
      return try await body(client)
    } catch {
      switch error {
      case .notConnected, .connectionLost, .timedOut:
        // Another connection may have been made since.
        state.withLock { state in
          guard state.connection == number else { return }
          (state.connection, state.lostAt) = (0, .now)
        }
      case .cancelled, .overloaded, .reply: break
      }
      throw error
    }
  }

  func send(_ commands: [RESPCommand]) async throws(RedisError) -> [RESPValue] {
    try await using { client throws(RedisError) in try await client.send(commands) }
  }

  func eval(
    _ script: RedisScript, keys: [String], _ arguments: [any RESPArgument]
  ) async throws(RedisError) -> RESPValue {
    try await using { client throws(RedisError) in
      try await client.eval(script, keys: keys, arguments: arguments)
    }
  }

  // MARK: Lease

  /// Renews this server's lease, unless the server is ending.
  private func renewLease() async {
    guard !isEnding else { return }
    let configuration = configuration
    let reply = try? await client.eval(
      FleetScript.renewLease, keys: [FleetKey.host(name), FleetKey.life(life), FleetKey.hosts],
      arguments: [
        life, configuration.advertisedURL, configuration.lease.milliseconds,
        (configuration.lease + configuration.grace).milliseconds, name,
      ])
    guard let reply = reply?.array, reply.count == 3 else {
      return state.withLock { $0.isUnsure = true }
    }
    let hasLease = reply[0].integer == 1
    let beginning = reply[2].string
    let (hadLease, isNew, mayHaveLost) = state.withLock { state in
      defer { (state.hasLease, state.isUnsure) = (hasLease, false) }
      state.beginning = beginning
      let isNew = reply[1].integer == 0 || state.isUnsure
      if isNew {
        state.mayHaveLost = true
        if state.lastConnection > 0 { state.forgottenAt = .now }
      }
      return (state.hasLease, isNew, state.mayHaveLost)
    }
    if !hasLease {
      complain("another processd of the fleet is called \(name): its lease must end first")
    } else if !hadLease {
      logger.notice("member of the fleet", metadata: ["env": "\(name)"])
    }
    if mayHaveLost { await endLostSessions() }
    // Redis has forgotten the life, and perhaps the sessions.
    if isNew { for replicator in replicators { replicator.registerAgain() } }
  }

  private var replicators: [Replicator] {
    state.withLock { $0.replicators.values.map(\.replicator) }
  }

  /// Ends the sessions that another server has declared lost while this one was silent.
  private func endLostSessions() async {
    let replicators = replicators
    for start in stride(from: 0, to: replicators.count, by: 1_000) {
      let part = replicators[start..<min(start + 1_000, replicators.count)]
      let replies = try? await client.send(
        part.map { RESPCommand("HEXISTS", FleetKey.session($0.id), "lost") })
      // Asked again when the lease is renewed.
      guard let replies else { return }
      for (replicator, reply) in zip(part, replies) where reply.integer == 1 { replicator.onLoss() }
    }
    state.withLock { $0.mayHaveLost = false }
  }

  /// Serves until the task is cancelled; gives the lease back then.
  func run() async {
    await withTaskGroup { group in
      group.addTask { await self.client.run() }
      group.addTask { await self.subscriber.run() }
      group.addTask { await self.renewLeases() }
      group.addTask { await self.lookAfterRemotes() }
    }
    // They keep this.
    for remote in state.withLock({ Array($0.remotes.values) }) { drop(remote) }
  }

  private func renewLeases() async {
    while !Task.isCancelled {
      try? await Task.sleep(for: configuration.lease / 4)
      if isConnected, client.isConnected {
        await renewLease()
      } else if isConnected {
        // No request has noticed it yet.
        disconnected()
      } else if client.isConnected {
        // It was of no use when it was new.
        await connected()
      }
    }
  }

  /// Lets the other servers know that this one has ended in order. Its sessions have ended, and
  /// their ends are stored. Returns when that is done, however often it is called.
  func end() async {
    let task = state.withLock { state in
      let task = state.ending ?? Task { await endOnce() }
      state.ending = task
      return task
    }
    await task.value
  }

  private func endOnce() async {
    let (replicators, waiters) = state.withLock { state in
      state.isEnding = true
      defer { state.waiters = [:] }
      return (Array(state.replicators.values), state.waiters)
    }
    for waiter in waiters.values { waiter.resume() }
    // What is left to store is stored within moments, or not at all. The lease lasts until then.
    let deadline = ContinuousClock.now + .seconds(2)
    while isConnected, ContinuousClock.now < deadline,
      !replicators.allSatisfy(\.replicator.isComplete)
    {
      try? await Task.sleep(for: .milliseconds(10))
    }
    for (_, task) in replicators { task.cancel() }
    let farewell = Task {
      _ = try? await eval(
        FleetScript.endLease, keys: [FleetKey.host(name), FleetKey.life(life), FleetKey.hosts],
        [life, name])
    }
    let timer = Task {
      try await Task.sleep(for: .seconds(1))
      farewell.cancel()
    }
    await farewell.value
    timer.cancel()
    await peers.close()
  }

  // MARK: Own sessions

  /// Stores what a session puts out, until it is removed. Returns when the other servers can find
  /// the session, or after a second: its command runs in any case.
  ///
  /// - Parameter onLoss: Called if another server has declared the session lost: it must end.
  func replicate(_ job: Job, onLoss: @escaping @Sendable () -> Void) async {
    let replicator = Replicator(job, of: self, onLoss: onLoss)
    let task = Task {
      await replicator.run()
      return replicator.mayBeKnown
    }
    state.withLock { $0.replicators[job.id] = (replicator, task) }
    // It may have been removed before it was there to be forgotten.
    if job.isForgotten { return forget(job) }
    let timer = Task {
      try? await Task.sleep(for: .seconds(1))
      replicator.endFirstAttempt()
    }
    await replicator.waitForFirstAttempt()
    timer.cancel()
  }

  /// Forgets a session that was removed.
  func forget(_ job: Job) {
    guard let (_, task) = state.withLock({ $0.replicators.removeValue(forKey: job.id) }) else {
      return
    }
    task.cancel()
    let (id, workspace) = (job.id, job.workspace)
    Task {
      // A batch in flight would bring it back.
      guard await task.value else { return }
      // The others take it for alive until Redis has forgotten it, or its time is over.
      let deadline = ContinuousClock.now + timeToLive
      repeat {
        do throws(RedisError) {
          _ = try await self.eval(
            FleetScript.forget,
            keys: [FleetKey.session(id), FleetKey.stream(id), FleetKey.workspace(workspace)],
            [self.life, FleetKey.news(id), id])
          return
        } catch {
          if case .reply = error { return }
          try? await Task.sleep(for: .milliseconds(100))
        }
      } while await self.waitForConnection() && .now < deadline
    }
  }

  /// Deletes a session that was declared lost.
  ///
  /// - Throws: ``APIError`` with 503 if Redis does not do it.
  func forgetLost(_ id: String, of workspace: String) async throws(APIError) {
    do throws(RedisError) {
      _ = try await eval(
        FleetScript.forgetLost,
        keys: [FleetKey.session(id), FleetKey.stream(id), FleetKey.workspace(workspace)],
        [FleetKey.news(id), id])
    } catch {
      throw .fleetUnavailable(error)
    }
  }

  /// Counts bytes that were stored, and bytes before these that could not be.
  func stored(_ bytes: Int, missed: Int) {
    storedBytes.wrappingAdd(bytes, ordering: .relaxed)
    missedBytes.wrappingAdd(missed, ordering: .relaxed)
  }

  /// The bytes that were stored, those that could not be, and the copies of others' sessions.
  var counts: (stored: Int, missed: Int, copies: Int) {
    (
      storedBytes.load(ordering: .relaxed), missedBytes.load(ordering: .relaxed),
      state.withLock(\.remotes.count)
    )
  }

  // MARK: Sessions of others

  /// Whether this server is ending, so that replicators must not wait.
  var isEnding: Bool { state.withLock(\.isEnding) }

  /// Whether this server has been connected for so long that any other living one has renewed its
  /// lease since.
  private var mayJudge: Bool {
    state.withLock { state in
      state.connection > 0
        && state.connectedAt + configuration.lease + configuration.grace < .now
    }
  }

  /// Looks at a session in Redis, and sends another command behind that.
  ///
  /// - Returns: What is known of the session, nil if there is none, and the other command's reply.
  /// - Throws: ``APIError`` with 503 if Redis does not answer.
  func look(
    at id: String, asUser isUser: Bool = false, and command: RESPCommand? = nil
  ) async throws(APIError) -> (RemoteState?, RESPValue?) {
    do throws(RedisError) {
      let replies = try await look(at: [id], asUser: isUser, and: command.map { [$0] } ?? [])
      return (Self.facts(replies[0]), replies.count > 1 ? replies[1] : nil)
    } catch {
      throw .fleetUnavailable(error)
    }
  }

  /// Sends a look at each of some sessions, and other commands behind that.
  ///
  /// - Throws: ``RedisError``, also for an error reply.
  private func look(
    at ids: [String], asUser isUser: Bool = false, and commands: [RESPCommand] = []
  ) async throws(RedisError) -> [RESPValue] {
    func looks(_ command: ([String], [any RESPArgument]) -> RESPCommand) -> [RESPCommand] {
      let mayJudge = mayJudge
      return ids.map { id in
        command(
          [FleetKey.session(id)],
          [
            mayJudge ? "1" : "0", FleetKey.news(id), isUser ? "1" : "0", life,
            (configuration.lease + configuration.grace).milliseconds,
          ])
      }
    }
    var replies = try await send(
      looks { FleetScript.look.evalSHA(keys: $0, arguments: $1) } + commands)
    if replies.contains(where: { $0.errorText?.hasPrefix("NOSCRIPT") == true }) {
      replies = try await send(looks { FleetScript.look.eval(keys: $0, arguments: $1) } + commands)
    }
    if let text = replies.lazy.compactMap(\.errorText).first { throw .reply(text) }
    for reply in replies.prefix(ids.count) {
      if let parts = reply.array, parts.count == 1 { note(beginning: parts[0]) }
    }
    return replies
  }

  /// Records what Redis says of when this life began. If that is not what it was, Redis has
  /// forgotten what it knew.
  private func note(beginning: RESPValue) {
    state.withLock { state in
      if beginning.string != state.beginning { state.forgottenAt = .now }
    }
  }

  /// Sends a command, and asks beside it whether Redis has forgotten this life.
  private func sendNoting(_ command: RESPCommand) async throws(RedisError) -> RESPValue {
    let replies = try await send([command, RESPCommand("GET", FleetKey.life(life))])
    note(beginning: replies[1])
    return replies[0]
  }

  /// Reads the reply to a look; nil if there is no such session.
  private static func facts(_ reply: RESPValue) -> RemoteState? {
    guard let parts = reply.array, parts.count == 2, let hash = parts[0].array else { return nil }
    var fields: [String: String] = [:]
    for index in stride(from: 0, to: hash.count - 1, by: 2) {
      if let name = hash[index].string { fields[name] = hash[index + 1].string }
    }
    return RemoteState(fields, isReachable: parts[1].integer == 1)
  }

  /// Returns the session with an id, if another server of the fleet has it and it belongs to a
  /// workspace.
  ///
  /// - Throws: ``APIError``: 404 if there is none, 403 if it belongs to another workspace, 503 if
  ///   Redis does not answer.
  func session(_ id: String, of workspace: String) async throws(APIError) -> RemoteSession {
    let known = state.withLock { state in
      state.remotes[id]?.expectUse()
      return state.remotes[id]
    }
    if let known {
      try Self.check(known.facts, workspace)
      return known
    }
    let facts = try await facts(of: id, in: workspace)
    try makeRoom(for: workspace)
    let made = try RemoteSession(id, facts, of: self)
    var entered: RemoteSession?
    while entered == nil {
      entered = state.withLock { state in
        if let other = state.remotes[id] { return other }
        guard surplus(state.remotes.values, for: workspace) == nil else { return nil }
        state.remotes[id] = made
        return made
      }
      // Another request has taken the room.
      guard entered == nil else { break }
      do throws(APIError) {
        try makeRoom(for: workspace)
      } catch {
        drop(made)
        throw error
      }
    }
    let remote = entered ?? made
    // Both have the id among the copies, where the later one has taken the place.
    if remote !== made { copies.register(remote.copy) }
    return remote
  }

  /// Returns what is known now of a session of another server.
  ///
  /// - Throws: As ``session(_:of:)``.
  func facts(of id: String, in workspace: String) async throws(APIError) -> RemoteState {
    guard id.utf8.count <= 64 else { throw .sessionNotFound(id) }
    let beginning = ContinuousClock.now
    guard let facts = try await look(at: id).0 else {
      // If Redis is slow, a client may know of a session before Redis does.
      throw .now - beginning < .milliseconds(500) ? notFound(id) : .fleetUnsettled
    }
    // This server has removed it, and Redis has yet to forget it.
    guard facts.life != life || facts.isLost else { throw .sessionNotFound(id) }
    try Self.check(facts, workspace)
    return facts
  }

  private static func check(_ facts: RemoteState, _ workspace: String) throws(APIError) {
    guard facts.workspace == workspace else {
      throw APIError(.forbidden, "forbidden", "this session belongs to another workspace")
    }
  }

  /// Returns the copies of which one must go before a workspace gets another one; nil if there is
  /// room. A workspace may have half of the room, so that it leaves some for others.
  private func surplus(
    _ remotes: some Collection<RemoteSession>, for workspace: String
  ) -> [RemoteSession]? {
    let own = remotes.filter { $0.workspace == workspace }
    if own.count >= max(1, configuration.copies / 2) { return own }
    return remotes.count < configuration.copies ? nil : Array(remotes)
  }

  /// Drops the copy that was used least recently, if there are as many as there may be.
  ///
  /// - Throws: ``APIError`` with 503 if requests wait for all of them.
  private func makeRoom(for workspace: String) throws(APIError) {
    while let remotes = state.withLock({ surplus($0.remotes.values, for: workspace) }) {
      let unused = remotes.compactMap { remote in remote.unusedSince.map { (remote, $0) } }
      guard let (oldest, time) = unused.min(by: { $0.1 < $1.1 }) else { throw .overloaded }
      // If it is used meanwhile, another one goes.
      if drop(oldest, ifUnusedSince: time) { return }
    }
  }

  /// Drops a copy, and ends the waits for it.
  ///
  /// - Parameter time: Only if no request has used it since then; nil for in any case.
  /// - Returns: Whether it was dropped.
  @discardableResult
  func drop(_ remote: RemoteSession, ifUnusedSince time: ContinuousClock.Instant? = nil) -> Bool {
    state.withLock { state in
      // With this lock held: a request that finds it dropped may put it back.
      guard remote.drop(ifUnusedSince: time) else { return false }
      if state.remotes[remote.id] === remote { state.remotes[remote.id] = nil }
      return true
    }
  }

  /// Takes a copy back that was dropped although a request was about to use it.
  func restore(_ remote: RemoteSession) {
    let isOther = state.withLock { state in
      defer { state.remotes[remote.id] = state.remotes[remote.id] ?? remote }
      return state.remotes[remote.id] != nil
    }
    // Another copy has the place; this one serves the request that has it.
    if !isOther { copies.register(remote.copy) }
  }

  /// Looks each second whether there are news of sessions that requests wait for, and drops copies
  /// that none has read for long.
  private func lookAfterRemotes() async {
    while !Task.isCancelled {
      try? await Task.sleep(for: .seconds(1))
      let remotes = state.withLock { Array($0.remotes.values) }
      let unused = ContinuousClock.now - .seconds(30)
      for remote in remotes {
        if !drop(remote, ifUnusedSince: unused) { remote.fetchSoon() }
      }
    }
  }

  /// Returns the sessions of a workspace that other servers have, and whether these are all.
  func sessions(of workspace: String) async -> (sessions: [RemoteState], isComplete: Bool) {
    do throws(RedisError) {
      let key = FleetKey.workspace(workspace)
      let reply = try await sendNoting(RESPCommand("ZRANGE", key, 0, -1))
      guard let ids = reply.array?.compactMap(\.string) else { return ([], false) }
      var sessions: [RemoteState] = []
      for start in stride(from: 0, to: ids.count, by: 100) {
        let part = Array(ids[start..<min(start + 100, ids.count)])
        let found = try await look(at: part).map { Self.facts($0) }
        let own = state.withLock { Set($0.replicators.keys) }
        for case (let id, let facts?) in zip(part, found)
        where facts.life != life || facts.isLost && !own.contains(id) {
          sessions.append(facts)
        }
        // Those of servers that died with them.
        let gone = zip(part, found).filter { $1 == nil }.map { $0.0 }
        try? await prune(key, gone, by: FleetKey.session, "ZREM")
      }
      return (sessions, isSettled)
    } catch {
      return ([], false)
    }
  }

  /// Removes members of a set whose keys do not exist.
  private func prune(
    _ set: String, _ members: [String], by key: (String) -> String, _ command: String
  ) async throws(RedisError) {
    guard !members.isEmpty else { return }
    _ = try await eval(
      FleetScript.prune, keys: [set] + members.map(key), [command] + members)
  }

  /// Returns the URL of a server that holds its lease; nil if there is none, or it is another run
  /// of it.
  ///
  /// - Throws: ``APIError`` with 503 if Redis does not answer.
  func url(of name: String, life: String?) async throws(APIError) -> String? {
    do throws(RedisError) {
      let reply = try await sendNoting(RESPCommand("HMGET", FleetKey.host(name), "life", "url"))
      guard let parts = reply.array, parts.count == 2, let url = parts[1].string else { return nil }
      return life == nil || parts[0].string == life ? url : nil
    } catch {
      throw .fleetUnavailable(error)
    }
  }

  /// Returns the servers of the fleet that hold their leases, by their names.
  func hosts() async -> [String: String] {
    guard let names = (try? await send([RESPCommand("SMEMBERS", FleetKey.hosts)]))?.first?.array
    else { return [:] }
    var hosts: [String: String] = [:]
    let all = names.compactMap(\.string)
    let commands = all.map { RESPCommand("HGET", FleetKey.host($0), "url") }
    guard let replies = try? await send(commands) else { return [:] }
    for (name, reply) in zip(all, replies) { hosts[name] = reply.string }
    // Those of servers that have died.
    let gone = all.filter { hosts[$0] == nil }.prefix(1_000)
    try? await prune(FleetKey.hosts, Array(gone), by: FleetKey.host, "SREM")
    return hosts
  }
}

extension APIError {
  static func fleetUnavailable(_ error: RedisError) -> APIError {
    APIError(
      .serviceUnavailable, "fleet_unavailable",
      "this server cannot ask the fleet's Redis for what other servers have: \(error)")
  }

  static let fleetUnsettled = APIError(
    .serviceUnavailable, "fleet_unavailable",
    "Redis was away, and the other servers of the fleet may not have come back: ask again")
}

extension Duration {
  /// The whole milliseconds of a time within 290 years.
  var milliseconds: Int {
    let (seconds, attoseconds) = components
    return Int(seconds) &* 1_000 &+ Int(attoseconds / 1_000_000_000_000_000)
  }

  /// The nanoseconds of a time within 290 years.
  var nanoseconds: Int {
    let (seconds, attoseconds) = components
    return Int(seconds) &* 1_000_000_000 &+ Int(attoseconds / 1_000_000_000)
  }
}
