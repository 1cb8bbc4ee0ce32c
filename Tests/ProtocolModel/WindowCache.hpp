// The retained window that a reader found last, for all readers: a sequence lock whose writers do
// not wait. The type of the same name in Sources/OutputRing/RetainedWindow.swift.
#pragma once

#include <relacy/relacy.hpp>

#include "Mutants.hpp"

using rl::mo_acquire;
using rl::mo_relaxed;
using rl::mo_release;
using rl::mo_seq_cst;

// What a test asserts; `$` tells Relacy the place.
#define CHECK(condition) RL_ASSERT(condition)

// The part of a ring that is retained, as of one published seq: which chunk is the oldest, and
// where it begins.
struct RetainedWindow {
  int newestSeq = 0, end = 0, oldestSeq = 1, lost = 0;

  bool isEmpty() const { return oldestSeq > newestSeq; }

  bool operator==(const RetainedWindow& other) const {
    return newestSeq == other.newestSeq && end == other.end && oldestSeq == other.oldestSeq &&
           lost == other.lost;
  }
};

struct WindowCache {
  rl::atomic<int> version, newestSeq, end, oldestSeq, lost;

  void before() {
    version($).store(0, mo_relaxed);
    newestSeq($).store(0, mo_relaxed);
    end($).store(0, mo_relaxed);
    oldestSeq($).store(0, mo_relaxed);
    lost($).store(0, mo_relaxed);
  }

  // Stores a window, unless another reader is storing one or a newer one is there.
  void store(const RetainedWindow& window) {
    int before = version($).load(mo_relaxed);
    if (before & 1) return;
    if (is(CacheUnlocked)) {
      version($).store(before + 1, mo_relaxed);
    } else if (!version($).compare_exchange_strong(before, before + 1, mo_acquire, mo_relaxed)) {
      return;
    }
    if (newestSeq($).load(mo_relaxed) < window.newestSeq) {
      if (!is(CacheStoreUnfenced)) rl::atomic_thread_fence(mo_release, $);
      newestSeq($).store(window.newestSeq, mo_relaxed);
      end($).store(window.end, mo_relaxed);
      oldestSeq($).store(window.oldestSeq, mo_relaxed);
      lost($).store(window.lost, mo_relaxed);
    }
    version($).store(before + 2, is(CacheReleasedRelaxed) ? mo_relaxed : mo_release);
  }

  // Loads the window stored last; returns false if there is none, or a reader is storing one.
  bool load(RetainedWindow& window) {
    const int before = version($).load(is(CacheLoadRelaxed) ? mo_relaxed : mo_acquire);
    window.newestSeq = newestSeq($).load(mo_relaxed);
    window.end = end($).load(mo_relaxed);
    window.oldestSeq = oldestSeq($).load(mo_relaxed);
    window.lost = lost($).load(mo_relaxed);
    if (!is(CacheLoadUnfenced)) rl::atomic_thread_fence(mo_acquire, $);
    return !(before & 1) && version($).load(mo_relaxed) == before && window.newestSeq > 0;
  }
};
