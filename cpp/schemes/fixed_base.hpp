// Powers of one base modulo m^2 for exponents of a known length, in constant time: a comb (Lim and Lee
// 1994) whose entries are kept in log form.
//
// An entry is E = a (1 + beta m) modulo m^2 with a below 2m, kept as the integer a and as
// c = -beta R^2 modulo m. The c's of all entries of a power just add up, so that only the integers are
// multiplied, two of them for the price of two fifths of a product, before they meet the accumulator.
#pragma once

#include "schemes/dual.hpp"

namespace veilsum::schemes {

class fixed_base {
 public:
  // base: below m^2, a unit; inverse: 1/base modulo m. The same modulus in every lane.
  fixed_base(const dual_modulus& m, view<const word> base, view<const word> inverse,
             std::size_t exponent_bits);

  std::size_t exponent_words() const { return (exponent_bits_ + 63) / 64; }

  // For each of `blocks` (at most kernels::maximum_blocks) dual blocks the power P, up to a logarithm:
  // P = r (1 - (c / R^2) m), with a block c for each in `logarithms`. exponents: exponent_words() words
  // a lane, lane after lane, for `count` lanes; the other lanes take 0. Bits beyond exponent_bits are
  // ignored.
  void power(word* r, word* logarithms, view<const word> exponents, std::size_t count,
             std::size_t blocks) const;

  // The same for one exponent and one block, whose other lanes become 1: all lanes work on it, so that
  // it takes half the time of a block. Where they cannot share out the tables, can_spread says no.
  bool can_spread() const { return m_->lanes() > 1 && tables_ % (2 * m_->lanes()) == 0; }
  void power_one(word* r, word* logarithms, view<const word> exponent) const;

 private:
  // a and c: the first digit of a lane.
  void write_entry(std::size_t table, std::size_t entry, const word* a, const word* c);
  // The window of every table and level, level by level, the highest first.
  secret_words windows_of(view<const word> exponent) const;
  void run_kernel(word* r, word* logarithms, const secret_words& windows, std::size_t blocks,
                  bool spread) const;

  const dual_modulus* m_;
  std::size_t exponent_bits_, window_bits_, columns_, tables_;
  secret_words entries_;  // of kernels::fixed_base
};

}  // namespace veilsum::schemes
