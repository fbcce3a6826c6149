// Moduli and numbers in a kernel's lane memory: sizes, constants, conversion from and to words.
#pragma once

#include "kernels/api.hpp"
#include "schemes/integer.hpp"

namespace veilsum::schemes {

// A modulus (possibly secret), the same in every lane, with what its arithmetic needs.
// A "block" is one number a lane: block_size() words.
class montgomery_modulus {
 public:
  // The lanes' lazy carries are proven up to here (tests/cpp/test_checked_lanes.cpp): 16384 bits, the
  // square of the longest modulus.
  static constexpr std::size_t maximum_words = 256;

  // m: odd, above 1; throws std::invalid_argument where it has none or more than maximum_words words.
  montgomery_modulus(const kernels::table& kernel, view<const word> m);

  const kernels::table& kernel() const { return *kernel_; }
  std::size_t word_count() const { return words_.size(); }
  std::size_t digit_count() const { return digits_; }
  std::size_t block_size() const { return digits_ * kernel_->lanes; }
  view<const word> value() const { return words_; }

  // R mod m, R^2 mod m and R^3 mod m, each as a block with equal lanes.
  const word* one() const { return one_.data(); }
  const word* radix_squared() const { return radix_squared_.data(); }
  const word* radix_cubed() const { return radix_cubed_.data(); }

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
  void reduce(word* r, const word* a) const;
  kernels::modulus lane_view() const;

 private:
  const kernels::table* kernel_;
  secret_words words_;
  std::size_t digits_;
  secret_words lanes_, inverse_, one_, radix_squared_, radix_cubed_, unit_;
};

// Fixed windows that cover `bits` bits, at least one.
std::size_t window_count(std::size_t bits, std::size_t window_bits);

enum class window_order { least_significant_first, most_significant_first };

// The windows of one lane's exponent, `stride` words apart: the kernel's power takes the most
// significant first; fixed_base takes the order of its table.
void write_windows(word* out, std::size_t stride, view<const word> exponent, std::size_t count,
                   std::size_t window_bits, window_order order);

}  // namespace veilsum::schemes
