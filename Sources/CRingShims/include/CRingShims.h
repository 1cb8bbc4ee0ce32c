//! What Swift cannot express, and nothing else: ordered loads and stores, fences, a copy that may
//! race, and calls that the C library's module map leaves out.
#ifndef CRINGSHIMS_H
#define CRINGSHIMS_H

#include "Atomics.h"
#include "Barriers.h"
#include "Descriptors.h"
#include "Files.h"
#include "Find.h"
#include "RacingCopy.h"
#include "Waiting.h"

#endif
