//! Room and locks for a ring in a file. `mkostemp` and the numbers of open-file-description locks
//! need _GNU_SOURCE on Linux, which the module is built without; Darwin has no `posix_fallocate`.
#ifndef CRINGSHIMS_FILES_H
#define CRINGSHIMS_FILES_H

#include "Atomics.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#pragma clang assume_nonnull begin

#if defined(__APPLE__)
#define RING_OFD_SETLK 90
#define RING_OFD_GETLK 92
#else
#define RING_OFD_GETLK 36
#define RING_OFD_SETLK 37
#endif

#if defined(__linux__)
extern int mkostemp(char *name, int flags);
#endif

/// Creates a file of a name that ends in XXXXXX, which this replaces, with the mode 0600. Returns a
/// descriptor that no child inherits; -1 with `errno` set.
RING_INLINE int ring_make_temporary_file(char *name) { return mkostemp(name, O_CLOEXEC); }

/// Takes the lock of a whole file for its open file description; 0, or -1 with `errno` set.
///
/// The lock goes with the last descriptor and the last mapping of that description, as at the end
/// of the program by any signal.
RING_INLINE int ring_lock_file(int descriptor) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  return fcntl(descriptor, RING_OFD_SETLK, &lock);
}

/// Releases the lock, also while a child that is being started still holds a copy of the
/// descriptor.
RING_INLINE void ring_unlock_file(int descriptor) {
  struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
  fcntl(descriptor, RING_OFD_SETLK, &lock);
}

/// Whether another open file description has the lock of a file: 1 or 0; -1 with `errno` set.
RING_INLINE int ring_file_is_locked(int descriptor) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  if (fcntl(descriptor, RING_OFD_GETLK, &lock) != 0) return -1;
  return lock.l_type != F_UNLCK;
}

/// Makes a new file of `size` bytes, all of them zero, whose blocks are allocated: no later store
/// to a mapping of it can fail for want of room. 0, or the error's number.
RING_INLINE int ring_allocate_file(int descriptor, int64_t size) {
  // Beyond this limit the kernel does not only refuse, but sends a signal that ends the program.
  struct rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && (uint64_t)size > limit.rlim_cur) return EFBIG;
#if defined(__APPLE__)
  fstore_t room = {.fst_flags = F_ALLOCATEALL, .fst_posmode = F_PEOFPOSMODE, .fst_length = size};
  if (fcntl(descriptor, F_PREALLOCATE, &room) != 0) return errno;
  return ftruncate(descriptor, size) == 0 ? 0 : errno;
#else
  int code;
  do code = posix_fallocate(descriptor, 0, size); while (code == EINTR);
  return code;
#endif
}

#pragma clang assume_nonnull end

#endif
