// What the fuzz targets share: an input read as numbers, a requirement that ends the process, and the
// planted fault with which a target must fail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>

#include "tests/cpp/fuzz/natural.hpp"

namespace veilsum::tests {

// libFuzzer takes a trap for a crash, and keeps the input.
#define REQUIRE(condition)                                                                      \
  do {                                                                                          \
    if (!(condition)) {                                                                         \
      std::fprintf(stderr, "%s:%d: REQUIRE(%s) is violated\n", __FILE__, __LINE__, #condition); \
      __builtin_trap();                                                                         \
    }                                                                                           \
  } while (false)

// The input, number by number; zeros follow its end.
class input {
 public:
  input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

  std::uint64_t number(std::size_t bytes) {
    std::uint64_t x = 0;
    for (std::size_t i = 0; i < bytes; ++i) x |= std::uint64_t{next()} << (8 * i);
    return x;
  }

  // From `least` to `most`, at most 2^16 numbers.
  std::size_t between(std::size_t least, std::size_t most) {
    return least + number(2) % (most - least + 1);
  }

  natural words(std::size_t count) {
    natural x(count);
    for (std::uint64_t& word : x) word = number(8);
    return x;
  }

 private:
  std::uint8_t next() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }

  const std::uint8_t* data_;
  std::size_t size_;
};

// The answer of the code under test; in a build with a planted fault a wrong one, for a few inputs.
inline std::uint64_t answer(std::uint64_t x) {
#ifdef VEILSUM_PLANTED_FAULT
  return x % 16 == 13 ? x ^ 1 : x;
#else
  return x;
#endif
}

}  // namespace veilsum::tests
