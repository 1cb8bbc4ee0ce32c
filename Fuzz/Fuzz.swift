import ArgumentParser
@main struct Fuzz: ParsableCommand { func run() {} }
