// The ring's protocol, as small as it can be and still have everything that Sources/OutputRing has:
// descriptors that are reused, payload that wraps, slack, reservations, chunks larger than the cap,
// groups of chunks, a head, timestamps.
//
// The steps W1 to W4 and R1 to R6, and the labels of the ordering points, are those of
// Sources/OutputRing/RingCounters.swift:
//
//   RING(announce)     W1          release fence   pairs with RING(descriptors) and RING(payload)
//   RING(publish)      W4          release store   pairs with RING(observe)
//   RING(observe)      R1          acquire load    pairs with RING(publish)
//   RING(descriptors)  R2, R3, R4  acquire fence   pairs with RING(announce)
//   RING(payload)      R5          acquire fence   pairs with RING(announce)
//
// Descriptors and payload, which race by design, are relaxed atomics here; those of the head, which
// do not race, are plain variables. In the source,
// descriptors are that too, and payload is copied by inline assembly, which the C memory model
// leaves alone as long as each word is loaded and stored once.
#pragma once

#include <relacy/relacy.hpp>

#include <algorithm>

#include "Producer.hpp"

struct Geometry {
  int capacity;    // payload words retained
  int slack;       // payload words more
  int slots;       // descriptors
  int chunkLimit;  // chunks retained
  // What a scenario need not have, so that all its schedules can be tried.
  int prefilled = 0;     // steps of the script that are done before any thread runs
  int piece = 8;         // payload words that a reader copies before it confirms them
  int budget = 99;       // payload words that a read returns, or one chunk
  int attempts = 1;      // of a read; the source has sixteen
  bool isCached = false; // whether readers of one process cache windows for each other
  int head = 0;          // payload words of the first chunks, never evicted
  bool hasTimestamps = false;
};

// What the producer does: appends, or fills a reservation in part.
struct Step {
  int count;       // words appended, or reserved
  int written;     // of a reservation; -1 for an append
  int chunks = 1;  // so many of `count` words each, published at once
};

// The most that any scenario needs.
constexpr int maxWords = 8, maxSlots = 8, maxSeq = 12;

// Values that no valid word has: a thread that uses one has loaded what was never stored.
constexpr int bias = 1000, junk = -7;

// What belongs at an offset.
inline int stamp(int offset) { return 100 + offset; }

// The timestamp of a seq's chunk.
inline int timestamp(int seq) { return 500 + seq; }

struct Script {
  int statusAfter;  // the seq after which the status is set; 0 for none
  int count;
  Step steps[maxSeq];
};

class Ring {
 public:
  Ring(const Geometry& geometry, const Script& script) : g(geometry), script(script) {
    ends[0] = 0;
    int seq = 0;
    for (int index = 0; index < script.count; ++index) {
      const Step& step = script.steps[index];
      for (int chunk = 0; chunk < step.chunks; ++chunk, ++seq)
        ends[seq + 1] = ends[seq] + (step.written < 0 ? step.count : step.written);
    }
    while (headCount < seq && ends[headCount + 1] <= g.head) ++headCount;
  }

  void before() {
    announcedSeq($).store(0, mo_relaxed);
    announcedOffset($).store(0, mo_relaxed);
    publishedSeq($).store(0, mo_relaxed);
    status($).store(0, mo_relaxed);
    for (int slot = 0; slot < g.slots; ++slot) {
      descriptors[slot]($).store(junk, mo_relaxed);
      timestamps[slot]($).store(junk, mo_relaxed);
    }
    // Seq 0 ends at offset 0.
    descriptors[0]($).store(bias, mo_relaxed);
    for (int place = 0; place < physical(); ++place) payload[place]($).store(junk, mo_relaxed);
    headSeq($).store(0, mo_relaxed);
    for (int word = 0; word < g.head; ++word) {
      headDescriptors[word]($) = junk;
      headTimestamps[word]($) = junk;
      headPayload[word]($) = junk;
    }
    producer = Producer();
    for (int index = 0; index < g.prefilled; ++index) perform(script.steps[index]);
  }

  // MARK: Producer

  Producer producer;

  // Does all steps of the script; sets the status to the seq after which it is set.
  void produce() {
    for (int index = g.prefilled; index < script.count; ++index) {
      perform(script.steps[index]);
      if (producer.lastSeq != script.statusAfter) continue;
      const rl::memory_order order = is(StatusRelaxed) ? mo_relaxed : mo_release;
      if (producer.store(status($), producer.lastSeq, order)) producer.status = producer.lastSeq;
    }
  }

  // MARK: Reader

  struct Reader {
    WindowCache* cache = nullptr;  // its process's, if that caches windows
    int seq = 0, offset = 0, received = 0, missed = 0;
    int status = 0;
  };

  // Reads from where the reader was: the retry policy of RingReader.swift.
  void read(Reader& reader) {
    Summary summary, found;
    bool isFound = false;
    for (int attempt = 1; attempt <= g.attempts; ++attempt) {
      const Outcome outcome = run(reader, attempt > 1, found);
      if (outcome == Outcome::stale) continue;
      summary = found;
      isFound = true;
      if (outcome == Outcome::complete) break;
    }
    // If no attempt was complete, the account of the last one that was lapped stands.
    if (isFound) account(reader, summary);
  }

  // Checks a read that began after the producer's death: the reader has exactly what the producer
  // published and what is retained of that. A poll that finds nothing new says the same.
  void checkAfterDeath(const Reader& before, const Reader& reader) {
    const int newestSeq = producer.publishedSeq;
    const int bound = std::max(ends[newestSeq] - g.capacity, producer.announcedOffset - physical());
    const RetainedWindow retained = expectedWindow(newestSeq, bound);
    const int headEnd = ends[headAt(newestSeq)];
    CHECK(reader.seq == newestSeq && reader.offset == ends[newestSeq]);
    CHECK(reader.missed - before.missed ==
          std::max(headEnd + retained.lost - std::max(before.offset, headEnd), 0));
    CHECK(reader.status == producer.status);
    RetainedWindow window;
    CHECK(retainedWindow(reader, newestSeq, window));
    CHECK(window == retained);
  }

 private:
  const Geometry g;
  const Script script;
  int ends[maxSeq + 1];
  int headCount = 0;  // the chunks that fit in the head

  // Shared.
  rl::atomic<int> announcedSeq, announcedOffset, publishedSeq, status;
  rl::atomic<int> descriptors[maxSlots], timestamps[maxSlots], payload[maxWords];
  rl::atomic<int> headSeq;
  rl::var<int> headDescriptors[maxWords], headTimestamps[maxWords], headPayload[maxWords];

  // The newest chunk of the head, as of a published seq.
  int headAt(int newestSeq) const { return std::min(newestSeq, headCount); }

  int physical() const { return g.capacity + g.slack; }

  // W1. By the protocol, the offset is `expected`.
  void announce(int seq, int offset, int expected, bool fences = true) {
    const rl::memory_order order =
        is(AnnounceBySeqCst) ? mo_seq_cst : is(AnnounceByRelease) ? mo_release : mo_relaxed;
    producer.store(announcedSeq($), seq, order);
    if (producer.store(announcedOffset($), offset, order)) producer.announcedOffset = expected;
    if (fences && !is(AnnounceUnfenced) && !is(AnnounceBySeqCst) && !is(AnnounceByRelease))
      producer.releaseFence();  // RING(announce)
  }

  // W3 and W4
  void publish(int end) {
    const int seq = producer.lastSeq + 1;
    if (is(PublishBeforeDescriptor)) storePublished(seq);
    producer.store(descriptors[seq % g.slots]($), bias + end, mo_relaxed);  // W3
    if (!is(TimestampAfterPublish)) storeTimestamp(seq);
    if (!is(PublishBeforeDescriptor)) storePublished(seq);
    if (is(TimestampAfterPublish)) storeTimestamp(seq);
    producer.lastSeq = seq;
    producer.endOffset = end;
  }

  // W3
  void storeTimestamp(int seq) {
    if (g.hasTimestamps)
      producer.store(timestamps[seq % g.slots]($), timestamp(seq), mo_relaxed);
  }

  // W4: RING(publish)
  void storePublished(int seq) {
    const rl::memory_order order = is(PublishRelaxed) ? mo_relaxed : mo_release;
    if (producer.store(publishedSeq($), seq, order)) producer.publishedSeq = seq;
  }

  void append(int count) {
    const int seq = producer.lastSeq + 1;
    const int end = producer.endOffset + count;
    if (seq <= headCount) return appendToHead(seq, end);
    // Of a chunk larger than the cap, the last words are stored; in pieces no larger than the
    // slack.
    const int begin = std::max(producer.endOffset, end - g.capacity);
    for (int from = begin; from < end; from += g.slack) {
      const int to = std::min(from + g.slack, end);
      const int expected = std::max(to, producer.reservedOffset);
      const int announced =
          is(AnnouncementFalls) ? to : is(AnnouncedAsAWhole) ? std::max(end, expected) : expected;
      const bool isFirst = from == begin;
      if (!is(AnnounceAfterCopy) && (isFirst || !is(FirstPieceAnnounced)))
        announce(seq, announced, expected, isFirst || !is(FirstPieceFenced));
      if (is(PublishBeforePayload) && to == end) publish(end);
      for (int offset = from; offset < to; ++offset)  // W2
        producer.store(payload[offset % physical()]($), stamp(offset), mo_relaxed);
      if (is(AnnounceAfterCopy)) announce(seq, announced, expected);
    }
    if (!is(PublishBeforePayload)) publish(end);
  }

  // W1 for several chunks, W2 and W3 for each, W4 for all.
  void appendGroup(int count, int chunks) {
    const int first = producer.lastSeq + 1, last = producer.lastSeq + chunks;
    const int begin = producer.endOffset;
    const int expected = std::max(begin + chunks * count, producer.reservedOffset);
    announce(is(GroupSeqInPart) ? first : last,
             is(GroupOffsetInPart) ? std::max(begin + count, producer.reservedOffset) : expected,
             expected);
    for (int seq = first; seq <= last; ++seq) {
      const int end = begin + (seq - first + 1) * count;
      if (is(GroupPublishedEarly) && seq == last) storePublished(last);
      for (int offset = end - count; offset < end; ++offset)  // W2
        producer.store(payload[offset % physical()]($), stamp(offset), mo_relaxed);
      producer.store(descriptors[seq % g.slots]($), bias + end, mo_relaxed);  // W3
      storeTimestamp(seq);
    }
    if (!is(GroupPublishedEarly)) storePublished(last);
    producer.lastSeq = last;
    producer.endOffset = begin + chunks * count;
  }

  // W1 to W4 of a chunk of the head.
  void appendToHead(int seq, int end) {
    announce(seq, std::max(end, producer.reservedOffset), std::max(end, producer.reservedOffset));
    if (is(HeadPublishedFirst)) publish(end);
    for (int offset = ends[seq - 1]; offset < end; ++offset)  // W2
      producer.storePlain(headPayload[offset]($), stamp(offset));
    producer.storePlain(headDescriptors[seq - 1]($), bias + end);  // W3
    if (!is(HeadTimestampAfterPublish)) storeHeadTimestamp(seq);
    if (is(HeadSeqAfterPublish)) publish(end);
    producer.store(headSeq($), seq, mo_relaxed);
    if (!is(HeadSeqAfterPublish) && !is(HeadPublishedFirst)) publish(end);
    if (is(HeadTimestampAfterPublish)) storeHeadTimestamp(seq);
  }

  // W3 of a chunk of the head.
  void storeHeadTimestamp(int seq) {
    if (g.hasTimestamps) producer.storePlain(headTimestamps[seq - 1]($), timestamp(seq));
  }

  void reserve(int count, int written) {
    const int begin = producer.endOffset;
    producer.reservedOffset = std::max(producer.reservedOffset, begin + count);
    // In the head, what the system writes beyond what it returns is not published either.
    const int seq = producer.lastSeq + 1;
    if (seq <= headCount) return appendToHead(seq, begin + written);
    announce(producer.lastSeq + 1, producer.reservedOffset, producer.reservedOffset);
    // W2: the kernel may write beyond what it returns.
    for (int offset = begin; offset < begin + count; ++offset) {
      const int word = offset < begin + written ? stamp(offset) : junk;
      producer.store(payload[offset % physical()]($), word, mo_relaxed);
    }
    if (is(AnnouncementTakenBack)) {
      producer.reservedOffset = begin + written;
      producer.store(announcedOffset($), producer.reservedOffset, mo_relaxed);
    }
    publish(begin + written);
  }

  void perform(const Step& step) {
    if (step.chunks > 1) appendGroup(step.count, step.chunks);
    else if (step.written < 0) append(step.count);
    else reserve(step.count, step.written);
  }

  int descriptor(int seq) { return descriptors[seq % g.slots]($).load(mo_relaxed) - bias; }

  int announcedSeqAfterDescriptors() {
    if (!is(DescriptorsUnfenced)) rl::atomic_thread_fence(mo_acquire, $);  // RING(descriptors)
    return announcedSeq($).load(mo_relaxed);
  }

  int announcedOffsetHint() { return announcedOffset($).load(mo_relaxed); }

  // How an attempt ends: ReadAttempt.Outcome.
  enum class Outcome { complete, lapped, stale };

  // What an attempt found: ReadSummary.
  struct Summary {
    int received, keptBegin, last, end;
    int headEnd;  // up to which the reader has everything
  };

  // One attempt, R1 to R6: ReadAttempt.run.
  Outcome run(Reader& reader, bool newestFirst, Summary& summary) {
    int newestSeq, seen;
    const int early = headSeq($).load(mo_relaxed);
    observe(newestSeq, seen);
    reader.status = seen;
    // Status and seq are as of one instant. If the exit is seen, every append made before it is in
    // this read or before it. If an append is seen that was made after the exit, so is the exit.
    CHECK(newestSeq >= seen);
    CHECK(script.statusAfter == 0 || newestSeq <= script.statusAfter || seen == script.statusAfter);
    // Nothing is due.
    if (newestSeq <= reader.seq) {
      summary = {0, reader.offset, reader.seq, reader.offset, reader.offset};
      return Outcome::complete;
    }
    if (is(FlightAwaited) && announcedSeq($).load(mo_relaxed) > newestSeq) return Outcome::stale;
    RetainedWindow window;
    if (!retainedWindow(reader, newestSeq, window)) return Outcome::stale;
    // The head: RingMemory.observedHead and copyHead.
    const int loaded = is(HeadSeqEarly) ? early : headSeq($).load(mo_relaxed);
    const int head = is(HeadSeqAhead) ? loaded : std::min(loaded, newestSeq);
    CHECK(head == headAt(newestSeq));
    const int headEnd = std::max(reader.offset, ends[head]);
    for (int seq = reader.seq + 1; seq <= head; ++seq) {
      CHECK(headDescriptors[seq - 1]($) == bias + ends[seq]);
      if (g.hasTimestamps) CHECK(headTimestamps[seq - 1]($) == timestamp(seq));
      for (int offset = ends[seq - 1]; offset < ends[seq]; ++offset)
        CHECK(headPayload[offset]($) == stamp(offset));
    }
    const int received = headEnd - reader.offset;
    if (head == newestSeq) {
      summary = {received, headEnd, newestSeq, headEnd, headEnd};
      return Outcome::complete;
    }
    const Outcome outcome =
        readChunks(std::max(reader.seq, head), window, newestFirst, summary);
    summary.received += received;
    summary.headEnd = headEnd;
    return outcome;
  }

  // R1: the newest seq and a status that belongs to it: RingMemory.observe. One status is set, so
  // two rounds are enough where the source has 64.
  void observe(int& newestSeq, int& seen) {
    const rl::memory_order order = is(ObserveRelaxed) ? mo_relaxed : mo_acquire;
    const rl::memory_order statusOrder = is(StatusLoadRelaxed) ? mo_relaxed : mo_acquire;
    seen = is(StatusAfterSeq) ? 0 : status($).load(statusOrder);
    for (int round = 0; round < 3; ++round) {
      newestSeq = publishedSeq($).load(order);  // RING(observe)
      if (is(FlightDelivered)) newestSeq = announcedSeq($).load(order);
      if (is(StatusNotAgain)) return;
      const int again = status($).load(statusOrder);
      if (is(StatusAfterSeq)) seen = again;
      if (again == seen) return;
      seen = again;
    }
  }

  // R2: the window as of a published seq: RingMemory.retainedWindow. False if the search's slots
  // were reused.
  bool retainedWindow(const Reader& reader, int newestSeq, RetainedWindow& window) {
    window = RetainedWindow();
    if (newestSeq == 0) return true;
    RetainedWindow hint;
    const bool hasHint = reader.cache && reader.cache->load(hint);
    if (hasHint && hint.newestSeq == newestSeq &&
        (announcedOffsetHint() <= hint.end + g.slack || is(FlightIgnoredInCache))) {
      window = hint;
      CHECK(window == expectedWindow(newestSeq, ends[newestSeq] - g.capacity));
      return true;
    }
    const int end = descriptor(newestSeq);
    const int overwritten = is(FlightIgnored) ? 0 : announcedOffsetHint() - physical();
    const int bound = std::max(end - g.capacity, overwritten);
    const int head = headAt(newestSeq);
    int low = oldest(newestSeq);
    if (hasHint && (hint.newestSeq <= newestSeq || is(HintAhead)))
      low = std::max(low, std::min(hint.oldestSeq, newestSeq));
    const bool hasChunks = low <= newestSeq;
    int oldestSeq = low;
    while (oldestSeq <= newestSeq && descriptor(oldestSeq - 1) < bound) ++oldestSeq;
    int lost = descriptor(oldestSeq - 1) - ends[head];
    if (hasChunks && oldestSeq > newestSeq && end - g.capacity >= bound) {
      oldestSeq = newestSeq;
      lost = end - g.capacity - ends[head];
    }
    const int announced = announcedSeqAfterDescriptors();
    const int confirmed = is(DescriptorsOneEarly) ? low - 2 : low - 1;
    if (!is(SearchUnconfirmed) && !(confirmed + g.slots > announced)) return false;
    // Values are used from here on, and not before. They must be what was stored, and the window a
    // function of them, wherever the search began.
    CHECK(end == ends[newestSeq]);
    window.newestSeq = newestSeq;
    window.end = end;
    window.oldestSeq = oldestSeq;
    window.lost = lost;
    CHECK(window == expectedWindow(newestSeq, bound));
    if (reader.cache && overwritten <= end - g.capacity) reader.cache->store(window);
    return true;
  }

  int oldest(int newestSeq) const {
    return std::max(headAt(newestSeq) + 1, newestSeq - g.chunkLimit + 1);
  }

  // The window according to what was sent.
  RetainedWindow expectedWindow(int newestSeq, int bound) const {
    RetainedWindow window;
    if (newestSeq == 0) return window;
    window.newestSeq = newestSeq;
    window.end = ends[newestSeq];
    window.oldestSeq = oldest(newestSeq);
    const int headEnd = ends[headAt(newestSeq)];
    const bool hasChunks = !window.isEmpty();
    while (!window.isEmpty() && ends[window.oldestSeq - 1] < bound) ++window.oldestSeq;
    window.lost = ends[window.oldestSeq - 1] - headEnd;
    if (hasChunks && window.isEmpty() && window.end - g.capacity >= bound) {
      window.oldestSeq = newestSeq;
      window.lost = window.end - g.capacity - headEnd;
    }
    return window;
  }

  // Chunks copied out, and what is known of them: BatchStorage.
  struct Copied {
    int first, last;
    int ends[maxSeq + 1];
    int timestamps[maxSeq + 1];
    int words[maxSeq * maxWords];
  };

  // Where a chunk begins: where its predecessor ends, or within the cap.
  int beginning(int seq, const int* ends) const {
    return std::max(ends[seq - 1], ends[seq] - g.capacity);
  }

  // Where a chunk begins; for the one after the last, where that ends.
  int begin(const Copied& copied, int seq) const {
    return seq > copied.last ? copied.ends[copied.last] : beginning(seq, copied.ends);
  }

  // The first chunk from `seq` on that begins at an offset or after it.
  int firstChunk(const Copied& copied, int offset, int seq) const {
    while (seq <= copied.last && begin(copied, seq) < offset) ++seq;
    return seq;
  }

  // R3 to R6: reads the chunks after `since`, of which there is at least one.
  Outcome readChunks(int since, const RetainedWindow& window, bool newestFirst,
                     Summary& summary) {
    const int newestSeq = window.newestSeq;
    if (window.isEmpty()) {
      summary = {0, window.end, newestSeq, window.end, 0};
      // If the append in flight is complete by now, there is something newer to read.
      return publishedSeq($).load(mo_acquire) == newestSeq ? Outcome::complete : Outcome::lapped;
    }

    // R3 select: which chunks, by descriptors that are confirmed together.
    Copied copied;
    copied.first = std::max(since + 1, window.oldestSeq);
    const int base = descriptor(copied.first - 1);
    const int from = std::max(base, descriptor(copied.first) - g.capacity);
    copied.last = lastChunk(copied.first, from, window);
    const int end = copied.last == newestSeq ? window.end : descriptor(copied.last);
    if (!is(PageUnconfirmed) && !(copied.first - 1 + g.slots > announcedSeqAfterDescriptors()))
      return Outcome::stale;
    CHECK(from == beginning(copied.first, ends));
    CHECK(end == ends[copied.last]);

    // R4 describe: their descriptors and timestamps, copied out and confirmed together.
    for (int seq = copied.first - 1; seq <= copied.last; ++seq) copied.ends[seq] = descriptor(seq);
    if (!is(TimestampsUnconfirmed)) copyTimestamps(copied);
    int firstIntactSlot = announcedSeqAfterDescriptors() - g.slots + 1;
    if (is(TimestampsUnconfirmed)) copyTimestamps(copied);
    if (is(DescriptorsOneLate)) --firstIntactSlot;
    if (is(DescriptorsUnconfirmed)) firstIntactSlot = 0;
    const int intact = std::max(copied.first - 1, firstIntactSlot);
    if (intact >= copied.last) return Outcome::stale;
    for (int seq = intact; seq <= copied.last; ++seq) CHECK(copied.ends[seq] == ends[seq]);
    if (g.hasTimestamps)
      for (int seq = std::max(intact, copied.first); seq <= copied.last; ++seq)
        CHECK(copied.timestamps[seq] == timestamp(seq));

    // R5 copy.
    const int kept = copyPayload(copied, intact + 1, newestFirst);
    for (int seq = kept; seq <= copied.last; ++seq)
      for (int offset = begin(copied, seq); offset < copied.ends[seq]; ++offset)
        CHECK(copied.words[offset] == stamp(offset));  // not torn

    // R6 account.
    const int keptBegin = begin(copied, kept);
    summary = {end - keptBegin, keptBegin, copied.last, end, 0};
    return kept <= copied.last ? Outcome::complete : Outcome::lapped;
  }

  // R4: RingMemory.copyTimestamps.
  void copyTimestamps(Copied& copied) {
    if (!g.hasTimestamps) return;
    for (int seq = copied.first; seq <= copied.last; ++seq)
      copied.timestamps[seq] = timestamps[seq % g.slots]($).load(mo_relaxed);
  }

  // The last chunk that a read of at most `budget` words includes; at least the first.
  int lastChunk(int first, int begin, const RetainedWindow& window) {
    if (window.end - begin <= g.budget) return window.newestSeq;
    int last = first;
    while (last + 1 < window.newestSeq && descriptor(last + 1) - begin <= g.budget) ++last;
    return last;
  }

  // R5: payload, copied out and confirmed piece by piece. Returns the first chunk that is intact.
  int copyPayload(Copied& copied, int start, bool newestFirst) {
    const int end = copied.ends[copied.last];
    int kept = start;
    int laps = newestFirst ? 2 : 0;
    int from = begin(copied, start);
    while (from < end && laps < 2) {
      const int to = std::min(from + g.piece, end);
      const int edge = copyPiece(copied, from, to, true);
      if (edge > from) {
        kept = firstChunk(copied, edge, kept);
        ++laps;
      }
      from = std::max(to, begin(copied, kept));
    }
    return copyNewestFirst(copied, kept, from);
  }

  // R5: the rest newest first, down to an offset below which all is copied.
  int copyNewestFirst(Copied& copied, int start, int confirmed) {
    int next = copied.last + 1;
    int end = copied.ends[copied.last];
    while (confirmed < end) {
      const int first = std::min(firstChunk(copied, end - g.piece, start), next - 1);
      int from = std::max(begin(copied, first), confirmed);
      while (from < end) {
        const int to = std::min(from + g.piece, end);
        const int edge = copyPiece(copied, from, to, !is(NewestFirstUnfenced));
        if (edge > (is(NewestFirstLate) ? to : from) && !is(NewestFirstUnconfirmed))
          return firstChunk(copied, std::min(edge, end), first);
        from = to;
      }
      next = first;
      end = begin(copied, first);
    }
    return start;
  }

  // R5: copies words to their places. Returns the offset up to which they were overwritten before
  // they were copied.
  int copyPiece(Copied& copied, int from, int to, bool fences) {
    for (int offset = from; offset < to; ++offset)
      copied.words[offset] = payload[offset % physical()]($).load(mo_relaxed);
    if (fences && !is(PayloadUnfenced)) rl::atomic_thread_fence(mo_acquire, $);  // RING(payload)
    const int edge = announcedOffset($).load(mo_relaxed) - physical();
    return is(PayloadUnconfirmed) ? 0
           : is(PayloadOneLate)   ? edge - 1
           : is(PayloadOneEarly)  ? edge + 1
                                  : edge;
  }

  // R6: chunks up to the summary's last are dealt with; what it did not receive of them is missed.
  void account(Reader& reader, const Summary& summary) {
    CHECK(summary.last >= reader.seq && summary.keptBegin >= reader.offset);
    CHECK(summary.keptBegin <= summary.end);
    reader.missed += summary.keptBegin - std::max(reader.offset, summary.headEnd);
    reader.received += summary.received;
    reader.seq = summary.last;
    reader.offset = summary.end;
    // Received and missed are all that was sent up to there.
    CHECK(reader.received + reader.missed == ends[summary.last]);
  }
};
