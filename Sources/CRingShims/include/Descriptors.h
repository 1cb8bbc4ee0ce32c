//! File descriptors that are never, not even for a moment, inherited by a child started on another
//! thread. `pipe2` is not visible through Swift's Glibc module; Darwin has no such call.
#ifndef CRINGSHIMS_DESCRIPTORS_H
#define CRINGSHIMS_DESCRIPTORS_H

#include "Atomics.h"

#pragma clang assume_nonnull begin

#if defined(__linux__)
// Declared here rather than through _GNU_SOURCE, which the module was built without.
extern int pipe2(int *descriptors, int flags);

/// `pipe2(2)`; 0, or -1 with `errno` set.
RING_INLINE int ring_pipe2(int *descriptors, int flags) {
  return pipe2(descriptors, flags);
}
#endif

#pragma clang assume_nonnull end

#endif
