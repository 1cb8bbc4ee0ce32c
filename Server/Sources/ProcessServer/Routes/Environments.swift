import Hummingbird

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

extension API {
  /// `POST /envs/list`: the one environment that there is, and its tools.
  func environments(request: Request, context: APIContext) async throws -> Response {
    _ = try await request.decode(NoArguments.self, upTo: configuration.limits.bodyBytes)
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

/// A body of which nothing is expected but to be an object.
struct NoArguments: Decodable {
  private enum CodingKeys: CodingKey {}

  init(from decoder: any Decoder) throws { _ = try decoder.container(keyedBy: CodingKeys.self) }
}
