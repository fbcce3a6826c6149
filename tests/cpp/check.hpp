// The little that the C++ tests need: a check that names itself, and fixed pseudo-random numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>

#include "schemes/integer.hpp"

namespace veilsum::tests {

inline int& failures() {
  static int count = 0;
  return count;
}

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) {                                                         \
      std::printf("%s:%d: CHECK(%s) failed\n", __FILE__, __LINE__, #condition); \
      ++veilsum::tests::failures();                                             \
    }                                                                           \
  } while (false)

inline int finish(const char* name) {
  std::printf("%s: %d failed\n", name, failures());
  return failures() == 0 ? 0 : 1;
}

// splitmix64: fixed numbers for tests, never for secrets.
class numbers {
 public:
  explicit numbers(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  schemes::secret_words integer(std::size_t words) {
    schemes::secret_words x(words);
    for (std::uint64_t& w : x) w = next();
    return x;
  }

  // Odd, with the top bit set.
  schemes::secret_words modulus(std::size_t words) {
    schemes::secret_words m = integer(words);
    m[0] |= 1;
    m.back() |= std::uint64_t{1} << 63;
    return m;
  }

  // Below m, which has its top bit set.
  schemes::secret_words below(const schemes::secret_words& m) {
    schemes::secret_words x = integer(m.size());
    while (schemes::less_mask(x, m) == 0) x = integer(m.size());
    return x;
  }

 private:
  std::uint64_t state_;
};

}  // namespace veilsum::tests
