import HolderProtocol
import ProcessHost
import Testing

@Suite("Launch orders", .timeLimit(.minutes(10)))
struct LaunchOrderTests {
  /// An order in which nothing has its default value.
  static let fullOrder: LaunchOrder = {
    var command = Command(
      Command.Text(bytes: [0x2f, 0xff]),
      arguments: [Command.Text(bytes: [0xfe, 0x20]), "", Command.Text("ü")])
    command.workingDirectory = Command.Text(bytes: [0x2f, 0x80])
    command.user = Command.User(userID: 1, groupID: .max - 1, supplementaryGroups: [3, 0])
    command.limits = [
      .openFiles: Command.Limit(soft: 1, hard: 2), .cpuTime: .unlimited, .processes: 9,
    ]
    command.memoryLimit = 1 << 30
    command.processLimit = 12
    command.lingerLimit = .milliseconds(1_234)
    command.quietGrace = nil
    command.terminal = TerminalSize(rows: 1, columns: .max)
    command.mergesStandardError = true
    command.input = .pipe
    command.timeLimit = .seconds(5)
    command.timeLimitSignal = .interrupt
    command.niceness = -3
    command.terminationGrace = .microseconds(3)
    var order = LaunchOrder(
      files: StateFiles(directory: "/run/ä b", id: "7"), workspace: "acme",
      orphanTimeout: .seconds(60), command: command,
      environment: [
        "A": "1", "EMPTY": "", Command.Text(bytes: [0xf0]): Command.Text(bytes: [0x3d, 0xf1]),
        "GONE": nil,
      ])
    order.headBytes = 4_096
    order.hasTimestamps = true
    order.losslessTime = .seconds(30)
    order.stdinBytes = 77
    order.cgroups = .inside(path: "/sys/fs/cgroup/x")
    return order
  }()

  @Test("An order is read as it was written, bytes that are not text included")
  func roundTrip() throws {
    let order = Self.fullOrder
    let read = try #require(LaunchOrder(order.message))
    var command = order.command
    command.environment = .inherited(changing: order.environment)
    #expect(read.command == command)
    #expect(read.files == order.files)
    #expect(read.workspace == "acme")
    #expect(read.headBytes == 4_096)
    #expect(read.hasTimestamps)
    #expect(read.losslessTime == .seconds(30))
    #expect(read.stdinBytes == 77)
    #expect(read.orphanTimeout == .seconds(60))
    #expect(read.cgroups == .inside(path: "/sys/fs/cgroup/x"))
    #expect(read.environment == order.environment)
  }

  @Test("An order that sets nothing is read as it was written")
  func defaults() throws {
    var command = Command("true")
    command.quietGrace = nil
    command.lingerLimit = nil
    let order = LaunchOrder(
      files: StateFiles(directory: "/d", id: "i"), workspace: "", orphanTimeout: .zero,
      command: command, environment: [:])
    let read = try #require(LaunchOrder(order.message))
    command.environment = .inherited(changing: [Command.Text: Command.Text?]())
    #expect(read.command == command)
    #expect(read.headBytes == 0)
    #expect(!read.hasTimestamps)
    #expect(read.losslessTime == nil)
    #expect(read.stdinBytes == order.stdinBytes)
    #expect(read.cgroups == .none)
    #expect(read.environment.isEmpty)
  }

  @Test("Cgroups where they are available are read as they were written")
  func cgroups() throws {
    var order = Self.fullOrder
    order.cgroups = .ifAvailable
    #expect(LaunchOrder(order.message)?.cgroups == .ifAvailable)
  }

  @Test(
    "Each limit is read as it was written", arguments: Command.Resource.allCases)
  func limits(resource: Command.Resource) {
    var order = Self.fullOrder
    order.command.limits = [resource: Command.Limit(soft: 5, hard: .max)]
    #expect(LaunchOrder(order.message)?.command.limits == order.command.limits)
  }

  @Test("A message without what every order has is none")
  func incomplete() {
    #expect(LaunchOrder(HolderMessage(.launch)) == nil)
    #expect(LaunchOrder(HolderMessage(.hello)) == nil)
    for left in 0..<4 {
      var message = HolderMessage(.launch)
      if left != 0 { message.append(.directory, "/d") }
      if left != 1 { message.append(.id, "i") }
      if left != 2 { message.append(.executable, "true") }
      if left != 3 { message.append(.orphanTimeout, Duration.seconds(1)) }
      #expect(LaunchOrder(message) == nil)
    }
  }

  // MARK: Failures

  @Test(
    "Why a command could not be started is read as it was written",
    arguments: [
      HolderFailure.storage(reason: "no space", code: 28), .storage(reason: "odd", code: nil),
      .launch(.executableNotFound(name: "x", searched: [])),
      .launch(.executableNotFound(name: "x", searched: ["/bin", "/ü"])),
      .launch(.notExecutable(path: "/p", reason: .noPermission)),
      .launch(.notExecutable(path: "/p", reason: .isDirectory)),
      .launch(.notExecutable(path: "/p", reason: .notADirectory)),
      .launch(.notExecutable(path: "/p", reason: .unknownFormat)),
      .launch(.notExecutable(path: "/p", reason: .badInterpreter)),
      .launch(.notExecutable(path: "/p", reason: .argumentsTooLong)),
      .launch(.badWorkingDirectory(path: "/p", code: 2)),
      .launch(.invalidCommand(reason: "r")), .launch(.limitsUnavailable(reason: "r")),
      .launch(.outOfResources(code: 24)), .launch(.other(reason: "r", code: nil)),
      .launch(.other(reason: "r", code: 5)),
    ])
  func failures(failure: HolderFailure) {
    let message = failure.message(number: 8)
    #expect(message.kind == .failed)
    #expect(message.number == 8)
    #expect(HolderFailure(message) == failure)
  }

  @Test(
    "A failure that has no form of its own keeps its words",
    arguments: [
      LaunchError.hostClosed, .cancelled, .sessionInUse(id: "s"), .tooManySessions(limit: 3),
      .idTaken(id: "s"),
    ])
  func otherFailures(error: LaunchError) {
    let read = HolderFailure(HolderFailure.launch(error).message(number: 1))
    #expect(read == .launch(.other(reason: error.description, code: nil)))
  }

  @Test("A failure with an unknown reason is another error")
  func unknownFailure() {
    var message = HolderMessage(.failed)
    message.append(.reason, "moon_phase")
    message.append(.text, "waning")
    #expect(HolderFailure(message) == .launch(.other(reason: "waning", code: nil)))
  }
}
