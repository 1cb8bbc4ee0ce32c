import Foundation

/// A file that appears under its name only when it is whole.
package struct OutputFile {
  package let path: String

  /// - Throws: A `Failure` if it could not be written, so that no one waits for a run in vain.
  package init(path: String) throws {
    self.path = path
    let values = try? URL(fileURLWithPath: path).resourceValues(forKeys: [.isDirectoryKey])
    if values?.isDirectory == true {
      throw Failure(message: "cannot write '\(path)': it is a directory")
    }
    try put("", at: temporaryPath)
    try FileManager.default.removeItem(atPath: temporaryPath)
  }

  package func write(_ text: String) throws {
    try put(text, at: temporaryPath)
    guard unsafe rename(temporaryPath, path) == 0 else {
      let reason = reason(errno)
      try? FileManager.default.removeItem(atPath: temporaryPath)
      throw Failure(message: "cannot write '\(path)': \(reason)")
    }
  }

  /// Beside the file, because a name cannot move from one file system to another.
  private var temporaryPath: String {
    let url = URL(fileURLWithPath: path)
    let name = ".\(url.lastPathComponent).\(ProcessInfo.processInfo.processIdentifier)"
    return url.deletingLastPathComponent().appendingPathComponent(name).path
  }

  private func put(_ text: String, at place: String) throws {
    guard let file = unsafe fopen(place, "w") else {
      throw Failure(message: "cannot write '\(path)': \(reason(errno))")
    }
    var text = text
    let isWhole = text.withUTF8 { bytes in
      unsafe fwrite(bytes.baseAddress, 1, bytes.count, file) == bytes.count
    }
    let error = errno
    guard unsafe fclose(file) == 0, isWhole else {
      let reason = reason(isWhole ? errno : error)
      try? FileManager.default.removeItem(atPath: place)
      throw Failure(message: "cannot write '\(path)': \(reason)")
    }
  }

  private func reason(_ error: Int32) -> String {
    unsafe String(cString: strerror(error))
  }
}

/// What went wrong, and what to do about it.
package struct Failure: Error, CustomStringConvertible {
  package let message: String
  package var description: String { message }

  package init(message: String) { self.message = message }
}
