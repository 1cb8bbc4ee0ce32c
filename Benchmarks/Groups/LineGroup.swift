import BenchmarkHarness
import CRingShims
import Dispatch
import Processes

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#endif

/// Lines and patterns of a session that is full and closed, against the same work by hand.
func lineCases() -> [Case] {
  let lines = [(20, 4_096), (80, 64), (80, 4_096), (80, 65_536), (1_000, 4_096)].map {
    length, chunk in
    Case(
      "lines", "chunks of \(chunk)", size: length, bytes: Session.maxBufferBytes,
      sizeMeaning: .other("bytes a line")
    ) { lineContenders(full(of: text(lines: length), chunk: chunk)) }
  }
  let absent = [64, 4_096, 65_536].map { chunk in
    Case(
      "lines", "absent pattern", size: chunk, bytes: Session.maxBufferBytes,
      targets: chunk < 4_096 ? [:] : ["session": .timesLimit(1.3)]
    ) { patternContenders(full(of: text(lines: 80), chunk: chunk)) }
  }
  let tail = [1, 100].map { count in
    Case("lines", "tail", size: count, sizeMeaning: .other("lines")) {
      let session = full(of: text(lines: 80), chunk: 4_096)
      return [
        Contender("tail") { operations in
          for _ in 0..<operations { consume(session.tail(lines: count).count) }
        },
        Contender("all lines") { operations in
          for _ in 0..<operations {
            let text = String(decoding: session.output().chunks.payload, as: UTF8.self)
            consume(text.split(separator: "\n").suffix(count).count)
          }
        },
      ]
    }
  }
  return lines + absent + tail
}

private func lineContenders(_ session: Session) -> [Contender] {
  let bytes = Array(session.output().chunks.payload)
  return [
    // The least: to look for each newline.
    Contender(limitName) { operations in
      for _ in 0..<operations { consume(countLines(bytes)) }
    },
    Contender("bytes") { operations in
      wait {
        for _ in 0..<operations {
          var sum = 0
          for await line in session.lines() { sum += line.bytes.count }
          consume(sum)
        }
      }
    },
    Contender("text") { operations in
      wait {
        for _ in 0..<operations {
          var sum = 0
          for await line in session.lines() { sum += line.text.utf8.count }
          consume(sum)
        }
      }
    },
    // What callers write without it: a buffer for what is left of each read.
    Contender("by hand") { operations in
      wait {
        for _ in 0..<operations {
          var sum = 0
          var rest: [UInt8] = []
          for await output in session.outputs(maxBytes: 65_536) {
            rest += output.chunks.payload
            var start = 0
            while let newline = rest[start...].firstIndex(of: 0x0a) {
              sum += String(decoding: rest[start..<newline], as: UTF8.self).utf8.count
              start = newline + 1
            }
            rest.removeFirst(start)
          }
          consume(sum)
        }
      }
    },
  ]
}

private func patternContenders(_ session: Session) -> [Contender] {
  let pattern = Array("listening on port 8080".utf8)
  let bytes = Array(session.output().chunks.payload)
  return [
    Contender(limitName) { operations in
      unsafe bytes.withUnsafeBytes { bytes in
        unsafe pattern.withUnsafeBytes { pattern in
          for _ in 0..<operations {
            unsafe consume(
              ring_find(bytes.baseAddress!, bytes.count, pattern.baseAddress!, pattern.count))
          }
        }
      }
    },
    Contender("session") { operations in
      wait {
        for _ in 0..<operations { consume(await session.wait(for: pattern, upTo: nil)) }
      }
    },
    // The reads alone.
    Contender("reads") { operations in
      var output = Output()
      for _ in 0..<operations {
        var cursor = Cursor.start
        repeat {
          session.read(since: cursor, maxBytes: 65_536, into: &output)
          cursor = output.cursor
        } while output.hasMore
        consume(cursor)
      }
    },
    // What callers write without it, which misses what two reads divide.
    Contender("by hand") { operations in
      wait {
        for _ in 0..<operations {
          var isFound = false
          for await output in session.outputs(maxBytes: 65_536) {
            let text = String(decoding: output.chunks.payload, as: UTF8.self)
            isFound = isFound || text.contains("listening on port 8080")
          }
          consume(isFound)
        }
      }
    },
  ]
}

private func countLines(_ bytes: [UInt8]) -> Int {
  unsafe bytes.withUnsafeBytes { bytes in
    var count = 0
    var start = bytes.baseAddress!
    let end = unsafe start + bytes.count
    while let newline = unsafe memchr(start, 0x0a, end - start) {
      count += 1
      unsafe start = UnsafeRawPointer(newline) + 1
    }
    return count
  }
}

/// Lines of a length, as a build prints them, of 1 MiB together.
private func text(lines length: Int) -> [UInt8] {
  let words = Array("compiling module Processes, listing ports: ".utf8)
  let line = (0..<length - 1).map { words[$0 % words.count] } + [0x0a]
  return (0..<Session.maxBufferBytes).map { line[$0 % length] }
}

/// A session that has a text in chunks, and is closed.
private func full(of text: [UInt8], chunk: Int) -> Session {
  let session = Session()
  for start in stride(from: 0, to: text.count, by: chunk) {
    session.append(text[start..<min(start + chunk, text.count)], to: .stdout)
  }
  session.close()
  return session
}

/// Runs a body in a task, and waits for it.
private func wait(_ body: @escaping @Sendable () async -> Void) {
  let done = DispatchSemaphore(value: 0)
  Task {
    await body()
    done.signal()
  }
  done.wait()
}
