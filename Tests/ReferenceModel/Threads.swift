import Foundation

/// Threads of one's own, joined: spinning for minutes is nothing for a pool to carry, and a join is
/// an ordering that sanitizers understand.
enum Threads {
  private final class Body: Sendable {
    let run: @Sendable () -> Void

    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Runs each closure on a thread, all at the same time, and waits until all have returned.
  static func run(_ bodies: [@Sendable () -> Void]) {
    let threads = bodies.map { start(Body($0)) }
    for thread in threads { pthread_join(thread, nil) }
  }

  private static func start(_ body: Body) -> pthread_t {
    let argument = unsafe Unmanaged.passRetained(body).toOpaque()
    #if canImport(Darwin)
      var thread: pthread_t?
      let error = unsafe pthread_create(
        &thread, nil,
        { argument in
          unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
          return nil
        }, argument)
      precondition(error == 0, "no thread (error \(error))")
      return unsafe thread!
    #else
      var thread = pthread_t()
      let error = unsafe pthread_create(
        &thread, nil,
        { argument in
          unsafe Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
          return nil
        }, argument)
      precondition(error == 0, "no thread (error \(error))")
      return thread
    #endif
  }
}
