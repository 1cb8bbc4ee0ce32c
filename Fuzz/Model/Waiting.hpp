// Waiting for news: the steps of Sources/Processes/Waiting/WaitList.swift, with its numbers and letters.
#pragma once

#include "Ring.hpp"

struct Waiting {
  rl::atomic<int> publishedSeq;
  rl::mutex producers, list;
  rl::var<int> isAwaited;        // guarded by `producers`
  rl::atomic<int> unguarded;     // what a mutant uses instead
  rl::var<int> waiters[2];       // guarded by `list`: 1 for one on the list
  bool isAsleep[2];
  int sawAtLast[2];

  void before() {
    publishedSeq($).store(0, mo_relaxed);
    unguarded($).store(0, mo_relaxed);
    isAwaited($) = 0;
    for (int index = 0; index < 2; ++index) {
      waiters[index]($) = 0;
      isAsleep[index] = false;
      sawAtLast[index] = 0;
    }
  }

  void join(int index) {
    list.lock($);
    waiters[index]($) = 1;
    list.unlock($);
  }

  // Waits for anything after seq 0; sleeping is the end of the thread.
  void wait(int index) {
    if (publishedSeq($).load(mo_acquire) > 0) return;
    isAsleep[index] = true;
    if (!is(ListAfterCall)) join(index);  // 1
    if (is(CallWithoutLock)) {
      unguarded($).store(1, mo_relaxed);
    } else {
      producers.lock($);  // 2
      isAwaited($) = 1;
      producers.unlock($);
    }
    if (!is(NoSecondLook) && publishedSeq($).load(mo_acquire) > 0) isAsleep[index] = false;  // 3
    if (is(ListAfterCall)) join(index);
  }

  void append(int seq) {
    producers.lock($);  // a
    int isCalled = 0;
    if (is(CallTakenBeforePublish)) isCalled = take();
    producers.unlock($);
    producers.lock($);
    publishedSeq($).store(std::max(seq, publishedSeq($).load(mo_relaxed)), mo_release);
    if (!is(CallTakenBeforePublish)) isCalled = take();
    producers.unlock($);
    if (!isCalled) return;
    list.lock($);  // b
    for (int index = 0; index < 2; ++index) {
      if (waiters[index]($)) isAsleep[index] = false;
      waiters[index]($) = 0;
    }
    list.unlock($);
  }

  int take() {
    if (is(CallWithoutLock)) return unguarded($).load(mo_relaxed);
    const int isCalled = isAwaited($);
    isAwaited($) = 0;
    return isCalled;
  }

  // Everything has been published: nobody may sleep on.
  void after(int waiterCount) {
    for (int index = 0; index < waiterCount; ++index) CHECK(!isAsleep[index]);
  }
};
