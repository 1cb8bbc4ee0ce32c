import HTTPTypes
import Hummingbird

extension Route {
  private static let sdk = "/api/sdk"
  private static let session = sdk + "/processes/{sid}"
  private static let anyObject: JSON = ["type": "object"]

  private static let position: [Operation.Parameter] = [
    .query("since", Schema.string, "A seq or a cursor: what comes after it is wanted."),
    .query(
      "tail_bytes", Schema.integer(0...(.max)),
      "Begin near the end, so many bytes before it; with since, no earlier than that."),
    .query("from", ["enum": ["now"]], "Begin at the end."),
  ]

  /// All routes.
  static let all: [Route] = [
    Route(
      method: "GET", path: "/healthz", needsToken: false,
      operation: Operation(
        id: "health", summary: "Says that the server runs.", answers: [.json(Schema.done)])
    ) { _ in { _, _ in Response(json: ["ok": true]) } },
    // Load balancers often ask for nothing more.
    Route(
      method: "HEAD", path: "/healthz", needsToken: false,
      operation: Operation(id: "healthHead", summary: "Says that the server runs.")
    ) { _ in { _, _ in Response(status: .ok) } },
    Route(
      method: "GET", path: "/openapi.json", needsToken: false,
      operation: Operation(
        id: "description", summary: "This description.", answers: [.json(anyObject)])
    ) { _ in { _, _ in Response(json: Route.description(of: Route.all)) } },
    page("/", PackageResources.index_html, "text/html", "page", "The page for people."),
    page("/page.css", PackageResources.page_css, "text/css", "pageStyle", "The page's style."),
    page("/icon.svg", PackageResources.icon_svg, "image/svg+xml", "pageIcon", "The page's icon."),
    page(
      "/page.js", PackageResources.page_js, "text/javascript", "pageScript", "The page's script."),
    page(
      "/view.js", PackageResources.view_js, "text/javascript", "pageView",
      "The part of the page's script that reads and shows output."),
    page(
      "/client.js", PackageResources.client_js, "text/javascript", "pageClient",
      "The part of the page's script that makes requests."),
    page(
      "/rows.js", PackageResources.rows_js, "text/javascript", "pageRows",
      "The part of the page's script that turns output into rows."),
    Route(
      method: "GET", path: "/metrics", needsToken: false,
      operation: Operation(
        id: "metrics", summary: "Counts for Prometheus; for the server's own machine.",
        answers: [.text("text/plain")])
    ) { $0.metrics(request:context:) },
    // Its messages are JSON-RPC, of which the path says nothing, and each tool describes itself:
    // OpenAPI has no words for either.
    Route(method: "POST", path: "/mcp", operation: nil) { $0.mcp(request:context:) },
    Route(
      method: "POST", path: sdk + "/envs/list",
      operation: Operation(
        id: "environments", summary: "Lists the environments and their tools.", body: anyObject,
        answers: [.json(Schema.object([("envs", Schema.array(anyObject))]))])
    ) { $0.environments(request:context:) },
    Route(
      method: "POST", path: sdk + "/envs/{name}/tool/call",
      operation: Operation(
        id: "callTool", summary: "Starts a command, runs one to its end, or waits for a text.",
        body: Schema.toolCall, answers: [.json(Schema.toolResult)], errors: [404, 409])
    ) { $0.callTool(request:context:) },
    Route(
      method: "GET", path: sdk + "/processes",
      operation: Operation(
        id: "processes", summary: "Lists this workspace's sessions.",
        answers: [
          .json(
            Schema.object(
              [("processes", Schema.array(Schema.process)), ("complete", Schema.boolean)],
              required: ["processes"]))
        ])
    ) { $0.processes(request:context:) },
    Route(
      method: "DELETE", path: session,
      operation: Operation(
        id: "deleteProcess", summary: "Ends a process and forgets its session.",
        answers: [.json(Schema.done)], errors: [404])
    ) { $0.atOwner($0.deleteProcess(request:context:)) },
    Route(
      method: "GET", path: session + "/output",
      operation: Operation(
        id: "output", summary: "Reads what is new.",
        parameters: position + [
          .query("wait_ms", Schema.integer(0...(.max)), "Wait for news for so long."),
          .query(
            "wait_for",
            ["type": "string", "minLength": 1, "maxLength": .int(Literal.lengthLimit)],
            "Wait for these bytes instead of any news; percent-encoded. No regular expression."),
          .query(
            "wait_for_stream", ["enum": ["stdout", "stderr"]],
            "With wait_for: search this stream alone."),
          .query("max_bytes", Schema.integer(1...(.max)), "A limit on the output in the answer."),
          .query("format", ["enum": ["json", "raw", "text"]], "How the answer gives output."),
          .query(
            "acknowledge", Schema.integer(0...1),
            "1 says that the lossless reader has all output up to since: see lossless_ms."),
          .query(
            "plain", Schema.integer(0...1),
            "With format=text: 1 leaves out escape sequences, and resolves what was overwritten."),
        ],
        answers: [
          .json(Schema.output), .text("application/octet-stream"), .text("text/plain"),
        ], errors: [404, 409])
    ) { $0.output(request:context:) },
    Route(
      method: "GET", path: session + "/events",
      operation: Operation(
        id: "events", summary: "Follows a session to its end, as server-sent events.",
        parameters: position + [
          Operation.Parameter(
            name: "Last-Event-ID", place: .header, schema: Schema.string,
            description: "Where the last stream was cut off.")
        ],
        answers: [Operation.Content(type: "text/event-stream", schema: Schema.event)],
        mayBeEmpty: true, errors: [404])
    ) { $0.events(request:context:) },
    Route(
      method: "POST", path: session + "/stdin",
      operation: Operation(
        id: "writeStdin", summary: "Writes to the process's stdin.",
        body: Schema.object(
          [
            (
              "data_b64",
              ["type": ["string", "null"], "contentEncoding": "base64"]
            ), ("eof", Schema.nullable("boolean")),
          ], required: []),
        answers: [
          .json(
            Schema.object(
              [("ok", Schema.boolean), ("pending_bytes", Schema.count)], required: ["ok"]))
        ], errors: [404, 409])
    ) { $0.atOwner($0.writeStdin(request:context:)) },
    Route(
      method: "POST", path: session + "/terminate",
      operation: Operation(
        id: "terminate", summary: "Ends the process, and all others in its group.",
        body: Schema.object([Schema.graceField], required: []),
        answers: [.json(Schema.done)], errors: [404])
    ) { $0.atOwner($0.terminate(request:context:)) },
    Route(
      method: "POST", path: session + "/signal",
      operation: Operation(
        id: "signal", summary: "Sends a signal to the process's group.",
        body: Schema.object([
          (
            "signal",
            ["anyOf": [["type": "string"], Schema.integer(1...64)]]
          )
        ]), answers: [.json(Schema.done)], errors: [404, 409])
    ) { $0.atOwner($0.signal(request:context:)) },
    Route(
      method: "POST", path: session + "/resize",
      operation: Operation(
        id: "resize", summary: "Changes the size of the process's terminal.",
        body: Schema.object([
          ("rows", Schema.integer(0...65_535)), ("cols", Schema.integer(0...65_535)),
        ]), answers: [.json(Schema.done)], errors: [404, 409])
    ) { $0.atOwner($0.resize(request:context:)) },
  ]
}
