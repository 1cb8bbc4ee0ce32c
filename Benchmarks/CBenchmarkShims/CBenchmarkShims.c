#define _GNU_SOURCE
#include "CBenchmarkShims.h"

#if defined(__linux__)
#include <dirent.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

static int pin(pid_t thread, int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (processor >= 0)
    CPU_SET(processor, &set);
  else
    for (int i = 0; i < CPU_SETSIZE && i < sysconf(_SC_NPROCESSORS_CONF); i++) CPU_SET(i, &set);
  return sched_setaffinity(thread, sizeof set, &set);
}

int benchmark_pin(int processor) { return pin(0, processor); }

int benchmark_pin_process(int processor) {
  DIR *threads = opendir("/proc/self/task");
  if (threads == NULL) return -1;
  int result = 0;
  for (struct dirent *entry; (entry = readdir(threads)) != NULL;) {
    int thread = atoi(entry->d_name);
    if (thread > 0 && pin(thread, processor) != 0) result = -1;
  }
  closedir(threads);
  return result;
}
#else
int benchmark_pin(int processor) { return -1; }
int benchmark_pin_process(int processor) { return -1; }
#endif
