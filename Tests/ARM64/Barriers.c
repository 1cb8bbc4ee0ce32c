// The five ordering points, in the order of the steps in Sources/OutputRing/RingCounters.swift.
// Scripts/check-arm64 looks at the machine code that compilers make of them.

#include "RacingCopy.h"

void announce_copy_publish(uint64_t *control, unsigned char *payload, const unsigned char *source,
                           uint64_t *slot, uint64_t word, uint64_t seq, uint64_t offset) {
  ring_store_relaxed(control, seq);
  ring_store_relaxed(control + 1, offset);
  ring_fence_release();                                               // RING(announce)
  ring_copy_in(payload, source, 16, RingCopyMethodBase);
  ring_store_relaxed(slot, word);
  ring_store_release(control + 2, seq);                               // RING(publish)
}

uint64_t observe(const uint64_t *control, const uint64_t *slot) {
  uint64_t seq = ring_load_acquire(control + 2);                      // RING(observe)
  return seq + ring_load_relaxed(slot);
}

uint64_t confirm_descriptors(const uint64_t *control, const uint64_t *slot, uint64_t *word) {
  *word = ring_load_relaxed(slot);
  ring_fence_acquire();                                               // RING(descriptors)
  return ring_load_relaxed(control);
}

uint64_t confirm_payload(const uint64_t *control, const unsigned char *payload, unsigned char *to) {
  ring_copy_out(to, payload, 16, RingCopyMethodBase);
  ring_fence_acquire();                                               // RING(payload)
  return ring_load_relaxed(control + 1);
}

bool lock_acquire(uint64_t *word) { return ring_compare_exchange_acquire(word, 0, 1); }
