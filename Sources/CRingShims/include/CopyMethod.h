//! Which form of the racing copy is the fastest on this processor.
//!
//! Up to 512 bytes AVX2 is the fastest wherever it exists: unaligned stores of 64 bytes that cross
//! a cache line cost double. Above, AVX-512 gains where the processor moves 64 bytes at once: AMD's
//! from family 26 (Zen 5) on. Family 25 moves them in two halves, and AVX2 takes 0.95 of the time.
//! Intel's earlier processors lower their clock for AVX-512, so it is not used on Intel's.
//!
//! `rep movsb` writes whole cache lines without reading them first. Where it is well implemented,
//! no vector loop reaches it from about 12 KiB on. On other processors it falls from 50 to 3 GB/s
//! when (destination - source) mod 4096 is small and positive: one 5-byte chunk followed by 4 KiB
//! chunks is enough. No CPUID bit tells them apart, so a probe measures it, once per process. The C
//! library's `memcpy` uses `rep movsb` on both kinds.
#ifndef CRINGSHIMS_COPYMETHOD_H
#define CRINGSHIMS_COPYMETHOD_H

#include "CopyARM64.h"
#include "CopyX86.h"
#include <stdbool.h>

#if defined(__x86_64__)
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#endif
#if defined(__APPLE__)
#include <dlfcn.h>
#endif

#pragma clang assume_nonnull begin

/// A form of the racing copy. A set of bits, so that the copy tests for one of them at a time.
typedef enum __attribute__((enum_extensibility(closed))) {
  /// The architecture's base: SSE2 on x86-64, `ldp`/`stp` on arm64, relaxed words elsewhere.
  RingCopyMethodBase = 0,
  /// AVX2 above 128 bytes.
  RingCopyMethodAVX2 = 1,
  /// AVX2 above 128 bytes, AVX-512 above 512.
  RingCopyMethodAVX512 = 1 | 2,
  /// AVX2 above 128 bytes, `rep movsb` from RING_COPY_REP on.
  RingCopyMethodAVX2Rep = 1 | 4,
  /// AVX2 above 128 bytes, AVX-512 above 512, `rep movsb` from RING_COPY_REP on.
  RingCopyMethodAVX512Rep = 1 | 2 | 4,
  /// Relaxed atomic words, which ThreadSanitizer understands.
  RingCopyMethodAtomicWords = 8,
} RingCopyMethod;

/// The bits of those that test for one of them.
#define RING_COPY_BIT_AVX512 2
#define RING_COPY_BIT_REP 4

#if !defined(__APPLE__)
extern void __tsan_acquire(void *) __attribute__((weak));
#endif

/// Whether ThreadSanitizer's runtime is in the process. (Headers imported into Swift are not told
/// at compile time: `__has_feature(thread_sanitizer)` is 0 there even under `--sanitize=thread`.)
static inline bool ring_thread_sanitizer_is_present(void) {
#if defined(__APPLE__)
  /* Darwin's linker wants even weak references defined somewhere. */
  return dlsym(RTLD_DEFAULT, "__tsan_acquire") != NULL;
#else
  return &__tsan_acquire != 0;
#endif
}

#if defined(__x86_64__)

// MARK: What the processor has

typedef struct {
  uint32_t eax, ebx, ecx, edx;
} RingCPUID;

static inline RingCPUID ring_cpuid(uint32_t leaf) {
  RingCPUID result;
  __asm__ volatile("cpuid"
                   : "=a"(result.eax), "=b"(result.ebx), "=c"(result.ecx), "=d"(result.edx)
                   : "a"(leaf), "c"(0));
  return result;
}

typedef struct {
  bool avx2, avx512, rep_movsb;
  /// Whether it moves the 64 bytes of an AVX-512 register at once, at no cost to its clock.
  bool wide_avx512;
} RingProcessor;

static __attribute__((noinline, unused)) RingProcessor ring_processor(void) {
  RingProcessor processor = {false, false, false, false};
  RingCPUID vendor = ring_cpuid(0);
  if (vendor.eax < 7) return processor;
  RingCPUID basics = ring_cpuid(1), features = ring_cpuid(7);
  /* ERMS: where it is missing, `rep movsb` copies byte by byte. */
  processor.rep_movsb = (features.ebx & (1u << 9)) != 0;
  if ((basics.ecx & (1u << 27)) == 0) return processor; /* no extended state is saved */
  uint32_t saved, unused;
  __asm__ volatile("xgetbv" : "=a"(saved), "=d"(unused) : "c"(0));
  /* The system must save the registers: xmm and ymm; for AVX-512 the masks and zmm as well. */
  processor.avx2 = (features.ebx & (1u << 5)) != 0 && (saved & 0x06) == 0x06;
  const uint32_t f_and_vl = 1u << 16 | 1u << 31;
  processor.avx512 =
      processor.avx2 && (features.ebx & f_and_vl) == f_and_vl && (saved & 0xe6) == 0xe6;
  const bool is_amd = vendor.ebx == 0x68747541; /* "Auth" of "AuthenticAMD" */
  /* The extended family counts only where the family is 15. AMD's have been since 2003. */
  const uint32_t family = (basics.eax >> 8 & 0x0f) + (basics.eax >> 20 & 0xff);
  processor.wide_avx512 = processor.avx512 && is_amd && family >= 26;
  return processor;
}

// MARK: The probe

/// Returns the shortest time of several copies of 64 KiB, in nanoseconds: another process on the
/// processor lengthens some of them, not all.
static __attribute__((noinline, unused)) uint64_t
ring_copy_shortest(void (*copy)(unsigned char *, const unsigned char *, size_t), unsigned char *to,
                   const unsigned char *from) {
  uint64_t shortest = UINT64_MAX;
  for (int attempt = 0; attempt < 6; attempt++) {
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    copy(to, from, 65536);
    clock_gettime(CLOCK_MONOTONIC, &after);
    uint64_t time = (uint64_t)(after.tv_sec - before.tv_sec) * 1000000000u +
                    (uint64_t)after.tv_nsec - (uint64_t)before.tv_nsec;
    if (time < shortest) shortest = time;
  }
  return shortest == 0 ? 1 : shortest;
}

/// From this on the probe calls the ratio a cliff. Processors without one measured 0.9 to 1.4,
/// those with one 15 to 20: a ratio in between does not come from noise.
#define RING_COPY_CLIFF 3.0

/// Measures `rep movsb` against the AVX2 loop where it is at its worst.
///
/// Takes less than a millisecond, most of it for 34 fresh pages.
///
/// - Returns: The largest ratio of times found, or the first from RING_COPY_CLIFF on; infinite if
///   there is nothing to measure with.
static __attribute__((noinline, unused)) double ring_copy_rep_probe(void) {
  const size_t size = 65536 + 4096;
  unsigned char *memory = (unsigned char *)mmap(NULL, 2 * size, PROT_READ | PROT_WRITE,
                                                MAP_PRIVATE | MAP_ANON, -1, 0);
  if (memory == MAP_FAILED) return __builtin_inf();
  memset(memory, 1, 2 * size);
  static const size_t distances[] = {1, 5, 16, 63, 64, 192, 1024};
  double worst = 0;
  for (size_t index = 0; index < sizeof distances / sizeof *distances; index++) {
    /* `size` is a multiple of 4096: this is the distance between the two, modulo that. */
    unsigned char *to = memory + size + distances[index];
    double ratio = (double)ring_copy_shortest(ring_copy_large_rep, to, memory) /
                   (double)ring_copy_shortest(ring_copy_large_avx2, to, memory);
    if (ratio > worst) worst = ratio;
    if (worst >= RING_COPY_CLIFF) break;
  }
  munmap(memory, 2 * size);
  return worst;
}

#endif

// MARK: The choice

/// Returns whether this processor and the system can run a form of the copy.
static __attribute__((noinline, unused)) bool ring_copy_method_is_available(RingCopyMethod method) {
  switch (method) {
  case RingCopyMethodBase:
  case RingCopyMethodAtomicWords:
    return true;
#if defined(__x86_64__)
  case RingCopyMethodAVX2:
  case RingCopyMethodAVX2Rep:
    return ring_processor().avx2;
  case RingCopyMethodAVX512:
  case RingCopyMethodAVX512Rep:
    return ring_processor().avx512;
#else
  default:
    return false;
#endif
  }
}

/// Returns the fastest form of the copy on this machine. Takes up to a millisecond: call it once.
static __attribute__((noinline, unused)) RingCopyMethod ring_copy_method_detect(void) {
  if (ring_thread_sanitizer_is_present()) return RingCopyMethodAtomicWords;
#if defined(__x86_64__)
  RingProcessor processor = ring_processor();
  if (!processor.avx2) return RingCopyMethodBase;
  bool rep = processor.rep_movsb && ring_copy_rep_probe() < RING_COPY_CLIFF;
  if (processor.wide_avx512)
    return rep ? RingCopyMethodAVX512Rep : RingCopyMethodAVX512;
  return rep ? RingCopyMethodAVX2Rep : RingCopyMethodAVX2;
#else
  return RingCopyMethodBase;
#endif
}

#pragma clang assume_nonnull end

#endif
