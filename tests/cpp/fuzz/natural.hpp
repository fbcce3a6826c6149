// Arithmetic on natural numbers as it is taught at school, for answers to compare with: little-endian
// words, nothing of the code under test, no care for time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace veilsum::tests {

using natural = std::vector<std::uint64_t>;

inline bool bit(const natural& a, std::size_t i) {
  return i / 64 < a.size() && (a[i / 64] >> (i % 64) & 1) != 0;
}

inline natural trimmed(natural a) {
  while (!a.empty() && a.back() == 0) a.pop_back();
  return a;
}

inline natural resized(natural a, std::size_t size) {
  a.resize(size);
  return a;
}

inline bool less(const natural& a, const natural& b) {
  for (std::size_t i = std::max(a.size(), b.size()); i-- > 0;) {
    const std::uint64_t x = i < a.size() ? a[i] : 0, y = i < b.size() ? b[i] : 0;
    if (x != y) return x < y;
  }
  return false;
}

// a -= b modulo 2^(64 * a.size()).
inline void subtract(natural& a, const natural& b) {
  bool borrow = false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const std::uint64_t x = a[i], y = i < b.size() ? b[i] : 0;
    a[i] = x - y - (borrow ? 1 : 0);
    borrow = x < y || (x == y && borrow);
  }
}

inline natural difference(natural a, const natural& b) {
  subtract(a, b);
  return a;
}

// a mod m, bit by bit.
inline natural remainder(const natural& a, const natural& m) {
  natural r(m.size() + 1);
  for (std::size_t i = 64 * a.size(); i-- > 0;) {
    for (std::size_t j = r.size(); j-- > 0;)
      r[j] = r[j] << 1 | (j > 0 ? r[j - 1] >> 63 : bit(a, i) ? 1 : 0);
    if (!less(r, m)) subtract(r, m);
  }
  return resized(r, m.size());
}

inline natural product(const natural& a, const natural& b) {
  __extension__ typedef unsigned __int128 wide;
  natural r(a.size() + b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    wide sum = 0;
    for (std::size_t j = 0; j < b.size(); ++j) {
      sum += static_cast<wide>(a[i]) * b[j] + r[i + j];
      r[i + j] = static_cast<std::uint64_t>(sum);
      sum >>= 64;
    }
    r[i + b.size()] = static_cast<std::uint64_t>(sum);
  }
  return r;
}

// base^exponent mod m, which is above 1.
inline natural power(const natural& base, const natural& exponent, const natural& m) {
  natural r = remainder({1}, m), square = base;
  for (std::size_t i = 0; i < 64 * exponent.size(); ++i) {
    if (exponent[i / 64] >> (i % 64) == 0) continue;
    if (bit(exponent, i)) r = remainder(product(r, square), m);
    square = remainder(product(square, square), m);
  }
  return r;
}

}  // namespace veilsum::tests
