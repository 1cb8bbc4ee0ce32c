package import NIOCore

/// What can be an argument of a command.
package protocol RESPArgument: Sendable {
  /// Appends the argument to a command.
  func append(to output: inout RESPOutput)
}

/// A command: its name and its arguments.
package struct RESPCommand: Sendable {
  /// The name is the first of them.
  package var arguments: [any RESPArgument]

  /// Makes a command of its words, such as `RESPCommand("SET", key, bytes)`.
  package init(_ name: String, _ arguments: any RESPArgument...) {
    self.arguments = [name] + arguments
  }

  package init(_ name: String, arguments: [any RESPArgument]) {
    self.arguments = [name] + arguments
  }

  /// Appends the command as `*N\r\n$length\r\n…`.
  package func append(to output: inout RESPOutput) {
    output.header("*", arguments.count)
    for argument in arguments { argument.append(to: &output) }
  }
}

/// The bytes of commands, which a connection writes one part after the other.
package struct RESPOutput: Sendable {
  /// From this size on a payload is a part of its own, so that it need not be copied.
  static let ownPart = 16 << 10

  /// The parts before the last one.
  private var whole: [ByteBuffer] = []
  private var last = ByteBuffer()

  package init() {}

  package init(_ commands: [RESPCommand]) {
    for command in commands { command.append(to: &self) }
  }

  /// The parts, in order; none is empty.
  package var parts: [ByteBuffer] { last.readableBytes > 0 ? whole + [last] : whole }

  /// The number of all bytes.
  package var count: Int { whole.reduce(last.readableBytes) { $0 + $1.readableBytes } }

  mutating func header(_ kind: String, _ count: Int) { last.writeString("\(kind)\(count)\r\n") }

  package mutating func append(_ text: String) {
    header("$", text.utf8.count)
    last.writeString(text)
    last.writeString("\r\n")
  }

  package mutating func append(_ bytes: [UInt8]) {
    header("$", bytes.count)
    last.writeBytes(bytes)
    last.writeString("\r\n")
  }

  package mutating func append(_ bytes: ByteBuffer) {
    header("$", bytes.readableBytes)
    if bytes.readableBytes < Self.ownPart {
      last.writeImmutableBuffer(bytes)
    } else {
      whole += [last, bytes]
      last = ByteBuffer()
    }
    last.writeString("\r\n")
  }
}

extension String: RESPArgument {
  package func append(to output: inout RESPOutput) { output.append(self) }
}

extension Int: RESPArgument {
  package func append(to output: inout RESPOutput) { output.append(String(self)) }
}

extension ByteBuffer: RESPArgument {
  package func append(to output: inout RESPOutput) { output.append(self) }
}

extension [UInt8]: RESPArgument {
  package func append(to output: inout RESPOutput) { output.append(self) }
}
