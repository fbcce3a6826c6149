// Splits independent work over threads.
#pragma once

#include <cstddef>
#include <functional>

namespace veilsum::schemes {

// Calls work(begin, end) for disjoint ranges that cover [0, count), each a multiple of `grain` long but
// for the last. threads = 0 means one for each processor, which is also the most that are used. The first exception is rethrown.
void parallel_for(std::size_t count, std::size_t grain, std::size_t threads,
                  const std::function<void(std::size_t, std::size_t)>& work);

}  // namespace veilsum::schemes
