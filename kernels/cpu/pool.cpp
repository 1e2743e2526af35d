#include "pool.hpp"

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "boundary.hpp"

namespace ptofa {
namespace {

struct Job {
  Parts* work;
  int64_t parts;
  int most;                      // threads
  std::atomic<int64_t> next{0};  // the part that is handed out next
  // all under the pool's mutex
  int slots = 1;    // handed out; the caller has 0
  int at_work = 1;  // threads that have one and may still touch the job
  std::exception_ptr error;
  Job* later = nullptr;

  bool wants_help() const { return slots < most && next.load(std::memory_order_relaxed) < parts; }

  void run(int slot) {
    for (;;) {
      const int64_t i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= parts) return;
      work->part(i, slot);
    }
  }
};

class Pool {
 public:
  void run(Job& job) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      job.later = jobs_;
      jobs_ = &job;
      grow(job.most - 1);
    }
    for (int i = 1; i < job.most && i < job.parts; ++i) work_.notify_one();
    attempt(job, 0);
    std::unique_lock<std::mutex> lock(mutex_);
    Job** at = &jobs_;
    while (*at != &job) at = &(*at)->later;
    *at = job.later;  // nobody new joins
    done_.wait(lock, [&] { return job.at_work == 0; });
    if (job.error) std::rethrow_exception(job.error);
  }

 private:
  // Threads are never ended: the process takes them with it.
  void grow(int wanted) {
    while (workers_ < wanted) {
      // Signals are for Python's own threads, but for those that tell of a fault in this one.
      sigset_t all, before;
      sigfillset(&all);
      for (int fault : {SIGBUS, SIGFPE, SIGILL, SIGSEGV}) sigdelset(&all, fault);
      pthread_sigmask(SIG_SETMASK, &all, &before);
      try {
        std::thread([this] { serve(); }).detach();
        ++workers_;
      } catch (const std::exception&) {  // no more to be had: those that are there do the work
        wanted = workers_;
      }
      pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
  }

  void serve() {
    const PlainFloats mode;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      Job* job = jobs_;
      while (job != nullptr && !job->wants_help()) job = job->later;
      if (job == nullptr) {
        work_.wait(lock);
        continue;
      }
      const int slot = job->slots++;
      ++job->at_work;
      lock.unlock();
      attempt(*job, slot);
      lock.lock();
    }
  }

  void attempt(Job& job, int slot) {
    std::exception_ptr error;
    try {
      job.run(slot);
    } catch (...) {
      error = std::current_exception();
      job.next.store(job.parts, std::memory_order_relaxed);  // the rest is not wanted any more
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    if (error && !job.error) job.error = std::move(error);
    if (--job.at_work == 0) done_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable work_, done_;
  Job* jobs_ = nullptr;
  int workers_ = 0;
};

std::atomic<Pool*> the_pool{nullptr};

// The child of a fork has one thread: the pool of its parent is left as it is, with its locks, and a new one is made.
void after_fork() { the_pool.store(nullptr, std::memory_order_relaxed); }
[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, after_fork);  // when the library is loaded

Pool& pool() {
  Pool* found = the_pool.load(std::memory_order_acquire);
  if (found == nullptr) {
    Pool* made = new Pool;
    if (the_pool.compare_exchange_strong(found, made, std::memory_order_acq_rel)) return *made;
    delete made;
  }
  return *found;
}

}  // namespace

void share(Parts& work, int64_t parts, int threads) {
  if (threads <= 1 || parts <= 1) {
    for (int64_t i = 0; i < parts; ++i) work.part(i, 0);
    return;
  }
  Job job;
  job.work = &work;
  job.parts = parts;
  job.most = threads;
  pool().run(job);
}

}  // namespace ptofa
