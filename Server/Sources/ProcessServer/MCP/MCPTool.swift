import Processes

/// The tools that agents get.
enum MCPTool: String, CaseIterable {
  case execCommand = "exec_command"
  case readOutput = "read_output"
  case writeStdin = "write_stdin"
  case waitFor = "wait_for"
  case sendSignal = "send_signal"
  case terminate
  case list

  /// Whether a call may take longer than a moment.
  var mayWait: Bool {
    switch self {
    case .execCommand, .readOutput, .waitFor: true
    case .writeStdin, .sendSignal, .terminate, .list: false
    }
  }

  /// Checks that a tool has all of the arguments that a call gives: a model that has made up a name
  /// should learn of it.
  func check(_ arguments: Fields) throws(APIError) {
    let known = properties.map(\.name)
    for name in arguments.names where !known.contains(name) {
      throw .badRequest(
        "\(rawValue) has no argument \(name.prefix(64)): it has \(known.joined(separator: ", "))")
    }
  }

  /// What `tools/list` says of the tool.
  func definition(in revision: MCPRevision) -> JSON {
    var members: [(name: String, value: JSON)] = [
      ("name", .string(rawValue)), ("description", .string(description)),
      ("inputSchema", inputSchema),
    ]
    if revision.hasStructuredContent {
      members += [("title", .string(title)), ("outputSchema", outputSchema)]
    }
    if revision.hasAnnotations {
      members.append(
        (
          "annotations",
          [
            "title": .string(title), "readOnlyHint": .bool(isReadOnly),
            "destructiveHint": .bool(!isReadOnly),
            "idempotentHint": .bool(isReadOnly || self == .terminate),
            // A command can do anything.
            "openWorldHint": .bool(self == .execCommand || self == .writeStdin),
          ]
        ))
    }
    return .object(members)
  }

  private var isReadOnly: Bool {
    switch self {
    case .readOutput, .waitFor, .list: true
    case .execCommand, .writeStdin, .sendSignal, .terminate: false
    }
  }

  private var title: String {
    switch self {
    case .execCommand: "Run a command"
    case .readOutput: "Read a command's output"
    case .writeStdin: "Write to a command's stdin"
    case .waitFor: "Wait for output or the exit"
    case .sendSignal: "Send a signal to a command"
    case .terminate: "End a command"
    case .list: "List the sessions"
    }
  }

  private var description: String {
    switch self {
    case .execCommand:
      """
      Starts a command and waits up to wait_ms for its end. Returns the output so far and, if the \
      command has ended, its exit code. A command that has not ended runs on in its session: use \
      its session_id and cursor with read_output or wait_for to get what it writes next. The \
      command is a line for sh -c, or a list of words that no shell looks at. For a server or \
      another command that does not end by itself, pass a small wait_ms, and then wait_for the \
      text that it writes when it is ready. A command that is silent for long is ended, unless it \
      has keep_alive.
      """
    case .readOutput:
      """
      Returns what a session has written after the position since, both streams in the order of \
      arrival, and the cursor to pass as since next time. Reading does not consume: the same since \
      returns the same output for as long as that is retained. Output that does not fit into \
      max_bytes is left out in the middle, or where part says; left_out gives the number of bytes \
      and the cursor where they begin. To read them, pass that cursor as since with part=head. \
      Output that is missing (missed) is gone: the session retains the newest 1 MiB.
      """
    case .writeStdin:
      """
      Writes to a command's stdin: a text or bytes in base64, and with eof its end. Include the \
      newline that ends a line. In a terminal, \\u0003 is Ctrl-C. Returns at once; read_output \
      with wait_ms returns what the command writes in reply.
      """
    case .waitFor:
      """
      Waits until a session's output after since contains a text, or its command has exited, or \
      wait_ms are over, and says which of them it was (outcome: matched, exited, closed, \
      timed_out), with the output after since. The text is compared byte by byte; it is no regular \
      expression. Without a text, waits for the exit.
      """
    case .sendSignal:
      """
      Sends a signal to a command and all processes of its group, such as SIGINT, SIGHUP or \
      SIGUSR1. Returns at once. To end a command for certain, use terminate.
      """
    case .terminate:
      """
      Ends a command and all processes of its group: SIGTERM, and after a moment SIGKILL. Returns \
      at once; its output can still be read, and wait_for returns when it has ended.
      """
    case .list:
      """
      Lists the sessions, each server's newest first: their ids, commands, whether they run and \
      how they ended.
      """
    }
  }
}

// MARK: Schemas

extension MCPTool {
  private typealias Property = (name: String, value: JSON)

  private var inputSchema: JSON {
    guard case .object(let members) = Schema.object(properties, required: required) else {
      return .null
    }
    return .object(members + [("additionalProperties", false)])
  }

  private var required: [String] {
    switch self {
    case .execCommand: ["command"]
    case .readOutput, .writeStdin, .waitFor, .terminate: ["session_id"]
    case .sendSignal: ["session_id", "signal"]
    case .list: []
    }
  }

  private var properties: [(name: String, value: JSON)] {
    let session: Property = (
      "session_id", Self.described(Schema.string, "The session, as exec_command returned it.")
    )
    switch self {
    case .execCommand:
      let fields = Schema.execFields.compactMap { field in
        Self.commandHelp[field.name].map { (field.name, Self.described(field.value, $0)) }
      }
      return fields + [
        Self.wait("How long to wait for the command's end before answering", 10_000)
      ] + Self.budget
    case .readOutput:
      return [
        session, Self.since("0, the beginning, unless told."),
        Self.wait("If there is nothing new, how long to wait for it", 0),
      ] + Self.budget
    case .writeStdin:
      return [
        session,
        ("text", Self.described(Schema.string, "The text to write.")),
        ("data_b64", Self.described(Schema.string, "In place of text: bytes in base64.")),
        ("eof", Self.described(Schema.boolean, "End stdin, after what was written.")),
      ]
    case .waitFor:
      let text: JSON = [
        "type": "string", "minLength": 1, "maxLength": .int(Literal.lengthLimit),
      ]
      return [
        session, ("text", Self.described(text, "The text to wait for.")),
        ("data_b64", Self.described(Schema.string, "In place of text: bytes in base64.")),
        (
          "stream",
          Self.described(
            ["type": "string", "enum": ["stdout", "stderr"]],
            "The only stream in which to look for the text; both unless told.")
        ),
        Self.since("What came before it is not looked at. 0, the beginning, unless told."),
        Self.wait("How long to wait", 30_000),
      ] + Self.budget
    case .sendSignal:
      return [
        session,
        (
          "signal",
          Self.described(
            ["type": ["string", "integer"]],
            "The signal's name, with or without SIG, or its number.")
        ),
      ]
    case .terminate: return [session]
    case .list:
      return [
        (
          "skip",
          Self.described(
            Schema.integer(0...(.max)), "How many of the newest sessions to leave out; 0.")
        ),
        (
          "max_bytes",
          Self.described(
            Schema.integer(Excerpt.budgets),
            "The most bytes of the list, which has one session at least;"
              + " \(Excerpt.standardBudget) unless told.")
        ),
      ]
    }
  }

  /// What models are told about the arguments of commands. Those that are missing here are not for
  /// them.
  private static let commandHelp = [
    "command": "A line for sh -c, or a list of words.",
    "cwd": "The directory to start in.",
    "env": "Variables that are added to the environment; null removes one.",
    "tty": "Run the command in a terminal: it is then interactive, with colors and prompts.",
    "rows": "The terminal's height; 24.",
    "cols": "The terminal's width; 80.",
    "timeout_ms": "The time after which the command is ended; none unless told.",
    "linger_ms": "How long what the command leaves in the background may write after its end.",
    "head_bytes":
      "How many bytes of the beginning of the output to retain, besides the newest 1 MiB; 0.",
    "merge_stderr":
      "Whether stderr goes to the same pipe as stdout, so that their order is kept; false.",
    "cpu_seconds": "A limit on processor time.",
    "open_files": "A limit on open files.",
    "max_memory_bytes": "A limit on the memory of the command and all that it starts.",
    "max_processes": "A limit on the number of processes.",
    "pipe_stdin": "Whether write_stdin can write to the command; true.",
    "keep_alive": "Keep the command running however long it is silent; false.",
    "name":
      """
    A name for the session. The same command is not started again under its name, even if it has \
    ended: the answer is then its session.
    """,
    "idempotency_key": "The same, for repeating a call of which the answer got lost.",
  ]

  private static func since(_ more: String) -> Property {
    (
      "since",
      described(
        ["type": ["string", "integer"]],
        "A position: the cursor of an earlier answer. \(more)")
    )
  }

  private static func wait(_ text: String, _ standard: Int) -> Property {
    (
      "wait_ms",
      described(
        Schema.integer(0...(.max)),
        "\(text), in milliseconds; \(standard) unless told. More than 60000 counts as that.")
    )
  }

  /// How an answer gives output.
  private static let budget: [Property] = [
    (
      "max_bytes",
      described(
        Schema.integer(Excerpt.budgets),
        "The most bytes of output in the answer; \(Excerpt.standardBudget) unless told.")
    ),
    (
      "part",
      described(
        ["type": "string", "enum": .array(Excerpt.Part.allCases.map { .string($0.rawValue) })],
        "Which part of output that does not fit: both (its beginning and its end, unless told),"
          + " head (its beginning; the cursor is then where the rest begins), or tail.")
    ),
    (
      "format",
      described(
        ["type": "string", "enum": .array(Excerpt.Format.allCases.map { .string($0.rawValue) })],
        "plain (text without escape sequences, each line as a terminal would leave it, unless"
          + " told), text (with them), or exact (base64).")
    ),
  ]

  private static func described(_ schema: JSON, _ description: String) -> JSON {
    guard case .object(let members) = schema else { return schema }
    return .object(
      members.map { $0.name == "type" ? ("type", $0.value.withoutNull) : $0 }
        + [("description", .string(description))])
  }

  private var outputSchema: JSON {
    let session: Property = ("session_id", Schema.string)
    switch self {
    case .execCommand:
      return Schema.object(
        [session] + Self.output + [("is_repeated", Schema.boolean)],
        required: ["session_id"] + Self.output.map(\.name))
    case .readOutput: return Schema.object([session] + Self.output)
    case .waitFor: return Schema.object([session] + Self.output + [("wait_for", Schema.search)])
    case .writeStdin: return Schema.object([session, ("pending_bytes", Schema.count)])
    case .sendSignal, .terminate:
      return Schema.object([session, ("session_alive", Schema.boolean)])
    case .list:
      return Schema.object([
        ("processes", Schema.array(Schema.object(Self.listed))), ("left_out", Schema.count),
      ])
    }
  }

  /// The members of each process in the list.
  private static var listed: [Property] {
    let all = Schema.processFields
    return listedNames.compactMap { name in
      name == "command" ? ("command", Schema.string) : all.first { $0.name == name }
    }
  }

  static let listedNames = [
    "session_id", "command", "name", "started_at", "session_alive", "closed", "exit_code",
    "signal", "timed_out", "lingering", "total_bytes",
  ]

  /// The members of an answer with output.
  private static let output: [Property] = [
    ("session_alive", Schema.boolean), ("closed", Schema.boolean),
    ("exit_code", Schema.nullable("integer")), ("signal", Schema.nullable("string")),
    ("timed_out", Schema.boolean), ("oom_killed", Schema.nullable("boolean")),
    ("cursor", Schema.string), ("offset", Schema.nullable("integer")),
    ("end_offset", Schema.nullable("integer")), ("output_bytes", Schema.count),
    ("left_out_bytes", Schema.count), ("missed_bytes", Schema.nullable("integer")),
    ("remaining_bytes", Schema.count), ("has_more", Schema.boolean),
    ("foreign_cursor", Schema.boolean), ("cursor_ahead", Schema.boolean),
    (
      "parts",
      Schema.array(
        Schema.object(
          [
            ("kind", ["enum": ["output", "left_out", "missed"]]),
            ("bytes", Schema.nullable("integer")), ("text", Schema.string),
            ("data_b64", Schema.string), ("cursor", Schema.string),
          ], required: ["kind", "bytes"]))
    ),
  ]
}

extension JSON {
  /// A schema's type without the one that stands for a missing value.
  fileprivate var withoutNull: JSON {
    guard case .array(let types) = self else { return self }
    let others = types.filter { if case .string("null") = $0 { false } else { true } }
    return others.count == 1 ? others[0] : .array(others)
  }
}
