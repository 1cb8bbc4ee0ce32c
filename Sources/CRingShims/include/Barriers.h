//! The two halves of an asymmetric fence: a compiler fence on the side that must be cheap, and
//! `membarrier(2)` on the other. `Session` uses them, so that producers do not pay for waiters.
#ifndef CRINGSHIMS_BARRIERS_H
#define CRINGSHIMS_BARRIERS_H

#include "Atomics.h"

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#pragma clang assume_nonnull begin

/// No load or store passes the fence, in either direction. x86-64: a locked instruction or
/// `mfence`.
RING_INLINE void ring_fence_full(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

/// The compiler moves no load or store across; the processor may.
RING_INLINE void ring_fence_compiler(void) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

// The kernel's numbers, from <linux/membarrier.h>, which not every C library brings along.
enum {
  RingMembarrierQuery = 0,
  RingMembarrierPrivateExpedited = 1 << 3,
  RingMembarrierRegisterPrivateExpedited = 1 << 4,
};

/// `membarrier(2)`: 0 or, for the query, the commands supported; -1 where there is no such call.
RING_INLINE int ring_membarrier(int command) {
#if defined(__linux__) && defined(SYS_membarrier)
  return (int)syscall(SYS_membarrier, command, 0, 0);
#else
  (void)command;
  return -1;
#endif
}

#pragma clang assume_nonnull end

#endif
