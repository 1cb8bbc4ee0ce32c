// The racing copy beside memcpy: every size and alignment, and no access outside of what is copied.
// The same as Tests/CRingShimsTests, without Swift, for a processor that CI does not have.

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "RacingCopy.h"

enum { guard = 64, largest = 640, alignments = 32 };

static const RingCopyMethod methods[] = {RingCopyMethodBase, RingCopyMethodAtomicWords};

static void copy(int is_out, void *to, const void *from, size_t count, RingCopyMethod method) {
  if (is_out)
    ring_copy_out(to, from, count, method);
  else
    ring_copy_in(to, from, count, method);
}

static int is_exact(int is_out, RingCopyMethod method) {
  enum { span = guard + alignments + largest + guard };
  static unsigned char source[alignments + largest], found[span], expected[span];
  for (size_t index = 0; index < sizeof source; index++) source[index] = (unsigned char)rand();
  for (size_t size = 0; size <= largest; size++)
    for (size_t to = 0; to < alignments; to++)
      for (size_t from = 0; from < alignments; from++) {
        memset(found, 0x5a, span);
        memset(expected, 0x5a, span);
        copy(is_out, found + guard + to, source + from, size, method);
        memcpy(expected + guard + to, source + from, size);
        if (memcmp(found, expected, span) == 0) continue;
        printf("wrong: method %d, %s, %zu bytes from alignment %zu to %zu\n", method,
               is_out ? "out" : "in", size, from, to);
        return 0;
      }
  return 1;
}

// A page between two that may not be touched.
static unsigned char *lonely_page(size_t page) {
  unsigned char *start =
      mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED || mprotect(start, page, PROT_NONE) != 0 ||
      mprotect(start + 2 * page, page, PROT_NONE) != 0) {
    perror("mmap");
    exit(70);
  }
  return start + page;
}

int main(void) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  unsigned char *from = lonely_page(page), *to = lonely_page(page);
  for (size_t index = 0; index < page; index++) from[index] = (unsigned char)rand();
  for (int is_out = 0; is_out < 2; is_out++)
    for (size_t index = 0; index < sizeof methods / sizeof *methods; index++) {
      if (!is_exact(is_out, methods[index])) return 1;
      for (size_t size = 0; size <= page; size += size < largest ? 1 : 97) {
        copy(is_out, to, from + page - size, size, methods[index]);
        if (memcmp(to, from + page - size, size) != 0) return 1;
        copy(is_out, to + page - size, from, size, methods[index]);
        if (memcmp(to + page - size, from, size) != 0) return 1;
      }
    }
  printf("every size to %d at %d by %d alignments, in and out, by assembly and by words: exact\n",
         largest, alignments, alignments);
  return 0;
}
