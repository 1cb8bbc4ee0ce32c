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
// What races by design, descriptors and payload, is relaxed atomics here: in the source it is
// inline assembly, which the C memory model leaves alone as long as each word is loaded and stored
// once.
#pragma once

#include <relacy/relacy.hpp>

#include <algorithm>

#include "Note.hpp"

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
  bool isNoted = false;  // whether readers note windows, and search from what others noted
};

// What the producer does: appends, or fills a reservation in part.
struct Step {
  int count;     // words appended, or reserved
  int written;   // of a reservation; -1 for an append
};

// The most that any scenario needs.
constexpr int maxWords = 8, maxSlots = 8, maxSeq = 12;

// Values that no valid word has: a thread that uses one has not waited for it.
constexpr int bias = 1000, junk = -7;

// What belongs at an offset.
inline int stamp(int offset) { return 100 + offset; }

struct Script {
  int statusAfter;  // the seq after which the status is set; 0 for none
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
    if (g.isNoted) note.before();
    for (int index = 0; index < g.prefilled; ++index) perform(script.steps[index]);
  }

  // MARK: Producer

  // Does all steps; sets the status to the seq after which it is set.
  void produce() {
    for (int index = g.prefilled; index < script.count; ++index) {
      perform(script.steps[index]);
      if (lastSeq == script.statusAfter)
        status($).store(lastSeq, is(StatusRelaxed) ? mo_relaxed : mo_release);
    }
  }

  // MARK: Reader

  struct Reader {
    int seq = 0, offset = 0, received = 0, missed = 0;
  };

  // A read from where the reader was: RingReader+Read.swift.
  void read(Reader& reader) {
    for (int attempt = 1; attempt <= g.attempts; ++attempt) {
      int newest, seen;
      observe(newest, seen);
      // Status and seq are as of one instant. An exit seen: then every append made before it is in
      // this read or before it. An append seen that was made after the exit: then the exit too.
      CHECK(newest >= seen);
      CHECK(script.statusAfter == 0 || newest <= script.statusAfter || seen == script.statusAfter);
      if (newest <= reader.seq) return;
      Window window;
      if (find(newest, window) && copyChunks(reader, window, attempt)) return;
    }
  }

 private:
  const Geometry g;
  const Script script;
  int ends[maxSeq + 1];

  // Shared.
  rl::atomic<int> announcedSeq, announcedOffset, publishedSeq, status;
  rl::atomic<int> descriptors[maxSlots], payload[maxWords];
  Note note;

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

  void perform(const Step& step) {
    if (step.written < 0) append(step.count);
    else reserve(step.count, step.written);
  }

  int descriptor(int seq) { return descriptors[seq % g.slots]($).load(mo_relaxed) - bias; }

  int announcedSeqAfterDescriptors() {
    if (!is(DescriptorsUnfenced)) rl::atomic_thread_fence(mo_acquire, $);  // RING(descriptors)
    return announcedSeq($).load(mo_relaxed);
  }

  int announcedOffsetHint() { return announcedOffset($).load(mo_relaxed); }

  // The newest seq and a status that belongs to it: RingReader.observe. One status is set, so two
  // rounds are enough where the source has 64.
  void observe(int& newest, int& seen) {
    const rl::memory_order order = is(ObserveRelaxed) ? mo_relaxed : mo_acquire;
    const rl::memory_order statusOrder = is(StatusLoadRelaxed) ? mo_relaxed : mo_acquire;
    seen = is(StatusAfterSeq) ? 0 : status($).load(statusOrder);
    for (int round = 0; round < 3; ++round) {
      newest = publishedSeq($).load(order);  // RING(observe)
      if (is(StatusNotAgain)) return;
      const int again = status($).load(statusOrder);
      if (is(StatusAfterSeq)) seen = again;
      if (again == seen) return;
      seen = again;
    }
  }

  // The window as of a published seq: RingReader.window; false if the search's slots were reused.
  bool find(int newest, Window& window) {
    Window noted;
    const bool isNoted = g.isNoted && note.load(noted);
    if (isNoted && noted.newest == newest && announcedOffsetHint() <= noted.end + g.slack) {
      window = noted;
      CHECK(window == retained(newest, ends[newest] - g.capacity));
      return true;
    }
    const int end = descriptor(newest);
    const int overwritten = announcedOffsetHint() - physical();
    const int bound = std::max(end - g.capacity, overwritten);
    int low = oldest(newest);
    if (isNoted && (noted.newest <= newest || is(HintAhead)))
      low = std::max(low, std::min(noted.head, newest));
    int head = low;
    while (head <= newest && descriptor(head - 1) < bound) ++head;
    int lost = descriptor(head - 1);
    if (head > newest && end - g.capacity >= bound) {
      head = newest;
      lost = end - g.capacity;
    }
    const int announced = announcedSeqAfterDescriptors();
    if (!is(SearchUnconfirmed) && !(low - 1 + g.slots > announced)) return false;
    // Values are used from here on, and not before: they must be what was stored, and the window a
    // function of them, wherever the search began.
    CHECK(end == ends[newest]);
    window.newest = newest;
    window.end = end;
    window.head = head;
    window.lost = lost;
    CHECK(window == retained(newest, bound));
    if (g.isNoted && overwritten <= end - g.capacity) note.store(window);
    return true;
  }

  int oldest(int newest) const { return std::max(1, newest - g.chunkLimit + 1); }

  // The window by what was sent.
  Window retained(int newest, int bound) const {
    Window window;
    window.newest = newest;
    window.end = ends[newest];
    window.head = oldest(newest);
    while (window.head <= newest && ends[window.head - 1] < bound) ++window.head;
    window.lost = ends[window.head - 1];
    if (window.head > newest && window.end - g.capacity >= bound) {
      window.head = newest;
      window.lost = window.end - g.capacity;
    }
    return window;
  }

  // Chunks copied out, and what is known of them.
  struct Local {
    int first, last;
    int ends[maxSeq + 1];
    int words[maxSeq * maxWords];
  };

  // Where a chunk begins: where its predecessor ends, or within the cap.
  int beginning(int seq, const int* ends) const {
    return std::max(ends[seq - 1], ends[seq] - g.capacity);
  }

  // Where a chunk begins; for the one after the last, where that ends.
  int begin(const Local& local, int seq) const {
    return seq > local.last ? local.ends[local.last] : beginning(seq, local.ends);
  }

  // The first chunk from `seq` on that begins at an offset or after it.
  int firstBeginning(const Local& local, int offset, int seq) const {
    while (seq <= local.last && begin(local, seq) < offset) ++seq;
    return seq;
  }

  // Reads chunks that are due; false to be called again with a newer window.
  bool copyChunks(Reader& reader, const Window& window, int attempt) {
    const bool isLastAttempt = attempt == g.attempts;
    const int newest = window.newest;
    if (window.head > newest) {
      // An append in flight is overwriting everything that is retained.
      if (!isLastAttempt && publishedSeq($).load(mo_acquire) != newest) return false;
      return account(reader, 0, window.end, newest, window.end);
    }

    // Which chunks, by descriptors that are confirmed together.
    Local local;
    local.first = std::max(reader.seq + 1, window.head);
    const int base = descriptor(local.first - 1);
    const int from = std::max(base, descriptor(local.first) - g.capacity);
    local.last = lastChunk(local.first, from, window);
    const int end = local.last == newest ? window.end : descriptor(local.last);
    if (!is(PageUnconfirmed) && !(local.first - 1 + g.slots > announcedSeqAfterDescriptors()))
      return false;
    CHECK(from == beginning(local.first, ends));
    CHECK(end == ends[local.last]);

    // Their descriptors, copied out and confirmed.
    for (int seq = local.first - 1; seq <= local.last; ++seq) local.ends[seq] = descriptor(seq);
    int firstIntact = announcedSeqAfterDescriptors() - g.slots + 1;
    if (is(DescriptorsOneLate)) --firstIntact;
    if (is(DescriptorsUnconfirmed)) firstIntact = 0;
    const int intact = std::max(local.first - 1, firstIntact);
    if (intact >= local.last) return false;
    for (int seq = intact; seq <= local.last; ++seq) CHECK(local.ends[seq] == ends[seq]);

    const int kept = copyPayload(local, intact + 1, attempt > 1);
    if (kept > local.last) {
      if (!isLastAttempt) return false;
      return account(reader, 0, end, local.last, end);
    }
    for (int seq = kept; seq <= local.last; ++seq)
      for (int offset = begin(local, seq); offset < local.ends[seq]; ++offset)
        CHECK(local.words[offset] == stamp(offset));  // not torn
    return account(reader, end - begin(local, kept), begin(local, kept), local.last, end);
  }

  // The last chunk that a read of at most `budget` words includes; at least the first.
  int lastChunk(int first, int begin, const Window& window) {
    if (window.end - begin <= g.budget) return window.newest;
    int last = first;
    while (last + 1 < window.newest && descriptor(last + 1) - begin <= g.budget) ++last;
    return last;
  }

  // Payload, copied out and confirmed piece by piece; the first chunk that is intact.
  int copyPayload(Local& local, int start, bool newestFirst) {
    const int end = local.ends[local.last];
    int kept = start;
    int overtaken = newestFirst ? 2 : 0;
    int from = begin(local, start);
    while (from < end && overtaken < 2) {
      const int to = std::min(from + g.piece, end);
      const int edge = copyPiece(local, from, to, true);
      if (edge > from) {
        kept = firstBeginning(local, edge, kept);
        ++overtaken;
      }
      from = std::max(to, begin(local, kept));
    }
    return copyNewestFirst(local, kept, from);
  }

  // The rest from the newest chunk back, down to an offset below which all is copied.
  int copyNewestFirst(Local& local, int start, int confirmed) {
    int next = local.last + 1;
    int end = local.ends[local.last];
    while (confirmed < end) {
      const int first = std::min(firstBeginning(local, end - g.piece, start), next - 1);
      int from = std::max(begin(local, first), confirmed);
      while (from < end) {
        const int to = std::min(from + g.piece, end);
        const int edge = copyPiece(local, from, to, !is(BackwardUnfenced));
        if (edge > (is(BackwardLate) ? to : from) && !is(BackwardUnconfirmed))
          return firstBeginning(local, std::min(edge, end), first);
        from = to;
      }
      next = first;
      end = begin(local, first);
    }
    return start;
  }

  // Copies words to their places; what lies below the offset returned was overtaken.
  int copyPiece(Local& local, int from, int to, bool fences) {
    for (int offset = from; offset < to; ++offset)
      local.words[offset] = payload[offset % physical()]($).load(mo_relaxed);
    if (fences && !is(PayloadUnfenced)) rl::atomic_thread_fence(mo_acquire, $);  // RING(payload)
    const int edge = announcedOffset($).load(mo_relaxed) - physical();
    return is(PayloadUnconfirmed) ? 0 : is(PayloadOneLate) ? edge - 1 : edge;
  }

  // Chunks up to `last` are dealt with: `received` words of them, all else before `keptBegin`
  // missed.
  bool account(Reader& reader, int received, int keptBegin, int last, int end) {
    CHECK(last > reader.seq && keptBegin >= reader.offset && keptBegin <= end);
    reader.missed += keptBegin - reader.offset;
    reader.received += received;
    reader.seq = last;
    reader.offset = end;
    // Received and missed are all that was sent up to there.
    CHECK(reader.received + reader.missed == ends[last]);
    return true;
  }
};
