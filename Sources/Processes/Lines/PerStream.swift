/// A value for each of the two streams.
struct PerStream<Value> {
  var stdout: Value
  var stderr: Value

  /// Makes both values.
  init(_ both: @autoclosure () -> Value) {
    stdout = both()
    stderr = both()
  }

  subscript(stream: StandardStream) -> Value {
    // Not `get`, which would copy the value, and count its references.
    @inline(__always) _read {
      if stream == .stdout { yield stdout } else { yield stderr }
    }
    @inline(__always) _modify {
      if stream == .stdout { yield &stdout } else { yield &stderr }
    }
  }
}

extension PerStream: Sendable where Value: Sendable {}

extension StandardStream {
  /// The other stream.
  var other: StandardStream { self == .stdout ? .stderr : .stdout }
}
