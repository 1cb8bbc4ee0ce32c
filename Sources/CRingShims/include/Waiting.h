//! Waits that end at their time limit, rather than up to a millisecond later.
#ifndef CRINGSHIMS_WAITING_H
#define CRINGSHIMS_WAITING_H

#include "Atomics.h"
#include <stddef.h>
#if defined(__linux__)
#include <sys/prctl.h>
#include <unistd.h>
#endif

#pragma clang assume_nonnull begin

#if defined(__linux__)
// ThreadSanitizer sees through the C library's calls, and not through a system call by its number.
extern void __tsan_acquire(void *) __attribute__((weak));
extern void __tsan_release(void *) __attribute__((weak));

/// Tells ThreadSanitizer that what other threads did before their last release of `key` happens
/// before what the calling thread does next.
RING_INLINE void ring_sanitizer_acquire(void *key) {
  if (&__tsan_acquire != 0) __tsan_acquire(key);
}

/// Tells ThreadSanitizer that what the calling thread has done so far happens before what a thread
/// does that acquires `key` later.
RING_INLINE void ring_sanitizer_release(void *key) {
  if (&__tsan_release != 0) __tsan_release(key);
}

/// The keys that stand for queues towards ThreadSanitizer.
extern char ring_epoll_keys[64];

/// Tells ThreadSanitizer that what the calling thread has done so far happens before what a thread
/// does that gets an event of a queue.
RING_INLINE void ring_epoll_added(int queue) {
  ring_sanitizer_release(&ring_epoll_keys[queue & 63]);
}

/// `epoll_pwait2(2)`, of Linux 5.11, without a signal mask: by its number, since glibc has it from
/// 2.35 on and musl does not have it at all. -1 with `errno` set where the kernel, or a sandbox,
/// lacks it.
///
/// `seconds` below 0: waits as long as it takes.
RING_INLINE int ring_epoll_wait(int queue, void *events, int capacity, int64_t seconds,
                                int64_t nanoseconds) {
  // The kernel's own `timespec`, of this size on every architecture.
  int64_t limit[2] = {seconds, nanoseconds};
  int count =
      (int)syscall(441, queue, events, capacity, seconds < 0 ? NULL : limit, NULL, (size_t)0);
  if (count > 0) ring_sanitizer_acquire(&ring_epoll_keys[queue & 63]);
  return count;
}

/// Makes the calling thread's waits end at their time limit. By default they may end 50 µs later.
RING_INLINE void ring_drop_timer_slack(void) { prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); }
#endif

#pragma clang assume_nonnull end

#endif
