#if LIBFUZZER
  import ReferenceModel

  /// libFuzzer's entry: bytes are a script, whatever they are; a difference from the model ends the
  /// program, which is what libFuzzer takes for a finding.
  ///
  ///     swift run -c release --sanitize=fuzzer -Xswiftc -DLIBFUZZER \
  ///       --scratch-path .build-fuzz Fuzz Fuzz/Corpus -max_total_time=60
  @c(LLVMFuzzerTestOneInput)
  public func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let script = unsafe Script(bytes: UnsafeBufferPointer(start: data, count: count))
    if script.run() != nil {
      Finding(script, name: "").report(to: "fuzz-finding.json")
      fatalError("the library differs from the model")
    }
    return 0
  }
#endif
