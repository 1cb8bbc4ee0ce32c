//! Calls that the benchmarks need and Swift's Glibc module leaves out.
#ifndef CBENCHMARKSHIMS_H
#define CBENCHMARKSHIMS_H

/// Keeps the calling thread on one processor, or lets it run on all for -1; 0, or -1 where that
/// cannot be had.
int benchmark_pin(int processor);

/// Keeps all threads of this process on one processor, and those that they start from now on, and
/// children; or lets them run on all for -1. 0, or -1 where that cannot be had.
int benchmark_pin_process(int processor);

#endif
