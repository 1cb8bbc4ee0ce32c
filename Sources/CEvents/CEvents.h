//! Headers that the platform's own module leaves out: nothing is declared here.
#ifndef CEVENTS_H
#define CEVENTS_H

#if defined(__linux__)
#include <malloc.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#endif

#endif
