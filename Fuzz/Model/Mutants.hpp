// Mistakes, each of which the model must be able to notice.
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
  StatusRelaxed,
  // The reader's ordering.
  ObserveRelaxed,
  DescriptorsUnfenced,
  PayloadUnfenced,
  StatusLoadRelaxed,
  StatusAfterSeq,
  // The reader's checks.
  SearchUnconfirmed,
  DescriptorsUnconfirmed,
  DescriptorsOneLate,
  PayloadUnconfirmed,
  PayloadOneLate,
  // The note of the window.
  NoteStoreUnfenced,
  NoteReleasedRelaxed,
  NoteLoadRelaxed,
  NoteLoadUnfenced,
  NoteUnlocked,
  // Waiting.
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
    "status: stored relaxed",
    "observe: relaxed",
    "descriptors: no fence",
    "payload: no fence",
    "status: loaded relaxed",
    "status: loaded after the seq",
    "descriptors of the search not confirmed",
    "copied descriptors not confirmed",
    "copied descriptors confirmed one seq late",
    "payload not confirmed",
    "payload confirmed one word late",
    "note: stored without a fence",
    "note: released relaxed",
    "note: loaded relaxed",
    "note: loaded without a fence",
    "note: stored by two at once",
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

// The one that is tried now.
inline Mutant mutant = None;
inline bool is(Mutant other) { return mutant == other; }
