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
  return (digits + kernel.tile - 1) / kernel.tile * kernel.tile;
}

// Looks at the public length alone: the modulus may be secret.
view<const word> checked(view<const word> m) {
  if (m.size == 0 || m.size > montgomery_modulus::maximum_words)
    throw std::invalid_argument("a modulus must have from 1 to 256 words of 64 bits");
  return m;
}

}  // namespace

montgomery_modulus::montgomery_modulus(const kernels::table& kernel, view<const word> m)
    : kernel_(&kernel),
      words_(checked(m).begin(), m.end()),
      digits_(digits_for(kernel, 64 * m.size)),
      lanes_(block_size()),
      inverse_(kernel.lanes),
      one_(block_size()),
      radix_squared_(block_size()),
      radix_cubed_(block_size()),
      unit_(block_size()) {
  const word inverse = extract_bits(secret_words{negative_inverse(m[0])}, 0, kernel.digit_bits);
  for (word& lane : inverse_) lane = inverse;
  set_all_lanes(lanes_.data(), m);
  const std::size_t bits = digits_ * kernel.digit_bits;
  set_all_lanes(one_.data(), power_of_two(bits, m));
  set_all_lanes(radix_squared_.data(), power_of_two(2 * bits, m));
  set_all_lanes(unit_.data(), secret_words{1});
  secret_words scratch(scratch_size());
  multiply(radix_cubed_.data(), radix_squared_.data(), radix_squared_.data(), scratch.data());
  reduce(radix_cubed_.data(), radix_cubed_.data());
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
  return {lanes_.data(), inverse_.data(), digits_};
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

std::size_t window_count(std::size_t bits, std::size_t window_bits) {
  return std::max<std::size_t>(1, (bits + window_bits - 1) / window_bits);
}

void write_windows(word* out, std::size_t stride, view<const word> exponent, std::size_t count,
                   std::size_t window_bits, window_order order) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t place = order == window_order::least_significant_first ? i : count - 1 - i;
    out[place * stride] = extract_bits(exponent, i * window_bits, window_bits);
  }
}

}  // namespace veilsum::schemes
