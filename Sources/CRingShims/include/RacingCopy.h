//! The racing copy: `memcpy` between private memory and ring memory that another thread may be
//! reading or overwriting at the same moment.
//!
//! What is copied during a race may be torn; the ring's protocol finds out afterwards and discards it
//! (OrderingPoints.swift). All the copy has to promise is that it moves exactly the bytes asked for,
//! writes nothing else, and cannot be assumed race-free by the compiler. So its accesses are inline
//! assembly, outside the C abstract machine; where there is none, and under ThreadSanitizer, they are
//! relaxed atomics.
//!
//! It is not `memcpy` for a second reason. From about 2 KiB glibc's uses `rep movsb`, which on some
//! processors falls from 50 to 3 GB/s when (destination - source) mod 4096 is small and positive; in
//! a ring, one 5-byte chunk followed by 4 KiB chunks is enough. These loops have no such cliff.
#ifndef CRINGSHIMS_RACINGCOPY_H
#define CRINGSHIMS_RACINGCOPY_H

#include "Atomics.h"
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/// How to copy on this machine; chosen once, by `ring_copy_method_detect`.
typedef enum __attribute__((enum_extensibility(closed))) {
  /// The architecture's base: SSE2 on x86-64, `ldp`/`stp` on arm64, relaxed words elsewhere.
  RingCopyMethodBase = 0,
  /// AVX2 for sizes above 128 bytes.
  RingCopyMethodAVX2 = 1,
  /// Relaxed atomic words, which ThreadSanitizer understands.
  RingCopyMethodAtomicWords = 2,
} RingCopyMethod;

// MARK: Relaxed words

/// Copies from private memory into shared memory: atomic on the shared side, plain on the other.
static __attribute__((noinline, unused)) void
ring_copy_words_in(void *destination, const void *source, size_t count) {
  unsigned char *to = (unsigned char *)destination;
  const unsigned char *from = (const unsigned char *)source;
  for (; count > 0 && ((uintptr_t)to & 7) != 0; count--)
    __atomic_store_n(to++, *from++, __ATOMIC_RELAXED);
  for (; count >= 8; count -= 8, to += 8, from += 8) {
    uint64_t word;
    __builtin_memcpy(&word, from, 8);
    __atomic_store_n((uint64_t *)(void *)to, word, __ATOMIC_RELAXED);
  }
  for (; count > 0; count--) __atomic_store_n(to++, *from++, __ATOMIC_RELAXED);
}

/// Copies from shared memory into private memory: atomic on the shared side, plain on the other.
static __attribute__((noinline, unused)) void
ring_copy_words_out(void *destination, const void *source, size_t count) {
  unsigned char *to = (unsigned char *)destination;
  const unsigned char *from = (const unsigned char *)source;
  for (; count > 0 && ((uintptr_t)from & 7) != 0; count--)
    *to++ = __atomic_load_n(from++, __ATOMIC_RELAXED);
  for (; count >= 8; count -= 8, to += 8, from += 8) {
    uint64_t word = __atomic_load_n((const uint64_t *)(const void *)from, __ATOMIC_RELAXED);
    __builtin_memcpy(to, &word, 8);
  }
  for (; count > 0; count--) *to++ = __atomic_load_n(from++, __ATOMIC_RELAXED);
}

// MARK: One machine access, of 1 to 32 bytes, at any alignment

#if defined(__x86_64__) || defined(__aarch64__)
#define RING_COPY_HAS_ASSEMBLY 1

typedef struct { uint16_t value; } __attribute__((packed, may_alias)) RingUnaligned2;
typedef struct { uint32_t value; } __attribute__((packed, may_alias)) RingUnaligned4;
typedef struct { uint64_t value; } __attribute__((packed, may_alias)) RingUnaligned8;
typedef struct { uint64_t value[2]; } __attribute__((packed, may_alias)) RingUnaligned16;
typedef float RingVector __attribute__((vector_size(16)));

#if defined(__x86_64__)
#define RING_LOAD_1 "movzbl %1, %k0"
#define RING_LOAD_2 "movzwl %1, %k0"
#define RING_LOAD_4 "movl %1, %k0"
#define RING_LOAD_8 "movq %1, %q0"
#define RING_STORE_1 "movb %b1, %0"
#define RING_STORE_2 "movw %w1, %0"
#define RING_STORE_4 "movl %k1, %0"
#define RING_STORE_8 "movq %q1, %0"
#define RING_LOAD_16 "movups %1, %0"
#define RING_STORE_16 "movups %1, %0"
#define RING_VECTOR "x"
#define RING_MEMORY "m"
#else
#define RING_LOAD_1 "ldrb %w0, %1"
#define RING_LOAD_2 "ldrh %w0, %1"
#define RING_LOAD_4 "ldr %w0, %1"
#define RING_LOAD_8 "ldr %x0, %1"
#define RING_STORE_1 "strb %w1, %0"
#define RING_STORE_2 "strh %w1, %0"
#define RING_STORE_4 "str %w1, %0"
#define RING_STORE_8 "str %x1, %0"
#define RING_LOAD_16 "ldr %q0, %1"
#define RING_STORE_16 "str %q1, %0"
#define RING_VECTOR "w"
#define RING_MEMORY "Q"
#endif

#define RING_ACCESS(width, Type)                                                                   \
  RING_INLINE uint64_t ring_load_##width(const unsigned char *from) {                              \
    uint64_t value;                                                                                \
    __asm__ volatile(RING_LOAD_##width                                                             \
                     : "=r"(value)                                                                 \
                     : RING_MEMORY(*(const Type *)(const void *)from)                              \
                     : "memory");                                                                  \
    return value;                                                                                  \
  }                                                                                                \
  RING_INLINE void ring_store_##width(unsigned char *to, uint64_t value) {                         \
    __asm__ volatile(RING_STORE_##width                                                            \
                     : "=" RING_MEMORY(*(Type *)(void *)to)                                        \
                     : "r"(value)                                                                  \
                     : "memory");                                                                  \
  }

RING_ACCESS(1, unsigned char)
RING_ACCESS(2, RingUnaligned2)
RING_ACCESS(4, RingUnaligned4)
RING_ACCESS(8, RingUnaligned8)

RING_INLINE RingVector ring_load_16(const unsigned char *from) {
  RingVector value;
  __asm__ volatile(RING_LOAD_16
                   : "=" RING_VECTOR(value)
                   : RING_MEMORY(*(const RingUnaligned16 *)(const void *)from)
                   : "memory");
  return value;
}

RING_INLINE void ring_store_16(unsigned char *to, RingVector value) {
  __asm__ volatile(RING_STORE_16
                   : "=" RING_MEMORY(*(RingUnaligned16 *)(void *)to)
                   : RING_VECTOR(value)
                   : "memory");
}

// MARK: More than 128 bytes

#if defined(__x86_64__)

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

#else

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

#endif

/// The sizes that are copied inline, in at most four pairs of accesses whose halves overlap in the
/// middle, so that none takes a loop.
#define RING_COPY_SMALL 128

/// Up to RING_COPY_SMALL bytes, by assembly.
RING_INLINE void ring_copy_small(unsigned char *to, const unsigned char *from, size_t count) {
  if (count >= 16) {
    RingVector first = ring_load_16(from), last = ring_load_16(from + count - 16);
    if (count > 32) {
      RingVector second = ring_load_16(from + 16);
      RingVector third = ring_load_16(from + count - 32);
      if (count > 64) {
        RingVector a = ring_load_16(from + 32), b = ring_load_16(from + 48);
        RingVector c = ring_load_16(from + count - 64), d = ring_load_16(from + count - 48);
        ring_store_16(to + 32, a);
        ring_store_16(to + 48, b);
        ring_store_16(to + count - 64, c);
        ring_store_16(to + count - 48, d);
      }
      ring_store_16(to + 16, second);
      ring_store_16(to + count - 32, third);
    }
    ring_store_16(to, first);
    ring_store_16(to + count - 16, last);
  } else if (count >= 8) {
    uint64_t first = ring_load_8(from), last = ring_load_8(from + count - 8);
    ring_store_8(to, first);
    ring_store_8(to + count - 8, last);
  } else if (count >= 4) {
    uint64_t first = ring_load_4(from), last = ring_load_4(from + count - 4);
    ring_store_4(to, first);
    ring_store_4(to + count - 4, last);
  } else if (count >= 2) {
    uint64_t first = ring_load_2(from), last = ring_load_2(from + count - 2);
    ring_store_2(to, first);
    ring_store_2(to + count - 2, last);
  } else if (count == 1) {
    ring_store_1(to, ring_load_1(from));
  }
}

/// More than RING_COPY_SMALL bytes, by assembly.
RING_INLINE void ring_copy_large(unsigned char *to, const unsigned char *from, size_t count,
                                 RingCopyMethod method) {
#if defined(__x86_64__)
  if (method == RingCopyMethodAVX2) {
    if (count <= 256)
      ring_copy_medium_avx2(to, from, count);
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

#else
/* No inline copy: callers compare sizes with this. */
#define RING_COPY_SMALL 0
#endif

// MARK: What the ring calls

#if defined(__APPLE__)
#include <dlfcn.h>
#else
extern void __tsan_acquire(void *) __attribute__((weak));
#endif

/// Whether ThreadSanitizer's runtime is in the process. (Headers imported into Swift are not told at
/// compile time: `__has_feature(thread_sanitizer)` is 0 there even under `--sanitize=thread`.)
static inline bool ring_thread_sanitizer_is_present(void) {
#if defined(__APPLE__)
  /* Darwin's linker wants even weak references defined somewhere. */
  return dlsym(RTLD_DEFAULT, "__tsan_acquire") != NULL;
#else
  return &__tsan_acquire != 0;
#endif
}

/// Finds out how to copy on this machine. Takes microseconds in a virtual machine: call it once.
static __attribute__((noinline, unused)) RingCopyMethod ring_copy_method_detect(void) {
  if (ring_thread_sanitizer_is_present()) return RingCopyMethodAtomicWords;
#if defined(__x86_64__)
  uint32_t eax, ebx, ecx, edx;
  __asm__ volatile("cpuid" : "=a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx) : "a"(0), "c"(0));
  if (eax < 7) return RingCopyMethodBase;
  __asm__ volatile("cpuid" : "=a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx) : "a"(1), "c"(0));
  if ((ecx & (1u << 27)) == 0) return RingCopyMethodBase; /* the system saves no extended state */
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & 6) != 6) return RingCopyMethodBase; /* nor the vector registers */
  __asm__ volatile("cpuid" : "=a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx) : "a"(7), "c"(0));
  if ((ebx & (1u << 5)) != 0) return RingCopyMethodAVX2;
#endif
  return RingCopyMethodBase;
}

/// Copies `count` bytes from private memory into ring memory. The two must not overlap.
RING_INLINE void ring_copy_in(void *destination, const void *source, size_t count,
                              RingCopyMethod method) {
#if defined(RING_RACY_COPY)
  /* For .ci/sanitizers, which sees to it that ThreadSanitizer would notice. */
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
