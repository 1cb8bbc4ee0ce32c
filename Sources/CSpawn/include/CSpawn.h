//! Starts a child process: what happens between the start of the child and its `execve`.
//!
//! Everything that allocates, searches or can be wrong is done before, by the caller.
#ifndef CSPAWN_H
#define CSPAWN_H

#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#pragma clang assume_nonnull begin

/// Where a start failed.
enum spawn_step {
  SPAWN_STARTED = 0,
  /// No process could be made.
  SPAWN_PROCESS,
  /// The child could not enter its cgroup.
  SPAWN_CGROUP,
  /// The child could not lead a session or a group.
  SPAWN_GROUP,
  /// The child could not open its terminal, or not make it its controlling one.
  SPAWN_TERMINAL,
  /// The child could not install its descriptors.
  SPAWN_DESCRIPTORS,
  /// The child could not set its nice value.
  SPAWN_NICENESS,
  /// The child could not set the limit that `index` counts.
  SPAWN_LIMIT,
  /// The child could not set its supplementary groups.
  SPAWN_SUPPLEMENTARY_GROUPS,
  /// The child could not become a member of its user's group.
  SPAWN_GROUP_ID,
  /// The child could not become its user.
  SPAWN_USER_ID,
  /// The child could not ask for a signal at its parent's death.
  SPAWN_DEATH_SIGNAL,
  /// The child could not change to its working directory.
  SPAWN_DIRECTORY,
  /// The file could not be executed.
  SPAWN_EXECUTE,
  /// `spawn_cancel` was called in time.
  SPAWN_CANCELLED,
};

/// The process group of a child without a terminal.
enum spawn_group {
  /// The child leads a new group.
  SPAWN_NEW_GROUP,
  /// The child leads a new session, without a terminal, and its group.
  SPAWN_NEW_SESSION,
  /// The child stays in the program's group.
  SPAWN_SAME_GROUP,
};

/// A descriptor that a child inherits, and the number that it gets in the child, above 2.
struct spawn_descriptor {
  int source, target;
};

/// The most descriptors that a child inherits.
enum { SPAWN_MOST_DESCRIPTORS = 256 };

/// The resources' numbers, whose own names Swift does not see everywhere.
enum spawn_resource {
  SPAWN_CPU_TIME = RLIMIT_CPU,
  SPAWN_OPEN_FILES = RLIMIT_NOFILE,
  SPAWN_FILE_SIZE = RLIMIT_FSIZE,
  SPAWN_CORE_FILE_SIZE = RLIMIT_CORE,
  SPAWN_ADDRESS_SPACE = RLIMIT_AS,
  SPAWN_DATA_SIZE = RLIMIT_DATA,
  SPAWN_STACK_SIZE = RLIMIT_STACK,
  SPAWN_LOCKED_MEMORY = RLIMIT_MEMLOCK,
  SPAWN_PROCESSES = RLIMIT_NPROC,
};

/// A limit as for `setrlimit(2)`; `UINT64_MAX` is none.
struct spawn_limit {
  int resource;
  uint64_t soft, hard;
};

/// A user to become, and all that user's groups.
struct spawn_user {
  uid_t user;
  gid_t group;
  const gid_t *_Nullable supplementary;
  int supplementary_count;
};

/// What a child is to be. All of it must stay as it is until `spawn_start` has returned.
struct spawn_plan {
  /// The file to execute, as seen from `directory`. No `PATH` is searched.
  const char *path;
  /// The arguments, the command's name first and a null pointer last.
  char *_Nullable const *_Nonnull arguments;
  /// The environment, with a null pointer last.
  char *_Nullable const *_Nonnull environment;
  /// Where the child starts; null for the program's own working directory.
  const char *_Nullable directory;
  /// The terminal that the child opens for its descriptors 0, 1 and 2, as leader of a new session
  /// that it controls; null for the three below.
  const char *_Nullable terminal;
  /// What becomes the child's descriptors 0, 1 and 2.
  int input, output, error;
  /// What else the child inherits, in the order of the targets, of which no two are equal.
  const struct spawn_descriptor *_Nullable inherited;
  int inherited_count;
  /// One of `enum spawn_group`, unless the child has a terminal.
  int group;
  // What follows is for Linux alone; `spawn_start` ignores it elsewhere.
  /// The limits to set.
  const struct spawn_limit *_Nullable limits;
  int limit_count;
  /// The file mode creation mask; -1 for the program's own.
  int mask;
  /// The nice value, if `sets_niceness`.
  int niceness, sets_niceness;
  /// The user to become; null for the program's own. The attempt must be shared then.
  const struct spawn_user *_Nullable user;
  /// The signal that the child gets when the calling thread ends; 0 for none.
  int death_signal;
  /// The `cgroup.procs` of the cgroup that the child enters first; -1 for none.
  int cgroup;
};

/// A start, which another thread may cancel.
struct spawn_attempt {
  /// A `pidfd` for the child, -1 before there is one and where the system has none. The caller's to
  /// close.
  int descriptor;
  int is_cancelled;
  /// The child, also its group; 0 unless it was started. The caller's to reap.
  pid_t process;
  /// Where it failed, the error, and the index of the limit.
  int step, code, index;
};

/// Returns a new attempt; null without memory.
///
/// - Parameter is_shared: Whether a child that has memory of its own can report to it as well.
struct spawn_attempt *_Nullable spawn_create(int is_shared);

/// Frees an attempt of `spawn_create`.
void spawn_destroy(struct spawn_attempt *attempt, int is_shared);

/// Prepares an attempt that has failed for another start, and closes its descriptor; it may have
/// been cancelled, but must not be cancelled meanwhile.
void spawn_again(struct spawn_attempt *attempt);

/// Starts a child, and returns when it executes its file or could not. May take as long as the file
/// system does that the file is on; to be called by a thread that has nothing else to do, with all
/// signals blocked.
void spawn_start(struct spawn_attempt *attempt, const struct spawn_plan *plan);

/// Ends the start of a child, if it is still going on: the child is killed, or not started.
///
/// To be called before `spawn_start` or while it runs, and while nobody closes the descriptor. If
/// the attempt has a child nevertheless, its end may be near. Does nothing to a child where the
/// system has no `pidfd`.
void spawn_cancel(struct spawn_attempt *attempt);

/// The program's own soft limit on open files.
uint64_t spawn_open_file_limit(void);

/// The program's own environment, with a null pointer last; null if it was cleared.
char *_Nullable *_Nullable spawn_environment(void);

/// Sends a signal to the group that a child led, even if the child has been reaped: never to
/// another group that got its number since. 0, or -1 with `errno` set: `EINVAL` before Linux 6.9
/// and elsewhere.
int spawn_signal_group(int descriptor, int signal);

/// Opens a descriptor for a process, as `pidfd_open(2)` does; the caller's to close. -1 with
/// `errno` set if there is no such process, and where the system has no such descriptors.
int spawn_open_process(pid_t process);

/// Sends a signal to the process that a descriptor stands for. 0, or -1 with `errno` set.
int spawn_signal_process(int descriptor, int signal);

/// What a process has used until its end, and what the processes that it has waited for have.
struct spawn_usage {
  int64_t user_microseconds, system_microseconds;
  /// The most that was resident at a time, of one process, in bytes.
  int64_t peak_resident_bytes;
};

/// Reaps a child that has ended, and stores what it has used; returns whether it was there to be
/// reaped.
int spawn_reap(pid_t process, struct spawn_usage *usage);

/// Stores what a child that has ended has used, without reaping it; returns whether that is known.
/// It never is where the system tells it only as it reaps the child, as Darwin does.
int spawn_peek_usage(pid_t process, struct spawn_usage *usage);

#pragma clang assume_nonnull end

#endif
