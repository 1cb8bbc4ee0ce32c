#define _GNU_SOURCE
#include "CBenchmarkShims.h"

#if defined(__linux__)
#include <sched.h>

int benchmark_pin(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  return sched_setaffinity(0, sizeof set, &set);
}
#else
int benchmark_pin(int processor) { return -1; }
#endif
