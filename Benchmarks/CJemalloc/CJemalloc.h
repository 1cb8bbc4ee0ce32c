//! Counts allocations, if libjemalloc-dev was there when this was compiled; else says that it was
//! not. Linking jemalloc also makes it the allocator of the whole process.
#ifndef CJEMALLOC_H
#define CJEMALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if __has_include(<jemalloc/jemalloc.h>)
#include <jemalloc/jemalloc.h>

static inline bool jemalloc_is_linked(void) { return true; }

/// Bytes that the calling thread has allocated so far.
static inline uint64_t jemalloc_thread_allocated(void) {
  /* Read through a volatile pointer: jemalloc changes it behind the compiler's back. */
  static __thread volatile uint64_t *allocated;
  if (allocated == NULL) {
    uint64_t *pointer = NULL;
    size_t size = sizeof pointer;
    if (mallctl("thread.allocatedp", &pointer, &size, NULL, 0) != 0) return 0;
    allocated = pointer;
  }
  return *allocated;
}

/// Allocations of all threads so far. Takes microseconds.
static inline uint64_t jemalloc_allocation_count(void) {
  uint64_t epoch = 1;
  size_t size = sizeof epoch;
  mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
  mallctl("epoch", &epoch, &size, &epoch, size);
  uint64_t small = 0, large = 0;
  size = sizeof small;
  /* 4096 is MALLCTL_ARENAS_ALL. */
  mallctl("stats.arenas.4096.small.nrequests", &small, &size, NULL, 0);
  size = sizeof large;
  mallctl("stats.arenas.4096.large.nrequests", &large, &size, NULL, 0);
  return small + large;
}

#else

static inline bool jemalloc_is_linked(void) { return false; }
static inline uint64_t jemalloc_thread_allocated(void) { return 0; }
static inline uint64_t jemalloc_allocation_count(void) { return 0; }

#endif

#endif
