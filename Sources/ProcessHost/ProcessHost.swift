// Re-exported because a host writes to sessions: programs that import ProcessHost can name sessions
// and their outputs.
@_exported public import Processes
