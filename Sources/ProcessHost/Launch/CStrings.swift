import CSpawn

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Strings as `execve(2)` takes them: pointers to bytes that end with a zero, and a null pointer
/// last.
@safe
struct CStrings: ~Copyable {
  let pointers: UnsafeMutableBufferPointer<UnsafeMutablePointer<CChar>?>

  init(_ strings: [Command.Text]) {
    unsafe pointers = .allocate(capacity: strings.count + 1)
    unsafe pointers.initialize(repeating: nil)
    for (index, string) in strings.enumerated() {
      let copy = UnsafeMutablePointer<CChar>.allocate(capacity: string.bytes.count + 1)
      for (offset, byte) in string.bytes.enumerated() {
        unsafe copy[offset] = CChar(bitPattern: byte)
      }
      unsafe copy[string.bytes.count] = 0
      unsafe pointers[index] = unsafe copy
    }
  }

  deinit {
    for index in unsafe pointers.indices { unsafe pointers[index]?.deallocate() }
    unsafe pointers.deallocate()
  }
}

extension Command {
  /// Returns the environment to start with, each variable as “name=value”.
  func makeEnvironment() -> [Text] {
    var changes = environment.changes
    if terminal != nil, changes["TERM"] == nil,
      environment.base == .empty || environmentVariable("TERM") == nil
    {
      changes["TERM"] = .some("xterm-256color")
    }
    var variables = environment.base == .inherited ? inheritedVariables() : []
    if !changes.isEmpty {
      variables.removeAll { variable in
        let name = variable.bytes.prefix { $0 != UInt8(ascii: "=") }
        return changes.keys.contains(Text(bytes: name))
      }
    }
    for (name, value) in changes {
      guard let value else { continue }
      variables.append(Text(bytes: name.bytes + [UInt8(ascii: "=")] + value.bytes))
    }
    return variables
  }
}

/// This program's own environment.
private func inheritedVariables() -> [Command.Text] {
  var variables: [Command.Text] = []
  guard var next = unsafe spawn_environment() else { return [] }
  while let variable = unsafe next.pointee {
    variables.append(Command.Text(bytes: unsafe bytes(of: variable)))
    unsafe next += 1
  }
  return variables
}
