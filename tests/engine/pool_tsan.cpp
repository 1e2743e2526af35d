// Drives the pool from many sides; the tests compile it with -fsanitize=thread, plainly, and for other processors.
// With the argument "no-forks" it does not fork: neither ThreadSanitizer nor qemu-user lets a child have threads.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cfenv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "boundary.hpp"
#include "pool.hpp"

extern "C" const char* ptofa_message() noexcept;

using ptofa::share;

#define CHECK(condition)                                                   \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "line %d: not so: %s\n", __LINE__, #condition); \
      std::_Exit(1);                                                       \
    }                                                                      \
  } while (0)

// What the parts write is not atomic: the pool says when it may be read.
static int64_t sum_of(int64_t parts, int threads) {
  std::vector<int64_t> found(static_cast<size_t>(parts)), of_slot(static_cast<size_t>(threads));
  std::vector<int> inside(static_cast<size_t>(threads));
  share(parts, threads, [&](int64_t i, int slot) {
    CHECK(slot >= 0 && slot < threads);
    int& here = inside[static_cast<size_t>(slot)];
    CHECK(here++ == 0);                         // a slot is one thread's
    if (i % 3 == 0) std::this_thread::yield();  // so that the others have some
    found[static_cast<size_t>(i)] = i + 1;
    of_slot[static_cast<size_t>(slot)] += i + 1;
    --here;
  });
  const int64_t sum = std::accumulate(found.begin(), found.end(), int64_t{0});
  CHECK(sum == std::accumulate(of_slot.begin(), of_slot.end(), int64_t{0}));
  return sum;
}

static void many_jobs() {
  for (int round = 0; round < 200; ++round)
    for (int threads : {1, 2, 3, 8})
      for (int64_t parts : {0, 1, 2, 7, 100}) CHECK(sum_of(parts, threads) == parts * (parts + 1) / 2);
}

static void many_callers() {
  std::vector<std::thread> callers;
  for (int c = 0; c < 6; ++c)
    callers.emplace_back([] {
      for (int round = 0; round < 100; ++round) CHECK(sum_of(50, 4) == 50 * 51 / 2);
    });
  for (std::thread& c : callers) c.join();
}

static void jobs_in_jobs() {
  std::atomic<int64_t> sum{0};
  share(8, 3, [&](int64_t, int) { share(8, 3, [&](int64_t i, int) { sum += sum_of(i, 2); }); });
  CHECK(sum == 8 * (0 + 1 + 3 + 6 + 10 + 15 + 21 + 28));
}

static void exceptions() {
  for (int round = 0; round < 200; ++round) {
    std::atomic<int> done{0};
    try {
      share(1000, 4, [&](int64_t i, int) {
        if (i % 7 == round % 7) throw std::runtime_error("part " + std::to_string(i));
        ++done;
      });
      CHECK(!"it came out");
    } catch (const std::runtime_error& error) {
      CHECK(std::strncmp(error.what(), "part ", 5) == 0);
    }
    CHECK(done < 1000);
    CHECK(sum_of(100, 4) == 5050);  // the pool goes on
  }
}

static void statuses() {
  CHECK(ptofa::guarded([] {}) == ptofa::DONE);
  CHECK(ptofa::guarded([] { throw std::bad_alloc(); }) == ptofa::OUT_OF_MEMORY);
  CHECK(ptofa::guarded([] { std::vector<int64_t>().resize(~size_t{0}); }) == ptofa::OUT_OF_MEMORY);
  CHECK(ptofa::guarded([] { throw std::runtime_error(std::string(5000, 'x')); }) == ptofa::FAILED);
  CHECK(std::strlen(ptofa_message()) < 1000);
  CHECK(ptofa::guarded([] { throw 1; }) == ptofa::FAILED);
  const int status = ptofa::guarded([] {
    share(100, 4, [](int64_t i, int) {
      if (i == 50) throw std::bad_alloc();
    });
  });
  CHECK(status == ptofa::OUT_OF_MEMORY);
}

// The floating-point mode: plain inside, in the caller and in the pool's threads; as it was outside.
static void check_plain() {
  CHECK(std::fegetround() == FE_TONEAREST);
  volatile float tiny = 1e-45f;
  volatile double wide = tiny, none = 0;
  CHECK(wide > 0 && tiny * 2 > tiny);
  none = 1 / none;  // no trap
}

static void modes() {
  std::fesetround(FE_UPWARD);
  std::feraiseexcept(FE_INEXACT);
  const int status = ptofa::guarded([] {
    check_plain();
    share(1000, 4, [](int64_t, int) {
      check_plain();
      std::this_thread::yield();
    });
  });
  CHECK(status == ptofa::DONE);
  CHECK(std::fegetround() == FE_UPWARD);
  CHECK(std::fetestexcept(FE_INEXACT) && !std::fetestexcept(FE_DIVBYZERO));
  std::fesetround(FE_TONEAREST);
}

static void forks() {
  std::atomic<bool> stop{false};
  std::vector<std::thread> busy;
  for (int c = 0; c < 2; ++c)
    busy.emplace_back([&stop] {
      while (!stop) sum_of(20, 3);
    });
  for (int round = 0; round < 20; ++round) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      for (int i = 0; i < 5; ++i) CHECK(sum_of(100, 4) == 5050);
      std::_Exit(0);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  stop = true;
  for (std::thread& b : busy) b.join();
}

int main(int argc, char** argv) {
  many_jobs();
  many_callers();
  jobs_in_jobs();
  exceptions();
  statuses();
  modes();
  if (argc < 2 || std::strcmp(argv[1], "no-forks") != 0) forks();
  std::puts("done");
}
