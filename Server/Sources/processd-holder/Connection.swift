import HolderProtocol

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A connection to a daemon, or to a program that has not said yet that it is one. The main thread
/// alone uses it.
final class Connection {
  let descriptor: Descriptor
  let channel: Channel
  private let loop: Loop
  private var received: [UInt8] = []
  /// How many of the bytes were returned as messages.
  private var takenCount = 0
  private var (hasEnded, isMalformed) = (false, false)

  /// The most bytes that a turn reads, so that a daemon's flood holds up nothing else.
  private static let bytesPerTurn = 1 << 18

  init(_ descriptor: Descriptor, _ loop: Loop) {
    self.descriptor = descriptor
    self.loop = loop
    channel = Channel(loop)
  }

  deinit { close() }

  /// Whether the connection has ended or is to be closed. What it sent before can still be taken.
  var isOver: Bool { hasEnded || isMalformed || channel.isClosed }

  /// Ends the connection, for the other side too.
  func close() {
    channel.close()
    shutdown(descriptor.number, Int32(SHUT_RDWR))
  }

  // MARK: Receiving

  /// Reads what has come, without waiting.
  func read(upTo limit: Int = bytesPerTurn) {
    received.removeFirst(takenCount)
    takenCount = 0
    var total = 0
    while total < limit, !isOver {
      let size = min(limit - total, 16_384)
      let count = unsafe withUnsafeTemporaryAllocation(byteCount: size, alignment: 1) { bytes in
        #if canImport(Darwin)
          let count = unsafe Darwin.read(descriptor.number, bytes.baseAddress, bytes.count)
        #elseif canImport(Glibc)
          let count = unsafe Glibc.read(descriptor.number, bytes.baseAddress, bytes.count)
        #elseif canImport(Musl)
          let count = unsafe Musl.read(descriptor.number, bytes.baseAddress, bytes.count)
        #endif
        if count > 0 { unsafe received.append(contentsOf: bytes[..<count]) }
        return count
      }
      if count <= 0 {
        if count == 0 || !isPassing(errno) { hasEnded = true }
        return
      }
      total += count
    }
  }

  /// Takes the first message off what was read; returns nil if it is not complete yet.
  func next() -> HolderMessage? {
    if isMalformed { return nil }
    var rest = received[takenCount...]
    let count = rest.count
    do throws(MalformedMessage) {
      let message = try HolderMessage.take(from: &rest)
      takenCount += count - rest.count
      if takenCount == received.count { (received, takenCount) = ([], 0) }
      return message
    } catch {
      isMalformed = true
      return nil
    }
  }

  /// Takes the message by which a daemon introduces itself.
  func nextHello() -> HolderMessage? {
    // Before it is known to be a daemon, the program shall not use up memory.
    let count = received.prefix(4).reduce(0) { $0 << 8 | Int($1) }
    guard received.count < 4 || count <= Self.maxHelloBytes else {
      isMalformed = true
      return nil
    }
    guard let message = next() else { return nil }
    if message.kind != .hello { isMalformed = true }
    return message.kind == .hello ? message : nil
  }

  /// The most bytes of a message by which a daemon introduces itself, and a bit more.
  static let maxHelloBytes = 4_096

  // MARK: Sending

  /// Sends what waits, as far as the daemon takes it without waiting.
  func send() {
    channel.take { bytes in
      let count = unsafe bytes.withUnsafeBytes { bytes in
        unsafe write(descriptor.number, bytes.baseAddress, bytes.count)
      }
      if count < 0 && !isPassing(errno) { hasEnded = true }
      return max(count, 0)
    }
  }

  /// Sends all that waits, unless the daemon does not take it in time.
  func sendAll(within limit: Duration) {
    let end = SuspendingClock.now + limit
    send()
    while channel.hasWaiting, !isOver, SuspendingClock.now < end {
      wait(upTo: end - .now)
      send()
    }
  }

  /// Waits until there is something to read, or what waits can be sent.
  func wait(upTo limit: Duration?) {
    var poll = Poll(loop)
    _ = poll.add(self)
    poll.wait(upTo: limit)
  }
}

extension Poll {
  /// Adds a connection. Returns its place.
  mutating func add(_ connection: Connection) -> Int {
    add(connection.descriptor, writes: connection.channel.hasWaiting)
  }
}
