#include "schemes/integer.hpp"

#include <algorithm>

#include "common/constant_time.hpp"

namespace veilsum::schemes {
namespace {

__extension__ typedef unsigned __int128 wide;

word at_or_zero(view<const word> a, std::size_t i) { return i < a.size ? a[i] : 0; }

}  // namespace

word add_words(view<word> r, view<const word> a, view<const word> b) {
  word carry = 0;
  for (std::size_t i = 0; i < r.size; ++i) {
    const wide sum = static_cast<wide>(at_or_zero(a, i)) + at_or_zero(b, i) + carry;
    r[i] = static_cast<word>(sum);
    carry = static_cast<word>(sum >> 64);
  }
  return carry;
}

word subtract_words(view<word> r, view<const word> a, view<const word> b) {
  word borrow = 0;
  for (std::size_t i = 0; i < r.size; ++i) {
    const wide difference = static_cast<wide>(at_or_zero(a, i)) - at_or_zero(b, i) - borrow;
    r[i] = static_cast<word>(difference);
    borrow = static_cast<word>(difference >> 64) & 1;
  }
  return borrow;
}

void multiply_words(view<word> r, view<const word> a, view<const word> b) {
  std::fill(r.begin(), r.end(), 0);
  for (std::size_t i = 0; i < std::min(a.size, r.size); ++i) {
    word carry = 0;
    const std::size_t end = std::min(b.size, r.size - i);
    for (std::size_t j = 0; j < end; ++j) {
      const wide sum = static_cast<wide>(a[i]) * b[j] + r[i + j] + carry;
      r[i + j] = static_cast<word>(sum);
      carry = static_cast<word>(sum >> 64);
    }
    if (i + end < r.size) r[i + end] = carry;
  }
}

secret_words product(view<const word> a, view<const word> b) {
  secret_words r(a.size + b.size);
  multiply_words(r, a, b);
  return r;
}

word less_mask(view<const word> a, view<const word> b) {
  word borrow = 0;
  for (std::size_t i = 0; i < a.size; ++i) {
    const wide difference = static_cast<wide>(a[i]) - b[i] - borrow;
    borrow = static_cast<word>(difference >> 64) & 1;
  }
  return common::mask_from_bit(borrow);
}

void select_words(view<word> r, word mask, view<const word> a, view<const word> b) {
  for (std::size_t i = 0; i < r.size; ++i)
    r[i] = common::select(mask, at_or_zero(a, i), at_or_zero(b, i));
}

void negate_words(view<word> r, word mask) {
  word carry = mask & 1;
  for (std::size_t i = 0; i < r.size; ++i) {
    const wide sum = static_cast<wide>(r[i] ^ mask) + carry;
    r[i] = static_cast<word>(sum);
    carry = static_cast<word>(sum >> 64);
  }
}

word negative_inverse(word m) {
  word inverse = m;  // right modulo 2^3; each step doubles the bits
  for (int step = 0; step < 5; ++step) inverse *= 2 - m * inverse;
  return 0 - inverse;
}

secret_words power_of_two(std::size_t exponent, view<const word> m) {
  secret_words r(m.size, 0), doubled(m.size), reduced(m.size);
  r[0] = 1;
  // 1 is below m except for m = 1, which no caller passes.
  for (std::size_t step = 0; step < exponent; ++step) {
    const word carry = add_words(doubled, r, r);
    const word borrow = subtract_words(reduced, doubled, m);
    const word keep = common::mask_from_bit(borrow & (1 - carry));
    select_words(r, keep, doubled, reduced);
  }
  return r;
}

word extract_bits(view<const word> a, std::size_t position, std::size_t bits) {
  const std::size_t i = position / 64, shift = position % 64;
  const word low = at_or_zero(a, i) >> shift;
  const word high = shift == 0 ? 0 : at_or_zero(a, i + 1) << (64 - shift);
  const word mask = bits == 64 ? ~word{0} : (word{1} << bits) - 1;
  return (low | high) & mask;
}

bool equal_vartime(view<const word> a, view<const word> b) {
  for (std::size_t i = 0; i < std::max(a.size, b.size); ++i)
    if (at_or_zero(a, i) != at_or_zero(b, i)) return false;
  return true;
}

std::size_t bit_length_vartime(view<const word> a) {
  for (std::size_t i = a.size; i-- > 0;)
    for (std::size_t bit = 64; bit-- > 0;)
      if (a[i] >> bit & 1) return 64 * i + bit + 1;
  return 0;
}

}  // namespace veilsum::schemes
