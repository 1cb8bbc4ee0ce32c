/// A Lua script, which the server knows by its hash once it has executed it.
package struct RedisScript: Sendable {
  package let source: String
  /// The SHA-1 of the source, in hexadecimal.
  package let sha1: String

  package init(source: String) {
    self.source = source
    sha1 = SHA1.hexadecimal(of: Array(source.utf8))
  }

  /// Returns the command that executes the script if the server knows it, for a pipeline.
  package func evalSHA(keys: [String], arguments: [any RESPArgument] = []) -> RESPCommand {
    RESPCommand("EVALSHA", arguments: [sha1, keys.count] + keys + arguments)
  }

  /// Returns the command that executes the script, and by which the server comes to know it.
  package func eval(keys: [String], arguments: [any RESPArgument] = []) -> RESPCommand {
    RESPCommand("EVAL", arguments: [source, keys.count] + keys + arguments)
  }
}
