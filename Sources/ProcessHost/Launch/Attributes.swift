import CSpawn

/// The parts of a command's plan that are arrays or optional, as C values.
@safe
struct Attributes: ~Copyable {
  /// Sorted by target.
  let descriptors: UnsafeMutableBufferPointer<spawn_descriptor>
  /// In the order of ``Command/orderedLimits``.
  let limits: UnsafeMutableBufferPointer<spawn_limit>
  private(set) var user: UnsafeMutablePointer<spawn_user>?
  private let groups: UnsafeMutableBufferPointer<UInt32>

  init(_ command: Command) {
    unsafe descriptors = .allocate(
      copying: command.inheritedDescriptors.sorted { $0.key < $1.key }
        .map { spawn_descriptor(source: $0.value, target: $0.key) })
    unsafe limits = .allocate(
      copying: command.orderedLimits.map {
        spawn_limit(resource: $0.key.number, soft: $0.value.soft, hard: $0.value.hard)
      })
    unsafe groups = .allocate(copying: command.user?.supplementaryGroups ?? [])
    guard let wanted = command.user else { return }
    unsafe user = .allocate(capacity: 1)
    unsafe user?.initialize(
      to: spawn_user(
        user: wanted.userID, group: wanted.groupID, supplementary: groups.baseAddress,
        supplementary_count: Int32(groups.count)))
  }

  deinit {
    unsafe descriptors.deallocate()
    unsafe limits.deallocate()
    unsafe user?.deallocate()
    unsafe groups.deallocate()
  }
}

extension Command {
  /// The limits in the order in which they are set.
  var orderedLimits: [(key: Resource, value: Limit)] {
    limits.sorted { $0.key.number < $1.key.number }
  }

  /// The number of pipes or terminals from which the command's output comes.
  var pipeCount: Int { terminal != nil || mergesStandardError ? 1 : 2 }
}

extension Command.ProcessGroup {
  /// The same as a C value.
  var plan: spawn_group {
    switch self {
    case .own: SPAWN_NEW_GROUP
    case .ownSession: SPAWN_NEW_SESSION
    case .inherited: SPAWN_SAME_GROUP
    }
  }
}

extension UnsafeMutableBufferPointer {
  /// Returns a copy of an array, which the caller deallocates.
  fileprivate static func allocate(copying elements: [Element]) -> Self {
    let copy = Self.allocate(capacity: elements.count)
    _ = unsafe copy.initialize(fromContentsOf: elements)
    return unsafe copy
  }
}
