#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// This program's end of a terminal, and the path by which a child opens the other.
///
/// By path, and in the child: a terminal becomes the controlling terminal of the session leader
/// that opens it, and of no process that is handed it open.
struct PseudoTerminal: ~Copyable {
  let primary: OwnedDescriptor
  /// The child's end, which the child does not inherit: to be held until the child has opened its
  /// own. A child whose file could not be executed closes that again, and when all are closed the
  /// output has ended.
  let secondary: OwnedDescriptor
  let path: String

  /// Opens a terminal, from which reading does not block.
  static func open(_ size: TerminalSize) throws(SystemError) -> PseudoTerminal {
    #if os(Linux) || os(Android)
      let number = unsafe Glibc.open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)
    #else
      let number = posix_openpt(O_RDWR | O_NOCTTY)
    #endif
    guard number >= 0 else { throw .last }
    let primary = try OwnedDescriptor(owning: number).aboveStandard()
    #if os(Linux) || os(Android)
      // TIOCSPTLCK and TIOCGPTN, which the C library only shows to C.
      var unlocked: Int32 = 0
      var index: Int32 = 0
      guard unsafe ioctl(primary.number, 0x4004_5431, &unlocked) == 0,
        unsafe ioctl(primary.number, 0x8004_5430, &index) == 0
      else { throw .last }
      let path = "/dev/pts/\(index)"
    #else
      _ = fcntl(primary.number, F_SETFD, FD_CLOEXEC)
      guard fcntl(primary.number, F_SETFL, O_NONBLOCK) == 0, grantpt(primary.number) == 0,
        unlockpt(primary.number) == 0, let name = unsafe ptsname(primary.number)
      else { throw .last }
      let path = unsafe String(cString: name)
    #endif
    guard setTerminalSize(primary.number, size) else { throw .last }
    return PseudoTerminal(primary: primary, secondary: try .secondary(path), path: path)
  }
}

extension OwnedDescriptor {
  /// Opens a terminal, which does not become this program's controlling one.
  fileprivate static func secondary(_ path: String) throws(SystemError) -> OwnedDescriptor {
    let number = unsafe open(path, O_RDWR | O_NOCTTY | O_CLOEXEC)
    guard number >= 0 else { throw .last }
    return try OwnedDescriptor(owning: number).aboveStandard()
  }

  /// Another number for the same open file.
  borrowing func duplicate() throws(SystemError) -> OwnedDescriptor {
    let copy = fcntl(number, F_DUPFD_CLOEXEC, 3)
    guard copy >= 0 else { throw .last }
    return OwnedDescriptor(owning: copy)
  }
}

/// Sets a terminal's size, and lets its foreground processes know by `SIGWINCH`.
func setTerminalSize(_ descriptor: Int32, _ size: TerminalSize) -> Bool {
  var window = winsize(
    ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0)
  return unsafe ioctl(descriptor, UInt(TIOCSWINSZ), &window) == 0
}
