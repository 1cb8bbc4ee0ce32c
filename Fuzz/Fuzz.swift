import ArgumentParser
import Foundation
import ReferenceModel

/// Random scripts over the public surface, each compared step by step with the model.
#if !LIBFUZZER
  @main
#endif
struct Fuzz: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Runs random scripts on rings, sessions and managers beside a plain model.",
    discussion: """
      Script n of a run has the seed SEED + n, so `--seed` of a finding runs it first. A finding is \
      shrunk to the shortest script that still fails, printed, and written to a file for --replay.
      """)

  @Option(help: "How long to go on.")
  var seconds = 10.0

  @Option(help: "The seed of the first script; one of the clock's if not given.")
  var seed: UInt64?

  @Option(help: "Run the script in a file that a finding left, and nothing else.")
  var replay: String?

  @Option(help: "Where to write the script of a finding.")
  var output = "fuzz-finding.json"

  @Flag(help: "Only scripts that read lines and search for patterns.")
  var lines = false

  @Flag(help: "Instead of scripts: random writers and readers on threads of their own.")
  var concurrent = false

  @Flag(help: "Instead of scripts: rounds in which a program that records is killed.")
  var kill = false

  @Option(help: "How many rounds of --kill there are.")
  var rounds = 300

  @Option(help: "Where the programs of --kill record; by default, where temporary files are.")
  var directory = FileManager.default.temporaryDirectory.path

  @Option(help: .hidden)
  var killRole: String?

  @Flag(help: "Instead of scripts: readers of files that hold anything, or that a liar writes.")
  var hostile = false

  @Flag(help: "Instead of scripts: output with escape sequences, as plain text.")
  var plainText = false

  func validate() throws {
    guard seconds.isFinite, seconds >= 0, seconds < 1e9 else {
      throw ValidationError("--seconds must be a number of seconds, from 0")
    }
  }

  func run() throws {
    if let killRole { return try play(killRole) }
    if let replay { return try run(replay: replay) }
    let seed = seed ?? UInt64(Date().timeIntervalSince1970 * 1_000)
    print("seed \(seed)")
    if kill { return try runKillRounds(seed) }
    let clock = ContinuousClock()
    let start = clock.now
    let end = start + .seconds(seconds)
    var executions = 0
    repeat {
      let seed = seed &+ UInt64(executions)
      if plainText {
        try runPlainText(seed)
      } else if hostile {
        try runHostile(seed)
      } else if concurrent {
        try runConcurrently(Stress.random(seed: seed), seed)
      } else {
        try runScript(lines ? .randomLines(seed: seed) : .random(seed: seed), seed)
      }
      executions += 1
    } while clock.now < end
    let took = (clock.now - start) / .seconds(1)
    print(
      "\(executions) executions in \(String(format: "%.1f", took)) s, "
        + "\(String(format: "%.0f", Double(executions) / took)) a second")
    print("0 findings")
  }

  private func run(replay path: String) throws {
    let script = try Script(replay: path)
    print(script)
    guard let difference = script.run() else {
      print("0 findings")
      return
    }
    print("finding: \(difference)")
    throw ExitCode.failure
  }

  private func runScript(_ script: Script, _ seed: UInt64) throws {
    guard script.run() != nil else { return }
    Finding(script, name: "seed \(seed)").report(to: output)
    throw ExitCode.failure
  }

  /// Reads files that hold anything, files that are written by a liar, and those that an honest
  /// producer writes, which no reader may call damaged.
  private func runHostile(_ seed: UInt64) throws {
    // A read that hangs would otherwise hang for ever, and a crash would not tell its seed.
    alarm(60)
    note(seed)
    var fault: String?
    switch seed % 64 {
    case 0: try runConcurrently(Stress.random(seed: seed).attached, seed)
    case 1..<8: fault = HostileRegion.runWithLiar(seed: seed)
    case 8..<24: try runScript(Script.random(seed: seed).attached, seed)
    default: fault = HostileRegion.run(seed: seed)
    }
    alarm(0)
    guard let fault else { return }
    print("finding: seed \(seed), \(fault)")
    print("run it again with: swift run Fuzz --hostile --seed \(seed)")
    throw ExitCode.failure
  }

  private func runPlainText(_ seed: UInt64) throws {
    let output = PlainTextChecks.output(seed: seed)
    guard let fault = PlainTextChecks.fault(in: output) else { return }
    print("finding: seed \(seed), \(fault)")
    print(output)
    print("run it again with: swift run Fuzz --plain-text --seed \(seed)")
    throw ExitCode.failure
  }

  /// Leaves the seed that is being tried in a file, for after a crash.
  private func note(_ seed: UInt64) {
    let file = unsafe open(output + ".seed", O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
    let text = Array("\(seed)\n".utf8)
    _ = unsafe text.withUnsafeBytes { unsafe pwrite(file, $0.baseAddress!, $0.count, 0) }
    close(file)
  }

  private func runConcurrently(_ stress: Stress, _ seed: UInt64) throws {
    let report = stress.run()
    guard !report.complaints.isEmpty else { return }
    print("finding: seed \(seed), \(stress)")
    print(report)
    let mode = hostile ? "--hostile" : "--concurrent"
    print("run it again with: swift run Fuzz \(mode) --seed \(seed)")
    throw ExitCode.failure
  }

  private func runKillRounds(_ seed: UInt64) throws {
    var killRounds = KillRounds(in: directory)
    for round in 0..<rounds {
      let seed = seed &+ UInt64(round)
      do {
        try killRounds.run(seed)
      } catch {
        print("finding: round \(round), seed \(seed), \(KillRound(seed: seed).end): \(error)")
        print("run it again with: swift run -c release Fuzz --kill --rounds 1 --seed \(seed)")
        throw ExitCode.failure
      }
    }
    print(killRounds.summary)
    print("0 findings")
  }

  /// Takes part in a round of --kill, as one of the programs that it starts.
  private func play(_ role: String) throws {
    let round = KillRound(seed: seed ?? 0)
    switch role {
    case "producer": try round.produce(to: directory)
    case "reader0": round.read(directory, as: 0)
    default: round.read(directory, as: 1)
    }
  }
}
