import HolderProtocol

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Holds one session for processd: owns its command, the command's pipes or terminal, and the file
/// with its output, so that they survive the end of the daemon.
///
/// ```
///  daemon --launch, write, signal …--> ConnectionTable --> Requests --> HeldSession --> command
///         <--started, written, news --- (main thread)  <-- Channel <-- tasks          |
///         <--------------------------- maps the ring file <---------------------------+
/// ```
@main
enum Holder {
  /// The descriptor of the connection to the daemon that starts the holder.
  private static let daemonDescriptor: Int32 = 3

  static func main() {
    if CommandLine.arguments.dropFirst().elementsEqual(["--version"]) {
      print("processd-holder \(HolderMessage.version)")
      return
    }
    guard isConnectedSocket(daemonDescriptor) else {
      // No other thread uses stderr.
      report("processd-holder is started by processd, for each session; it does nothing by hand\n")
      exit(64)  // EX_USAGE
    }
    ignoreSignals()
    closeDescriptors(above: daemonDescriptor)
    guard let loop = Loop(), var life = begin(on: loop) else { exit(EXIT_FAILURE) }
    life.run()
  }

  /// Receives the launch order, and starts the command; returns nil if that is impossible. Then
  /// nothing is left.
  private static func begin(on loop: Loop) -> Life? {
    let connection = Connection(Descriptor(daemonDescriptor), loop)
    guard let request = receiveOrder(on: connection) else { return nil }
    Shutdown.notice(waking: loop)
    do throws(HolderFailure) {
      guard let order = LaunchOrder(request) else {
        throw .launch(.other(reason: "the holder cannot read the launch order", code: nil))
      }
      let (session, listener) = try HeldSession.launch(order, on: loop)
      var started = HolderMessage(.started, number: request.number)
      started.append(.version, HolderMessage.version)
      started.append(.pid, session.process.processID)
      connection.channel.send(started)
      return Life(session, ConnectionTable(listener, daemon: connection, on: loop), on: loop)
    } catch {
      connection.channel.send(error.message(number: request.number))
      connection.sendAll(within: .seconds(5))
      return nil
    }
  }

  /// Waits for the first message, which says what to launch; returns nil if there is none.
  private static func receiveOrder(on connection: Connection) -> HolderMessage? {
    while true {
      while let message = connection.next() {
        if message.kind == .launch { return message }
        connection.channel.send(HolderMessage(.unknown, number: message.number))
      }
      if connection.isOver { return nil }
      connection.wait(upTo: nil)
      connection.send()
      connection.read()
    }
  }

  private static func report(_ text: String) {
    var text = text
    text.withUTF8 { bytes in _ = unsafe write(2, bytes.baseAddress, bytes.count) }
  }
}
