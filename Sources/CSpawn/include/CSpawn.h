//! Starts a child process: the steps between the start of the child and its `execve`.
//!
//! The caller does everything beforehand that allocates, searches, or validates.
#ifndef CSPAWN_H
#define CSPAWN_H

#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#pragma clang assume_nonnull begin

/// The step at which a start failed.
enum spawn_step {
  SPAWN_STARTED = 0,
  /// The system could not create a process.
  SPAWN_PROCESS,
  /// The child could not enter its cgroup.
  SPAWN_CGROUP,
  /// The child could not lead a session or a group.
  SPAWN_GROUP,
  /// The child could not open its terminal, or could not make it its controlling terminal.
  SPAWN_TERMINAL,
  /// The child could not install its descriptors.
  SPAWN_DESCRIPTORS,
  /// The child could not set its nice value.
  SPAWN_NICENESS,
  /// The child could not set the limit at `index`.
  SPAWN_LIMIT,
  /// The child could not set its supplementary groups.
  SPAWN_SUPPLEMENTARY_GROUPS,
  /// The child could not take its user's primary group.
  SPAWN_GROUP_ID,
  /// The child could not become its user.
  SPAWN_USER_ID,
  /// The child could not request a signal at its parent's death.
  SPAWN_DEATH_SIGNAL,
  /// The child could not change to its working directory.
  SPAWN_DIRECTORY,
  /// The file could not be executed.
  SPAWN_EXECUTE,
  /// `spawn_cancel` was called in time, or the parent died during the start.
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

/// The numbers of the resources. Swift does not see the system's own names on every platform.
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

/// A limit as for `setrlimit(2)`; `UINT64_MAX` is no limit.
struct spawn_limit {
  int resource;
  uint64_t soft, hard;
};

/// A user to become, with all its groups.
struct spawn_user {
  uid_t user;
  gid_t group;
  const gid_t *_Nullable supplementary;
  int supplementary_count;
};

/// The description of a child. The caller must not change any of it until `spawn_start` has
/// returned.
struct spawn_plan {
  /// The file to execute, as seen from `directory`. `PATH` is not searched.
  const char *path;
  /// The arguments, the command's name first and a null pointer last.
  char *_Nullable const *_Nonnull arguments;
  /// The environment, with a null pointer last.
  char *_Nullable const *_Nonnull environment;
  /// The child's working directory; null for the program's own.
  const char *_Nullable directory;
  /// The terminal that the child opens as its descriptors 0, 1 and 2. The child leads a new
  /// session, whose controlling terminal it becomes. Null to use the three descriptors below.
  const char *_Nullable terminal;
  /// The descriptors that become the child's 0, 1 and 2.
  int input, output, error;
  /// The other descriptors that the child inherits, sorted by target; no two targets are equal.
  const struct spawn_descriptor *_Nullable inherited;
  int inherited_count;
  /// One of `enum spawn_group`, unless the child has a terminal.
  int group;
  // The fields below are for Linux alone; `spawn_start` ignores them elsewhere.
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
  /// A `pidfd` for the child; -1 before the child exists and where the system has none. The caller
  /// closes it.
  int descriptor;
  int is_cancelled;
  /// The PID of the child; 0 unless it was started. The caller reaps the child.
  pid_t process;
  /// The step that failed (`enum spawn_step`), the error, and the index of the limit.
  int step, code, index;
};

/// Returns a new attempt; null if there is no memory.
///
/// - Parameter is_shared: Whether a child that has memory of its own can report to the attempt as
///   well.
struct spawn_attempt *_Nullable spawn_create(int is_shared);

/// Frees an attempt that `spawn_create` returned.
void spawn_destroy(struct spawn_attempt *attempt, int is_shared);

/// Prepares a failed attempt for another start, and closes its descriptor. The attempt may have
/// been cancelled, but no thread may cancel it during this call.
void spawn_again(struct spawn_attempt *attempt);

/// Starts a child. Returns when the child has executed its file or has failed. May take as long as
/// the file system of that file does. The calling thread should have no other work, and must have
/// all signals blocked.
void spawn_start(struct spawn_attempt *attempt, const struct spawn_plan *plan);

/// Cancels the start of a child, if it is still in progress: the child is killed, or not started.
///
/// Call it before `spawn_start` or while that runs, and while no thread closes the descriptor. If
/// the attempt still reports a child, that child may be about to end. Does nothing to a child that
/// exists already where the system has no `pidfd`.
void spawn_cancel(struct spawn_attempt *attempt);

/// Returns the program's soft limit on open files.
uint64_t spawn_open_file_limit(void);

/// Returns the program's environment, with a null pointer last; null if it was cleared.
char *_Nullable *_Nullable spawn_environment(void);

/// Sends a signal to the group that a child led, even if the child has been reaped; never to
/// another group that has got its ID since. Returns 0, or -1 with `errno` set: `EINVAL` before
/// Linux 6.9 and on other systems.
int spawn_signal_group(int descriptor, int signal);

/// Opens a descriptor for a process, as `pidfd_open(2)` does. The caller closes it. Returns -1 with
/// `errno` set if there is no such process, and where the system has no such descriptors.
int spawn_open_process(pid_t process);

/// Sends a signal to the process of a descriptor. Returns 0, or -1 with `errno` set.
int spawn_signal_process(int descriptor, int signal);

/// The resources that a process used until its end, together with those of the processes that it
/// has waited for.
struct spawn_usage {
  int64_t user_microseconds, system_microseconds;
  /// The largest resident memory of any one process, in bytes.
  int64_t peak_resident_bytes;
};

/// Reaps a child that has ended, and stores the resources that it has used. Returns whether there
/// was such a child.
int spawn_reap(pid_t process, struct spawn_usage *usage);

/// Stores the resources that a child that has ended has used, without reaping it. Returns whether
/// they are known. They are not where the system reports them only when it reaps the child, as
/// Darwin does.
int spawn_peek_usage(pid_t process, struct spawn_usage *usage);

#pragma clang assume_nonnull end

#endif
