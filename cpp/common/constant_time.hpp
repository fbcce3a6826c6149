// Choices on secrets without branches or addresses. A mask is all ones or all zeros.
#pragma once

#include <cstdint>

namespace veilsum::common {

// Hides a value's origin from the optimiser, which could otherwise turn a mask back into a branch.
inline std::uint64_t barrier(std::uint64_t x) {
  __asm__("" : "+r"(x));
  return x;
}

// bit is 0 or 1.
inline std::uint64_t mask_from_bit(std::uint64_t bit) { return barrier(0 - bit); }

inline std::uint64_t select(std::uint64_t mask, std::uint64_t if_set, std::uint64_t if_clear) {
  return if_clear ^ (mask & (if_set ^ if_clear));
}

// 1 where x != 0.
inline std::uint64_t is_nonzero(std::uint64_t x) { return (x | (0 - x)) >> 63; }

// 1 where a < b.
inline std::uint64_t is_less(std::uint64_t a, std::uint64_t b) {
  return ((~a & b) | ((~a | b) & (a - b))) >> 63;
}

}  // namespace veilsum::common
