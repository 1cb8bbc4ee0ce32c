package import CRingShims
package import OutputRing
import Processes

/// A ring's writer in memory of its own: a closure's captured variable would be checked for
/// exclusive access on every append, which is not what is being measured.
@safe
package final class RingProducer {
  package let writer: UnsafeMutablePointer<RingWriter>

  package init(copyMethod: RingCopyMethod = .current) {
    let layout = RingLayout(capacity: Session.maxBufferBytes)
    unsafe writer = .allocate(capacity: 1)
    unsafe writer.initialize(to: RingWriter(layout, copyMethod: copyMethod))
  }

  deinit {
    unsafe writer.deinitialize(count: 1)
    unsafe writer.deallocate()
  }

  /// All bytes retained, in order.
  package var retained: [UInt8] { unsafe [UInt8](writer.pointee.reader.read().payload) }
}
