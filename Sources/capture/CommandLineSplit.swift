#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif
import ProcessHost

/// capture's arguments, divided into its own options and the command.
///
/// The command begins at the first argument that is neither an option nor an option's value, as
/// with env(1) and timeout(1), or after `--`. The argument parser does not see the arguments after
/// the command's name: they belong to the command, and the parser would take quadratic time for
/// them.
///
/// The command and the names of files are bytes, which need not be UTF-8.
struct CommandLineSplit: Equatable {
  /// capture's own options. Each value is joined to its option, so that the parser cannot take a
  /// value such as `-1` for another option.
  private(set) var options: [String] = []

  /// The command's name and its arguments; empty if there is none.
  private(set) var command: [Command.Text] = []

  /// The file of `--output`; nil if there is none.
  private(set) var output: Command.Text?

  /// The file of `--asciicast`; nil if there is none.
  private(set) var asciicast: Command.Text?

  /// The file of `--ring`; nil if there is none.
  private(set) var ring: Command.Text?

  /// The options that take a value: each of their names, and the name under which the parser gets
  /// the option.
  static let valueOptions = [
    "--timeout": "--timeout", "--kill-after": "--kill-after", "-k": "--kill-after",
    "--signal": "--signal", "-s": "--signal", "--linger": "--linger", "--output": "--output",
    "--asciicast": "--asciicast", "--ring": "--ring", "--capacity": "--capacity",
    "--head": "--head", "--tail": "--tail",
  ]

  /// The name of the parser's own option for completion scripts.
  private static let completionOption = "--generate-completion-script"

  /// The names of the options whose values are kept as they are.
  private static let (outputOption, asciicastOption) = ("--output", "--asciicast")
  private static let ringOption = "--ring"

  /// Divides the arguments, which do not include capture's own name.
  init(_ arguments: some Collection<Command.Text>) {
    var rest = arguments[...]
    while let argument = rest.first, argument != "--" {
      guard argument.bytes.first == dash, argument.bytes.count > 1 else { break }
      rest = rest.dropFirst()
      let text = argument.description
      if let name = Self.valueOptions[text] {
        guard let value = rest.popFirst() else {
          options.append(name)
          break
        }
        append(name, value)
      } else if text == Self.completionOption {
        options.append(text)
        if let shell = rest.popFirst() { options.append(shell.description) }
      } else if let equals = argument.bytes.firstIndex(of: UInt8(ascii: "=")),
        let name = Self.valueOptions[String(decoding: argument.bytes[..<equals], as: UTF8.self)]
      {
        append(name, Command.Text(bytes: argument.bytes[(equals + 1)...]))
      } else if let name = Self.valueOptions[
        String(decoding: argument.bytes.prefix(2), as: UTF8.self)]
      {
        // A short option with its value, as in -k5s.
        append(name, Command.Text(bytes: argument.bytes.dropFirst(2)))
      } else {
        options.append(text)
      }
    }
    command = Array(rest.first == "--" ? rest.dropFirst() : rest)
  }

  private mutating func append(_ name: String, _ value: Command.Text) {
    if name == Self.outputOption { output = value }
    if name == Self.asciicastOption { asciicast = value }
    if name == Self.ringOption { ring = value }
    options.append("\(name)=\(value)")
  }

  /// The arguments for the parser: the options, and the command's name, so that the parser knows
  /// that there is a command.
  var parsed: [String] { options + (command.isEmpty ? [] : ["--", command[0].description]) }
}

extension Collection where SubSequence == Self {
  /// Removes and returns the first element; returns nil if there is none.
  fileprivate mutating func popFirst() -> Element? {
    guard let element = first else { return nil }
    self = dropFirst()
    return element
  }
}

private let dash = UInt8(ascii: "-")

/// The program's arguments without its own name, byte for byte.
func rawArguments() -> [Command.Text] {
  (1..<max(1, Int(CommandLine.argc))).compactMap { index in
    unsafe CommandLine.unsafeArgv[index].map { argument in
      unsafe Command.Text(
        bytes: UnsafeRawBufferPointer(start: argument, count: strlen(argument)))
    }
  }
}
