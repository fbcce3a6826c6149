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
#include "kernels/api.hpp"

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
  // Which entry of a table is wanted.
  struct selector {
    word masks[std::size_t{1} << maximum_fixed_base_bits];
  };
  // Three limbs: 2^64 products of two digits fit.
  struct column {
    word low, middle, high;
  };
  static constexpr std::size_t lanes = 1;
  static constexpr std::size_t digit_bits = 64;
  static constexpr std::size_t tile = 2;
  static constexpr std::size_t fixed_base_bits = 6;
  static constexpr std::size_t lookup_rows = 4;
  static constexpr std::size_t lookup_blocks = 1;

  __extension__ typedef unsigned __int128 wide;

  static digit zero() { return {0}; }
  static column zero_column() { return {0, 0, 0}; }
  static digit load(const word* p) { return {*p}; }
  static digit load_unaligned(const word* p) { return {*p}; }
  static digit broadcast(const word* p) { return {*p}; }
  static digit constant(word x) { return {x}; }
  static void store(word* p, digit x) { *p = x.value; }
  static void store_unaligned(word* p, digit x) { *p = x.value; }
  static void stream(word* p, digit x) { *p = x.value; }
  static void finish_stream() {}

  static void multiply_add(column& t, digit a, digit b) {
#if defined(__x86_64__)
    // Compilers lose the carry flag between the limbs, which doubles the time.
    word low = a.value, high;
    __asm__("mulq %5\n\taddq %%rax, %0\n\tadcq %%rdx, %1\n\tadcq $0, %2"
            : "+r"(t.low), "+r"(t.middle), "+r"(t.high), "+a"(low), "=&d"(high)
            : "r"(b.value)
            : "cc");
#else
    const wide product = static_cast<wide>(a.value) * b.value;
    const wide sum = join(t.low, t.middle) + product;
    t.high += sum < product ? 1 : 0;
    t.low = static_cast<word>(sum);
    t.middle = static_cast<word>(sum >> 64);
#endif
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
  static void add_digit(column& t, digit x) { add_column(t, {x.value, 0, 0}); }
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

  // t = (t - q p) / 2^64 + p with the q that makes the division exact; inverse = 1/p.
  static void divide_exact(column& t, digit inverse, digit p) {
    const word q = t.low * inverse.value;
    const wide rest = join(t.middle, t.high) + p.value - high_word(q, p.value);
    t = {static_cast<word>(rest), static_cast<word>(rest >> 64), 0};
  }
  // y * w / 2^64 modulo p, canonical for any y; companion = w / p.
  static digit multiply_by(digit y, digit w, digit companion, digit p) {
    const word q = y.value * companion.value;
    return {difference_modulo(high_word(y.value, w.value), high_word(q, p.value), p.value)};
  }
  // Of canonical residues.
  static digit add_modulo(digit a, digit b, digit p) {
    return {difference_modulo(a.value, p.value - b.value, p.value)};
  }
  static digit subtract_modulo(digit a, digit b, digit p) {
    return {difference_modulo(a.value, b.value, p.value)};
  }

  static std::size_t count_not_less(digit a, digit b) {
    return 1 - common::is_less(a.value, b.value);
  }

  static mask equals(digit index, word value) {
    return {common::mask_from_bit(1 - common::is_nonzero(index.value ^ value))};
  }
  static mask is_one(digit bit) { return {common::mask_from_bit(bit.value)}; }
  static digit select(mask m, digit if_set, digit if_clear) {
    return {common::select(m.value, if_set.value, if_clear.value)};
  }
  static mask has_top_bit(digit x) { return {common::mask_from_bit(x.value >> 63)}; }

  static void select_index(selector& wanted, digit index, std::size_t entry_count) {
    const word hidden = common::barrier(index.value);
    for (std::size_t j = 0; j < entry_count; ++j)
      wanted.masks[j] = common::is_nonzero(hidden ^ j) - 1;
  }
  // Two entries of a row at a time, in whatever vectors the compiler has; each mask that is loaded
  // serves several rows.
  template <std::size_t Blocks>
  static void look_up(digit (&found)[Blocks][lookup_rows], const word* rows,
                      std::size_t entry_count, const selector* wanted) {
    static_assert(Blocks == 1);
    pair sum[lookup_rows] = {};
    for (std::size_t j = 0; j < entry_count; j += 2) {
      const pair mask = load_pair(wanted->masks + j);
      for (std::size_t i = 0; i < lookup_rows; ++i)
        sum[i] |= load_pair(rows + i * entry_count + j) & mask;
    }
    for (std::size_t i = 0; i < lookup_rows; ++i) found[0][i] = {sum[i][0] | sum[i][1]};
  }

 private:
  typedef word pair __attribute__((vector_size(2 * sizeof(word))));
  static pair load_pair(const word* p) {
    pair x;
    __builtin_memcpy(&x, p, sizeof(x));
    return x;
  }
  static word high_word(word a, word b) {
    return static_cast<word>(static_cast<wide>(a) * b >> 64);
  }
  static word difference_modulo(word a, word b, word p) {
    const wide difference = static_cast<wide>(a) - b;
    return static_cast<word>(difference) +
           (p & common::barrier(static_cast<word>(difference >> 64)));
  }
  static wide join(word low, word high) { return static_cast<wide>(high) << 64 | low; }
};

}  // namespace
}  // namespace veilsum::kernels
