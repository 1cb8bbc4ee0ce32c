import Foundation
import Testing

/// The rows of docs/contract.md and the tests that name them.
@Suite struct ContractRowTests {
  /// The names of the table's rows, in order.
  private static func rows() throws -> [String] {
    try Repository.text("docs/contract.md").matches(of: #/(?m)^\| `([a-z-]+)` \|/#)
      .map { String($0.1) }
  }

  /// The row in brackets at the beginning of each display name that has one, and the test's file.
  private static func tests() throws -> [(row: String, file: String)] {
    try Repository.files(in: "Tests", ending: ".swift").flatMap { file in
      try Repository.text(file).matches(of: #/@Test\(\s*"\[([a-z-]+)\] /#)
        .map { (String($0.1), file) }
    }
  }

  @Test("Each row of the contract has a name of its own")
  func namesAreUnique() throws {
    let rows = try Self.rows()
    #expect(rows.count == Set(rows).count)
    #expect(!rows.isEmpty)
  }

  @Test("Each row of the contract has a test")
  func rowsHaveTests() throws {
    let tested = Set(try Self.tests().map(\.row))
    #expect(try Self.rows().filter { !tested.contains($0) } == [])
  }

  @Test("Each test that names a row of the contract names an existing row")
  func testsHaveRows() throws {
    let rows = Set(try Self.rows())
    for test in try Self.tests() {
      #expect(rows.contains(test.row), "\(test.file)")
    }
  }

  @Test("Each test of ContractTests names a row")
  func contractTestsNameRows() throws {
    let file = "Tests/ProcessesTests/ContractTests.swift"
    let text = try Repository.text(file)
    let tests = text.matches(of: /@Test/)
    #expect(tests.count == text.matches(of: #/@Test\(\s*"\[[a-z-]+\] /#).count)
  }
}
