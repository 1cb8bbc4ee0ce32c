import Processes

/// Returns when the first line of stderr came: since the session's start, and since 1970.
func firstError(in session: SessionReader) -> (sinceStart: Duration, since1970: Duration)? {
  let first = session.output().chunks.first { $0.stream == .stderr }
  return first?.timestamp.map { timestamp in (timestamp, session.start + timestamp) }
}
