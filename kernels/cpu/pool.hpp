// Threads that share the parts of a job: the caller takes part, those who wait sleep, and several callers may be there
// at once. A process that was forked starts with none.
#pragma once
#include <cstdint>

namespace ptofa {

// part(i, slot) for every i in [0, parts), in any order; at most `threads` at a time, each with a slot of its own in
// [0, threads). What the parts write must not depend on who does them. An exception ends the job and comes out here.
class Parts {
 public:
  virtual void part(int64_t i, int slot) = 0;

 protected:
  ~Parts() = default;
};

void share(Parts& job, int64_t parts, int threads);

template <class Work>
void share(int64_t parts, int threads, Work work) {
  struct Job final : Parts {
    explicit Job(Work& w) : work(w) {}
    void part(int64_t i, int slot) override { work(i, slot); }
    Work& work;
  } job(work);
  share(job, parts, threads);
}

}  // namespace ptofa
