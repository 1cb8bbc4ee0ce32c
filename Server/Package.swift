// swift-tools-version: 6.2

import PackageDescription

let settings: [SwiftSetting] = [
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
  name: "swift-processes-server",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "ProcessServer", targets: ["ProcessServer"]),
    .executable(name: "processd", targets: ["processd"]),
    .executable(name: "processd-holder", targets: ["processd-holder"]),
    .executable(name: "processctl", targets: ["processctl"]),
  ],
  dependencies: [
    // Named, or else it would be called after the folder that it was cloned into.
    .package(name: "swift-processes", path: ".."),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.30.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.14.0"),
    .package(url: "https://github.com/apple/swift-metrics", from: "2.8.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0", traits: []),
    .package(url: "https://github.com/apple/swift-nio-extras", from: "1.34.1"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.6.0"),
  ],
  targets: [
    .target(
      name: "ProcessServer",
      dependencies: [
        "HolderProtocol", "RESPClient",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "ProcessHost", package: "swift-processes"),
        .product(name: "Processes", package: "swift-processes"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "CoreMetrics", package: "swift-metrics"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
        .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      resources: [.embedInCode("Page")],
      swiftSettings: settings),
    .target(
      name: "RESPClient",
      dependencies: [
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
      ],
      swiftSettings: settings),
    .target(
      name: "HolderProtocol",
      dependencies: [.product(name: "ProcessHost", package: "swift-processes")],
      swiftSettings: settings),
    // Without the packages that the daemon needs: there is one for each session.
    .executableTarget(
      name: "processd-holder",
      dependencies: [
        "HolderProtocol", .product(name: "ProcessHost", package: "swift-processes"),
      ],
      swiftSettings: settings),
    .executableTarget(
      name: "processd",
      dependencies: [
        "ProcessServer",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: settings),
    .executableTarget(
      name: "processctl",
      dependencies: [
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "Processes", package: "swift-processes"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      ],
      swiftSettings: settings),
    .executableTarget(
      name: "ServerBenchmarks",
      dependencies: [
        "ProcessServer",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "Processes", package: "swift-processes"),
      ],
      path: "Benchmarks", swiftSettings: settings),
    .testTarget(
      name: "ProcessServerTests",
      dependencies: [
        "ProcessServer",
        // Which some tests start.
        "processctl", "processd", "processd-holder",
        .product(name: "MetricsTestKit", package: "swift-metrics"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOEmbedded", package: "swift-nio"),
        .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "ProcessHost", package: "swift-processes"),
        .product(name: "Processes", package: "swift-processes"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: settings),
    .testTarget(
      name: "HolderTests",
      dependencies: [
        "HolderProtocol",
        // Which the tests start.
        "processd-holder",
        .product(name: "ProcessHost", package: "swift-processes"),
        .product(name: "Processes", package: "swift-processes"),
      ],
      swiftSettings: settings),
    .testTarget(
      name: "RESPClientTests",
      dependencies: [
        "RESPClient",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOEmbedded", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ],
      swiftSettings: settings),
  ],
  swiftLanguageModes: [.v6]
)
