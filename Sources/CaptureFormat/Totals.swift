/// What there is to say at the end.
package struct Totals {
  package var exitCode: Int32?
  package var isAlive: Bool
  package var isClosed: Bool
  package var writtenChunks: Int
  package var lostBytes: Int
  package var totalBytes: Int
  package var missedChunks: Int
  package var missedBytes: Int

  package var retainedBytes: Int { totalBytes - lostBytes }

  package init(
    exitCode: Int32?, isAlive: Bool, isClosed: Bool, writtenChunks: Int, lostBytes: Int,
    totalBytes: Int, missedChunks: Int, missedBytes: Int
  ) {
    self.exitCode = exitCode
    self.isAlive = isAlive
    self.isClosed = isClosed
    self.writtenChunks = writtenChunks
    self.lostBytes = lostBytes
    self.totalBytes = totalBytes
    self.missedChunks = missedChunks
    self.missedBytes = missedBytes
  }
}
