// The shims are header only; a C target needs one source file, and this one checks that the header
// compiles as plain C.
#include "CRingShims.h"

#if defined(__linux__)
char ring_epoll_keys[64];
#endif
