import Processes

func summary(of lines: some Sequence<String>) -> String {
  let session = Session(capacity: 2_000, headCapacity: 1_000)
  for line in lines { session.append(line + "\n") }
  var summary = ""
  let output = session.output()
  for (chunk, next) in zip(output.chunks, output.chunks.dropFirst()) {
    summary += "\(chunk.data)"
    if next.seq > chunk.seq + 1 { summary += "… \(output.missedBytes ?? 0) bytes left out …\n" }
  }
  return summary + "\(output.chunks.last?.data.description ?? "")"
}
