#include "schemes/parallel.hpp"

#include <algorithm>
#include <exception>
#include <thread>
#include <vector>
#if defined(__linux__)
#include <sched.h>
#endif

namespace veilsum::schemes {
namespace {

// Those that this process may run on: a container or a pinned process has fewer than the machine.
std::size_t processor_count() {
#if defined(__linux__)
  cpu_set_t usable;
  if (sched_getaffinity(0, sizeof(usable), &usable) == 0)
    return static_cast<std::size_t>(std::max(1, CPU_COUNT(&usable)));
#endif
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace

std::size_t usable_threads(std::size_t threads) {
  return threads == 0 ? processor_count() : std::min(threads, processor_count());
}

void parallel_for(std::size_t count, std::size_t grain, std::size_t threads,
                  const std::function<void(std::size_t, std::size_t)>& work) {
  const std::size_t grains = (count + grain - 1) / grain;
  threads = std::min(usable_threads(threads), grains);
  if (threads <= 1) {
    if (count > 0) work(0, count);
    return;
  }
  std::vector<std::exception_ptr> failures(threads);
  std::vector<std::thread> workers;
  workers.reserve(threads);
  const auto run = [&](std::size_t t) {
    try {
      work(grains * t / threads * grain, std::min(count, grains * (t + 1) / threads * grain));
    } catch (...) {
      failures[t] = std::current_exception();
    }
  };
  // Where the system gives no further thread, or no memory for one, the rest runs here.
  std::size_t started = 1;
  try {
    for (; started < threads; ++started) workers.emplace_back(run, started);
  } catch (...) {
  }
  run(0);
  for (std::size_t t = started; t < threads; ++t) run(t);
  for (std::thread& worker : workers) worker.join();
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

}  // namespace veilsum::schemes
