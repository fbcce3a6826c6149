// The fields that tests go through: small, with many roots of one, and at the edges of what a digit and
// a word hold.
#pragma once

#include "schemes/integer.hpp"

namespace veilsum::tests {

constexpr schemes::word narrow_primes[] = {3,
                                           13,
                                           97,
                                           65537,
                                           1125899437080577,
                                           (schemes::word{1} << 50) - 3014655,
                                           (schemes::word{1} << 50) - 27};
constexpr schemes::word wide_primes[] = {
    (schemes::word{1} << 50) + 55,   (schemes::word{1} << 50) + 1179649,
    (schemes::word{1} << 61) - 1,    (schemes::word{1} << 63) - 25,
    ~schemes::word{0} - 0xfffffffeu,  // 2^64 - 2^32 + 1
    ~schemes::word{0} - 16777214,    ~schemes::word{0} - 58};

}  // namespace veilsum::tests
