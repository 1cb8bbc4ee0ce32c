// Starts a child on Linux.
#if defined(__linux__)

#define _GNU_SOURCE
#include "CSpawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
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

// On architectures where the original system calls take IDs of 16 bits.
#ifdef SYS_setgroups32
#define SET_GROUPS SYS_setgroups32
#define SET_GROUP_ID SYS_setresgid32
#define SET_USER_ID SYS_setresuid32
#define CHANGE_OWNER SYS_fchown32
#else
#define SET_GROUPS SYS_setgroups
#define SET_GROUP_ID SYS_setresgid
#define SET_USER_ID SYS_setresuid
#define CHANGE_OWNER SYS_fchown
#endif

// The child runs in the program's memory until it executes its file (CLONE_VM). So the kernel
// copies no page tables, however much memory the program has. Only the thread that starts the child
// waits (CLONE_VFORK). The child uses that thread's thread-local storage, including `errno`, and a
// stack of its own.
//
// SAFETY: The child runs the functions below, while other threads of the program run on and may
// hold any lock. So the child
//   - allocates nothing, takes no lock, and calls only `syscall(2)`, which is async-signal-safe.
//     The C library's own functions may be cancellation points, and sanitizers replace some of them
//     by functions that record descriptors and signal handlers in the program's memory, although
//     the child changes only its own;
//   - writes only to its stack, `errno`, and the step, code and index of the attempt, which no
//     other thread reads meanwhile;
//   - runs no signal handler of the program: all signals are blocked until all handlers are reset;
//   - is not instrumented, since it never returns from its functions;
//   - ends by `execve` or `exit_group`.
//
// A child that becomes another user has memory of its own (no CLONE_VM): otherwise that user's
// processes might be able to change the program's memory through the child. The thread waits for
// this child too, and the attempt lies in memory that both share.
#if defined(__clang__)
#define CHILD __attribute__((disable_sanitizer_instrumentation, no_stack_protector))
#else
#define CHILD
#endif

#if defined(__GLIBC__)
// glibc's other name for `clone`. ThreadSanitizer replaces `clone` by a function that takes the
// child for a fork with memory of its own, and changes the sanitizer's state in the shared memory.
extern int __clone(int (*function)(void *), void *stack, int flags, void *context, ...);
#define CLONE __clone
#else
#define CLONE clone
#endif

struct child {
  struct spawn_attempt *attempt;
  const struct spawn_plan *plan;
  /// The program's PID.
  pid_t parent;
};

/// Records the reason of a failure, and ends the child.
CHILD static _Noreturn void fail(struct spawn_attempt *attempt, enum spawn_step step, int code) {
  attempt->step = step;
  attempt->code = code;
  for (;;) syscall(SYS_exit_group, 127);
}

/// Gives every signal its default action. `sigaction(3)` refuses the signals that the C library
/// uses itself.
CHILD static void reset_signals(void) {
  // The kernel's `struct sigaction`, in which all fields are 0 for SIG_DFL.
  const unsigned long defaults[8] = {0};
  for (int signal = 1; signal < _NSIG; ++signal)
    syscall(SYS_rt_sigaction, signal, defaults, NULL, (size_t)_NSIG / 8);
}

/// The descriptors that the child gets: their numbers in the child (targets), and the descriptors
/// that become them (sources).
struct table {
  int count;
  /// In ascending order, 0, 1 and 2 first.
  int targets[3 + SPAWN_MOST_DESCRIPTORS];
  int sources[3 + SPAWN_MOST_DESCRIPTORS];
};

CHILD static int is_target(const struct table *table, int number) {
  for (int index = 0; index < table->count; ++index)
    if (table->targets[index] == number) return 1;
  return 0;
}

/// Closes the descriptors that are not targets, one by one: those that /proc lists or, without
/// /proc, all numbers up to the limit.
CHILD static void close_each(const struct table *table) {
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
      if (!is_target(table, (int)number)) syscall(SYS_close, (int)number);
    return;
  }
  // Closing a descriptor changes the rest of the listing. So the listing is repeated from the start
  // until there is nothing to close.
  for (int has_closed = 1; has_closed;) {
    has_closed = 0;
    syscall(SYS_lseek, directory, 0, SEEK_SET);
    for (long size; (size = syscall(SYS_getdents64, directory, buffer, sizeof buffer)) > 0;) {
      for (long at = 0; at < size; at += ((struct entry *)(buffer + at))->size) {
        int number = 0;
        for (const char *digit = ((struct entry *)(buffer + at))->name; *digit; ++digit)
          number = *digit == '.' ? 0 : number * 10 + (*digit - '0');
        if (!is_target(table, number) && number != directory && syscall(SYS_close, number) == 0)
          has_closed = 1;
      }
    }
  }
  syscall(SYS_close, directory);
}

/// Closes all descriptors that are not targets.
CHILD static void close_others(const struct table *table) {
  unsigned next = 0;
  for (int index = 0; index <= table->count; ++index) {
    unsigned end = index < table->count ? (unsigned)table->targets[index] : ~0u;
    // The call is missing before Linux 5.9, and some sandboxes refuse it.
    if (end > next && syscall(SYS_close_range, next, end - (index < table->count), 0u) < 0)
      return close_each(table);
    next = end + 1;
  }
}

/// Installs each source under its target's number. A source may also be a target, and may be the
/// source of several targets.
CHILD static int install(struct table *table) {
  for (int index = 0; index < table->count; ++index) {
    int target = table->targets[index], moved = -1;
    // A descriptor that is about to be overwritten, and is still needed as a source, is moved to a
    // number that nothing overwrites.
    for (int later = index + 1; later < table->count; ++later) {
      if (table->sources[later] != target) continue;
      for (int lowest = 3; moved < 0 || is_target(table, moved); lowest = moved + 1)
        if ((moved = (int)syscall(SYS_fcntl, target, F_DUPFD_CLOEXEC, lowest)) < 0) return -1;
      table->sources[later] = moved;
    }
    int source = table->sources[index];
    // A descriptor that keeps its number may have FD_CLOEXEC set.
    long result = source == target ? syscall(SYS_fcntl, target, F_SETFD, 0)
                                   : syscall(SYS_dup3, source, target, 0);
    if (result < 0) return -1;
  }
  return 0;
}

/// Sets the attributes that a process passes on to its children.
CHILD static void set_attributes(struct spawn_attempt *attempt, const struct spawn_plan *plan) {
  if (plan->mask >= 0) syscall(SYS_umask, plan->mask);
  if (plan->sets_niceness && syscall(SYS_setpriority, PRIO_PROCESS, 0, plan->niceness) < 0)
    fail(attempt, SPAWN_NICENESS, errno);
  for (int index = 0; index < plan->limit_count; ++index) {
    const struct spawn_limit *limit = &plan->limits[index];
    const uint64_t values[2] = {limit->soft, limit->hard};
    if (syscall(SYS_prlimit64, 0, limit->resource, values, NULL) == 0) continue;
    attempt->index = index;
    fail(attempt, SPAWN_LIMIT, errno);
  }
}

/// Becomes another user permanently.
CHILD static void become(struct spawn_attempt *attempt, const struct spawn_user *user) {
  if (syscall(SET_GROUPS, (long)user->supplementary_count, user->supplementary) < 0)
    fail(attempt, SPAWN_SUPPLEMENTARY_GROUPS, errno);
  if (syscall(SET_GROUP_ID, user->group, user->group, user->group) < 0)
    fail(attempt, SPAWN_GROUP_ID, errno);
  if (syscall(SET_USER_ID, user->user, user->user, user->user) < 0)
    fail(attempt, SPAWN_USER_ID, errno);
}

/// Requests a signal at the parent's death. A change of user cancels the request, so this comes
/// after it.
CHILD static void follow(struct spawn_attempt *attempt, int signal, pid_t parent) {
  if (syscall(SYS_prctl, PR_SET_PDEATHSIG, (unsigned long)signal, 0ul, 0ul, 0ul) < 0)
    fail(attempt, SPAWN_DEATH_SIGNAL, errno);
  // The parent may have died before. A parent outside of the child's PID namespace has the PID 0 in
  // it.
  pid_t now = (pid_t)syscall(SYS_getppid);
  if (now != parent && now != 0) fail(attempt, SPAWN_CANCELLED, 0);
}

CHILD static int run_child(void *context) {
  struct spawn_attempt *attempt = ((struct child *)context)->attempt;
  const struct spawn_plan *plan = ((struct child *)context)->plan;
  // Pairs with `spawn_cancel`.
  if (__atomic_load_n(&attempt->is_cancelled, __ATOMIC_SEQ_CST)) fail(attempt, SPAWN_CANCELLED, 0);
  reset_signals();
  // 0 stands for the writing process.
  if (plan->cgroup >= 0 && syscall(SYS_write, plan->cgroup, "0", 1) < 0)
    fail(attempt, SPAWN_CGROUP, errno);
  struct table table;
  table.count = 3 + plan->inherited_count;
  for (int index = 0; index < 3; ++index) table.targets[index] = index;
  table.sources[0] = plan->input;
  table.sources[1] = plan->output;
  table.sources[2] = plan->error;
  for (int index = 0; index < plan->inherited_count; ++index) {
    table.targets[3 + index] = plan->inherited[index].target;
    table.sources[3 + index] = plan->inherited[index].source;
  }
  if (plan->terminal) {
    if (syscall(SYS_setsid) < 0) fail(attempt, SPAWN_GROUP, errno);
    int terminal = (int)syscall(SYS_openat, AT_FDCWD, plan->terminal, O_RDWR | O_CLOEXEC, 0);
    if (terminal < 0 || syscall(SYS_ioctl, terminal, TIOCSCTTY, 0) < 0)
      fail(attempt, SPAWN_TERMINAL, errno);
    // As login(1) does, so that the user may open the terminal again by its name.
    if (plan->user && syscall(CHANGE_OWNER, terminal, plan->user->user, -1) < 0)
      fail(attempt, SPAWN_TERMINAL, errno);
    table.sources[0] = table.sources[1] = table.sources[2] = terminal;
  } else if ((plan->group == SPAWN_NEW_GROUP && syscall(SYS_setpgid, 0, 0) < 0) ||
             (plan->group == SPAWN_NEW_SESSION && syscall(SYS_setsid) < 0)) {
    fail(attempt, SPAWN_GROUP, errno);
  }
  // EINVAL means that a number is at or above the limit.
  if (install(&table) < 0) fail(attempt, SPAWN_DESCRIPTORS, errno == EINVAL ? EMFILE : errno);
  close_others(&table);
  set_attributes(attempt, plan);
  if (plan->user) become(attempt, plan->user);
  if (plan->death_signal) follow(attempt, plan->death_signal, ((struct child *)context)->parent);
  if (plan->directory && syscall(SYS_chdir, plan->directory) < 0)
    fail(attempt, SPAWN_DIRECTORY, errno);
  const unsigned long none[_NSIG / 8 / sizeof(unsigned long)] = {0};
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, none, NULL, (size_t)_NSIG / 8);
  syscall(SYS_execve, plan->path, plan->arguments, plan->environment);
  fail(attempt, SPAWN_EXECUTE, errno);
}

struct spawn_attempt *spawn_create(int is_shared) {
  struct spawn_attempt *attempt;
  if (is_shared) {
    attempt = mmap(NULL, sizeof *attempt, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (attempt == MAP_FAILED) return NULL;
  } else if (!(attempt = malloc(sizeof *attempt))) {
    return NULL;
  }
  *attempt = (struct spawn_attempt){.descriptor = -1};
  return attempt;
}

void spawn_destroy(struct spawn_attempt *attempt, int is_shared) {
  if (is_shared) {
    munmap(attempt, sizeof *attempt);
  } else {
    free(attempt);
  }
}

void spawn_again(struct spawn_attempt *attempt) {
  if (attempt->descriptor >= 0) close(attempt->descriptor);
  *attempt = (struct spawn_attempt){.descriptor = -1, .is_cancelled = attempt->is_cancelled};
}

void spawn_start(struct spawn_attempt *attempt, const struct spawn_plan *plan) {
  // More than the child needs, even with a signal frame for the largest register file.
  _Alignas(64) char stack[32768];
  struct child child = {attempt, plan, getpid()};
  int flags = (plan->user ? 0 : CLONE_VM) | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;
  // The stack grows down. The kernel stores the descriptor before the child runs. An old kernel
  // ignores CLONE_PIDFD, and stores none.
  pid_t process = CLONE(run_child, stack + sizeof stack, flags, &child, &attempt->descriptor);
  if (process < 0) {
    attempt->step = SPAWN_PROCESS;
    attempt->code = errno;
  } else if (attempt->step == SPAWN_STARTED) {
    attempt->process = process;
  } else {
    // The child has failed, and ends.
    while (waitpid(process, NULL, 0) < 0 && errno == EINTR) {}
  }
}

void spawn_cancel(struct spawn_attempt *attempt) {
  // Both accesses are sequentially consistent: either the child reads the flag, or this thread
  // reads the child's descriptor.
  __atomic_store_n(&attempt->is_cancelled, 1, __ATOMIC_SEQ_CST);
  int descriptor = __atomic_load_n(&attempt->descriptor, __ATOMIC_SEQ_CST);
  if (descriptor >= 0) syscall(SYS_pidfd_send_signal, descriptor, SIGKILL, NULL, 0u);
}

int spawn_signal_group(int descriptor, int signal) {
  const unsigned process_group = 1u << 2;  // PIDFD_SIGNAL_PROCESS_GROUP
  return (int)syscall(SYS_pidfd_send_signal, descriptor, signal, NULL, process_group);
}

uint64_t spawn_open_file_limit(void) {
  struct rlimit limit = {0, 0};
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

char **spawn_environment(void) { return environ; }

#endif
