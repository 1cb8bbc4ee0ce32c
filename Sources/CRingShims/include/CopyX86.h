//! The racing copy of more than RING_COPY_SMALL bytes on x86-64, in the forms among which
//! CopyMethod.h chooses.
#ifndef CRINGSHIMS_COPYX86_H
#define CRINGSHIMS_COPYX86_H

#include "CopySmall.h"

#if defined(__x86_64__)
#pragma clang assume_nonnull begin

// MARK: SSE2

/// 64 bytes a turn through SSE2: unaligned loads, aligned stores; the last 64 bytes overlap.
static __attribute__((noinline, unused)) void
ring_copy_large_base(unsigned char *to, const unsigned char *from, size_t count) {
  const unsigned char *from_tail = from + count - 64;
  unsigned char *to_tail = to + count - 64;
  ring_store_16(to, ring_load_16(from));
  size_t skip = 16 - ((uintptr_t)to & 15);
  to += skip;
  from += skip;
  __asm__ volatile("1:\n\t"
                   "movups (%[from]), %%xmm0\n\t"
                   "movups 16(%[from]), %%xmm1\n\t"
                   "movups 32(%[from]), %%xmm2\n\t"
                   "movups 48(%[from]), %%xmm3\n\t"
                   "movaps %%xmm0, (%[to])\n\t"
                   "movaps %%xmm1, 16(%[to])\n\t"
                   "movaps %%xmm2, 32(%[to])\n\t"
                   "movaps %%xmm3, 48(%[to])\n\t"
                   "addq $64, %[from]\n\t"
                   "addq $64, %[to]\n\t"
                   "cmpq %[from_tail], %[from]\n\t"
                   "jb 1b\n\t"
                   "movups (%[from_tail]), %%xmm0\n\t"
                   "movups 16(%[from_tail]), %%xmm1\n\t"
                   "movups 32(%[from_tail]), %%xmm2\n\t"
                   "movups 48(%[from_tail]), %%xmm3\n\t"
                   "movups %%xmm0, (%[to_tail])\n\t"
                   "movups %%xmm1, 16(%[to_tail])\n\t"
                   "movups %%xmm2, 32(%[to_tail])\n\t"
                   "movups %%xmm3, 48(%[to_tail])\n\t"
                   : [to] "+r"(to), [from] "+r"(from)
                   : [to_tail] "r"(to_tail), [from_tail] "r"(from_tail)
                   : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3");
}

// MARK: AVX2

/// `vzeroupper` clears the upper halves of all of them.
#define RING_ALL_VECTORS                                                                           \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",         \
      "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

/// 129 to 256 bytes through AVX2, without a loop: two halves that overlap in the middle.
RING_INLINE void ring_copy_medium_avx2(unsigned char *to, const unsigned char *from, size_t count) {
  __asm__ volatile("vmovdqu (%[from]), %%ymm0\n\t"
                   "vmovdqu 32(%[from]), %%ymm1\n\t"
                   "vmovdqu 64(%[from]), %%ymm2\n\t"
                   "vmovdqu 96(%[from]), %%ymm3\n\t"
                   "vmovdqu -128(%[from],%[count]), %%ymm4\n\t"
                   "vmovdqu -96(%[from],%[count]), %%ymm5\n\t"
                   "vmovdqu -64(%[from],%[count]), %%ymm6\n\t"
                   "vmovdqu -32(%[from],%[count]), %%ymm7\n\t"
                   "vmovdqu %%ymm0, (%[to])\n\t"
                   "vmovdqu %%ymm1, 32(%[to])\n\t"
                   "vmovdqu %%ymm2, 64(%[to])\n\t"
                   "vmovdqu %%ymm3, 96(%[to])\n\t"
                   "vmovdqu %%ymm4, -128(%[to],%[count])\n\t"
                   "vmovdqu %%ymm5, -96(%[to],%[count])\n\t"
                   "vmovdqu %%ymm6, -64(%[to],%[count])\n\t"
                   "vmovdqu %%ymm7, -32(%[to],%[count])\n\t"
                   "vzeroupper\n\t"
                   :
                   : [to] "r"(to), [from] "r"(from), [count] "r"(count)
                   : "memory", RING_ALL_VECTORS);
}

/// 128 bytes a turn through AVX2: unaligned loads, aligned stores; the last 128 bytes overlap.
static __attribute__((noinline, unused)) void
ring_copy_large_avx2(unsigned char *to, const unsigned char *from, size_t count) {
  const unsigned char *from_tail = from + count - 128;
  unsigned char *to_tail = to + count - 128;
  size_t skip = 32 - ((uintptr_t)to & 31);
  __asm__ volatile("vmovdqu (%[from]), %%ymm0\n\t"
                   "vmovdqu %%ymm0, (%[to])\n\t"
                   "addq %[skip], %[from]\n\t"
                   "addq %[skip], %[to]\n\t"
                   "cmpq %[from_tail], %[from]\n\t"
                   "jae 2f\n\t"
                   ".p2align 5\n"
                   "1:\n\t"
                   "vmovdqu (%[from]), %%ymm0\n\t"
                   "vmovdqu 32(%[from]), %%ymm1\n\t"
                   "vmovdqu 64(%[from]), %%ymm2\n\t"
                   "vmovdqu 96(%[from]), %%ymm3\n\t"
                   "vmovdqa %%ymm0, (%[to])\n\t"
                   "vmovdqa %%ymm1, 32(%[to])\n\t"
                   "vmovdqa %%ymm2, 64(%[to])\n\t"
                   "vmovdqa %%ymm3, 96(%[to])\n\t"
                   "subq $-128, %[from]\n\t"
                   "subq $-128, %[to]\n\t"
                   "cmpq %[from_tail], %[from]\n\t"
                   "jb 1b\n"
                   "2:\n\t"
                   "vmovdqu (%[from_tail]), %%ymm0\n\t"
                   "vmovdqu 32(%[from_tail]), %%ymm1\n\t"
                   "vmovdqu 64(%[from_tail]), %%ymm2\n\t"
                   "vmovdqu 96(%[from_tail]), %%ymm3\n\t"
                   "vmovdqu %%ymm0, (%[to_tail])\n\t"
                   "vmovdqu %%ymm1, 32(%[to_tail])\n\t"
                   "vmovdqu %%ymm2, 64(%[to_tail])\n\t"
                   "vmovdqu %%ymm3, 96(%[to_tail])\n\t"
                   "vzeroupper\n\t"
                   : [to] "+r"(to), [from] "+r"(from)
                   : [to_tail] "r"(to_tail), [from_tail] "r"(from_tail), [skip] "r"(skip)
                   : "memory", "cc", RING_ALL_VECTORS);
}

// MARK: AVX-512

/// The vector registers of the loop below. `vzeroupper` is not needed after them, and compilers
/// that are not told of AVX-512 neither use them nor know their names.
#if defined(__AVX512F__)
#define RING_UPPER_VECTORS "xmm16", "xmm17", "xmm18", "xmm19",
#else
#define RING_UPPER_VECTORS
#endif

/// 256 bytes a turn through AVX-512: unaligned loads, aligned stores; the last 256 bytes overlap.
static __attribute__((noinline, unused)) void
ring_copy_large_avx512(unsigned char *to, const unsigned char *from, size_t count) {
  const unsigned char *from_tail = from + count - 256;
  unsigned char *to_tail = to + count - 256;
  size_t skip = 64 - ((uintptr_t)to & 63);
  __asm__ volatile("vmovdqu64 (%[from]), %%zmm16\n\t"
                   "vmovdqu64 %%zmm16, (%[to])\n\t"
                   "addq %[skip], %[from]\n\t"
                   "addq %[skip], %[to]\n\t"
                   "cmpq %[from_tail], %[from]\n\t"
                   "jae 2f\n\t"
                   ".p2align 6\n"
                   "1:\n\t"
                   "vmovdqu64 (%[from]), %%zmm16\n\t"
                   "vmovdqu64 64(%[from]), %%zmm17\n\t"
                   "vmovdqu64 128(%[from]), %%zmm18\n\t"
                   "vmovdqu64 192(%[from]), %%zmm19\n\t"
                   "vmovdqa64 %%zmm16, (%[to])\n\t"
                   "vmovdqa64 %%zmm17, 64(%[to])\n\t"
                   "vmovdqa64 %%zmm18, 128(%[to])\n\t"
                   "vmovdqa64 %%zmm19, 192(%[to])\n\t"
                   "addq $256, %[from]\n\t"
                   "addq $256, %[to]\n\t"
                   "cmpq %[from_tail], %[from]\n\t"
                   "jb 1b\n"
                   "2:\n\t"
                   "vmovdqu64 (%[from_tail]), %%zmm16\n\t"
                   "vmovdqu64 64(%[from_tail]), %%zmm17\n\t"
                   "vmovdqu64 128(%[from_tail]), %%zmm18\n\t"
                   "vmovdqu64 192(%[from_tail]), %%zmm19\n\t"
                   "vmovdqu64 %%zmm16, (%[to_tail])\n\t"
                   "vmovdqu64 %%zmm17, 64(%[to_tail])\n\t"
                   "vmovdqu64 %%zmm18, 128(%[to_tail])\n\t"
                   "vmovdqu64 %%zmm19, 192(%[to_tail])\n\t"
                   : [to] "+r"(to), [from] "+r"(from)
                   : [to_tail] "r"(to_tail), [from_tail] "r"(from_tail), [skip] "r"(skip)
                   : RING_UPPER_VECTORS "memory", "cc");
}

// MARK: rep movsb

/// The sizes from which `rep movsb` is worth its start, on processors where it is worth anything.
#define RING_COPY_REP 12288

/// `rep movsb` to a destination that is aligned to a cache line: such a copy writes whole lines,
/// which the processor then need not read first. At least 64 bytes.
static __attribute__((noinline, unused)) void
ring_copy_large_rep(unsigned char *to, const unsigned char *from, size_t count) {
  ring_copy_small(to, from, 64);
  size_t skip = -(uintptr_t)to & 63;
  to += skip;
  from += skip;
  count -= skip;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

#pragma clang assume_nonnull end
#endif

#endif
