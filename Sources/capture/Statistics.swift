import CaptureFormat
import Processes

/// Writes to stderr how much a session received, and how fast.
func writeStatistics(of session: Session, _ elapsed: Duration) {
  let output = session.output()
  let total = output.cursor.offset ?? session.totalBytes
  let milliseconds = elapsed / .milliseconds(1)
  // Bytes per millisecond equal kilobytes per second.
  let rate = milliseconds > 0 ? Double(total) / milliseconds / 1_000 : 0
  complain(
    "\(output.lastSeq) chunks, \(total) bytes, \(total - output.lostBytes) retained,"
      + " \(output.lostBytes) lost, \(fixed(milliseconds / 1_000, 3)) s, \(fixed(rate, 1)) MB/s")
}
