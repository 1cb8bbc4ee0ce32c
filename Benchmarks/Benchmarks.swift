import ArgumentParser
@main struct Benchmarks: ParsableCommand { func run() {} }
