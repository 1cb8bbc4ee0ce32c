import Processes

/// The description of a route's request and answers, in the terms of OpenAPI 3.1.
struct Operation: Sendable {
  struct Parameter: Sendable {
    enum Place: String { case query, header }

    let name: String
    let place: Place
    let schema: JSON
    let description: String

    static func query(_ name: String, _ schema: JSON, _ description: String) -> Parameter {
      Parameter(name: name, place: .query, schema: schema, description: description)
    }
  }

  /// A body of an answer: its media type and its schema.
  struct Content: Sendable {
    let type: String
    let schema: JSON

    static func json(_ schema: JSON) -> Content {
      Content(type: "application/json", schema: schema)
    }
    static func text(_ type: String) -> Content {
      Content(type: type, schema: ["type": "string"])
    }
  }

  let id: String
  let summary: String
  var parameters: [Parameter] = []
  /// The schema of the request's body, if it has one.
  var body: JSON?
  var answers: [Content] = []
  /// Whether the answer may also be 204.
  var mayBeEmpty = false
  /// The statuses of errors in addition to those that any request may get.
  var errors: [Int] = []
}

/// Schemas in the terms of JSON Schema.
enum Schema {
  static let string: JSON = ["type": "string"]
  static let boolean: JSON = ["type": "boolean"]
  static let count: JSON = ["type": "integer", "minimum": 0]

  static func nullable(_ type: JSON) -> JSON { ["type": [type, "null"]] }

  static func integer(_ range: ClosedRange<Int>) -> JSON {
    range.upperBound == .max
      ? ["type": "integer", "minimum": .int(range.lowerBound), "maximum": .int(1 << 53)]
      : [
        "type": "integer", "minimum": .int(range.lowerBound), "maximum": .int(range.upperBound),
      ]
  }

  static func object(
    _ properties: [(name: String, value: JSON)], required: [String]? = nil
  ) -> JSON {
    let names = required ?? properties.map(\.name)
    return .object([
      ("type", "object"), ("properties", .object(properties)),
      ("required", .array(names.map { .string($0) })),
    ])
  }

  static func array(_ items: JSON) -> JSON { ["type": "array", "items": items] }

  static let error = object([
    ("error", object([("code", string), ("message", string)]))
  ])

  static let done = object([("ok", boolean)])

  static let chunk = object(
    [
      ("stream", ["enum": ["stdout", "stderr"]]),
      ("data_b64", ["type": "string", "contentEncoding": "base64"]),
      ("seq", integer(1...(.max))), ("offset", count), ("time_ms", count),
    ], required: ["stream", "data_b64", "seq", "offset"])

  static let output = object(
    outputFields + [("start_ms", count), ("host_lost", boolean), ("holder_lost", boolean)],
    required: outputFields.map(\.name))

  private static let outputFields: [(name: String, value: JSON)] = [
    ("chunks", array(chunk)), ("exit_code", nullable("integer")), ("session_alive", boolean),
    ("truncated", boolean), ("lost_bytes", count), ("closed", boolean), ("missed_chunks", count),
    ("missed_bytes", nullable("integer")), ("gap_index", nullable("integer")),
    ("next_since", count), ("cursor", string),
    ("has_more", boolean), ("signal", nullable("string")), ("dropped_bytes", count),
    ("timed_out", boolean), ("oom_killed", nullable("boolean")), ("rusage", usage),
    ("foreign_cursor", boolean), ("cursor_ahead", boolean), ("forgotten", boolean),
    ("wait_for", ["anyOf": [search, ["type": "null"]]]),
  ]

  /// How a wait for a literal ended.
  static let search = object([
    ("outcome", ["enum": ["matched", "exited", "closed", "timed_out"]]),
    ("offset", nullable("integer")), ("end_offset", nullable("integer")),
    ("missed_bytes", nullable("integer")), ("cursor", string),
  ])

  /// The resources that a process has used; null while it runs.
  private static let usage: JSON = [
    "anyOf": [
      object([
        ("user_seconds", ["type": "number", "minimum": 0]),
        ("system_seconds", ["type": "number", "minimum": 0]), ("max_rss_bytes", count),
      ]),
      ["type": "null"],
    ]
  ]

  /// An event of a stream, as a client has parsed it.
  static let event = object(
    [
      ("event", ["enum": ["chunk", "gap", "reset", "exit", "end", "error"]]), ("id", string),
      ("data", string),
    ], required: ["event", "data"])

  /// In a fleet, the name of the session's server comes with it, and whether that is silent or
  /// lost.
  static let process = object(
    processFields + [
      ("env", string), ("unreachable", boolean), ("host_lost", boolean), ("holder_lost", boolean),
    ],
    required: processFields.map(\.name))

  static let processFields: [(name: String, value: JSON)] = [
    ("session_id", string), ("pid", integer(1...(.max))), ("command", command), ("tty", boolean),
    ("started_at", ["type": "string", "format": "date-time"]), ("session_alive", boolean),
    ("closed", boolean), ("exit_code", nullable("integer")), ("signal", nullable("string")),
    ("last_seq", count), ("total_bytes", count), ("lost_bytes", count), ("head_bytes", count),
    ("dropped_bytes", count), ("timed_out", boolean), ("name", nullable("string")),
    ("keep_alive", boolean),
    ("lingering", boolean), ("oom_killed", nullable("boolean")), ("rusage", usage),
  ]

  static let command: JSON = [
    "anyOf": [
      ["type": "string"], ["type": "array", "items": ["type": "string"], "minItems": 1],
    ]
  ]

  private static let commandFields: [(name: String, value: JSON)] = [
    ("command", command), ("cwd", nullable("string")),
    (
      "env",
      ["type": ["object", "null"], "additionalProperties": ["type": ["string", "null"]]]
    ),
    ("tty", nullable("boolean")), ("rows", optional(0...65_535)), ("cols", optional(0...65_535)),
    ("timeout_ms", optional(1...(.max))), ("cpu_seconds", optional(1...(1 << 31))),
    ("open_files", optional(3...(1 << 20))), ("linger_ms", optional(0...(1 << 40))),
    ("max_memory_bytes", optional(1...(.max))), ("max_processes", optional(1...(.max))),
    ("head_bytes", optional(0...Session.maxBufferBytes)), ("timestamps", nullable("boolean")),
    ("merge_stderr", nullable("boolean")),
  ]

  static let graceField = (name: "grace_ms", value: optional(API.graces))

  private static func optional(_ range: ClosedRange<Int>) -> JSON {
    guard case .object(let members) = integer(range) else { return .null }
    return .object([("type", ["integer", "null"])] + members.dropFirst())
  }

  private static let label: JSON = [
    "type": ["string", "null"], "minLength": 1, "maxLength": 256,
  ]

  private static let literal: JSON = [
    "type": ["string", "null"], "minLength": 1, "maxLength": .int(Literal.lengthLimit),
  ]

  /// The arguments of `exec_command`.
  static let execFields =
    commandFields + [
      ("pipe_stdin", nullable("boolean")), ("keep_alive", nullable("boolean")),
      ("name", label), ("idempotency_key", label), graceField,
      ("timeout_signal", ["anyOf": [["type": ["string", "null"]], integer(1...64)]]),
      ("lossless_ms", optional(API.losslessTimes)),
    ]

  static let toolCall: JSON = [
    "oneOf": [
      object([
        ("tool", ["const": "exec_command"]),
        (
          "arguments",
          object(execFields, required: ["command"])
        ),
      ]),
      object([
        ("tool", ["const": "shell"]),
        (
          "arguments",
          object(
            commandFields + [("end_background", nullable("boolean"))], required: ["command"])
        ),
      ]),
      object([
        ("tool", ["const": "wait_for"]),
        (
          "arguments",
          object(
            [
              ("session_id", string),
              ("text", literal),
              ("data_b64", ["type": ["string", "null"], "contentEncoding": "base64"]),
              ("stream", ["enum": ["stdout", "stderr", nil]]),
              ("since", ["type": ["string", "integer", "null"]]),
              ("wait_ms", optional(0...(.max))), ("max_bytes", optional(1...(.max))),
            ], required: ["session_id"])
        ),
      ]),
    ]
  ]

  static let toolResult = object(
    [
      ("isError", boolean),
      ("content", array(object([("type", ["const": "text"]), ("text", string)]))),
      ("structuredContent", ["type": "object"]), ("code", string),
    ], required: ["isError", "content"])
}

extension Route {
  /// The description of routes in OpenAPI 3.1.
  static func description(of routes: [Route]) -> JSON {
    var paths: [(name: String, value: JSON)] = []
    for route in routes {
      guard let operation = route.operation else { continue }
      let method = (name: route.method.lowercased(), value: route.description(operation))
      if let index = paths.firstIndex(where: { $0.name == route.path }),
        case .object(let methods) = paths[index].value
      {
        paths[index].value = .object(methods + [method])
      } else {
        paths.append((route.path, .object([method])))
      }
    }
    return [
      "openapi": "3.1.0",
      "info": [
        "title": "processd", "version": "1",
        "description": "Starts commands, keeps their output and serves it.",
      ],
      "paths": .object(paths),
      "components": [
        "schemas": ["Error": Schema.error],
        "securitySchemes": ["token": ["type": "http", "scheme": "bearer"]],
      ],
    ]
  }

  private func description(_ operation: Operation) -> JSON {
    var members: [(name: String, value: JSON)] = [
      ("operationId", .string(operation.id)), ("summary", .string(operation.summary)),
    ]
    if needsToken { members.append(("security", [["token": []]])) }
    let names = path.split(separator: "/").filter { $0.hasPrefix("{") }
    let ofPath = names.map { name -> JSON in
      [
        "name": .string(String(name.dropFirst().dropLast())), "in": "path", "required": true,
        "schema": ["type": "string", "minLength": 1],
      ]
    }
    let others = operation.parameters.map { parameter -> JSON in
      [
        "name": .string(parameter.name), "in": .string(parameter.place.rawValue),
        "schema": parameter.schema, "description": .string(parameter.description),
      ]
    }
    if !ofPath.isEmpty || !others.isEmpty {
      members.append(("parameters", .array(ofPath + others)))
    }
    if let body = operation.body {
      members.append(
        ("requestBody", ["content": ["application/json": ["schema": body]], "required": true]))
    }
    members.append(("responses", .object(responses(operation))))
    return .object(members)
  }

  private func responses(_ operation: Operation) -> [(name: String, value: JSON)] {
    let content = operation.answers.map { (name: $0.type, value: ["schema": $0.schema] as JSON) }
    var responses: [(name: String, value: JSON)] = [
      (
        "200",
        content.isEmpty
          ? ["description": "done"] : ["description": "done", "content": .object(content)]
      )
    ]
    if operation.mayBeEmpty { responses.append(("204", ["description": "nothing more comes"])) }
    // A request may be invalid HTTP, or too large, whatever its route.
    var statuses = operation.errors + [400, 403, 431, 503]
    if needsToken { statuses += [401, 429] }
    if operation.body != nil { statuses.append(413) }
    for status in Set(statuses).sorted() {
      responses.append(
        (
          "\(status)",
          [
            "description": "an error",
            "content": ["application/json": ["schema": ["$ref": "#/components/schemas/Error"]]],
          ]
        ))
    }
    return responses
  }
}
