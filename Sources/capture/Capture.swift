import ArgumentParser
@main struct Capture: ParsableCommand { func run() {} }
