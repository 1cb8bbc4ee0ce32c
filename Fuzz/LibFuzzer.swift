#if LIBFUZZER
  import ReferenceModel

  /// libFuzzer's entry: bytes are a script, whatever they are; a difference from the model ends the
  /// program, which is what libFuzzer takes for a finding.
  ///
  /// With `-Xswiftc -DREGIONS` as well, the bytes are what is wrong with a ring in a file; the corpus
  /// is then Fuzz/RegionCorpus.
  ///
  ///     mkdir -p .build-fuzz/new
  ///     swift run -c release --sanitize=fuzzer -Xswiftc -DLIBFUZZER --scratch-path .build-fuzz \
  ///       Fuzz .build-fuzz/new Fuzz/Corpus -max_total_time=60
  ///
  /// What is new goes to the first folder. To take it over, merge: with `-set_cover_merge=1` in
  /// place of the time, and three folders, the first of which is empty and becomes the new corpus.
  @c(LLVMFuzzerTestOneInput)
  public func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = unsafe UnsafeBufferPointer(start: data, count: count)
    #if REGIONS
      if let fault = unsafe HostileRegion.run(bytes: bytes) { fatalError(fault) }
      return 0
    #else
      let script = unsafe Script(bytes: bytes)
      if script.run() != nil {
        Finding(script, name: "").report(to: "fuzz-finding.json")
        fatalError("the library differs from the model")
      }
      return 0
    #endif
  }
#endif
