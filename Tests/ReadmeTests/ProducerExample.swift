import Processes

func countDown(from start: Int) -> Output {
  var producer = Session.Producer(id: "countdown")
  let session = producer.session  // for readers, on any thread
  for number in (1...start).reversed() {
    producer.append("\(number)\n", to: .stdout)
  }
  producer.setExit(0)  // or let go of the producer: the session is closed in either case
  return session.output()
}
