//! Ordered loads, stores and fences on 64-bit words, for memory that Swift holds as raw pointers.
//!
//! Swift sees neither `_Atomic` fields nor the C11 generic functions, hence plain words and the
//! compiler's builtins. Every pointer must be aligned to 8 bytes.
#ifndef CRINGSHIMS_ATOMICS_H
#define CRINGSHIMS_ATOMICS_H

#include <stdbool.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

#define RING_INLINE static inline __attribute__((always_inline))

RING_INLINE uint64_t ring_load_relaxed(const uint64_t *word) {
  return __atomic_load_n(word, __ATOMIC_RELAXED);
}

RING_INLINE uint64_t ring_load_acquire(const uint64_t *word) {
  return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

RING_INLINE void ring_store_relaxed(uint64_t *word, uint64_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

RING_INLINE void ring_store_release(uint64_t *word, uint64_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/// Stores `desired` if the word still holds `expected`; acquires on success. May not fail
/// spuriously.
RING_INLINE bool ring_compare_exchange_acquire(uint64_t *word, uint64_t expected,
                                               uint64_t desired) {
  return __atomic_compare_exchange_n(word, &expected, desired, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED);
}

/// No store after the fence becomes visible before a load or store that precedes it.
/// x86-64: no instruction. arm64: `dmb ish`.
RING_INLINE void ring_fence_release(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }

/// No load before the fence takes its value after a load or store that follows it.
/// x86-64: no instruction. arm64: `dmb ishld`.
RING_INLINE void ring_fence_acquire(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }

#pragma clang assume_nonnull end

#endif
