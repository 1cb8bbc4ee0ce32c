// What the producer knows, and what it does until it dies.
#pragma once

#include <relacy/relacy.hpp>

#include "WindowCache.hpp"

// A producer that may be killed after any step: each of its stores and fences is one. A dead
// producer does nothing more, and nothing cleans up after it.
struct Producer {
  // Its private view.
  int lastSeq = 0, endOffset = 0, reservedOffset = 0;

  // What it did, and what a reader must find when it is dead.
  int publishedSeq = 0, status = 0;
  int announcedOffset = 0;  // as the protocol has it, whatever a mutant announced
  bool isFileFinished = false;

  int steps = 0;  // that it took, or would have taken had it lived

  explicit Producer(int stepsToLive = 1000) : stepsToLive(stepsToLive) {}

  // Returns whether it lived to store the value.
  bool store(rl::atomic_proxy<int> word, int value, rl::memory_order order) {
    if (!takeStep()) return false;
    word.store(value, order);
    return true;
  }

  void storePlain(rl::var_proxy<int> word, int value) {
    if (takeStep()) word.store(value);
  }

  void releaseFence() {
    if (takeStep()) rl::atomic_thread_fence(mo_release, $);
  }

 private:
  int stepsToLive;

  bool takeStep() { return ++steps <= stepsToLive; }
};
