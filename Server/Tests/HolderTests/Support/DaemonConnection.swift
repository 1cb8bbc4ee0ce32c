import Foundation
import HolderProtocol

/// The daemon's end of a connection to a holder. A test uses it from one task at a time.
final class DaemonConnection: @unchecked Sendable {
  private var descriptor: Int32
  private var received: ArraySlice<UInt8> = []
  private var inbox: [HolderMessage] = []
  private var lastNumber: UInt32 = 100

  init(_ descriptor: Int32) {
    self.descriptor = descriptor
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
  }

  deinit { close() }

  /// Connects to the socket of a holder.
  init(to path: String) throws {
    descriptor = try connectedSocket(path)
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
  }

  func close() {
    if descriptor >= 0 { _ = Foundation.close(descriptor) }
    descriptor = -1
  }

  // MARK: Sending

  /// Sends bytes; returns false if the holder has closed the connection.
  @discardableResult
  func send(_ bytes: [UInt8]) async throws -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes {
        unsafe Foundation.send(descriptor, $0.baseAddress, $0.count, noSignal)
      }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if errno == EAGAIN {
        try await Task.sleep(for: .milliseconds(5))
      } else if errno != EINTR {
        return false
      }
    }
    return true
  }

  /// Sends as many of the bytes as the holder takes without waiting; returns their number.
  func sendSome(_ bytes: [UInt8]) -> Int {
    unsafe bytes.withUnsafeBytes {
      max(0, unsafe Foundation.send(descriptor, $0.baseAddress, $0.count, noSignal))
    }
  }

  @discardableResult
  func send(_ message: HolderMessage) async throws -> Bool { try await send(message.encoded) }

  /// Sends a message with a new number, which it returns.
  func post(
    _ kind: HolderMessage.Kind, _ fill: (inout HolderMessage) -> Void = { _ in }
  ) async throws -> UInt32 {
    lastNumber += 1
    var message = HolderMessage(kind, number: lastNumber)
    fill(&message)
    try await send(message)
    return lastNumber
  }

  /// Sends a message with a new number, and returns its answer.
  func ask(
    _ kind: HolderMessage.Kind, _ fill: (inout HolderMessage) -> Void = { _ in }
  ) async throws -> HolderMessage {
    try await answer(to: try await post(kind, fill))
  }

  // MARK: Receiving

  /// Returns the answer to a request. Keeps others for later.
  func answer(to number: UInt32) async throws -> HolderMessage {
    while true {
      if let index = inbox.firstIndex(where: { $0.number == number }) {
        return inbox.remove(at: index)
      }
      guard let message = try await receive() else { throw Ended() }
      inbox.append(message)
    }
  }

  /// Returns the next message; nil if the holder closes the connection.
  func receive() async throws -> HolderMessage? {
    while true {
      if let message = try HolderMessage.take(from: &received) { return message }
      guard let bytes = try await read() else { return nil }
      received += bytes
    }
  }

  /// Waits until the holder closes the connection.
  func waitForEnd() async throws { while try await read() != nil {} }

  /// Whether the holder has sent anything that was not received.
  var hasNothing: Bool {
    var byte: UInt8 = 0
    return unsafe inbox.isEmpty && received.isEmpty
      && recv(descriptor, &byte, 1, Int32(MSG_PEEK)) < 0 && errno == EAGAIN
  }

  /// Waits for bytes; nil at the end.
  private func read() async throws -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = unsafe Foundation.read(descriptor, &bytes, bytes.count)
      if count > 0 { return Array(bytes.prefix(count)) }
      if count == 0 || errno != EAGAIN && errno != EINTR { return nil }
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  struct Ended: Error {}
}

#if canImport(Darwin)
  private let noSignal: Int32 = 0
#else
  private let noSignal = Int32(MSG_NOSIGNAL)
#endif

#if canImport(Glibc)
  let streamSocket = Int32(SOCK_STREAM.rawValue)
#else
  let streamSocket = SOCK_STREAM
#endif

/// Returns a socket that is connected to a path.
func connectedSocket(_ path: String) throws -> Int32 {
  let number = socket(AF_UNIX, streamSocket, 0)
  _ = fcntl(number, F_SETFD, FD_CLOEXEC)
  var address = sockaddr_un()
  address.sun_family = sa_family_t(AF_UNIX)
  unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
  let result = unsafe withUnsafePointer(to: &address) { address in
    unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
      unsafe connect(number, address, socklen_t(MemoryLayout<sockaddr_un>.size))
    }
  }
  guard result == 0 else {
    let code = errno
    close(number)
    throw ConnectError(code: code)
  }
  return number
}

struct ConnectError: Error { let code: Int32 }
