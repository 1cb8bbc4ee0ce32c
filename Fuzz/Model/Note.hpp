// The readers' shared note of the window: a sequence lock whose writers do not wait.
// The steps of Sources/OutputRing/Reader/WindowCache.swift.
#pragma once

#include "Ring.hpp"

struct Note {
  rl::atomic<int> version, newest, end;

  void before() {
    version($).store(0, mo_relaxed);
    newest($).store(0, mo_relaxed);
    end($).store(junk, mo_relaxed);
  }

  void store(int seq) {
    int before = version($).load(mo_relaxed);
    if (before & 1) return;
    if (is(NoteUnlocked)) {
      version($).store(before + 1, mo_relaxed);
    } else if (!version($).compare_exchange_strong(before, before + 1, mo_acquire, mo_relaxed)) {
      return;
    }
    if (newest($).load(mo_relaxed) < seq) {
      if (!is(NoteStoreUnfenced)) rl::atomic_thread_fence(mo_release, $);
      newest($).store(seq, mo_relaxed);
      end($).store(stamp(seq), mo_relaxed);
    }
    version($).store(before + 2, is(NoteReleasedRelaxed) ? mo_relaxed : mo_release);
  }

  void load() {
    const int before = version($).load(is(NoteLoadRelaxed) ? mo_relaxed : mo_acquire);
    const int seq = newest($).load(mo_relaxed);
    const int found = end($).load(mo_relaxed);
    if (!is(NoteLoadUnfenced)) rl::atomic_thread_fence(mo_acquire, $);
    if ((before & 1) || version($).load(mo_relaxed) != before || seq == 0) return;
    CHECK(found == stamp(seq));  // not torn
  }
};
