#include "schemes/montgomery.hpp"

#include <algorithm>
#include <stdexcept>

namespace veilsum::schemes {
namespace {

// R >= 2^16 * m keeps results below 2m without a final subtraction (kernels/api.hpp).
constexpr std::size_t spare_bits = 16;

// The modulus may be a secret square; its length is public, so whole words of length are counted.
std::size_t digits_for(const kernels::table& kernel, std::size_t bits) {
  const std::size_t digits = (bits + spare_bits + kernel.digit_bits - 1) / kernel.digit_bits;
  const auto rounded = [&](std::size_t tile) { return (digits + tile - 1) / tile * tile; };
  return std::min(rounded(kernel.tiles[0]), rounded(kernel.tiles[1]));
}

// Looks at the public length alone: the modulus may be secret.
view<const word> checked(view<const word> m) {
  if (m.size == 0 || m.size > montgomery_modulus::maximum_words)
    throw std::invalid_argument("a modulus must have from 1 to 256 words of 64 bits");
  return m;
}

// The largest multiple of m up to 2^exponent.
secret_words multiple_below_power_of_two(std::size_t exponent, view<const word> m) {
  secret_words r(exponent / 64 + 1, 0);
  r[exponent / 64] = word{1} << (exponent % 64);
  subtract_words(r, r, power_of_two(exponent, m));
  return r;
}

}  // namespace

montgomery_modulus::montgomery_modulus(const kernels::table& kernel, view<const word> m)
    : montgomery_modulus(kernel, std::vector<view<const word>>{m}) {}

montgomery_modulus::montgomery_modulus(const kernels::table& kernel,
                                       const std::vector<view<const word>>& moduli)
    : kernel_(&kernel),
      word_count_(checked(moduli[0]).size),
      digits_(digits_for(kernel, 64 * word_count_)),
      lanes_(block_size()),
      inverse_(kernel.lanes),
      half_radix_multiple_(block_size()),
      one_(block_size()),
      radix_squared_(block_size()),
      unit_(block_size()) {
  const std::size_t bits = digits_ * kernel.digit_bits;
  for (std::size_t i = 0; i < moduli.size(); ++i) {
    const view<const word> m = moduli[i];
    words_.insert(words_.end(), m.begin(), m.end());
    const word inverse = extract_bits(secret_words{negative_inverse(m[0])}, 0, kernel.digit_bits);
    const secret_words one = power_of_two(bits, m), radix_squared = power_of_two(2 * bits, m);
    const secret_words half_radix_multiple = multiple_below_power_of_two(bits - 1, m);
    for (std::size_t lane = i; lane < kernel.lanes; lane += moduli.size()) {
      inverse_[lane] = inverse;
      set_lane(lanes_.data(), lane, m);
      set_lane(half_radix_multiple_.data(), lane, half_radix_multiple);
      set_lane(one_.data(), lane, one);
      set_lane(radix_squared_.data(), lane, radix_squared);
      set_lane(unit_.data(), lane, secret_words{1});
    }
  }
}

void montgomery_modulus::set_lane(word* block, std::size_t lane, view<const word> a) const {
  for (std::size_t d = 0; d < digits_; ++d)
    block[d * kernel_->lanes + lane] =
        extract_bits(a, d * kernel_->digit_bits, kernel_->digit_bits);
}

void montgomery_modulus::get_lane(view<word> r, const word* block, std::size_t lane) const {
  for (word& w : r) w = 0;
  for (std::size_t d = 0; d < digits_; ++d) {
    const word digit = block[d * kernel_->lanes + lane];
    const std::size_t i = d * kernel_->digit_bits / 64, shift = d * kernel_->digit_bits % 64;
    if (i < r.size) r[i] |= digit << shift;
    if (shift + kernel_->digit_bits > 64 && i + 1 < r.size) r[i + 1] |= digit >> (64 - shift);
  }
}

void montgomery_modulus::set_all_lanes(word* block, view<const word> a) const {
  for (std::size_t lane = 0; lane < kernel_->lanes; ++lane) set_lane(block, lane, a);
}

kernels::modulus montgomery_modulus::lane_view() const {
  return {lanes_.data(), inverse_.data(), half_radix_multiple_.data(), digits_};
}

void montgomery_modulus::multiply(word* r, const word* a, const word* b, word* scratch) const {
  const kernels::modulus m = lane_view();
  kernel_->multiply(r, a, b, &m, scratch);
}

void montgomery_modulus::enter(word* r, const word* a, word* scratch) const {
  multiply(r, a, radix_squared_.data(), scratch);
}

void montgomery_modulus::leave(word* r, const word* a, word* scratch) const {
  multiply(r, a, unit_.data(), scratch);
  reduce(r, r);
}

void montgomery_modulus::reduce(word* r, const word* a) const {
  const kernels::modulus m = lane_view();
  kernel_->reduce(r, a, &m);
}

void montgomery_modulus::add(word* r, const word* a, const word* b) const {
  kernel_->add(r, a, b, digits_);
}

std::size_t window_count(std::size_t bits, std::size_t window_bits) {
  return std::max<std::size_t>(1, (bits + window_bits - 1) / window_bits);
}

void write_windows(word* out, std::size_t stride, view<const word> exponent, std::size_t count,
                   std::size_t window_bits) {
  for (std::size_t i = 0; i < count; ++i)
    out[(count - 1 - i) * stride] = extract_bits(exponent, i * window_bits, window_bits);
}

}  // namespace veilsum::schemes
