// Moduli and numbers in a kernel's lane memory: sizes, constants, conversion from and to words.
#pragma once

#include <vector>

#include "kernels/api.hpp"
#include "schemes/integer.hpp"

namespace veilsum::schemes {

// Moduli (possibly secret) of the lanes, with what their arithmetic needs: one modulus for all lanes, or
// two that take turns. A "block" is one number a lane: block_size() words.
class montgomery_modulus {
 public:
  // The lanes' lazy carries are proven up to here (tests/cpp/test_checked_lanes.cpp): 16384 bits.
  static constexpr std::size_t maximum_words = 256;

  // m: odd, above 1; throws std::invalid_argument where it has none or more than maximum_words words.
  montgomery_modulus(const kernels::table& kernel, view<const word> m);
  // Lane l has moduli[l % moduli.size()], all of as many words.
  montgomery_modulus(const kernels::table& kernel, const std::vector<view<const word>>& moduli);

  const kernels::table& kernel() const { return *kernel_; }
  std::size_t word_count() const { return word_count_; }
  std::size_t digit_count() const { return digits_; }
  std::size_t block_size() const { return digits_ * kernel_->lanes; }
  view<const word> value(std::size_t lane = 0) const {
    return view<const word>(words_).slice(lane % (words_.size() / word_count_) * word_count_,
                                          word_count_);
  }

  // 1, R mod m and R^2 mod m, each as a block.
  const word* unit() const { return unit_.data(); }
  const word* one() const { return one_.data(); }
  const word* radix_squared() const { return radix_squared_.data(); }

  // Sizes of scratch for the kernel's functions, in words.
  std::size_t scratch_size() const { return 2 * block_size(); }
  std::size_t power_scratch_size(std::size_t window_bits) const {
    return ((std::size_t{1} << window_bits) + 2) * block_size();
  }

  // Writes an integer into one lane of a block, and reads it back. The integer is below R; when read
  // the block's digits are normalised, and words beyond r.size are known to be zero.
  void set_lane(word* block, std::size_t lane, view<const word> a) const;
  void get_lane(view<word> r, const word* block, std::size_t lane) const;
  void set_all_lanes(word* block, view<const word> a) const;

  void multiply(word* r, const word* a, const word* b, word* scratch) const;
  // r = a R: enters Montgomery form (a below R).
  void enter(word* r, const word* a, word* scratch) const;
  // r = a / R, canonical: leaves Montgomery form.
  void leave(word* r, const word* a, word* scratch) const;
  // r = a mod m, canonical, for a < 2m.
  void reduce(word* r, const word* a) const;
  // r = a + b, without reduction.
  void add(word* r, const word* a, const word* b) const;
  kernels::modulus lane_view() const;

 private:
  const kernels::table* kernel_;
  secret_words words_;  // of every modulus, one after the other
  std::size_t word_count_, digits_;
  secret_words lanes_, inverse_, half_radix_multiple_, one_, radix_squared_, unit_;
};

// Fixed windows that cover `bits` bits, at least one.
std::size_t window_count(std::size_t bits, std::size_t window_bits);

// The windows of one lane's exponent, the most significant first, `stride` words apart.
void write_windows(word* out, std::size_t stride, view<const word> exponent, std::size_t count,
                   std::size_t window_bits);

}  // namespace veilsum::schemes
