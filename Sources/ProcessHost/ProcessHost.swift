// Sessions and their outputs are what a host fills, so programs that import ProcessHost can name
// them.
@_exported public import Processes
