// System calls that signal the processes of a cgroup by descriptor.
#define _GNU_SOURCE
#include "CSpawn.h"

#include <errno.h>

#if defined(__linux__)

#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

int spawn_open_process(pid_t process) { return (int)syscall(SYS_pidfd_open, process, 0u); }

int spawn_signal_process(int descriptor, int signal) {
  return (int)syscall(SYS_pidfd_send_signal, descriptor, signal, (void *)0, 0u);
}

#else

int spawn_open_process(pid_t process) {
  (void)process;
  errno = ENOSYS;
  return -1;
}

int spawn_signal_process(int descriptor, int signal) {
  (void)descriptor;
  (void)signal;
  errno = ENOSYS;
  return -1;
}

#endif
