//! Calls that the benchmarks need and Swift's Glibc module leaves out.
#ifndef CBENCHMARKSHIMS_H
#define CBENCHMARKSHIMS_H

/// Keeps the calling thread on one processor; 0, or -1 where that cannot be had.
int benchmark_pin(int processor);

#endif
