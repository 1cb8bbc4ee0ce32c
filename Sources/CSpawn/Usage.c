// Reports the resources that a child that has ended has used.
#define _GNU_SOURCE
#include "CSpawn.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int spawn_reap(pid_t process, struct spawn_usage *usage) {
  // Numbers that are not positive stand for any child, or any child of a group.
  if (process <= 0) return 0;
  struct rusage found;
  pid_t result;
  do {
    result = wait4(process, NULL, WNOHANG, &found);
  } while (result < 0 && errno == EINTR);
  if (result != process) return 0;
#if defined(__APPLE__)
  const int64_t unit = 1;
#else
  const int64_t unit = 1024;
#endif
  *usage = (struct spawn_usage){
      .user_microseconds = found.ru_utime.tv_sec * INT64_C(1000000) + found.ru_utime.tv_usec,
      .system_microseconds = found.ru_stime.tv_sec * INT64_C(1000000) + found.ru_stime.tv_usec,
      .peak_resident_bytes = found.ru_maxrss * unit,
  };
  return 1;
}

int spawn_peek_usage(pid_t process, struct spawn_usage *usage) {
#if defined(__linux__)
  // The C library's `waitid` omits the kernel's last parameter, a `struct rusage` in the kernel's
  // layout: all fields are `long`, whatever the C library's are.
  long found[18] = {0};
  siginfo_t info = {0};
  long result;
  do {
    result = syscall(SYS_waitid, P_PID, process, &info, WEXITED | WNOHANG | WNOWAIT, found);
  } while (result < 0 && errno == EINTR);
  if (result != 0 || info.si_pid != process) return 0;
  *usage = (struct spawn_usage){
      .user_microseconds = found[0] * INT64_C(1000000) + found[1],
      .system_microseconds = found[2] * INT64_C(1000000) + found[3],
      .peak_resident_bytes = found[4] * INT64_C(1024),
  };
  return 1;
#else
  (void)process;
  (void)usage;
  return 0;
#endif
}
