package import CRingShims
package import OutputRing
import Processes

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#endif

/// A ring's writer in memory of its own: a closure's captured variable would be checked for
/// exclusive access on every append, which is not what is being measured.
@safe
package final class RingProducer {
  package let writer: UnsafeMutablePointer<RingWriter>

  package init(
    copyMethod: RingCopyMethod = .current, headCapacity: Int = 0, timestamps: Bool = false
  ) {
    let layout = RingLayout(
      capacity: Session.maxBufferBytes, headCapacity: headCapacity, timestamps: timestamps)
    unsafe writer = .allocate(capacity: 1)
    unsafe writer.initialize(to: RingWriter(layout, copyMethod: copyMethod))
  }

  /// A ring in a file of a directory, which is unlinked at once.
  package init(recordingIn directory: String) throws {
    let path = directory + "/benchmark-\(UInt64.random(in: 0 ... .max)).ring"
    unsafe writer = .allocate(capacity: 1)
    let layout = RingLayout(capacity: Session.maxBufferBytes)
    unsafe writer.initialize(to: try RingWriter(recordingTo: path, layout))
    attached = try RingReader(attachingTo: path)
    unsafe unlink(path)
  }

  /// The ring as another program sees it; nil for one in memory.
  package private(set) var attached: RingReader?

  deinit {
    unsafe writer.deinitialize(count: 1)
    unsafe writer.deallocate()
  }

  /// All bytes retained, in order.
  package var retained: [UInt8] { unsafe [UInt8](writer.pointee.reader.read().payload) }
}
