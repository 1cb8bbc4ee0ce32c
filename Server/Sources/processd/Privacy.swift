#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Protects this process's memory from processes of the same user: they can neither trace it nor
/// read it under `/proc`, and a crash leaves no core dump.
///
/// - Returns: Whether the system has done so; false where it cannot.
func hideMemory() -> Bool {
  #if os(Linux)
    // Swift does not import functions with a variable number of arguments.
    guard let symbol = unsafe dlsym(nil, "prctl") else { return false }
    typealias Control = @convention(c) (Int32, UInt, UInt, UInt, UInt) -> Int32
    let control = unsafe unsafeBitCast(symbol, to: Control.self)
    let setDumpable: Int32 = 4
    return control(setDumpable, 0, 0, 0, 0) == 0
  #else
    return false
  #endif
}
