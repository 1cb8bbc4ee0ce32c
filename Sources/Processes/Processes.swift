// A chunk's bytes are the ring's, so programs that import Processes can name them.
@_exported public import OutputRing
