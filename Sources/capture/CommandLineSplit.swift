/// capture's arguments, divided into its own options and the command.
///
/// The command begins at the first argument that is neither an option nor an option's value, as with
/// env(1) and timeout(1), or after `--`. The argument parser sees nothing that follows the command's
/// name: that belongs to the command, and the parser takes quadratic time for it.
struct CommandLineSplit: Equatable {
  /// capture's own options. Each value is joined to its option, so that the parser cannot take a value
  /// such as `-1` for another option.
  private(set) var options: [String] = []

  /// The command's name and its arguments; empty if there is none.
  private(set) var command: [String] = []

  /// The options that take a value, by all their names, and under which name the parser gets them.
  static let valueOptions = [
    "--timeout": "--timeout", "--kill-after": "--kill-after", "-k": "--kill-after",
    "--signal": "--signal", "-s": "--signal", "--linger": "--linger", "--output": "--output",
  ]

  /// What the parser's own option for completion scripts is called.
  private static let completionOption = "--generate-completion-script"

  /// Divides the arguments, of which the first is not capture's own name.
  init(_ arguments: some Collection<String>) {
    var rest = arguments[...]
    while let argument = rest.first, argument != "--" {
      guard argument.hasPrefix("-"), argument != "-" else { break }
      rest = rest.dropFirst()
      if let name = Self.valueOptions[argument] {
        guard let value = rest.popFirst() else {
          options.append(name)
          break
        }
        options.append("\(name)=\(value)")
      } else if argument == Self.completionOption {
        options.append(argument)
        if let shell = rest.popFirst() { options.append(shell) }
      } else if let name = Self.valueOptions[String(argument.prefix(2))] {
        // A short option with its value, as in -k5s.
        let value = argument.dropFirst(argument.dropFirst(2).first == "=" ? 3 : 2)
        options.append("\(name)=\(value)")
      } else {
        options.append(argument)
      }
    }
    command = Array(rest.first == "--" ? rest.dropFirst() : rest)
  }

  /// What the parser is given: the options, and the command's name to know that there is a command.
  var parsed: [String] { options + (command.isEmpty ? [] : ["--", command[0]]) }
}

extension Collection where SubSequence == Self {
  /// Removes and returns the first element, if there is one.
  fileprivate mutating func popFirst() -> Element? {
    guard let element = first else { return nil }
    self = dropFirst()
    return element
  }
}
