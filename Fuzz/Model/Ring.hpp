// The ring's protocol, as small as it can be and still have everything that Sources/OutputRing has:
// descriptors that are reused, payload that wraps, slack, reservations, chunks larger than the cap.
//
// The labels are those of Sources/OutputRing/Layout/OrderingPoints.swift:
//
//   RING(announce)     producer  release fence   pairs with RING(descriptors) and RING(payload)
//   RING(publish)      producer  release store   pairs with RING(observe)
//   RING(observe)      reader    acquire load    pairs with RING(publish)
//   RING(descriptors)  reader    acquire fence   pairs with RING(announce)
//   RING(payload)      reader    acquire fence   pairs with RING(announce)
//
// What races by design, descriptors and payload, is relaxed atomics here: in the source it is inline
// assembly, which the C memory model leaves alone as long as each word is loaded and stored once.
#pragma once

#include <relacy/relacy.hpp>

#include <algorithm>

#include "Mutants.hpp"

using rl::mo_acquire;
using rl::mo_relaxed;
using rl::mo_release;
using rl::mo_seq_cst;

// What a test asserts; `$` tells Relacy the place.
#define CHECK(condition) RL_ASSERT(condition)

struct Geometry {
  int capacity;    // payload words retained
  int slack;       // payload words more
  int slots;       // descriptors
  int chunkLimit;  // chunks retained
};

// What the producer does: appends, or fills a reservation in part.
struct Step {
  int count;     // words appended, or reserved
  int written;   // of a reservation; -1 for an append
};

// The most that any scenario needs.
constexpr int maxWords = 8, maxSlots = 8, maxSeq = 8;

// Values that no valid word has: whoever uses one has not waited for it.
constexpr int bias = 1000, junk = -7;

// What belongs at an offset.
inline int stamp(int offset) { return 100 + offset; }

struct Script {
  int count;
  Step steps[maxSeq];
};

class Ring {
 public:
  Ring(const Geometry& geometry, const Script& script) : g(geometry), script(script) {
    ends[0] = 0;
    for (int index = 0; index < script.count; ++index) {
      const Step& step = script.steps[index];
      ends[index + 1] = ends[index] + (step.written < 0 ? step.count : step.written);
    }
  }

  void before() {
    announcedSeq($).store(0, mo_relaxed);
    announcedOffset($).store(0, mo_relaxed);
    publishedSeq($).store(0, mo_relaxed);
    status($).store(0, mo_relaxed);
    for (int slot = 0; slot < g.slots; ++slot) descriptors[slot]($).store(junk, mo_relaxed);
    // Seq 0 ends at offset 0.
    descriptors[0]($).store(bias, mo_relaxed);
    for (int place = 0; place < physical(); ++place) payload[place]($).store(junk, mo_relaxed);
  }

  // MARK: Producer

  // Does all steps; sets the status to the seq after which it is set.
  void produce(int statusAfter) {
    for (int index = 0; index < script.count; ++index) {
      const Step& step = script.steps[index];
      if (step.written < 0) append(step.count);
      else reserve(step.count, step.written);
      if (lastSeq == statusAfter)
        status($).store(lastSeq, is(StatusRelaxed) ? mo_relaxed : mo_release);
    }
  }

  // MARK: Reader

  struct Reader {
    int seq = 0, offset = 0, received = 0, missed = 0;
  };

  // One attempt of a read, from where the reader was: RingReader+Read.swift without its loop.
  void read(Reader& reader) {
    int newest, seen;
    observe(newest, seen);
    // An exit seen: then every append made before it is in this read or before it.
    CHECK(newest >= seen);
    if (newest <= reader.seq) return;

    // The window: which chunks are retained.
    int loaded[maxSeq + 1];
    const int low = std::max(1, newest - g.chunkLimit + 1);
    for (int seq = low - 1; seq <= newest; ++seq) loaded[seq] = descriptor(seq);
    const int overwritten = announcedOffset($).load(mo_relaxed) - physical();
    const int announced = announcedSeqAfterDescriptors();
    if (!is(SearchUnconfirmed) && !(low - 1 + g.slots > announced)) return;
    // Values are used from here on, and not before: they must be what was stored.
    for (int seq = low - 1; seq <= newest; ++seq) CHECK(loaded[seq] == ends[seq]);
    const int end = loaded[newest];
    const int bound = std::max(end - g.capacity, overwritten);
    int head = low;
    while (head <= newest && loaded[head - 1] < bound) ++head;
    if (head > newest && end - g.capacity >= bound) head = newest;
    if (head > newest) {
      // An append in flight is overwriting everything that is retained.
      return account(reader, newest, 0, end, newest, end);
    }

    // Descriptors of what is due, copied out and confirmed.
    const int first = std::max(reader.seq + 1, head);
    int copied[maxSeq + 1];
    for (int seq = first - 1; seq <= newest; ++seq) copied[seq] = descriptor(seq);
    int firstIntact = announcedSeqAfterDescriptors() - g.slots + 1;
    if (is(DescriptorsOneLate)) --firstIntact;
    if (is(DescriptorsUnconfirmed)) firstIntact = 0;
    const int from = std::max(first - 1, firstIntact);
    if (from >= newest) return;
    for (int seq = from; seq <= newest; ++seq) CHECK(copied[seq] == ends[seq]);

    // Payload, copied out and confirmed: what was overtaken is a prefix.
    const int begin = beginning(from + 1, copied);
    int words[maxSeq * maxWords];
    for (int offset = begin; offset < end; ++offset)
      words[offset] = payload[offset % physical()]($).load(mo_relaxed);
    if (!is(PayloadUnfenced)) rl::atomic_thread_fence(mo_acquire, $);  // RING(payload)
    int edge = announcedOffset($).load(mo_relaxed) - physical();
    if (is(PayloadOneLate)) --edge;
    if (is(PayloadUnconfirmed)) edge = 0;
    int kept = from + 1;
    while (kept <= newest && beginning(kept, copied) < edge) ++kept;
    for (int seq = kept; seq <= newest; ++seq)
      for (int offset = beginning(seq, copied); offset < copied[seq]; ++offset)
        CHECK(words[offset] == stamp(offset));  // not torn
    const int keptBegin = kept > newest ? end : beginning(kept, copied);
    account(reader, kept - 1, end - keptBegin, keptBegin, newest, end);
  }

 private:
  const Geometry g;
  const Script script;
  int ends[maxSeq + 1];

  // Shared.
  rl::atomic<int> announcedSeq, announcedOffset, publishedSeq, status;
  rl::atomic<int> descriptors[maxSlots], payload[maxWords];

  // The producer's own.
  int lastSeq = 0, endOffset = 0, reservedOffset = 0;

  int physical() const { return g.capacity + g.slack; }

  void announce(int seq, int offset, bool fences = true) {
    const rl::memory_order order =
        is(AnnounceBySeqCst) ? mo_seq_cst : is(AnnounceByRelease) ? mo_release : mo_relaxed;
    announcedSeq($).store(seq, order);
    announcedOffset($).store(offset, order);
    if (fences && !is(AnnounceUnfenced) && !is(AnnounceBySeqCst) && !is(AnnounceByRelease))
      rl::atomic_thread_fence(mo_release, $);  // RING(announce)
  }

  void publish(int end) {
    const int seq = lastSeq + 1;
    if (is(PublishBeforeDescriptor)) publishedSeq($).store(seq, mo_release);
    descriptors[seq % g.slots]($).store(bias + end, mo_relaxed);
    if (!is(PublishBeforeDescriptor))
      publishedSeq($).store(seq, is(PublishRelaxed) ? mo_relaxed : mo_release);  // RING(publish)
    lastSeq = seq;
    endOffset = end;
  }

  void append(int count) {
    const int end = endOffset + count;
    // Of a chunk larger than the cap, the last words; in pieces no larger than the slack.
    const int begin = std::max(endOffset, end - g.capacity);
    for (int from = begin; from < end; from += g.slack) {
      const int to = std::min(from + g.slack, end);
      const int announced = std::max(to, is(AnnouncementFalls) ? 0 : reservedOffset);
      const bool isFirst = from == begin;
      if (!is(AnnounceAfterCopy) && (isFirst || !is(FirstPieceAnnounced)))
        announce(lastSeq + 1, announced, isFirst || !is(FirstPieceFenced));
      for (int offset = from; offset < to; ++offset)
        payload[offset % physical()]($).store(stamp(offset), mo_relaxed);
      if (is(AnnounceAfterCopy)) announce(lastSeq + 1, announced);
    }
    publish(end);
  }

  void reserve(int count, int written) {
    reservedOffset = std::max(reservedOffset, endOffset + count);
    announce(lastSeq + 1, reservedOffset);
    // The kernel may write past what it returns.
    for (int offset = endOffset; offset < endOffset + count; ++offset) {
      const int word = offset < endOffset + written ? stamp(offset) : junk;
      payload[offset % physical()]($).store(word, mo_relaxed);
    }
    if (is(AnnouncementTakenBack)) {
      reservedOffset = endOffset + written;
      announcedOffset($).store(reservedOffset, mo_relaxed);
    }
    publish(endOffset + written);
  }

  int descriptor(int seq) { return descriptors[seq % g.slots]($).load(mo_relaxed) - bias; }

  int announcedSeqAfterDescriptors() {
    if (!is(DescriptorsUnfenced)) rl::atomic_thread_fence(mo_acquire, $);  // RING(descriptors)
    return announcedSeq($).load(mo_relaxed);
  }

  // The newest seq and a status that belongs to it: RingReader.observe.
  void observe(int& newest, int& seen) {
    const rl::memory_order order = is(ObserveRelaxed) ? mo_relaxed : mo_acquire;
    if (is(StatusAfterSeq)) {
      newest = publishedSeq($).load(order);
      seen = status($).load(mo_acquire);
      return;
    }
    seen = status($).load(is(StatusLoadRelaxed) ? mo_relaxed : mo_acquire);
    newest = publishedSeq($).load(order);  // RING(observe)
  }

  // Where a chunk begins: where its predecessor ends, or within the cap.
  int beginning(int seq, const int* ends) const {
    return std::max(ends[seq - 1], ends[seq] - g.capacity);
  }

  // Chunks up to `missed` were missed, those up to `newest` received, `received` words of them.
  void account(Reader& reader, int missed, int received, int keptBegin, int newest, int end) {
    CHECK(missed <= newest && keptBegin <= end);
    reader.missed += keptBegin - reader.offset;
    reader.received += received;
    reader.seq = newest;
    reader.offset = end;
    // Received and missed are all that was sent so far.
    CHECK(reader.received + reader.missed == ends[newest]);
  }
};
