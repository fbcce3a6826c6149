// Integers as little-endian 64-bit words. Time depends on
// sizes only, but for the functions that end in _vartime.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/view.hpp"
#include "common/wipe.hpp"

namespace veilsum::schemes {

using word = std::uint64_t;
using common::secret_words;
using common::view;
using common::words;

// r = a + b and r = a - b over r.size words (missing words of b are zero); returns the carry or borrow.
word add_words(view<word> r, view<const word> a, view<const word> b);
word subtract_words(view<word> r, view<const word> a, view<const word> b);

// r = a * b, r.size words (truncated where that is shorter); r overlaps neither factor.
void multiply_words(view<word> r, view<const word> a, view<const word> b);

// a * b, whole.
secret_words product(view<const word> a, view<const word> b);

// All ones where a < b (equal sizes).
word less_mask(view<const word> a, view<const word> b);

// r = mask ? a : b.
void select_words(view<word> r, word mask, view<const word> a, view<const word> b);

// r = -r modulo 2^(64 * size) where the mask is set.
void negate_words(view<word> r, word mask);

// -1/m mod 2^64 for odd m.
word negative_inverse(word m);

// 2^exponent mod m.
secret_words power_of_two(std::size_t exponent, view<const word> m);

// `bits` bits of a from bit `position` on (bits <= 64); words beyond a's end are zero.
word extract_bits(view<const word> a, std::size_t position, std::size_t bits);

// Whether two public integers are equal (missing words are zero).
bool equal_vartime(view<const word> a, view<const word> b);

// The number of bits of a public integer.
std::size_t bit_length_vartime(view<const word> a);

}  // namespace veilsum::schemes
