// swift-tools-version: 6.2

import PackageDescription

/// The library's own code is held to the strictest checks the compiler has.
let strict: [SwiftSetting] = [
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableExperimentalFeature("Lifetimes"),
]

let argumentParser: Target.Dependency = .product(
  name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
  name: "swift-processes",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "OutputRing", targets: ["OutputRing"]),
    .library(name: "Processes", targets: ["Processes"]),
    .library(name: "ProcessHost", targets: ["ProcessHost"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.1.0"),
    // Only what Benchmarks, Fuzz and tests need; consumers of the library do not get these.
    .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.0", traits: []),
    // swift-subprocess's types for paths.
    .package(url: "https://github.com/apple/swift-system", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.1.0"),
  ],
  targets: [
    // The library. Data flows one way: pipe → ProcessHost → Processes → OutputRing → caller.
    .target(name: "CRingShims"),
    .target(name: "CSpawn"),
    .systemLibrary(name: "CEvents"),
    .target(name: "OutputRing", dependencies: ["CRingShims"], swiftSettings: strict),
    .target(name: "Processes", dependencies: ["OutputRing"], swiftSettings: strict),
    .target(
      name: "ProcessHost",
      dependencies: ["CEvents", "CRingShims", "CSpawn", "Processes"],
      swiftSettings: strict),

    // Executables.
    .executableTarget(
      name: "capture",
      dependencies: ["CEvents", "CaptureFormat", "OutputRing", "ProcessHost", argumentParser],
      swiftSettings: strict),
    // What capture writes for other programs to read; apart so that Fuzz can have it read.
    .target(name: "CaptureFormat", dependencies: ["Processes"], swiftSettings: strict),
    .executableTarget(
      name: "Benchmarks",
      dependencies: [
        "BenchmarkContenders", "BenchmarkHarness", "CBenchmarkShims", "CJemalloc", "CRingShims",
        "OutputRing", "ProcessHost", "Processes", argumentParser,
        .product(name: "Histogram", package: "hdrhistogram-swift"),
        .product(name: "Subprocess", package: "swift-subprocess"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      path: "Benchmarks",
      exclude: [
        "CBenchmarkShims", "CJemalloc", "Contenders", "Harness", "Results", "Thresholds.json",
      ],
      swiftSettings: strict),
    // Measuring, plots and thresholds, of anything; apart from the benchmarks so that it has tests.
    .target(
      name: "BenchmarkHarness", dependencies: ["CBenchmarkShims"], path: "Benchmarks/Harness",
      swiftSettings: strict),
    // What is measured side by side; apart, so that a test can show that all do the same work.
    .target(
      name: "BenchmarkContenders",
      dependencies: [
        "CRingShims", "OutputRing", "Processes",
        .product(name: "DequeModule", package: "swift-collections"),
      ],
      path: "Benchmarks/Contenders", swiftSettings: strict),
    .systemLibrary(
      name: "CJemalloc", path: "Benchmarks/CJemalloc", pkgConfig: "jemalloc",
      providers: [.apt(["libjemalloc-dev"]), .brew(["jemalloc"])]),
    .target(name: "CBenchmarkShims", path: "Benchmarks/CBenchmarkShims"),
    .executableTarget(
      name: "Fuzz", dependencies: ["ReferenceModel", "Processes", argumentParser],
      path: "Fuzz", exclude: ["Corpus", "RegionCorpus"], swiftSettings: strict),

    // Tests, and the model that they and Fuzz compare with.
    .target(
      name: "ReferenceModel", dependencies: ["CaptureFormat", "CRingShims", "Processes"],
      path: "Tests/ReferenceModel",
      swiftSettings: strict),
    .testTarget(
      name: "CRingShimsTests", dependencies: ["CRingShims"], swiftSettings: strict),
    .testTarget(
      name: "OutputRingTests", dependencies: ["CRingShims", "OutputRing", "ReferenceModel"],
      swiftSettings: strict),
    .testTarget(
      name: "ProcessesTests", dependencies: ["Processes", "ReferenceModel"],
      swiftSettings: strict),
    .testTarget(
      name: "ProcessHostTests", dependencies: ["CSpawn", "OutputRing", "ProcessHost"],
      swiftSettings: strict),
    .testTarget(
      name: "CaptureTests", dependencies: ["capture", "CaptureFormat", "ProcessHost"],
      swiftSettings: strict),
    .testTarget(
      name: "BenchmarkTests", dependencies: ["BenchmarkContenders", "BenchmarkHarness"],
      swiftSettings: strict),
    .testTarget(
      name: "ComparisonTests",
      dependencies: [
        "ProcessHost", .product(name: "Subprocess", package: "swift-subprocess"),
      ]),
    .testTarget(
      name: "ReadmeTests", dependencies: ["OutputRing", "ProcessHost"], swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
