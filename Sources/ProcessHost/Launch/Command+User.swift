#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension Command {
  /// A user and its groups, by their IDs.
  public struct User: Sendable, Hashable {
    /// The user's ID.
    public var userID: UInt32
    /// The ID of the user's primary group.
    public var groupID: UInt32
    /// The IDs of its supplementary groups. The command never keeps the supplementary groups of
    /// this program.
    public var supplementaryGroups: [UInt32]

    /// Creates a user.
    ///
    /// - Parameters:
    ///   - userID: The user's ID.
    ///   - groupID: The ID of its primary group.
    ///   - supplementaryGroups: The IDs of its supplementary groups; none by default.
    public init(userID: UInt32, groupID: UInt32, supplementaryGroups: [UInt32] = []) {
      self.userID = userID
      self.groupID = groupID
      self.supplementaryGroups = supplementaryGroups
    }

    /// Looks up a user, with all its groups, in the system's databases.
    ///
    /// May block for as long as the databases take, over a network for example.
    ///
    /// - Parameter name: The user's name.
    /// - Returns: The user; nil if there is no such user, or the databases cannot be read.
    public init?(named name: String) {
      guard let (userID, groupID) = Self.lookUp(name) else { return nil }
      self.init(
        userID: userID, groupID: groupID,
        supplementaryGroups: Self.groups(of: name, groupID) ?? [groupID])
    }

    private static func lookUp(_ name: String) -> (user: UInt32, group: UInt32)? {
      var size = 1_024
      while size <= 1 << 20 {
        var (entry, result) = unsafe (passwd(), UnsafeMutablePointer<passwd>?.none)
        let code = unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: size) {
          unsafe getpwnam_r(name, &entry, $0.baseAddress!, $0.count, &result)
        }
        // The strings of the entry are not valid any more; its IDs are.
        if code == 0 { return unsafe result == nil ? nil : (entry.pw_uid, entry.pw_gid) }
        guard code == ERANGE else { return nil }
        size *= 4
      }
      return nil
    }

    private static func groups(of name: String, _ first: UInt32) -> [UInt32]? {
      #if canImport(Darwin)
        typealias Number = Int32
      #else
        typealias Number = UInt32
      #endif
      var capacity: Int32 = 64
      while capacity <= 1 << 17 {
        var numbers = [Number](repeating: 0, count: Int(capacity))
        var count = capacity
        if unsafe getgrouplist(name, Number(truncatingIfNeeded: first), &numbers, &count) >= 0 {
          return numbers.prefix(Int(count)).map { UInt32(truncatingIfNeeded: $0) }
        }
        capacity = max(count, capacity * 2)
      }
      return nil
    }
  }
}
