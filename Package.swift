// swift-tools-version: 6.2

import PackageDescription

/// The library's own code is held to the strictest checks the compiler has.
let strict: [SwiftSetting] = [
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableExperimentalFeature("Lifetimes"),
]

let package = Package(
  name: "swift-processes",
  platforms: [.macOS(.v15), .iOS(.v18), .tvOS(.v18), .watchOS(.v11), .visionOS(.v2)],
  products: [
    .library(name: "OutputRing", targets: ["OutputRing"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.0", traits: []),
  ],
  targets: [
    .target(name: "CRingShims"),
    .target(name: "OutputRing", dependencies: ["CRingShims"], swiftSettings: strict),
    .testTarget(
      name: "OutputRingTests", dependencies: ["OutputRing", "CRingShims"], swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
