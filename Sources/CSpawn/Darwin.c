// Starts a child on Darwin, by `posix_spawn`, which is a system call there.
#if defined(__APPLE__)

#include "CSpawn.h"

#include <crt_externs.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct spawn_attempt *spawn_create(int is_shared) {
  (void)is_shared;
  struct spawn_attempt *attempt = malloc(sizeof *attempt);
  if (attempt) *attempt = (struct spawn_attempt){.descriptor = -1};
  return attempt;
}

void spawn_destroy(struct spawn_attempt *attempt, int is_shared) {
  (void)is_shared;
  free(attempt);
}

void spawn_again(struct spawn_attempt *attempt) {
  if (attempt->descriptor >= 0) close(attempt->descriptor);
  *attempt = (struct spawn_attempt){.descriptor = -1, .is_cancelled = attempt->is_cancelled};
}

/// Guesses the step that failed: `posix_spawn` reports only the error.
static enum spawn_step failed_step(const struct spawn_plan *plan, int code) {
  if (code == EAGAIN || code == ENOMEM) return SPAWN_PROCESS;
  struct stat status;
  if (plan->directory && stat(plan->directory, &status) != 0) return SPAWN_DIRECTORY;
  if (plan->terminal && stat(plan->terminal, &status) != 0) return SPAWN_TERMINAL;
  return SPAWN_EXECUTE;
}

void spawn_start(struct spawn_attempt *attempt, const struct spawn_plan *plan) {
  if (__atomic_load_n(&attempt->is_cancelled, __ATOMIC_SEQ_CST)) {
    attempt->step = SPAWN_CANCELLED;
    return;
  }
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
  if ((attempt->code = posix_spawnattr_init(&attributes)) != 0) {
    attempt->step = SPAWN_PROCESS;
    return;
  }
  if ((attempt->code = posix_spawn_file_actions_init(&actions)) != 0) {
    attempt->step = SPAWN_PROCESS;
    posix_spawnattr_destroy(&attributes);
    return;
  }
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  int code = posix_spawnattr_setsigmask(&attributes, &none);
  if (!code) code = posix_spawnattr_setsigdefault(&attributes, &all);
  short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_CLOEXEC_DEFAULT;
  if (plan->terminal) {
    // The first terminal that a session leader opens becomes its controlling terminal.
    flags |= POSIX_SPAWN_SETSID;
    if (!code) code = posix_spawn_file_actions_addopen(&actions, 0, plan->terminal, O_RDWR, 0);
    if (!code) code = posix_spawn_file_actions_adddup2(&actions, 0, 1);
    if (!code) code = posix_spawn_file_actions_adddup2(&actions, 0, 2);
  } else {
    if (plan->group == SPAWN_NEW_GROUP) flags |= POSIX_SPAWN_SETPGROUP;
    if (plan->group == SPAWN_NEW_SESSION) flags |= POSIX_SPAWN_SETSID;
    if (!code) code = posix_spawn_file_actions_adddup2(&actions, plan->input, 0);
    if (!code) code = posix_spawn_file_actions_adddup2(&actions, plan->output, 1);
    if (!code) code = posix_spawn_file_actions_adddup2(&actions, plan->error, 2);
  }
  // The actions run one after the other, so their sources must have numbers that no action
  // overwrites.
  int copies[SPAWN_MOST_DESCRIPTORS];
  int count = plan->inherited_count, copied = 0;
  int above = count ? plan->inherited[count - 1].target + 1 : 3;
  for (; copied < count && !code; ++copied) {
    copies[copied] = fcntl(plan->inherited[copied].source, F_DUPFD_CLOEXEC, above);
    if (copies[copied] < 0) {
      code = errno;
      attempt->step = SPAWN_DESCRIPTORS;
      break;
    }
    code = posix_spawn_file_actions_adddup2(&actions, copies[copied],
                                            plan->inherited[copied].target);
  }
  if (!code) code = posix_spawnattr_setflags(&attributes, flags);
  if (!code && plan->directory)
    code = posix_spawn_file_actions_addchdir_np(&actions, plan->directory);
  if (code) {
    if (!attempt->step) attempt->step = SPAWN_PROCESS;
  } else {
    code = posix_spawn(&attempt->process, plan->path, &actions, &attributes, plan->arguments,
                       plan->environment);
    if (code) {
      attempt->process = 0;
      attempt->step = failed_step(plan, code);
    }
  }
  attempt->code = code;
  while (copied > 0) close(copies[--copied]);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
}

void spawn_cancel(struct spawn_attempt *attempt) {
  __atomic_store_n(&attempt->is_cancelled, 1, __ATOMIC_SEQ_CST);
}

int spawn_signal_group(int descriptor, int signal) {
  (void)descriptor;
  (void)signal;
  errno = EINVAL;
  return -1;
}

uint64_t spawn_open_file_limit(void) {
  struct rlimit limit = {0, 0};
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

char **spawn_environment(void) { return *_NSGetEnviron(); }

#endif
