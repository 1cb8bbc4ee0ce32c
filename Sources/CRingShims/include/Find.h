//! The C library's search for bytes, which its module map leaves out on Linux.
#ifndef CRINGSHIMS_FIND_H
#define CRINGSHIMS_FIND_H

#include <stddef.h>

#include "Atomics.h"

#pragma clang assume_nonnull begin

// Declared here: <string.h> declares it only for programs that define _GNU_SOURCE.
void *_Nullable memmem(
    const void *haystack, size_t haystack_count, const void *needle, size_t needle_count);

/// Returns where a needle first occurs, or null if it does not.
RING_INLINE const void *_Nullable ring_find(
    const void *haystack, size_t haystack_count, const void *needle, size_t needle_count) {
  return memmem(haystack, haystack_count, needle, needle_count);
}

#pragma clang assume_nonnull end

#endif
