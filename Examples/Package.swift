// swift-tools-version: 6.2

import PackageDescription

let processHost: Target.Dependency = .product(name: "ProcessHost", package: "swift-processes")
let outputRing: Target.Dependency = .product(name: "OutputRing", package: "swift-processes")

let package = Package(
  name: "swift-processes-examples",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "swift-processes", path: "..")],
  targets: [
    .executableTarget(name: "ci-runner", dependencies: [processHost]),
    .executableTarget(name: "log-follower", dependencies: [processHost]),
    .executableTarget(name: "ring-between-threads", dependencies: [outputRing]),
  ],
  swiftLanguageModes: [.v6]
)
