import Foundation
import Testing

@testable import ProcessServer

/// Which request goes where, and what the description says of it.
@Suite(.timeLimit(.minutes(10))) struct RouteTests {
  @Test("Each segment of a path is percent-decoded by itself")
  func decoding() async throws {
    try await TestServer.run {
      $0.environmentName = "my env/é"
    } _: { server in
      let call = #"{"tool":"shell","arguments":{"command":"echo x"}}"#
      let reply = try await server.post("envs/my%20env%2F%c3%A9/tool/call", call)
      #expect(reply.text.contains(#""output":"x\n""#))
      #expect(try await server.get("process%65s").status == 200)
      #expect(try await server.get("processes%2f").status == 404)
    }
  }

  @Test("A malformed percent escape is refused", arguments: ["%", "%z0", "%4", "%-1"])
  func notEncoded(text: String) async throws {
    try await TestServer.run { server in
      let reply = try await server.get("processes/\(text)/output")
      #expect(reply.status == 400)
      #expect(reply.code == "bad_request")
    }
  }

  @Test("A method that a path does not allow is answered with the allowed ones")
  func methods() async throws {
    try await TestServer.run { server in
      for (method, path, allowed) in [
        ("PUT", "/api/sdk/processes", "GET"), ("DELETE", "/api/sdk/envs/list", "POST"),
        ("PATCH", "/healthz", "GET, HEAD"), ("GET", "/api/sdk/processes/x", "DELETE"),
        ("POST", "/api/sdk/processes/x/output", "GET"), ("OPTIONS", "/metrics", "GET"),
      ] {
        let reply = try await server.request(method, path, token: nil)
        #expect(reply.status == 405, "\(method) \(path)")
        #expect(reply.code == "method_not_allowed", "\(method) \(path)")
        #expect(reply.headers["allow"] == allowed)
      }
    }
  }

  @Test("The OpenAPI description lists every route but that of MCP, and no other")
  func description() async throws {
    struct Description: Decodable {
      struct Operation: Decodable { var operationId: String }
      var openapi: String
      var paths: [String: [String: Operation]]
    }
    try await TestServer.run { server in
      let reply = try await server.request("GET", "/openapi.json", token: nil)
      let description = try reply.decode(Description.self)
      #expect(description.openapi == "3.1.0")
      let described = description.paths.flatMap { path, methods in
        methods.keys.map { "\($0.uppercased()) \(path)" }
      }
      let all = Set(Route.all.map { "\($0.method) \($0.path)" })
      #expect(Set(described) == all.subtracting(["POST /mcp"]))
      let ids = description.paths.values.flatMap { $0.values.map(\.operationId) }
      #expect(Set(ids).count == described.count)
      // Each is answered by the server, and by no other route.
      for route in Route.all {
        let path = route.path.replacing("{sid}", with: "0123").replacing("{name}", with: "local")
        let reply = try await server.request(route.method, path, token: nil)
        #expect(reply.status == (route.needsToken ? 401 : 200), "\(route.method) \(path)")
      }
    }
  }

  @Test("The answers have exactly the fields of the description")
  func answersAsDescribed() async throws {
    try await TestServer.run { server in
      let id = try await server.start("echo x", #","timestamps":true"#)
      _ = try await server.output(id) { $0.closed }
      func names(_ schema: JSON) -> Set<String> {
        guard case .object(let members) = schema,
          case .object(let properties)? = members.first(where: { $0.name == "properties" })?.value
        else { return [] }
        // What is said in a fleet alone, or of what is lost.
        return Set(properties.map(\.name)).subtracting(
          ["env", "host_lost", "holder_lost", "unreachable"])
      }
      let output = try await server.get("processes/\(id)/output").body
      let object = try JSONSerialization.jsonObject(with: Data(output)) as? [String: Any]
      #expect(Set(object.map { Array($0.keys) } ?? []) == names(Schema.output))
      let chunks = object?["chunks"] as? [[String: Any]]
      #expect(Set(chunks?.first.map { Array($0.keys) } ?? []) == names(Schema.chunk))
      let found = try await server.get("processes/\(id)/output?wait_for=x").body
      let answer = try JSONSerialization.jsonObject(with: Data(found)) as? [String: Any]
      let search = answer?["wait_for"] as? [String: Any]
      #expect(Set(search.map { Array($0.keys) } ?? []) == names(Schema.search))
      let list = try await server.get("processes").body
      let listed = try JSONSerialization.jsonObject(with: Data(list)) as? [String: [[String: Any]]]
      #expect(
        Set(listed?["processes"]?.first.map { Array($0.keys) } ?? []) == names(Schema.process))
    }
  }
}
