import Foundation
import ProcessHost

private nonisolated(unsafe) var signalPipe: Int32 = -1

/// From now on, one of these signals ends the host's processes first, and then this program.
func endProcesses(
  of host: CommandHost, at signals: [Int32], telling process: HostedProcess? = nil
) {
  let pipe = Pipe()
  unsafe signalPipe = pipe.fileHandleForWriting.fileDescriptor
  pipe.fileHandleForReading.readabilityHandler = { end in
    guard let number = end.availableData.first.map(Int32.init) else { return }
    Task {
      // To the whole group, as a terminal does with Ctrl-C; `close` alone would send SIGTERM.
      try? process?.signal(ProcessSignal(rawValue: number))
      await host.close(grace: .seconds(5))  // SIGTERM, after 5 seconds SIGKILL; nothing is left
      exit(128 + number)
    }
    withExtendedLifetime(pipe) {}
  }
  for number in signals {
    // Runs on any thread, between any two instructions: so it only writes.
    signal(number) { number in
      var byte = UInt8(number)
      _ = unsafe write(signalPipe, &byte, 1)
    }
  }
}
