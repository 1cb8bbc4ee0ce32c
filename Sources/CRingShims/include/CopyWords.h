//! The racing copy by relaxed atomic words: what ThreadSanitizer understands, and what is left
//! where there is no assembly.
#ifndef CRINGSHIMS_COPYWORDS_H
#define CRINGSHIMS_COPYWORDS_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

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

#pragma clang assume_nonnull end

#endif
