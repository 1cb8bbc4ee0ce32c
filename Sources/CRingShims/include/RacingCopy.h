//! The racing copy: `memcpy` between private memory and ring memory that another thread may be
//! reading or overwriting at the same time.
//!
//! What is copied during a race may be torn; the ring's protocol detects that afterwards and
//! discards it (RingCounters.swift). All the copy has to promise is that it moves exactly the bytes
//! asked for, writes nothing else, and cannot be assumed race-free by the compiler. So its accesses
//! are inline assembly, outside the C abstract machine; where there is none, and under
//! ThreadSanitizer, they are relaxed atomics.
//!
//! It is not `memcpy` for a second reason, which CopyMethod.h gives: on some processors `memcpy` is
//! slower by a factor of 15 for some distances between source and destination, which a ring runs
//! into.
#ifndef CRINGSHIMS_RACINGCOPY_H
#define CRINGSHIMS_RACINGCOPY_H

#include "CopyMethod.h"
#include "CopyWords.h"

#pragma clang assume_nonnull begin

#if defined(RING_COPY_HAS_ASSEMBLY)

/// More than RING_COPY_SMALL bytes, by assembly.
RING_INLINE void ring_copy_large(unsigned char *to, const unsigned char *from, size_t count,
                                 RingCopyMethod method) {
#if defined(__x86_64__)
  if (__builtin_expect(method != RingCopyMethodBase, 1)) {
    if (count <= 256)
      ring_copy_medium_avx2(to, from, count);
    else if (count >= RING_COPY_REP && (method & RING_COPY_BIT_REP) != 0)
      ring_copy_large_rep(to, from, count);
    else if (count > 512 && (method & RING_COPY_BIT_AVX512) != 0)
      ring_copy_large_avx512(to, from, count);
    else
      ring_copy_large_avx2(to, from, count);
    return;
  }
#endif
  ring_copy_large_base(to, from, count);
}

/// Any size, by assembly.
RING_INLINE void ring_copy_assembly(unsigned char *to, const unsigned char *from, size_t count,
                                    RingCopyMethod method) {
  if (count <= RING_COPY_SMALL)
    ring_copy_small(to, from, count);
  else
    ring_copy_large(to, from, count, method);
}

#endif

// MARK: What the ring calls

/// Copies `count` bytes from private memory into ring memory. The two must not overlap.
RING_INLINE void ring_copy_in(void *destination, const void *source, size_t count,
                              RingCopyMethod method) {
#if defined(RING_RACY_COPY)
  /* For Scripts/sanitizers, which checks that ThreadSanitizer notices this copy. */
  __builtin_memcpy(destination, source, count);
  return;
#endif
#if defined(RING_COPY_HAS_ASSEMBLY)
  if (__builtin_expect(method != RingCopyMethodAtomicWords, 1)) {
    ring_copy_assembly((unsigned char *)destination, (const unsigned char *)source, count, method);
    return;
  }
#endif
  ring_copy_words_in(destination, source, count);
}

/// Copies at most RING_COPY_SMALL bytes from private memory into ring memory, without a call. Not
/// under RingCopyMethodAtomicWords.
RING_INLINE void ring_copy_in_small(void *destination, const void *source, size_t count) {
#if defined(RING_COPY_HAS_ASSEMBLY)
  ring_copy_small((unsigned char *)destination, (const unsigned char *)source, count);
#else
  ring_copy_words_in(destination, source, count);
#endif
}

/// Copies more than RING_COPY_SMALL bytes from private memory into ring memory. Not under
/// RingCopyMethodAtomicWords.
RING_INLINE void ring_copy_in_large(void *destination, const void *source, size_t count,
                                    RingCopyMethod method) {
#if defined(RING_COPY_HAS_ASSEMBLY)
  ring_copy_large((unsigned char *)destination, (const unsigned char *)source, count, method);
#else
  ring_copy_words_in(destination, source, count);
#endif
}

/// Copies `count` bytes from ring memory into private memory. The two must not overlap.
RING_INLINE void ring_copy_out(void *destination, const void *source,
                               size_t count, RingCopyMethod method) {
#if defined(RING_RACY_COPY)
  __builtin_memcpy(destination, source, count);
  return;
#endif
#if defined(RING_COPY_HAS_ASSEMBLY)
  if (__builtin_expect(method != RingCopyMethodAtomicWords, 1)) {
    ring_copy_assembly((unsigned char *)destination, (const unsigned char *)source, count, method);
    return;
  }
#endif
  ring_copy_words_out(destination, source, count);
}

#pragma clang assume_nonnull end

#endif
