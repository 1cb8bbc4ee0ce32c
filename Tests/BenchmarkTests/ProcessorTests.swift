import BenchmarkHarness
import Testing

/// What identifies a processor in a record.
@Suite struct ProcessorTests {
  @Test("On x86-64 the vendor, family and model follow the brand and name the file")
  func x86() {
    let processor = Processor(
      cpuInfo: """
        processor	: 0
        vendor_id	: AuthenticAMD
        cpu family	: 25
        model		: 17
        model name	: AMD EPYC
        power management:

        processor	: 1
        vendor_id	: Other
        cpu family	: 99
        """)
    #expect(processor.name == "AMD EPYC (AuthenticAMD family 25 model 17)")
    #expect(processor.id == "AuthenticAMD-25-17")
  }

  @Test("On arm64 the implementer and the part stand for the missing brand and name the file")
  func arm() {
    let processor = Processor(
      cpuInfo: """
        processor	: 0
        CPU implementer	: 0x41
        CPU architecture: 8
        CPU variant	: 0x3
        CPU part	: 0xd0c
        """)
    #expect(processor.name == "unknown processor (implementer 0x41 part 0xd0c)")
    #expect(processor.id == "0x41-0xd0c")
  }

  @Test("An unknown processor is described as such, and its id can name a file")
  func unknown() {
    let processor = Processor(cpuInfo: "")
    #expect(processor.name == "unknown processor")
    #expect(processor.id == "unknown-processor")
  }
}
