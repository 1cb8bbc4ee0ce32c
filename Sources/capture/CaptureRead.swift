import ArgumentParser
import CaptureFormat
import OutputRing
import ProcessHost
import Processes

/// Reads the output that `capture --ring` keeps in a file, while it is written or afterwards.
struct CaptureRead: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "capture read",
    abstract: "Read the output that capture --ring keeps in a file.",
    usage: "capture read FILE [options]",
    discussion: """
      Writes what is retained: stdout to stdout, stderr to stderr, after a line on stderr that \
      tells the \
      loss, if any. FILE can be read while capture writes it, by any number of readers, and \
      after the end \
      of capture, however it ended. If the program that recorded it was killed, a line on stderr says so.

      EXAMPLES:
        capture --ring build.ring --capacity 64M make -j4
        capture read build.ring --follow     from another terminal, to the end
        capture read build.ring --tail 20    the last 20 lines
        capture read build.ring --info       what was recorded, and whether it still is
        capture read build.ring --asciicast build.cast  for asciinema play build.cast

      A command that is named read is run by: capture -- read

      --timestamps and --asciicast need a recording that was made with either of them. \
      --asciicast tells \
      what is lost by a marker, and takes the terminal to have 24 lines of 80.

      --json ends with a summary as that of capture --json, and state (recording, ended or \
      abandoned), \
      damaged, and cursor, with which --since continues.

      Exit status: 0, also if the recording program was killed; 65 if FILE is damaged, so that \
      not all \
      could be read; 66 if FILE cannot be read, is no recording, or lacks the timestamps that an \
      option needs; 64 for a usage error; 74 if \
      the output \
      could not be written.
      """)

  @Argument(help: ArgumentHelp("The file to read.", valueName: "file"), completion: .file())
  var file: String

  @Option(
    help: ArgumentHelp(
      "Begin after this position: a seq, or a cursor as the library prints it.",
      valueName: "cursor"),
    transform: parseCursor)
  var since: Cursor?

  @Flag(help: "Go on writing output as it comes, until the recording ends.")
  var follow = false

  @Flag(help: "Write chunks and a summary as JSON, one object a line, to stdout.")
  var json = false

  @Option(
    help: ArgumentHelp(
      "Begin with the last lines, so many, of both streams (with --json: with their first chunk).",
      valueName: "lines"),
    transform: parseLineCount)
  var tail: Int?

  @Flag(help: "Write before each line when it came, in seconds since the start of the recording.")
  var timestamps = false

  @Option(
    help: ArgumentHelp(
      "Write the output to a file as an asciicast, which asciinema can play, and not to stdout.",
      valueName: "file"),
    completion: .file())
  var asciicast: String?

  @Flag(help: "Write what was recorded, by which program, and whether it still is, and no output.")
  var info = false

  func validate() throws {
    if tail != nil, since != nil {
      throw ValidationError("--tail and --since exclude each other: each says where to begin")
    }
    if asciicast != nil, json || timestamps || info || tail != nil || since != nil {
      throw ValidationError(
        "--asciicast writes all of the output to a file: it goes with --follow and no other option")
    }
    if info, timestamps {
      throw ValidationError("--info says itself whether there are timestamps")
    }
    if info, follow || tail != nil || since != nil {
      throw ValidationError("--info writes no output: it excludes --follow, --tail and --since")
    }
  }

  // Runs on the main thread: writing blocks, and must not hold up the runtime's few threads.
  @MainActor
  func run() async throws {
    let recording: RecordedSession
    ignoreBrokenPipes()
    do throws(RingFileError) {
      recording = try RecordedSession(at: file)
    } catch {
      complain("\(error)")
      if json {
        var lines = JSONLines { bytes throws(StreamError) in try Descriptor.stdout.put(bytes) }
        try? lines.append(error: "\(error)")
      }
      throw ExitCode(66)
    }
    if info { return try writeInfo(of: recording) }
    if timestamps || asciicast != nil, !recording.hasTimestamps {
      complain(
        "\(file) says of no output when it came: record with --timestamps or --asciicast as well")
      throw ExitCode(66)
    }
    if let asciicast { return try write(recording, asAsciicastTo: asciicast) }

    // Looked up first: what the program had published by then is read below.
    let state = recording.state
    let start = tail.map { TailStart(lines: $0, of: recording) }
    var writer = OutputWriter(
      session: recording, since: start?.cursor ?? since ?? .start, skipping: start?.skipped ?? 0,
      format: outputFormat(json: json, timestamps))
    if follow {
      await writer.follow(until: { false }, onBrokenPipe: {})
    } else {
      writer.writeRetained(chunks: true)
    }
    writer.finish(
      signal: recording.exit?.signal, isTimedOut: recording.isTimedOut,
      after: recording.lastActivity - recording.info.start)
    if (follow ? recording.state : state) == .abandoned { complain(abandonment(of: recording)) }
    if writer.isForeign {
      complain("--since is a position in another recording: all that is retained was written")
    }
    if writer.isAhead {
      complain("--since is behind the last chunk, which is \(recording.lastSeq)")
    }
    if writer.isDamaged {
      complain(
        "\(file) is damaged, as after a crash of the machine: what is missing cannot be read")
      throw ExitCode(65)
    }
    if writer.hasFailed { throw ExitCode(74) }
  }

  private func write(_ recording: RecordedSession, asAsciicastTo path: String) throws {
    let files = OutputFiles()
    var target: OutputTarget
    do throws(WriteError) {
      target = try OutputTarget(path: Command.Text(path))
    } catch {
      complain("cannot open \(path) for --asciicast: \(error.message)")
      throw ExitCode(74)
    }
    target.begin(Cast(of: recording))
    do throws(SystemError) {
      try files.start(copying: recording, to: [target])
    } catch {
      complain("cannot start a thread for \(path): \(error.message)")
      throw ExitCode(74)
    }
    let result = follow ? files.waitForEnd() : files.finish()
    for error in result.errors { complain(error) }
    if result.missingBytes > 0 {
      complain("\(result.missingBytes) bytes lost; a marker says where")
    }
    if recording.state == .abandoned { complain(abandonment(of: recording)) }
    if !result.errors.isEmpty { throw ExitCode(74) }
  }

  private func abandonment(of recording: RecordedSession) -> String {
    let end =
      recording.exitCode.map {
        "after the end of the command (exit code \($0)), but while its output was still open"
      } ?? "without closing it: it was killed, or crashed"
    let text =
      "the program that recorded this (PID \(recording.info.recorderPID)) ended \(end); what it had"
      + " captured is all here"
    return recording.isOfThisBoot
      ? text : text + " that the system had written before the machine was started anew"
  }

  private func writeInfo(of recording: RecordedSession) throws {
    let report = RecordingReport(recording)
    do throws(StreamError) {
      try Descriptor.stdout.put(json ? report.json : report.text)
    } catch {
      if error.error.isBrokenPipe { return }
      complain("cannot write to stdout: \(error.error.message)")
      throw ExitCode(74)
    }
    if report.isDamaged { throw ExitCode(65) }
  }
}

/// Parses a position, as the description of a cursor has it.
@Sendable private func parseCursor(_ text: String) throws -> Cursor {
  guard let cursor = Cursor(text) else {
    throw ValidationError(
      "“\(text)” is no position: give a seq, as in 17, or a cursor, as in 17.4096.0.271828")
  }
  return cursor
}
