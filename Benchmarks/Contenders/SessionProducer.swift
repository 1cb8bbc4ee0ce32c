package import Processes

/// A session's exclusive producer in memory of its own, for the reason that ``RingProducer`` gives.
@safe
package final class SessionProducer {
  package let producer: UnsafeMutablePointer<Session.Producer>

  package init(headCapacity: Int = 0, timestamps: Bool = false) {
    unsafe producer = .allocate(capacity: 1)
    unsafe producer.initialize(
      to: Session.Producer(
        id: "s", workspaceID: "w", headCapacity: headCapacity, timestamps: timestamps))
  }

  deinit {
    unsafe producer.deinitialize(count: 1)
    unsafe producer.deallocate()
  }

  /// All bytes retained, in order.
  package var retained: [UInt8] {
    unsafe [UInt8](producer.pointee.session.output().chunks.payload)
  }
}
