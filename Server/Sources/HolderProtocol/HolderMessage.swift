/// A message between a daemon and the holder of a session, over a Unix socket.
///
/// ```
///  bytes 0–3   the number of bytes that follow, big-endian
///  byte  4     the kind
///  bytes 5–8   the number of the request, big-endian: a reply has that of its request
///  then        fields: a tag (1 byte), a length (4 bytes, big-endian), and so many bytes
/// ```
///
/// A receiver skips fields whose tags it does not know, and takes a missing field for its default.
/// A holder answers a kind that it does not know with ``Kind/unknown``. So a daemon of one version
/// and a holder of another understand each other; see ``HolderMessage/version``.
package struct HolderMessage: Sendable, Hashable {
  /// The version of the protocol. A holder tells its own in ``Kind/welcome``.
  ///
  /// It grows when a kind or a field is added without which a newer daemon cannot do its work.
  package static let version = 1

  /// The most bytes of a message. A larger one ends the connection.
  package static let maxBytes = 16 << 20

  /// The kind of a message.
  package enum Kind: UInt8, Sendable {
    /// Daemon: the first message on a connection to a holder that runs already.
    case hello = 1
    /// Holder: the answer to `hello`, with its version and the command's PID.
    case welcome
    /// Daemon: the first message to a new holder: what to start (``LaunchOrder``).
    case launch
    /// Holder: the command runs; its PID.
    case started
    /// Holder: the command could not be started (``HolderFailure``). The holder ends.
    case failed
    /// Daemon: bytes for the command's stdin, or its end.
    case write
    /// Holder: what became of the bytes (`StdinQueue.Answer`).
    case written
    /// Daemon: a signal for the command's group.
    case signal
    /// Daemon: ends the command, with a grace.
    case terminate
    /// Daemon: the new size of the command's terminal.
    case resize
    /// Holder: what was asked for is done.
    case done
    /// Holder: what was asked for is impossible, and why (``Refusal``).
    case refused
    /// Daemon: asks for `news` as soon as there is any past a cursor.
    case watch
    /// Holder: there may be news past the cursor of a `watch`.
    case news
    /// Daemon: the session's lossless reader has all output up to a position. Has no answer.
    case acknowledge
    /// Daemon: the session's lossless reader has left. Has no answer.
    case leave
    /// Daemon: a client uses the session, which is not idle. Has no answer.
    case touch
    /// Daemon: asks for `done` when the command has exited.
    case awaitExit
    /// Daemon: asks for `done` when the session is closed.
    case awaitClose
    /// Holder: it does not know the kind of the request.
    case unknown = 255
  }

  /// What a field means.
  package enum Tag: UInt8, Sendable {
    case version = 1
    case pid
    case data
    case end
    case patience
    case signal
    case grace
    case rows
    case columns
    case cursor
    case reason
    case code
    case text
    case waiting
    // Of a launch order.
    case directory = 32
    case id
    case workspace
    case headBytes
    case timestamps
    case losslessTime
    case stdinBytes
    case orphanTimeout
    case cgroup
    case executable
    case argument
    case variable
    case removedVariable
    case workingDirectory
    case userID
    case groupID
    case supplementaryGroup
    case limit
    case memoryLimit
    case processLimit
    case lingerLimit
    case mergesStandardError
    case hasInput
    case timeLimit
    case timeLimitSignal
    case niceness
  }

  /// The kind; nil if this program does not know it.
  package var kind: Kind? { Kind(rawValue: kindNumber) }
  private let kindNumber: UInt8
  /// The number of the request that this is, or that it answers.
  package var number: UInt32
  private var fields: [(tag: UInt8, bytes: [UInt8])] = []

  package init(_ kind: Kind, number: UInt32 = 0) {
    kindNumber = kind.rawValue
    self.number = number
  }

  package static func == (left: HolderMessage, right: HolderMessage) -> Bool {
    left.encoded == right.encoded
  }
  package func hash(into hasher: inout Hasher) { hasher.combine(encoded) }

  // MARK: Fields

  /// The bytes of the first field with a tag.
  package subscript(tag: Tag) -> [UInt8]? { fields.first { $0.tag == tag.rawValue }?.bytes }

  /// Returns the bytes of all fields with a tag, in order.
  package func all(_ tag: Tag) -> [[UInt8]] {
    fields.filter { $0.tag == tag.rawValue }.map(\.bytes)
  }

  package mutating func append(_ tag: Tag, _ bytes: some Sequence<UInt8>) {
    fields.append((tag.rawValue, Array(bytes)))
  }

  package mutating func append(_ tag: Tag, _ number: some BinaryInteger) {
    append(tag, Self.bigEndian(UInt64(bitPattern: Int64(clamping: number))))
  }

  package mutating func append(_ tag: Tag, _ text: String) { append(tag, text.utf8) }

  /// Appends a time, in whole nanoseconds; up to 292 years.
  package mutating func append(_ tag: Tag, _ time: Duration) {
    append(tag, time.wholeNanoseconds)
  }

  /// Returns the number in the first field with a tag.
  package func number(_ tag: Tag) -> Int? { self[tag].flatMap(Self.number) }

  /// Returns the number in a field; nil if it has none.
  package static func number(_ bytes: some Collection<UInt8>) -> Int? {
    guard bytes.count == 8 else { return nil }
    return Int(Int64(bitPattern: bytes.reduce(0) { $0 << 8 | UInt64($1) }))
  }

  package func text(_ tag: Tag) -> String? {
    self[tag].map { String(decoding: $0, as: UTF8.self) }
  }

  package func time(_ tag: Tag) -> Duration? { number(tag).map { .nanoseconds($0) } }

  package func flag(_ tag: Tag) -> Bool { number(tag) ?? 0 != 0 }

  // MARK: Bytes

  /// The message as it is sent.
  package var encoded: [UInt8] {
    let count = 5 + fields.reduce(0) { $0 + 5 + $1.bytes.count }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(4 + count)
    bytes += Self.bigEndian(UInt32(count))
    bytes.append(kindNumber)
    bytes += Self.bigEndian(number)
    for field in fields {
      bytes.append(field.tag)
      bytes += Self.bigEndian(UInt32(field.bytes.count))
      bytes += field.bytes
    }
    return bytes
  }

  /// Decodes what follows the length of a message; returns nil if that is not well-formed.
  package init?(decoding bytes: some Collection<UInt8>) {
    guard bytes.count >= 5 else { return nil }
    var rest = bytes[...]
    kindNumber = rest.removeFirst()
    number = UInt32(Self.take(4, from: &rest))
    while !rest.isEmpty {
      guard rest.count >= 5 else { return nil }
      let tag = rest.removeFirst()
      let count = Self.take(4, from: &rest)
      guard rest.count >= count else { return nil }
      fields.append((tag, Array(rest.prefix(count))))
      rest = rest.dropFirst(count)
    }
  }

  /// Takes the first message off the bytes that were received.
  ///
  /// - Returns: The message; nil if it is not complete yet.
  /// - Throws: ``MalformedMessage`` if what was received is no message; the connection is to be
  ///   closed then.
  /// - Complexity: O(message).
  package static func take(
    from received: inout ArraySlice<UInt8>
  ) throws(MalformedMessage) -> HolderMessage? {
    guard received.count >= 4 else { return nil }
    let count = received.prefix(4).reduce(0) { $0 << 8 | Int($1) }
    guard (5...maxBytes).contains(count) else { throw MalformedMessage() }
    guard received.count >= 4 + count else { return nil }
    let bytes = received.dropFirst(4).prefix(count)
    received = received.dropFirst(4 + count)
    guard let message = HolderMessage(decoding: bytes) else { throw MalformedMessage() }
    return message
  }

  private static func take<Bytes: Collection<UInt8>>(
    _ count: Int, from bytes: inout Bytes
  ) -> Int where Bytes.SubSequence == Bytes {
    defer { bytes = bytes.dropFirst(count) }
    return bytes.prefix(count).reduce(0) { $0 << 8 | Int($1) }
  }

  private static func bigEndian(_ number: some FixedWidthInteger) -> [UInt8] {
    stride(from: number.bitWidth - 8, through: 0, by: -8).map {
      UInt8(truncatingIfNeeded: number >> $0)
    }
  }
}

/// What was received is no message of the protocol.
package struct MalformedMessage: Error, CustomStringConvertible {
  package let description = "what was received is no message of the protocol"
}

extension Duration {
  /// Whole nanoseconds, within the range of 64 bits.
  fileprivate var wholeNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (product, isTooLarge) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, isStillTooLarge) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
    return isTooLarge || isStillTooLarge ? (seconds < 0 ? .min : .max) : sum
  }
}
