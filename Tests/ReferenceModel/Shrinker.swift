/// Takes steps out of a failing script, as long as it still fails: halves first, single ones last.
package func shrink<Step>(_ steps: [Step], _ run: ([Step]) -> Difference?) -> [Step] {
  guard let difference = run(steps) else { return steps }
  // Nothing after the step that failed matters.
  var shortest = Array(steps.prefix(difference.step + 1))
  var length = max(1, shortest.count / 2)
  while true {
    var start = 0
    var removedAny = false
    while start < shortest.count {
      var candidate = shortest
      candidate.removeSubrange(start..<min(start + length, candidate.count))
      if let difference = run(candidate) {
        shortest = Array(candidate.prefix(difference.step + 1))
        removedAny = true
      } else {
        start += length
      }
    }
    // Once nothing single can go, every step is needed.
    if length == 1, !removedAny { return shortest }
    length = max(1, length / 2)
  }
}
