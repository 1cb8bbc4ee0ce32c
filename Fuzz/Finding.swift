import Foundation
import ReferenceModel

/// A script in which library and model differ.
struct Finding {
  private let script: Script
  private let name: String

  /// - Parameter name: What made the script, such as a seed.
  init(_ script: Script, name: String) {
    self.script = script
    self.name = name
  }

  /// Prints the shortest script that still fails, and writes it to a file for `--replay`.
  func report(to path: String) {
    let shortest = script.shrunk()
    print("finding: \(name)\(name.isEmpty ? "" : ", ")\(shortest.count) steps of \(script.count)")
    print(shortest)
    print(shortest.run().map { "\($0)" } ?? "does not fail when run again")
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    do {
      try encoder.encode(shortest).write(to: URL(fileURLWithPath: path))
      print("run it again with: swift run Fuzz --replay \(path)")
    } catch {
      print("cannot write \(path): \(error.localizedDescription)")
    }
  }
}

extension Script {
  /// Reads what `Finding` wrote.
  init(replay path: String) throws {
    let data: Data
    do {
      data = try Data(contentsOf: URL(fileURLWithPath: path))
    } catch {
      throw ReplayError(description: "cannot read \(path): \(error.localizedDescription)")
    }
    do {
      self = try JSONDecoder().decode(Script.self, from: data)
    } catch {
      throw ReplayError(
        description: "\(path) is not a script that Fuzz has written: \(error.localizedDescription)")
    }
    if let objection { throw ReplayError(description: "\(path) cannot be run: \(objection)") }
  }
}

/// A file that `--replay` cannot take.
struct ReplayError: Error, CustomStringConvertible {
  let description: String
}
