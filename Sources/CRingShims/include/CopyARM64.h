//! The racing copy of more than RING_COPY_SMALL bytes on arm64.
#ifndef CRINGSHIMS_COPYARM64_H
#define CRINGSHIMS_COPYARM64_H

#include "CopySmall.h"

#if defined(__aarch64__)
#pragma clang assume_nonnull begin

/// 64 bytes a turn through `ldp`/`stp` of vector registers; the last 64 bytes overlap.
static __attribute__((noinline, unused)) void
ring_copy_large_base(unsigned char *to, const unsigned char *from, size_t count) {
  const unsigned char *from_tail = from + count - 64;
  unsigned char *to_tail = to + count - 64;
  ring_store_16(to, ring_load_16(from));
  size_t skip = 16 - ((uintptr_t)to & 15);
  to += skip;
  from += skip;
  __asm__ volatile("1:\n\t"
                   "ldp q0, q1, [%[from]]\n\t"
                   "ldp q2, q3, [%[from], #32]\n\t"
                   "stp q0, q1, [%[to]]\n\t"
                   "stp q2, q3, [%[to], #32]\n\t"
                   "add %[from], %[from], #64\n\t"
                   "add %[to], %[to], #64\n\t"
                   "cmp %[from], %[from_tail]\n\t"
                   "b.lo 1b\n\t"
                   "ldp q0, q1, [%[from_tail]]\n\t"
                   "ldp q2, q3, [%[from_tail], #32]\n\t"
                   "stp q0, q1, [%[to_tail]]\n\t"
                   "stp q2, q3, [%[to_tail], #32]\n\t"
                   : [to] "+r"(to), [from] "+r"(from)
                   : [to_tail] "r"(to_tail), [from_tail] "r"(from_tail)
                   : "memory", "cc", "v0", "v1", "v2", "v3");
}

#pragma clang assume_nonnull end
#endif

#endif
