import Testing
import OutputRing
@Test func smoke() {
  var w = RingWriter(RingLayout(capacity: 10, reservationLimit: 4))
  let r = w.reader
  func put(_ s: String) { w.append(s.utf8Span.span.bytes) }
  put("hello"); put("wor"); put("ld!");
  let b = r.read()
  print(
    b.map { ($0.seq, $0.offset, $0.data.description) }, b.lostBytes, b.missedBytes as Any,
    b.missedChunks, b.cursor)
  put(String(repeating: "x", count: 25) + "end")
  let c = r.read(since: b.cursor)
  print(
    c.map { ($0.seq, $0.offset, $0.data.description) }, c.lostBytes, c.missedBytes as Any,
    c.missedChunks, c.cursor)
}
