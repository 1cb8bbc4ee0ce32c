import HolderProtocol
import ProcessHost

extension HeldSession {
  /// Does what a daemon asks for, and answers. Does not wait.
  func serve(_ message: HolderMessage, on channel: Channel) {
    let number = message.number
    switch message.kind {
    case .hello:
      var welcome = HolderMessage(.welcome, number: number)
      welcome.append(.version, HolderMessage.version)
      welcome.append(.pid, process.processID)
      channel.send(welcome)
    case .write: write(message, on: channel)
    case .signal: channel.send(signal(message))
    case .terminate:
      process.terminate(grace: message.time(.grace) ?? grace)
      channel.send(HolderMessage(.done, number: number))
    case .resize: channel.send(resize(message))
    case .watch:
      let cursor = cursor(of: message) ?? .start
      channel.answer { [session] in
        // Of a chunk at most, since the daemon reads the output by itself.
        _ = await session.output(since: cursor, maxBytes: 1, waitingUpTo: nil)
        return HolderMessage(.news, number: number)
      }
    case .awaitExit:
      channel.answer { [process] in
        _ = try? await process.waitForExit()
        return HolderMessage(.done, number: number)
      }
    case .awaitClose:
      channel.answer { [process] in
        _ = try? await process.waitUntilClosed()
        return HolderMessage(.done, number: number)
      }
    case .acknowledge:
      if let cursor = cursor(of: message) { losslessReader?.acknowledge(cursor) }
    case .leave: losslessReader?.leave()
    case .touch: session.noteActivity()
    case .launch, .welcome, .started, .failed, .written, .done, .refused, .news, .unknown, nil:
      channel.send(HolderMessage(.unknown, number: number))
    }
  }

  private func cursor(of message: HolderMessage) -> Cursor? {
    message.text(.cursor).flatMap { Cursor($0) }
  }

  private func write(_ message: HolderMessage, on channel: Channel) {
    let number = message.number
    guard let stdin else {
      let answer = StdinQueue.Answer.failed(.closed)
      return channel.send(answer.message(number: number))
    }
    // Here, so that writes keep their order.
    let pending = stdin.accept(message[.data] ?? [], isEnd: message.flag(.end))
    // The runtime keeps the timer of a cancelled sleep until the sleep would have ended.
    let patience = min(message.time(.patience) ?? .zero, .seconds(3_600))
    channel.answer {
      await pending.answer(waitingUpTo: patience).message(number: number)
    }
  }

  private func signal(_ message: HolderMessage) -> HolderMessage {
    let signal = ProcessSignal(rawValue: Int32(clamping: message.number(.signal) ?? 0))
    do throws(SignalError) {
      try process.signal(signal)
      return HolderMessage(.done, number: message.number)
    } catch {
      return switch error {
      case .processEnded: Refusal.processEnded.message(number: message.number)
      case .notPermitted: Refusal.notPermitted.message(number: message.number)
      case .refused(let code): Refusal.refused.message(number: message.number, code: code)
      }
    }
  }

  private func resize(_ message: HolderMessage) -> HolderMessage {
    let usual = TerminalSize()
    let size = TerminalSize(
      rows: UInt16(clamping: message.number(.rows) ?? Int(usual.rows)),
      columns: UInt16(clamping: message.number(.columns) ?? Int(usual.columns)))
    do throws(TerminalError) {
      try process.resize(to: size)
      return HolderMessage(.done, number: message.number)
    } catch {
      return switch error {
      case .noTerminal: Refusal.noTerminal.message(number: message.number)
      case .processEnded: Refusal.processEnded.message(number: message.number)
      }
    }
  }
}
