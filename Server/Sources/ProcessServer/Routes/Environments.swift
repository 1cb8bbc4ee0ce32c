import Hummingbird

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

extension API {
  /// `POST /envs/list`: this server's environment and those of its fleet, and their tools.
  func environments(request: Request, context: APIContext) async throws -> Response {
    _ = try await fields(of: request, context: context)
    let tools = Tool.allCases.map { tool -> JSON in
      [
        "name": .string(tool.rawValue), "kind": "core", "description": .string(tool.description),
      ]
    }
    let own = configuration.environmentName
    let others = await fleet?.hosts().keys.filter { $0 != own }.sorted() ?? []
    let environments = ([own] + others).map { name -> JSON in
      [
        "name": .string(name), "type": "executor", "is_default": .bool(name == own),
        "tools": .array(tools), "last_seen": .string(Date().formatted(.iso8601)),
      ]
    }
    return Response(json: ["envs": .array(environments)])
  }
}
