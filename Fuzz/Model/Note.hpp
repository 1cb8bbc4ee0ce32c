// The readers' shared note of the window: a sequence lock whose writers do not wait.
// The steps of Sources/OutputRing/Reader/WindowCache.swift.
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
struct Window {
  int newest = 0, end = 0, head = 1, lost = 0;

  bool operator==(const Window& other) const {
    return newest == other.newest && end == other.end && head == other.head && lost == other.lost;
  }
};

struct Note {
  rl::atomic<int> version, newest, end, head, lost;

  void before() {
    version($).store(0, mo_relaxed);
    newest($).store(0, mo_relaxed);
    end($).store(0, mo_relaxed);
    head($).store(0, mo_relaxed);
    lost($).store(0, mo_relaxed);
  }

  // Notes a window, unless another reader is writing or the note there is newer.
  void store(const Window& window) {
    int before = version($).load(mo_relaxed);
    if (before & 1) return;
    if (is(NoteUnlocked)) {
      version($).store(before + 1, mo_relaxed);
    } else if (!version($).compare_exchange_strong(before, before + 1, mo_acquire, mo_relaxed)) {
      return;
    }
    if (newest($).load(mo_relaxed) < window.newest) {
      if (!is(NoteStoreUnfenced)) rl::atomic_thread_fence(mo_release, $);
      newest($).store(window.newest, mo_relaxed);
      end($).store(window.end, mo_relaxed);
      head($).store(window.head, mo_relaxed);
      lost($).store(window.lost, mo_relaxed);
    }
    version($).store(before + 2, is(NoteReleasedRelaxed) ? mo_relaxed : mo_release);
  }

  // The last note; false if there is none, or one is being written right now.
  bool load(Window& window) {
    const int before = version($).load(is(NoteLoadRelaxed) ? mo_relaxed : mo_acquire);
    window.newest = newest($).load(mo_relaxed);
    window.end = end($).load(mo_relaxed);
    window.head = head($).load(mo_relaxed);
    window.lost = lost($).load(mo_relaxed);
    if (!is(NoteLoadUnfenced)) rl::atomic_thread_fence(mo_acquire, $);
    return !(before & 1) && version($).load(mo_relaxed) == before && window.newest > 0;
  }
};
