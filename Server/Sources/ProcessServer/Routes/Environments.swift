import Hummingbird

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

extension API {
  /// `POST /envs/list`: the only environment, and its tools.
  func environments(request: Request, context: APIContext) async throws -> Response {
    _ = try await fields(of: request, context: context)
    let tools = Tool.allCases.map { tool -> JSON in
      [
        "name": .string(tool.rawValue), "kind": "core", "description": .string(tool.description),
      ]
    }
    return Response(
      json: [
        "envs": [
          [
            "name": .string(configuration.environmentName), "type": "executor",
            "is_default": true, "tools": .array(tools),
            "last_seen": .string(Date().formatted(.iso8601)),
          ]
        ]
      ])
  }
}
