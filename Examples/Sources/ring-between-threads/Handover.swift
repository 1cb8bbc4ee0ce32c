import Synchronization

/// Carries a value that cannot be copied to the thread that is to own it.
final class Handover<Value: ~Copyable & Sendable>: Sendable {
  private let value: Mutex<Value?>

  init(_ value: consuming sending Value) {
    self.value = Mutex(value)
  }

  /// Returns the value; nil if it has been taken already.
  func take() -> sending Value? {
    value.withLock { $0.take() }
  }
}
