// How Linux starts a child.
#if defined(__linux__)

#define _GNU_SOURCE
#include "CSpawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif

// The child runs in the memory of the program until it executes its file (CLONE_VM), which copies no page
// tables, however much memory the program has. The thread that starts it waits (CLONE_VFORK), and it alone;
// the child has the thread's thread-local storage, `errno` included, and a stack of its own.
//
// SAFETY: what follows is run by the child, while other threads of the program run on and may hold any
// lock. So the child
//   - allocates nothing, takes no lock, and calls nothing but `syscall(2)`, which is async-signal-safe. The
//     C library's own functions may be cancellation points, and sanitizers replace some by functions that
//     keep books in the program's memory (of descriptors and signal handlers, which the child changes for
//     itself alone);
//   - writes to nothing but its stack, `errno`, and the step and code of the attempt, which no other thread
//     reads meanwhile;
//   - runs no signal handler of the program: all signals are blocked until all handlers are gone;
//   - is not instrumented, since it never returns from its functions;
//   - ends by `execve` or `exit_group`.
#if defined(__clang__)
#define CHILD __attribute__((disable_sanitizer_instrumentation, no_stack_protector))
#else
#define CHILD
#endif

#if defined(__GLIBC__)
// glibc's other name for it. ThreadSanitizer replaces `clone` by a function that takes the child for a fork,
// with memory of its own, and changes its books in it.
extern int __clone(int (*function)(void *), void *stack, int flags, void *context, ...);
#define CLONE __clone
#else
#define CLONE clone
#endif

struct child {
  struct spawn_attempt *attempt;
  const struct spawn_plan *plan;
};

/// Ends the child, and leaves word of the reason.
CHILD static _Noreturn void fail(struct spawn_attempt *attempt, enum spawn_step step, int code) {
  attempt->step = step;
  attempt->code = code;
  for (;;) syscall(SYS_exit_group, 127);
}

/// Gives every signal its default action. `sigaction(3)` refuses those that the C library uses itself.
CHILD static void reset_signals(void) {
  // A `struct sigaction` of the kernel's, in which all fields are 0 for SIG_DFL.
  const unsigned long defaults[8] = {0};
  for (int signal = 1; signal < _NSIG; ++signal)
    syscall(SYS_rt_sigaction, signal, defaults, NULL, (size_t)_NSIG / 8);
}

/// Closes the descriptors from 3 on, one by one: those that /proc names, or all that there may be.
CHILD static void close_each(void) {
  struct entry {
    unsigned long inode, offset;
    unsigned short size;
    unsigned char type;
    char name[];
  };
  _Alignas(struct entry) char buffer[1024];
  int directory =
      (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (directory < 0) {
    struct rlimit limit = {0, 0};
    syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);
    for (rlim_t number = 3; number < limit.rlim_cur && number < INT_MAX; ++number)
      syscall(SYS_close, (int)number);
    return;
  }
  // Closing changes what is listed next; from the start again, until there is nothing to close.
  for (int has_closed = 1; has_closed;) {
    has_closed = 0;
    syscall(SYS_lseek, directory, 0, SEEK_SET);
    for (long size; (size = syscall(SYS_getdents64, directory, buffer, sizeof buffer)) > 0;) {
      for (long at = 0; at < size; at += ((struct entry *)(buffer + at))->size) {
        int number = 0;
        for (const char *digit = ((struct entry *)(buffer + at))->name; *digit; ++digit)
          number = *digit == '.' ? 0 : number * 10 + (*digit - '0');
        if (number > 2 && number != directory && syscall(SYS_close, number) == 0) has_closed = 1;
      }
    }
  }
  syscall(SYS_close, directory);
}

/// Makes the descriptors 0, 1 and 2 of three others, which may be among them.
CHILD static int install(int sources[3]) {
  for (int number = 0; number < 3; ++number) {
    if (sources[number] > 2) continue;
    sources[number] = (int)syscall(SYS_fcntl, sources[number], F_DUPFD_CLOEXEC, 3);
    if (sources[number] < 0) return -1;
  }
  for (int number = 0; number < 3; ++number)
    if (syscall(SYS_dup3, sources[number], number, 0) < 0) return -1;
  return 0;
}

CHILD static int run_child(void *context) {
  struct spawn_attempt *attempt = ((struct child *)context)->attempt;
  const struct spawn_plan *plan = ((struct child *)context)->plan;
  // The other half of `spawn_cancel`.
  if (__atomic_load_n(&attempt->is_cancelled, __ATOMIC_SEQ_CST)) fail(attempt, SPAWN_CANCELLED, 0);
  reset_signals();
  // 0 is the process that writes it.
  if (plan->cgroup >= 0 && syscall(SYS_write, plan->cgroup, "0", 1) < 0)
    fail(attempt, SPAWN_CGROUP, errno);
  int sources[3] = {plan->input, plan->output, plan->error};
  if (plan->terminal) {
    if (syscall(SYS_setsid) < 0) fail(attempt, SPAWN_GROUP, errno);
    int terminal = (int)syscall(SYS_openat, AT_FDCWD, plan->terminal, O_RDWR | O_CLOEXEC, 0);
    if (terminal < 0 || syscall(SYS_ioctl, terminal, TIOCSCTTY, 0) < 0)
      fail(attempt, SPAWN_TERMINAL, errno);
    sources[0] = sources[1] = sources[2] = terminal;
  } else if (syscall(SYS_setpgid, 0, 0) < 0) {
    fail(attempt, SPAWN_GROUP, errno);
  }
  if (install(sources) < 0) fail(attempt, SPAWN_DESCRIPTORS, errno);
  // Missing before Linux 5.9, and refused by some sandboxes.
  if (syscall(SYS_close_range, 3u, ~0u, 0u) < 0) close_each();
  if (plan->directory && syscall(SYS_chdir, plan->directory) < 0)
    fail(attempt, SPAWN_DIRECTORY, errno);
  const unsigned long none[_NSIG / 8 / sizeof(unsigned long)] = {0};
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, none, NULL, (size_t)_NSIG / 8);
  syscall(SYS_execve, plan->path, plan->arguments, plan->environment);
  fail(attempt, SPAWN_EXECUTE, errno);
}

void spawn_prepare(struct spawn_attempt *attempt) {
  *attempt = (struct spawn_attempt){.descriptor = -1};
}

void spawn_again(struct spawn_attempt *attempt) {
  if (attempt->descriptor >= 0) close(attempt->descriptor);
  *attempt = (struct spawn_attempt){.descriptor = -1, .is_cancelled = attempt->is_cancelled};
}

void spawn_start(struct spawn_attempt *attempt, const struct spawn_plan *plan) {
  // More than the child needs, also for a signal frame with the largest register file.
  _Alignas(64) char stack[32768];
  struct child child = {attempt, plan};
  int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;
  // The stack grows down. The kernel stores the descriptor before the child runs; an old one ignores
  // CLONE_PIDFD, and stores none.
  pid_t process = CLONE(run_child, stack + sizeof stack, flags, &child, &attempt->descriptor);
  if (process < 0) {
    attempt->step = SPAWN_PROCESS;
    attempt->code = errno;
  } else if (attempt->step == SPAWN_STARTED) {
    attempt->process = process;
  } else {
    // It has ended already.
    while (waitpid(process, NULL, 0) < 0 && errno == EINTR) {}
  }
}

void spawn_cancel(struct spawn_attempt *attempt) {
  // Both sequentially consistent: either the child finds the first, or this finds the child.
  __atomic_store_n(&attempt->is_cancelled, 1, __ATOMIC_SEQ_CST);
  int descriptor = __atomic_load_n(&attempt->descriptor, __ATOMIC_SEQ_CST);
  if (descriptor >= 0) syscall(SYS_pidfd_send_signal, descriptor, SIGKILL, NULL, 0u);
}

int spawn_signal_group(int descriptor, int signal) {
  const unsigned process_group = 1u << 2;  // PIDFD_SIGNAL_PROCESS_GROUP
  return (int)syscall(SYS_pidfd_send_signal, descriptor, signal, NULL, process_group);
}

char **spawn_environment(void) { return environ; }

#endif
