// One 64-bit limb a digit, one number a call: runs everywhere.
//
// A lane type owns its radix and gives the algorithms:
//   word, digit, column, mask        memory, one digit a lane, a column of digit products, a choice
//   lanes, digit_bits, tile          numbers a call, radix, digits a register tile
//   multiply_add, carry, low, ...    the operations below; none branches on a digit
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/constant_time.hpp"

namespace veilsum::kernels {
namespace {

struct portable_lane {
  using word = std::uint64_t;
  struct digit {
    word value;
  };
  struct mask {
    word value;
  };
  // Three limbs: 2^64 products of two digits fit.
  struct column {
    word low, middle, high;
  };
  static constexpr std::size_t lanes = 1;
  static constexpr std::size_t digit_bits = 64;
  static constexpr std::size_t tile = 1;
  static constexpr std::size_t field_rows = 2;
  static constexpr std::size_t field_bits = 64;

  __extension__ typedef unsigned __int128 wide;

  static digit zero() { return {0}; }
  static column zero_column() { return {0, 0, 0}; }
  static digit load(const word* p) { return {*p}; }
  static digit load_unaligned(const word* p) { return {*p}; }
  static digit broadcast(const word* p) { return {*p}; }
  static void store(word* p, digit x) { *p = x.value; }
  static void store_unaligned(word* p, digit x) { *p = x.value; }

  static void multiply_add(column& t, digit a, digit b) {
    const wide product = static_cast<wide>(a.value) * b.value;
    const wide sum = join(t.low, t.middle) + product;
    t.high += sum < product ? 1 : 0;
    t.low = static_cast<word>(sum);
    t.middle = static_cast<word>(sum >> 64);
  }
  static void carry(column& next, const column& done) {
    const wide carried = join(done.middle, done.high);
    const wide sum = join(next.low, next.middle) + carried;
    next.high += sum < carried ? 1 : 0;
    next.low = static_cast<word>(sum);
    next.middle = static_cast<word>(sum >> 64);
  }
  static void add_column(column& t, const column& other) {
    const wide added = join(other.low, other.middle);
    const wide sum = join(t.low, t.middle) + added;
    t.high += other.high + (sum < added ? 1 : 0);
    t.low = static_cast<word>(sum);
    t.middle = static_cast<word>(sum >> 64);
  }
  static void twice(column& t) {
    t.high = t.high << 1 | t.middle >> 63;
    t.middle = t.middle << 1 | t.low >> 63;
    t.low <<= 1;
  }
  static digit low(const column& t) { return {t.low}; }
  static digit low_product(const column& t, digit k) { return {t.low * k.value}; }

  static digit add_with_carry(digit a, digit b, digit& carry) {
    const wide sum = static_cast<wide>(a.value) + b.value + carry.value;
    carry = {static_cast<word>(sum >> 64)};
    return {static_cast<word>(sum)};
  }
  static digit subtract_with_borrow(digit a, digit b, digit& borrow) {
    const wide difference = static_cast<wide>(a.value) - b.value - borrow.value;
    borrow = {static_cast<word>(difference >> 64) & 1};
    return {static_cast<word>(difference)};
  }
  // t < 2p, and p may fill the whole digit, so that t may need one bit more.
  static digit subtract_once(const column& t, digit p) {
    const word difference = t.low - p.value;
    const word at_least = t.middle | (1 - common::is_less(t.low, p.value));
    return {common::select(common::mask_from_bit(at_least), difference, t.low)};
  }

  static mask equals(digit index, word value) {
    return {common::mask_from_bit(1 - common::is_nonzero(index.value ^ value))};
  }
  static mask is_one(digit bit) { return {common::mask_from_bit(bit.value)}; }
  static digit select(mask m, digit if_set, digit if_clear) {
    return {common::select(m.value, if_set.value, if_clear.value)};
  }
  static digit lookup(const word* row, std::size_t entry_count, digit index) {
    word found = 0;
    for (std::size_t j = 0; j < entry_count; ++j) found |= row[j] & equals(index, j).value;
    return {found};
  }

 private:
  static wide join(word low, word high) { return static_cast<wide>(high) << 64 | low; }
};

}  // namespace
}  // namespace veilsum::kernels
