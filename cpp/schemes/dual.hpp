// Numbers modulo m^2 in a kernel's lane memory as dual numbers of numbers as long as m
// (kernels/dual.inl.hpp), in Montgomery form: conversion from and to words, products, powers.
#pragma once

#include "schemes/montgomery.hpp"

namespace veilsum::schemes {

// A "dual block" is one number below m^2 a lane: block_size() words, twice a block of m.
class dual_modulus {
 public:
  // The moduli m, as for montgomery_modulus.
  dual_modulus(const kernels::table& kernel, const std::vector<view<const word>>& moduli);
  dual_modulus(const kernels::table& kernel, view<const word> m);

  const kernels::table& kernel() const { return m_.kernel(); }
  // Arithmetic modulo m itself.
  const montgomery_modulus& half() const { return m_; }
  std::size_t half_size() const { return m_.block_size(); }
  std::size_t block_size() const { return 2 * m_.block_size(); }
  std::size_t word_count() const { return 2 * m_.word_count(); }  // of a number below m^2
  std::size_t lanes() const { return kernel().lanes; }
  std::size_t scratch_size() const { return 2 * block_size(); }
  std::size_t power_scratch_size(std::size_t window_bits) const {
    return ((std::size_t{1} << window_bits) + 2) * block_size();
  }
  view<const word> squared(std::size_t lane = 0) const {
    return view<const word>(squares_).slice(lane % (squares_.size() / word_count()) * word_count(),
                                            word_count());
  }
  const word* one() const { return one_.data(); }

  // Words become dual numbers in two steps. A number of up to `chunks` times m's words is written
  // into its lane of a stage of `chunks` blocks of m; enter turns the stage into Montgomery form.
  void set_lane(word* stage, std::size_t chunks, std::size_t lane, view<const word> x) const;
  void enter(word* r, const word* stage, std::size_t chunks, word* scratch) const;

  // And back: leave makes a dual block whose lanes get_lane reads as canonical words.
  void leave(word* r, const word* x, word* scratch) const;
  void get_lane(view<word> x, const word* left, std::size_t lane) const;

  void multiply(word* r, const word* x, const word* y, word* scratch) const;
  void square(word* r, const word* x, word* scratch) const;
  // r = x / R: out of Montgomery form, a pair whose first half is up to m.
  void strip(word* r, const word* x, word* scratch) const;
  // x times (1 - (c / R^2) m), in place; c is a block below R.
  void apply_logarithm(word* x, const word* c, word* scratch) const;
  // r = base^e for windows as write_windows writes them; scratch: power_scratch_size.
  void power(word* r, const word* base, view<const word> windows, std::size_t window_bits,
             word* scratch) const;

 private:
  montgomery_modulus m_;
  secret_words squares_, one_, shift_, radix_squared_, minus_one_;
};

}  // namespace veilsum::schemes
