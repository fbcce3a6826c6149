// Splits independent work over threads.
#pragma once

#include <cstddef>
#include <functional>

namespace veilsum::schemes {

// How many threads a request for so many gets: 0 means one for each processor that this process may use,
// which is also the most.
std::size_t usable_threads(std::size_t threads);

// Calls work(begin, end) for disjoint ranges that cover [0, count), each a multiple of `grain` long but
// for the last, on usable_threads(threads). The first exception is rethrown.
void parallel_for(std::size_t count, std::size_t grain, std::size_t threads,
                  const std::function<void(std::size_t, std::size_t)>& work);

}  // namespace veilsum::schemes
