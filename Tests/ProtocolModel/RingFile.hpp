// The file that a ring may lie in: its header, and the lock that tells whether the producer lives.
// The type of the same name in Sources/OutputRing/RingFile.swift.
//
// A new file is all zeros. The producer stores the header before it appends, and of that the magic
// last. A reader that finds the magic finds the rest of the header:
//
//   RING(magic)   release store   pairs with RING(attach)
//   RING(attach)  acquire load    pairs with RING(magic)
//
// Only the magic races by design, so the words after it are plain variables.
#pragma once

#include "Producer.hpp"

class RingFile {
 public:
  void before() {
    magic($).store(0, mo_relaxed);
    geometry($) = 0;
    metadata($) = 0;
    isLocked($).store(1, mo_relaxed);
  }

  // MARK: Producer

  void create(Producer& producer) {
    if (is(MagicBeforeGeometry)) storeMagic(producer);
    producer.storePlain(geometry($), storedGeometry);
    if (is(MagicBeforeMetadata)) storeMagic(producer);
    producer.storePlain(metadata($), storedMetadata);
    if (!is(MagicBeforeGeometry) && !is(MagicBeforeMetadata)) storeMagic(producer);
  }

  // The system releases the lock of a process that has ended, after all that the process stored.
  void unlock() { isLocked($).store(0, mo_release); }

  // MARK: Reader

  // Returns false if the file is not finished: then the reader refuses it.
  bool attach() {
    const rl::memory_order order = is(MagicLoadRelaxed) ? mo_relaxed : mo_acquire;
    const int found = magic($).load(order);  // RING(attach)
    if (found != storedMagic && !is(MagicIgnored)) return false;
    CHECK(geometry($) == storedGeometry);
    CHECK(metadata($) == storedMetadata);
    return true;
  }

  // Asks the system for the lock. All that a dead producer stored is visible afterwards.
  bool isProducerAlive() { return isLocked($).load(mo_acquire) == 1; }

 private:
  static constexpr int storedMagic = 1, storedGeometry = 2, storedMetadata = 3;

  rl::atomic<int> magic, isLocked;
  rl::var<int> geometry, metadata;

  void storeMagic(Producer& producer) {
    // RING(magic)
    const rl::memory_order order = is(MagicRelaxed) ? mo_relaxed : mo_release;
    if (producer.store(magic($), storedMagic, order)) producer.isFileFinished = true;
  }
};
