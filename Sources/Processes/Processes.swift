// A chunk's bytes are the ring's, so whoever imports Processes can name them.
@_exported public import OutputRing
