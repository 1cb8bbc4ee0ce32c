// Waiting for news: the steps of Sources/Processes/Waiting/WaitList.swift, with its numbers and
// letters.
#pragma once

#include "Ring.hpp"

// How the full fences of both sides come about. `systemwide_fence` is a fence of all threads at one
// instant, where membarrier(2) interrupts each at an instant of its own between call and return; as
// the waiter stands still meanwhile, a producer cannot tell the difference.
enum class Fencing {
  bySystem,     // the waiter alone, by membarrier(2): a fence of every thread
  byProducers,  // each side its own, where the system has no such call
};

struct Waiting {
  const Fencing fencing;
  const int from;  // the seq that waiters have dealt with

  rl::atomic<int> publishedSeq, isAwaited;
  rl::mutex producers, list;
  rl::var<int> waiters[2];  // guarded by `list`: 1 for one on the list
  bool isAsleep[2];

  Waiting(Fencing fencing, int from) : fencing(fencing), from(from) {}

  void before() {
    publishedSeq($).store(from, mo_relaxed);
    isAwaited($).store(0, mo_relaxed);
    for (int index = 0; index < 2; ++index) {
      waiters[index]($) = 0;
      isAsleep[index] = false;
    }
  }

  // What both looks of a waiter ask; a negative position is taken for the beginning where it
  // enters.
  bool hasNews(int seq) { return publishedSeq($).load(mo_acquire) != seq; }

  void join(int index) {
    list.lock($);
    waiters[index]($) = 1;
    list.unlock($);
  }

  // The fence of step 3: ProcessFence.issue.
  void fence() {
    if (is(NoWaiterFence)) return;
    if (fencing == Fencing::byProducers || is(WaiterFencesItselfAlone))
      rl::atomic_thread_fence(mo_seq_cst, $);
    else
      rl::systemwide_fence($);
  }

  // Waits for anything after `from`; sleeping is the end of the thread.
  void wait(int index) {
    if (hasNews(from)) return;
    isAsleep[index] = true;
    if (!is(ListAfterRequest)) join(index);  // 1
    if (is(FenceBeforeRequest)) fence();
    if (!is(NoRequest)) isAwaited($).store(1, mo_release);  // 2
    if (!is(FenceBeforeRequest) && !is(FenceAfterLook)) fence();  // 3
    if (!is(NoSecondLook) && hasNews(from)) isAsleep[index] = false;  // 4
    if (is(FenceAfterLook)) fence();
    if (is(ListAfterRequest)) join(index);
  }

  // Producers take turns, or there is one that needs no lock: `isExclusive`.
  void append(int seq, bool isExclusive) {
    if (is(LookBeforePublish)) return look(), publish(seq, isExclusive);
    publish(seq, isExclusive);  // a
    look();
  }

  void publish(int seq, bool isExclusive) {
    if (isExclusive) return publishedSeq($).store(from + seq, mo_release);
    producers.lock($);
    publishedSeq($).store(publishedSeq($).load(mo_relaxed) + 1, mo_release);
    producers.unlock($);
  }

  void look() {
    if (fencing == Fencing::byProducers && !is(NoProducerFence))
      rl::atomic_thread_fence(mo_seq_cst, $);
    if (!isAwaited($).load(mo_relaxed)) return;            // b
    if (isAwaited($).exchange(0, rl::mo_acq_rel)) wake();  // c
  }

  void wake() {
    list.lock($);
    for (int index = 0; index < 2; ++index) {
      if (waiters[index]($)) isAsleep[index] = false;
      waiters[index]($) = 0;
    }
    list.unlock($);
  }

  // Everything has been published: no waiter may sleep on.
  void after(int waiterCount) {
    for (int index = 0; index < waiterCount; ++index) CHECK(!isAsleep[index]);
  }
};
