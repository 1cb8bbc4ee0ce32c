// Runs every scenario with the protocol as it is, and with every mutant. Prints a table, and fails
// if the protocol has an error or a mutant survives all scenarios. See docs/memory-ordering.md.

#include <cstdio>
#include <cstring>
#include <cstdlib>
#include <ostream>

#include "RingFile.hpp"
#include "Waiting.hpp"
#include "WindowCache.hpp"

// A producer, and readers that read as often as given.
template <int Scenario, int ReaderCount, int Reads>
struct RingScenario : rl::test_suite<RingScenario<Scenario, ReaderCount, Reads>, ReaderCount + 1> {
  static Geometry geometry();
  static Script script();

  Ring ring{geometry(), script()};
  WindowCache cache;

  void before() {
    ring.before();
    cache.before();
  }

  void thread(unsigned index) {
    if (index == 0) return ring.produce();
    Ring::Reader reader{geometry().isCached ? &cache : nullptr};
    for (int read = 0; read < Reads; ++read) ring.read(reader);
  }
};

// A producer that makes a file for the ring, and is killed after any step or lives to the end.
// Other processes, each with a window cache of its own, read the file: `AttachedCount` of them
// attach while the producer lives, or later; one starts when it is dead.
template <int Scenario, int AttachedCount>
struct FileScenario : rl::test_suite<FileScenario<Scenario, AttachedCount>, AttachedCount + 1> {
  static Geometry geometry();
  static Script script();

  RingFile file;
  Ring ring{geometry(), script()};
  WindowCache caches[AttachedCount + 1];

  void before() {
    file.before();
    ring.before();
    for (WindowCache& cache : caches) cache.before();
    // A producer that is dead from the beginning only counts its steps.
    ring.producer = Producer(0);
    produce();
    ring.producer = Producer(rl::rand(ring.producer.steps + 1));
  }

  void thread(unsigned index) {
    if (index > 0) return follow(caches[index]);
    produce();
    file.unlock();
  }

  // The reader that starts when the producer is dead: all that was stored is visible to it.
  void after() {
    CHECK(file.attach() == ring.producer.isFileFinished);
    if (!ring.producer.isFileFinished) return;
    Ring::Reader reader{&caches[0]};
    const Ring::Reader before = reader;
    ring.read(reader);
    ring.checkAfterDeath(before, reader);
  }

  void produce() {
    file.create(ring.producer);
    ring.produce();
  }

  // Reads, asks whether the producer is dead, and reads once more: if it was, there is no more.
  void follow(WindowCache& cache) {
    if (!file.attach()) return;
    Ring::Reader reader{&cache};
    ring.read(reader);
    bool isAlive = file.isProducerAlive();
    const Ring::Reader before = reader;
    ring.read(reader);
    if (is(DeathAskedLate)) isAlive = file.isProducerAlive();
    if (!isAlive) ring.checkAfterDeath(before, reader);
  }
};

#define SCENARIO(number, readers, reads, ...) \
  using Scenario##number = RingScenario<number, readers, reads>; \
  SCRIPT(number, __VA_ARGS__)
#define FILE_SCENARIO(number, attached, ...) \
  using Scenario##number = FileScenario<number, attached>; \
  SCRIPT(number, __VA_ARGS__)
#define SCRIPT(number, geometryValue, statusSeq, count, ...) \
  template <> Geometry Scenario##number::geometry() { return geometryValue; } \
  template <> Script Scenario##number::script() { return {statusSeq, count, {__VA_ARGS__}}; }

// The arguments of a macro may have braces with commas in parentheses only.
#define GEOMETRY(...) (Geometry{__VA_ARGS__})
#define APPEND(count) Step{count, -1}
#define RESERVE(count, written) Step{count, written}
#define GROUP(count, chunks) Step{count, -1, chunks}

SCENARIO(1, 1, 2, GEOMETRY(1, 1, 2, 1), 0, 3, APPEND(1), APPEND(1), APPEND(1))
SCENARIO(2, 2, 1, GEOMETRY(1, 1, 2, 1), 0, 3, APPEND(1), APPEND(1), APPEND(1))
SCENARIO(3, 1, 1, GEOMETRY(2, 1, 4, 2), 0, 5, APPEND(1), APPEND(1), APPEND(1), APPEND(1), APPEND(1))
SCENARIO(4, 1, 1, GEOMETRY(1, 3, 8, 1), 0, 4, APPEND(1), APPEND(1), RESERVE(3, 1), APPEND(1))
SCENARIO(5, 1, 1, GEOMETRY(2, 1, 4, 2), 0, 3, APPEND(1), APPEND(5), APPEND(1))
SCENARIO(6, 1, 2, GEOMETRY(2, 1, 4, 2), 2, 3, APPEND(1), APPEND(1), APPEND(1))
SCENARIO(7, 1, 1, GEOMETRY(2, 2, 4, 2), 0, 4, APPEND(2), RESERVE(2, 1), APPEND(1), RESERVE(2, 1))
SCENARIO(8, 1, 1, GEOMETRY(2, 1, 4, 2), 0, 3, APPEND(1), APPEND(2), APPEND(2))
SCENARIO(9, 2, 1, GEOMETRY(3, 1, 4, 3), 0, 2, APPEND(3), APPEND(3))

SCENARIO(10, 1, 1, GEOMETRY(3, 1, 8, 3, 3, 1, 99, 2), 0, 8, APPEND(1), APPEND(1), APPEND(1), APPEND(1),
         APPEND(1), APPEND(1), APPEND(1), APPEND(1))
SCENARIO(11, 1, 2, GEOMETRY(3, 1, 4, 3, 3, 8, 2), 0, 6, APPEND(1), APPEND(1), APPEND(1), APPEND(1),
         APPEND(1), APPEND(1))
SCENARIO(12, 2, 2, GEOMETRY(2, 2, 8, 2, 2, 8, 99, 1, true), 0, 5, APPEND(1), APPEND(1), APPEND(1), APPEND(1), APPEND(1))
SCENARIO(13, 1, 1, GEOMETRY(4, 1, 8, 4, 2, 1, 99, 2), 0, 6, APPEND(2), APPEND(2), APPEND(2), APPEND(2),
         APPEND(2), APPEND(1))

// A head of two words; the second scenario fills it in part by a reservation.
SCENARIO(19, 1, 2, GEOMETRY(1, 1, 3, 1, 0, 8, 99, 1, false, 2), 0, 4, APPEND(1), APPEND(1),
         APPEND(1), APPEND(1))
SCENARIO(20, 2, 1, GEOMETRY(1, 1, 3, 1, 0, 8, 99, 1, false, 3), 0, 3, RESERVE(2, 1), APPEND(1),
         APPEND(2))

// Chunks that are published at once. In the first scenario the second chunk of the group is the one
// that reuses the slot of a reader that is a chunk behind.
SCENARIO(22, 1, 2, GEOMETRY(2, 2, 4, 1), 0, 3, APPEND(1), APPEND(1), GROUP(1, 2))
SCENARIO(23, 1, 2, GEOMETRY(2, 2, 6, 2), 0, 3, APPEND(1), GROUP(1, 2), GROUP(1, 2))
FILE_SCENARIO(24, 1, GEOMETRY(2, 2, 6, 2), 0, 3, APPEND(1), RESERVE(2, 1), GROUP(1, 2))
// Timestamps: with few slots, and with a head.
SCENARIO(25, 1, 2, GEOMETRY(1, 1, 3, 1, 0, 8, 99, 1, false, 0, true), 0, 4, APPEND(1), APPEND(1),
         APPEND(1), APPEND(1))
SCENARIO(26, 1, 1, GEOMETRY(1, 1, 3, 1, 0, 8, 99, 1, false, 2, true), 0, 4, APPEND(1), APPEND(1),
         APPEND(1), APPEND(1))

// With as few slots as the source has: two more than the chunks retained.
FILE_SCENARIO(14, 1, GEOMETRY(1, 1, 3, 1), 0, 3, APPEND(1), APPEND(1), APPEND(1))
FILE_SCENARIO(15, 1, GEOMETRY(2, 1, 4, 2), 2, 3, APPEND(1), APPEND(1), APPEND(3))
FILE_SCENARIO(16, 1, GEOMETRY(1, 2, 3, 1), 0, 3, APPEND(1), RESERVE(2, 1), APPEND(1))
FILE_SCENARIO(17, 0, GEOMETRY(2, 2, 4, 2), 6, 8, APPEND(1), APPEND(1), RESERVE(2, 1), APPEND(3),
              APPEND(1), APPEND(6), RESERVE(2, 1), APPEND(2))
FILE_SCENARIO(21, 1, GEOMETRY(1, 1, 3, 1, 0, 8, 99, 1, false, 2), 0, 3, APPEND(2), APPEND(1),
              APPEND(1))
FILE_SCENARIO(27, 1, GEOMETRY(1, 1, 3, 1, 0, 8, 99, 1, false, 1, true), 0, 3, APPEND(1), APPEND(1),
              APPEND(1))
FILE_SCENARIO(18, 0, GEOMETRY(3, 1, 5, 3), 0, 8, APPEND(1), APPEND(1), APPEND(1), APPEND(3),
              APPEND(2), APPEND(1), APPEND(5), APPEND(3))

// Readers that store a window in the cache, and one that loads it.
struct CacheScenario : rl::test_suite<CacheScenario, 3> {
  WindowCache cache;

  void before() { cache.before(); }

  void thread(unsigned index) {
    if (index == 0) {
      RetainedWindow window;
      if (cache.load(window)) CHECK(window == of(window.newestSeq));  // not torn
      return;
    }
    cache.store(of(index));
    if (index == 1) cache.store(of(3));
  }

  static RetainedWindow of(int newestSeq) {
    RetainedWindow window;
    window.newestSeq = newestSeq;
    window.end = stamp(newestSeq);
    window.oldestSeq = 10 + newestSeq;
    window.lost = 20 + newestSeq;
    return window;
  }
};

// Waiters that have dealt with seq `From`, and producers; a single one takes no lock.
template <Fencing Fences, int From, int WaiterCount, int ProducerCount, int Appends>
struct WaitScenario : rl::test_suite<WaitScenario<Fences, From, WaiterCount, ProducerCount, Appends>,
                                     WaiterCount + ProducerCount> {
  Waiting waiting{Fences, From};

  void before() { waiting.before(); }

  void thread(unsigned index) {
    if (index < WaiterCount) return waiting.wait(index);
    for (int seq = 1; seq <= Appends; ++seq) waiting.append(seq, ProducerCount == 1);
  }

  void after() { waiting.after(WaiterCount); }
};

struct Result {
  bool isCorrect;
  unsigned long executions;
};

// Tries every schedule of at most so many forced switches, unless the search is random.
template <class Scenario, int forcedSwitches = 2>
Result simulate(rl::scheduler_type_e search, unsigned long executions) {
  std::ostream silence(nullptr);
  rl::test_params params;
  params.search_type = search;
  params.iteration_count = executions;
  params.context_bound = forcedSwitches;
  params.output_stream = &silence;
  params.progress_stream = &silence;
  const bool isCorrect = rl::simulate<Scenario>(params);
  return {isCorrect, static_cast<unsigned long>(params.stop_iteration)};
}

struct Case {
  Part part;  // that it is there for
  const char* name;
  Result (*run)(rl::scheduler_type_e, unsigned long);
  // Whether there are too many schedules to try them all.
  bool isLarge = false;
};

const Case cases[] = {
    {Part::ring, "one reader, reads twice, lapped", simulate<Scenario1>},
    {Part::ring, "two readers, lapped", simulate<Scenario2>},
    {Part::ring, "several chunks retained", simulate<Scenario3>},
    {Part::ring, "a reservation filled in part, reader lapped", simulate<Scenario4>},
    {Part::ring, "reservations filled in part, wrapping", simulate<Scenario7>},
    {Part::ring, "a chunk larger than the cap", simulate<Scenario5>},
    {Part::ring, "chunks larger than the slack, in pieces", simulate<Scenario8>},
    {Part::ring, "chunks as large as the cap, two readers", simulate<Scenario9>},
    {Part::ring, "an exit between appends", simulate<Scenario6>},
    {Part::ring, "lapped twice: the rest newest first", simulate<Scenario10, 1>},
    {Part::ring, "the same with chunks of two pieces", simulate<Scenario13, 1>},
    {Part::ring, "a limit on bytes", simulate<Scenario11, 1>},
    {Part::ring, "searches from a cached window, two readers", simulate<Scenario12>, true},
    {Part::ring, "a head, and chunks behind it", simulate<Scenario19>},
    {Part::ring, "a head, and a chunk that does not fit, two readers", simulate<Scenario20>},
    {Part::ring, "a group reuses the slot of a reader", simulate<Scenario22>},
    {Part::ring, "groups overwrite what a reader copies", simulate<Scenario23>},
    {Part::ring, "timestamps", simulate<Scenario25>},
    {Part::ring, "timestamps of a head, and behind it", simulate<Scenario26>},
    {Part::file, "killed, a reader attached: lapped", simulate<Scenario14>},
    {Part::file, "killed, a reader attached: a status, pieces", simulate<Scenario15>},
    {Part::file, "killed, a reader attached: a reservation", simulate<Scenario16>},
    {Part::file, "killed, a reader attached: a head", simulate<Scenario21>},
    {Part::file, "killed, a reader attached: reservation, group", simulate<Scenario24>},
    {Part::file, "killed, a reader attached: timestamps", simulate<Scenario27>},
    {Part::file, "killed, read later: reservations, a status", simulate<Scenario17>},
    {Part::file, "killed, read later: pieces", simulate<Scenario18>},
    {Part::cache, "the window cache: two store, one loads", simulate<CacheScenario>},
    {Part::waiting, "waiting: two waiters, one producer",
     simulate<WaitScenario<Fencing::bySystem, 0, 2, 1, 2>>},
    {Part::waiting, "waiting: one waiter, two producers",
     simulate<WaitScenario<Fencing::bySystem, 3, 1, 2, 1>>},
    {Part::waiting, "waiting: the same, without the system's fence",
     simulate<WaitScenario<Fencing::byProducers, 0, 2, 1, 2>>},
    {Part::waiting, "waiting: the same, likewise",
     simulate<WaitScenario<Fencing::byProducers, 3, 1, 2, 1>>},
};

// Prints the scenario's line for one kind of search; returns whether there was no error.
bool check(const Case& scenario, rl::scheduler_type_e search, unsigned long executions) {
  const Result result = scenario.run(search, executions);
  std::printf("%-50s %12lu  %s\n", scenario.name, result.executions,
              result.isCorrect ? "no error" : "ERROR");
  std::fflush(stdout);
  return result.isCorrect;
}

// Prints the mutant's line; returns whether a scenario kills it.
bool kill(int index, unsigned long executions) {
  mutant = static_cast<Mutant>(index);
  // The scenarios of its part come first. One that does not notice it costs all its executions.
  for (const bool isOwn : {true, false}) {
    for (const Case& scenario : cases) {
      if ((scenario.part == partOf(mutant)) != isOwn) continue;
      const Result result = scenario.run(rl::sched_random, executions);
      if (result.isCorrect) continue;
      std::printf("%-50s %12lu  %s\n", mutantNames[index], result.executions, scenario.name);
      std::fflush(stdout);
      return true;
    }
  }
  std::printf("%-50s %12s  %s\n", mutantNames[index], "", "SURVIVES");
  return false;
}

int main(int count, char** arguments) {
  const unsigned long executions = count > 1 ? std::strtoul(arguments[1], nullptr, 10) : 1000000;
  if (executions == 0) {
    std::fprintf(stderr, "'%s' is no number of executions: give one above 0\n", arguments[1]);
    return 64;
  }
  bool isGood = true;
  const char* title = "the protocol as it is, random schedules";
  std::printf("%-50s %12s  %s\n", title, "executions", "result");
  for (const Case& scenario : cases) isGood &= check(scenario, rl::sched_random, executions);

  std::printf("\nthe protocol as it is, every schedule with at most 2 forced switches, or 1\n");
  for (const Case& scenario : cases)
    if (!scenario.isLarge) isGood &= check(scenario, rl::sched_bound, 0);

  std::printf("\n%-50s %12s  %s\n", "mutant", "executions", "dies in");
  for (int index = 1; index < mutantCount; ++index) isGood &= kill(index, executions);
  return isGood ? 0 : 1;
}
