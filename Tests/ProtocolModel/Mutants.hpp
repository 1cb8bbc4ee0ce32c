// Mistakes, each of which the model must notice.
#pragma once

enum Mutant {
  None,
  // The producer's ordering.
  AnnounceUnfenced,
  AnnounceAfterCopy,
  AnnounceByRelease,
  AnnounceBySeqCst,
  FirstPieceAnnounced,
  FirstPieceFenced,
  AnnouncementTakenBack,
  AnnouncementFalls,
  PublishRelaxed,
  PublishBeforeDescriptor,
  PublishBeforePayload,
  StatusRelaxed,
  HeadPublishedFirst,
  HeadSeqAfterPublish,
  TimestampAfterPublish,
  HeadTimestampAfterPublish,
  // The reader's ordering.
  ObserveRelaxed,
  DescriptorsUnfenced,
  PayloadUnfenced,
  StatusLoadRelaxed,
  StatusAfterSeq,
  StatusNotAgain,
  // The reader's checks.
  SearchUnconfirmed,
  DescriptorsUnconfirmed,
  DescriptorsOneLate,
  PayloadUnconfirmed,
  PayloadOneLate,
  HintAhead,
  PageUnconfirmed,
  NewestFirstUnfenced,
  NewestFirstUnconfirmed,
  NewestFirstLate,
  HeadSeqEarly,
  HeadSeqAhead,
  TimestampsUnconfirmed,
  // A dead producer's file. From here on, Part::file.
  AnnouncedAsAWhole,
  FlightAwaited,
  FlightDelivered,
  FlightIgnored,
  FlightIgnoredInCache,
  DescriptorsOneEarly,
  PayloadOneEarly,
  DeathAskedLate,
  // The file's header.
  MagicBeforeGeometry,
  MagicBeforeMetadata,
  MagicRelaxed,
  MagicLoadRelaxed,
  MagicIgnored,
  // The window cache. From here on, Part::cache.
  CacheStoreUnfenced,
  CacheReleasedRelaxed,
  CacheLoadRelaxed,
  CacheLoadUnfenced,
  CacheUnlocked,
  // Waiting. From here on, Part::waiting.
  NoSecondLook,
  NoRequest,
  NoWaiterFence,
  WaiterFencesItselfAlone,
  FenceBeforeRequest,
  FenceAfterLook,
  NoProducerFence,
  ListAfterRequest,
  LookBeforePublish,
  mutantCount
};

inline const char* const mutantNames[mutantCount] = {
    "none",
    "announce: no fence",
    "announce: after the copy",
    "announce: release stores, no fence",
    "announce: seq_cst stores, no fence",
    "announce: the first piece of a chunk alone",
    "announce: a fence for the first piece alone",
    "a reservation's announcement taken back",
    "an append announces less than a reservation did",
    "publish: relaxed",
    "publish: before the descriptor",
    "publish: before the payload",
    "status: stored relaxed",
    "head: published before its payload",
    "head: its seq stored after publishing",
    "timestamp: stored after publishing",
    "head: its timestamp stored after publishing",
    "observe: relaxed",
    "descriptors: no fence",
    "payload: no fence",
    "status: loaded relaxed",
    "status: loaded after the seq",
    "status: not loaded again after the seq",
    "descriptors of the search not confirmed",
    "copied descriptors not confirmed",
    "copied descriptors confirmed one seq late",
    "payload not confirmed",
    "payload confirmed one word late",
    "search: from the hint of a later window",
    "the end of a limited read not confirmed",
    "newest first: no fence",
    "newest first: payload not confirmed",
    "newest first: confirmed at the end of the piece",
    "head: its seq loaded before the newest",
    "head: its seq not held to the newest",
    "timestamps: copied after the confirmation",
    "announce: all pieces of a chunk at once",
    "an append in flight awaited",
    "an append in flight delivered",
    "search: an append in flight ignored",
    "window cache: an append in flight ignored",
    "descriptors of the search confirmed one seq early",
    "payload confirmed one word early",
    "the lock asked for after the last read",
    "magic: before the geometry",
    "magic: before the metadata",
    "magic: stored relaxed",
    "magic: loaded relaxed",
    "magic: ignored",
    "window cache: stored without a fence",
    "window cache: released relaxed",
    "window cache: loaded relaxed",
    "window cache: loaded without a fence",
    "window cache: stored by two at once",
    "wait: no second look",
    "wait: no request to be woken",
    "wait: no fence of the waiter's",
    "wait: the waiter's fence is its own alone",
    "wait: the fence before the request",
    "wait: the fence after the second look",
    "wait: no fence of the producer's own",
    "wait: on the list only after the request",
    "wait: the producer looks before it publishes",
};

// The parts of the model, each of which has scenarios of its own.
enum class Part { ring, file, cache, waiting };

// The part that a mutant is made in.
inline Part partOf(Mutant mutant) {
  return mutant < AnnouncedAsAWhole    ? Part::ring
         : mutant < CacheStoreUnfenced ? Part::file
         : mutant < NoSecondLook       ? Part::cache
                                       : Part::waiting;
}

// The one that is tried now.
inline Mutant mutant = None;
inline bool is(Mutant other) { return mutant == other; }
