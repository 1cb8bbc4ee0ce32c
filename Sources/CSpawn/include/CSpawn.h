//! Starts a child process: what happens between the start of the child and its `execve`.
//!
//! Everything that allocates, searches or can be wrong is done before, by the caller.
#ifndef CSPAWN_H
#define CSPAWN_H

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
  /// The child could not change to its working directory.
  SPAWN_DIRECTORY,
  /// The file could not be executed.
  SPAWN_EXECUTE,
  /// `spawn_cancel` was called in time.
  SPAWN_CANCELLED,
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
  /// The terminal that the child opens for its descriptors 0, 1 and 2, as leader of a new session that
  /// it controls; null for the three below, and a new process group.
  const char *_Nullable terminal;
  /// What becomes the child's descriptors 0, 1 and 2.
  int input, output, error;
  /// The `cgroup.procs` of the cgroup that the child enters first; -1 for none.
  int cgroup;
};

/// A start, which another thread may cancel.
struct spawn_attempt {
  /// A `pidfd` for the child, -1 before there is one and where the system has none. The caller's to close.
  int descriptor;
  int is_cancelled;
  /// The child, also its group; 0 unless it was started. The caller's to reap.
  pid_t process;
  /// Where it failed, and the error.
  int step, code;
};

/// Prepares an attempt.
void spawn_prepare(struct spawn_attempt *attempt);

/// Prepares an attempt that has failed for another start, and closes its descriptor; it may have been
/// cancelled, but must not be cancelled meanwhile.
void spawn_again(struct spawn_attempt *attempt);

/// Starts a child, and returns when it executes its file or could not. May take as long as the file system
/// does that the file is on; to be called by a thread that has nothing else to do, with all signals blocked.
void spawn_start(struct spawn_attempt *attempt, const struct spawn_plan *plan);

/// Ends the start of a child, if it is still going on: the child is killed, or not started.
///
/// To be called before `spawn_start` or while it runs, and while nobody closes the descriptor. If the attempt
/// has a child nevertheless, its end may be near. Does nothing to a child where the system has no `pidfd`.
void spawn_cancel(struct spawn_attempt *attempt);

/// The program's own environment, with a null pointer last; null if it was cleared.
char *_Nullable *_Nullable spawn_environment(void);

/// Sends a signal to the group that a child led, even if the child has been reaped: never to another
/// group that got its number since. 0, or -1 with `errno` set: `EINVAL` before Linux 6.9 and elsewhere.
int spawn_signal_group(int descriptor, int signal);

/// Opens a descriptor for a process, as `pidfd_open(2)` does; the caller's to close. -1 with `errno` set if there
/// is no such process, and where the system has no such descriptors.
int spawn_open_process(pid_t process);

/// Sends a signal to the process that a descriptor stands for. 0, or -1 with `errno` set.
int spawn_signal_process(int descriptor, int signal);

#pragma clang assume_nonnull end

#endif
