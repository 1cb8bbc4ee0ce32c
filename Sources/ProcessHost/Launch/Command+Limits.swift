import CSpawn

extension Command {
  /// A resource that can be limited.
  public enum Resource: Sendable, Hashable, CaseIterable {
    /// The processor time of a process, in seconds (`RLIMIT_CPU`).
    case cpuTime
    /// The number above all descriptors that a process may open (`RLIMIT_NOFILE`).
    case openFiles
    /// The size of a file that a process may write, in bytes (`RLIMIT_FSIZE`).
    case fileSize
    /// The size of a core file, in bytes (`RLIMIT_CORE`).
    case coreFileSize
    /// The address space of a process, in bytes (`RLIMIT_AS`).
    case addressSpace
    /// The data segment and other private memory of a process, in bytes (`RLIMIT_DATA`).
    case dataSize
    /// The stack of a process's first thread, in bytes (`RLIMIT_STACK`).
    case stackSize
    /// The memory that a process may lock, in bytes (`RLIMIT_MEMLOCK`).
    case lockedMemory
    /// The processes and threads of the user, which root may exceed (`RLIMIT_NPROC`).
    case processes

    /// The system's number of the resource.
    var number: Int32 { Int32(bitPattern: name.rawValue) }

    private var name: spawn_resource {
      switch self {
      case .cpuTime: SPAWN_CPU_TIME
      case .openFiles: SPAWN_OPEN_FILES
      case .fileSize: SPAWN_FILE_SIZE
      case .coreFileSize: SPAWN_CORE_FILE_SIZE
      case .addressSpace: SPAWN_ADDRESS_SPACE
      case .dataSize: SPAWN_DATA_SIZE
      case .stackSize: SPAWN_STACK_SIZE
      case .lockedMemory: SPAWN_LOCKED_MEMORY
      case .processes: SPAWN_PROCESSES
      }
    }

    /// The resource's name in messages.
    var words: String {
      switch self {
      case .cpuTime: "processor time"
      case .openFiles: "open files"
      case .fileSize: "the size of files"
      case .coreFileSize: "the size of core files"
      case .addressSpace: "address space"
      case .dataSize: "data memory"
      case .stackSize: "the stack"
      case .lockedMemory: "locked memory"
      case .processes: "processes"
      }
    }
  }

  /// How much of a resource a command may use.
  public struct Limit: Sendable, Hashable, ExpressibleByIntegerLiteral {
    /// The value that stands for no limit.
    public static let unlimited = Limit(soft: .max, hard: .max)

    /// The limit that is enforced; the command may change it, up to ``hard``.
    public var soft: UInt64

    /// The limit that the command cannot exceed. A value above this program's own needs a
    /// privilege.
    public var hard: UInt64

    /// Creates a limit.
    ///
    /// - Parameters:
    ///   - soft: The limit that is enforced; `UInt64.max` is no limit.
    ///   - hard: The value to which the command may raise the limit; at least `soft`.
    public init(soft: UInt64, hard: UInt64) {
      self.soft = soft
      self.hard = hard
    }

    /// Creates a limit that the command cannot raise.
    public init(_ value: UInt64) { self.init(soft: value, hard: value) }

    /// Creates a limit that the command cannot raise.
    public init(integerLiteral value: UInt64) { self.init(soft: value, hard: value) }
  }
}

extension Command.Limit: CustomStringConvertible {
  /// The values as `ulimit` shows them.
  public var description: String {
    func text(_ value: UInt64) -> String { value == .max ? "unlimited" : "\(value)" }
    return soft == hard ? text(soft) : "\(text(soft)) (hard: \(text(hard)))"
  }
}
