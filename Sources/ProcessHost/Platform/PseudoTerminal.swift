#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// This program's end of a terminal, and the path by which a child opens the other end.
///
/// The child opens its end by path: a terminal becomes the controlling terminal of a session leader
/// that opens it, but not of a process that inherits it open.
struct PseudoTerminal: ~Copyable {
  let primary: OwnedDescriptor
  /// The child's end, which the child does not inherit. To be kept open until the child has opened
  /// its own descriptor. If the child's file cannot be executed, the child's descriptor is closed,
  /// and the output ends when all descriptors of this end are closed.
  let secondary: OwnedDescriptor
  let path: String

  /// Opens a terminal. Reads from it do not block.
  static func open(_ size: TerminalSize) throws(SystemError) -> PseudoTerminal {
    #if os(Linux) || os(Android)
      let number = unsafe Glibc.open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)
    #else
      let number = posix_openpt(O_RDWR | O_NOCTTY)
    #endif
    guard number >= 0 else { throw .last }
    let primary = try OwnedDescriptor(owning: number).aboveStandard()
    #if os(Linux) || os(Android)
      // TIOCSPTLCK and TIOCGPTN, which Swift does not import from the C library.
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
  /// Opens a terminal, without making it this program's controlling terminal.
  fileprivate static func secondary(_ path: String) throws(SystemError) -> OwnedDescriptor {
    let number = unsafe open(path, O_RDWR | O_NOCTTY | O_CLOEXEC)
    guard number >= 0 else { throw .last }
    return try OwnedDescriptor(owning: number).aboveStandard()
  }

  /// Returns another descriptor of the same open file.
  borrowing func duplicate() throws(SystemError) -> OwnedDescriptor {
    let copy = fcntl(number, F_DUPFD_CLOEXEC, 3)
    guard copy >= 0 else { throw .last }
    return OwnedDescriptor(owning: copy)
  }
}

/// Sets a terminal's size. The system notifies its foreground processes by `SIGWINCH`.
func setTerminalSize(_ descriptor: Int32, _ size: TerminalSize) -> Bool {
  var window = winsize(
    ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0)
  return unsafe ioctl(descriptor, UInt(TIOCSWINSZ), &window) == 0
}
