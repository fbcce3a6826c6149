#include "schemes/dual.hpp"

#include <algorithm>

#include "common/constant_time.hpp"

namespace veilsum::schemes {
namespace {

// X = low + high m modulo m^2, both halves below m.
struct halves {
  secret_words low, high;
};

// r = 2 r + carry modulo m; returns what the division by m carries.
word double_modulo(secret_words& r, word carry, view<const word> m) {
  secret_words doubled(r.size()), reduced(r.size());
  const word top = add_words(doubled, r, r);
  doubled[0] |= carry;
  const word borrow = subtract_words(reduced, doubled, m);
  const word fits = borrow & (1 - top);
  select_words(r, common::mask_from_bit(fits), doubled, reduced);
  return 1 - fits;
}

// Doubles modulo m^2.
void double_times(halves& x, std::size_t times, view<const word> m) {
  for (std::size_t step = 0; step < times; ++step)
    double_modulo(x.high, double_modulo(x.low, 0, m), m);
}

// Writes low - (b / R) m = low + high m, so b = -high R, into a lane of both halves of a dual block.
void set_constant(const montgomery_modulus& m, word* block, std::size_t lane, const halves& x) {
  secret_words minus_high(m.word_count()), stage(m.block_size()), scratch(m.scratch_size());
  subtract_words(minus_high, m.value(lane), x.high);
  m.set_lane(stage.data(), lane, minus_high);
  m.enter(stage.data(), stage.data(), scratch.data());
  m.reduce(stage.data(), stage.data());
  const std::size_t lanes = m.kernel().lanes;
  m.set_lane(block, lane, x.low);
  for (std::size_t d = lane; d < m.block_size(); d += lanes) block[m.block_size() + d] = stage[d];
}

}  // namespace

dual_modulus::dual_modulus(const kernels::table& kernel, view<const word> m)
    : dual_modulus(kernel, std::vector<view<const word>>{m}) {}

dual_modulus::dual_modulus(const kernels::table& kernel,
                           const std::vector<view<const word>>& moduli)
    : m_(kernel, moduli),
      one_(block_size()),
      shift_(block_size()),
      radix_squared_(block_size()),
      minus_one_(half_size()) {
  const std::size_t bits = m_.digit_count() * kernel.digit_bits, chunk = 64 * m_.word_count();
  for (std::size_t i = 0; i < moduli.size(); ++i) {
    const view<const word> m = moduli[i];
    const secret_words square = product(m, m);
    squares_.insert(squares_.end(), square.begin(), square.end());
    secret_words minus_one(m.size);
    subtract_words(minus_one, m, words{1});
    halves x{secret_words(m.size, 0), secret_words(m.size, 0)};
    x.low[0] = 1;
    const auto reach = [&](secret_words& block, std::size_t times) {
      double_times(x, times, m);
      for (std::size_t lane = i; lane < kernel.lanes; lane += moduli.size())
        set_constant(m_, block.data(), lane, x);
    };
    reach(one_, bits);                    // R
    reach(shift_, chunk);                 // 2^chunk R
    reach(radix_squared_, bits - chunk);  // R^2
    for (std::size_t lane = i; lane < kernel.lanes; lane += moduli.size())
      m_.set_lane(minus_one_.data(), lane, minus_one);
  }
}

void dual_modulus::set_lane(word* stage, std::size_t chunks, std::size_t lane,
                            view<const word> x) const {
  const std::size_t size = m_.word_count();
  for (std::size_t j = 0; j < chunks; ++j) {
    const std::size_t begin = std::min(j * size, x.size), end = std::min(begin + size, x.size);
    m_.set_lane(stage + j * half_size(), lane, x.slice(begin, end - begin));
  }
}

// Horner's rule over the chunks, each an exact integer below R.
void dual_modulus::enter(word* r, const word* stage, std::size_t chunks, word* scratch) const {
  std::copy_n(stage + (chunks - 1) * half_size(), half_size(), r);
  std::fill_n(r + half_size(), half_size(), 0);
  for (std::size_t j = chunks - 1; j-- > 0;) {
    multiply(r, r, shift_.data(), scratch);
    m_.add(r, r, stage + j * half_size());
  }
  multiply(r, r, radix_squared_.data(), scratch);
}

void dual_modulus::strip(word* r, const word* x, word* scratch) const {
  const kernels::modulus m = m_.lane_view();
  kernel().dual_scale(r, x, m_.unit(), &m, scratch);
}

// The second half becomes -b / R.
void dual_modulus::leave(word* r, const word* x, word* scratch) const {
  strip(r, x, scratch);
  m_.multiply(r + half_size(), r + half_size(), minus_one_.data(), scratch);
}

void dual_modulus::get_lane(view<word> x, const word* left, std::size_t lane) const {
  const std::size_t size = m_.word_count();
  // One more word each: a is up to m and b below 2m, so that X is below 3 m^2.
  secret_words low(size + 1), high(size + 1), sum(2 * size + 2), reduced(2 * size + 2);
  m_.get_lane(low, left, lane);
  m_.get_lane(high, left + half_size(), lane);
  multiply_words(sum, high, m_.value(lane));
  add_words(sum, sum, low);
  for (int step = 0; step < 2; ++step) {
    const word borrow = subtract_words(reduced, sum, squared(lane));
    select_words(sum, common::mask_from_bit(borrow), sum, reduced);
  }
  std::copy_n(sum.begin(), x.size, x.begin());
}

void dual_modulus::multiply(word* r, const word* x, const word* y, word* scratch) const {
  const kernels::modulus m = m_.lane_view();
  kernel().dual_multiply(r, x, y, &m, scratch);
}

void dual_modulus::square(word* r, const word* x, word* scratch) const {
  const kernels::modulus m = m_.lane_view();
  kernel().dual_square(r, x, &m, scratch);
}

// (a - (b / R) m) (1 - (c / R^2) m) = a - ((b + a c / R) / R) m.
void dual_modulus::apply_logarithm(word* x, const word* c, word* scratch) const {
  m_.multiply(scratch, x, c, scratch + half_size());
  m_.add(x + half_size(), x + half_size(), scratch);
}

void dual_modulus::power(word* r, const word* base, view<const word> windows,
                         std::size_t window_bits, word* scratch) const {
  const kernels::modulus m = m_.lane_view();
  kernel().dual_power(r, base, one(), windows.data, windows.size / lanes(), window_bits, &m,
                      scratch);
}

}  // namespace veilsum::schemes
