#if LIBFUZZER
  import Foundation
  import ReferenceModel

  /// libFuzzer's entry: bytes are a script, whatever they are; a difference from the model ends the
  /// program, which is what libFuzzer takes for a finding.
  ///
  ///     mkdir -p .build-fuzz/new
  ///     swift run -c release --sanitize=fuzzer -Xswiftc -DLIBFUZZER --scratch-path .build-fuzz \
  ///       Fuzz .build-fuzz/new Fuzz/Corpus -max_total_time=60
  ///
  /// With `FUZZ_REGIONS=1` in the environment, bytes are what is in the file of a ring instead; the
  /// corpus of these is `Fuzz/RegionCorpus`. With `FUZZ_PLAIN_TEXT=1` they are output to convert to
  /// plain text.
  ///
  /// What is new goes to the first folder. To take it over, merge: with `-set_cover_merge=1` in
  /// place of the time, and three folders, the first of which is empty and becomes the new corpus.
  @c(LLVMFuzzerTestOneInput)
  public func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = unsafe UnsafeBufferPointer(start: data, count: count)
    if isOfRegions {
      if let fault = unsafe HostileRegion.run(bytes: bytes) { fatalError(fault) }
      return 0
    }
    if isOfPlainText {
      if let fault = unsafe PlainTextChecks.fault(in: Array(bytes)) { fatalError(fault) }
      return 0
    }
    let script = unsafe Script(bytes: bytes)
    if script.run() != nil {
      Finding(script, name: "").report(to: "fuzz-finding.json")
      fatalError("the library differs from the model")
    }
    return 0
  }

  private let isOfRegions = ProcessInfo.processInfo.environment["FUZZ_REGIONS"] != nil
  private let isOfPlainText = ProcessInfo.processInfo.environment["FUZZ_PLAIN_TEXT"] != nil
#endif
