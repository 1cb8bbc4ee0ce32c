//! The racing copy of up to RING_COPY_SMALL bytes: single machine accesses, inline, without a loop.
#ifndef CRINGSHIMS_COPYSMALL_H
#define CRINGSHIMS_COPYSMALL_H

#include "Atomics.h"
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__) || defined(__aarch64__)
#define RING_COPY_HAS_ASSEMBLY 1

/// The sizes that are copied inline, in at most four pairs of accesses whose halves overlap in the
/// middle, so that none takes a loop.
#define RING_COPY_SMALL 128

#pragma clang assume_nonnull begin

// MARK: One machine access, of 1 to 16 bytes, at any alignment

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

// MARK: Sizes

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

#pragma clang assume_nonnull end

#else
/* No inline copy: callers compare sizes with this. */
#define RING_COPY_SMALL 0
#endif

#endif
