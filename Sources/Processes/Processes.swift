// Output's chunks and cursors are the ring's, so whoever imports Processes can name them.
@_exported public import OutputRing

/// A reader's position in a session's output; see ``RingCursor``.
public typealias Cursor = RingCursor
