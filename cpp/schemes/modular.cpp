#include "schemes/modular.hpp"

#include <algorithm>

#include "common/constant_time.hpp"
#include "schemes/parallel.hpp"

namespace veilsum::schemes {
namespace {

constexpr std::size_t window_bits = 5;

// One exponent for all lanes of a kernel.
class shared_exponent {
 public:
  shared_exponent(const kernels::table& kernel, view<const word> exponent)
      : count_(window_count(64 * exponent.size, window_bits)), windows_(count_ * kernel.lanes) {
    for (std::size_t l = 0; l < kernel.lanes; ++l)
      write_windows(windows_.data() + l, kernel.lanes, exponent, count_, window_bits);
  }

  // x = x^exponent, out of Montgomery form; scratch: m.power_scratch_size(window_bits) words.
  void raise(word* x, const montgomery_modulus& m, word* scratch) const {
    const kernels::modulus lanes = m.lane_view();
    const secret_words base(x, x + m.block_size());
    m.kernel().power(x, base.data(), m.one(), windows_.data(), count_, window_bits, &lanes,
                     scratch);
    m.leave(x, x, scratch);
  }

 private:
  std::size_t count_;
  secret_words windows_;
};

std::size_t block_count(const kernels::table& kernel, std::size_t rows) {
  return (rows + kernel.lanes - 1) / kernel.lanes;
}

}  // namespace

void powers(view<word> rows, const montgomery_modulus& m, view<const word> exponent,
            std::size_t threads) {
  const std::size_t lanes = m.kernel().lanes, width = m.word_count(), count = rows.size / width;
  const shared_exponent windows(m.kernel(), exponent);
  parallel_for(block_count(m.kernel(), count), 1, threads, [&](std::size_t begin, std::size_t end) {
    secret_words x(m.block_size()), scratch(m.power_scratch_size(window_bits));
    for (std::size_t b = begin; b < end; ++b) {
      const std::size_t first = b * lanes, used = std::min(lanes, count - first);
      for (std::size_t l = 0; l < used; ++l)
        m.set_lane(x.data(), l, rows.slice((first + l) * width, width));
      m.enter(x.data(), x.data(), scratch.data());
      windows.raise(x.data(), m, scratch.data());
      for (std::size_t l = 0; l < used; ++l)
        m.get_lane(rows.slice((first + l) * width, width), x.data(), l);
    }
  });
}

// ---- Remainders

prime_pair::half::half(const kernels::table& kernel, view<const word> prime)
    : modulus(kernel, prime), high_factor(modulus.block_size()) {
  const std::size_t radix_bits = modulus.digit_count() * kernel.digit_bits;
  modulus.set_all_lanes(high_factor.data(), power_of_two(64 * prime.size + 2 * radix_bits, prime));
}

void prime_pair::half::enter(word* r, view<const word> rows, std::size_t width,
                             word* scratch) const {
  const std::size_t low_words = modulus.word_count();
  secret_words low(modulus.block_size(), 0), high(modulus.block_size(), 0);
  for (std::size_t l = 0; l < rows.size / width; ++l) {
    modulus.set_lane(low.data(), l, rows.slice(l * width, low_words));
    modulus.set_lane(high.data(), l, rows.slice(l * width + low_words, width - low_words));
  }
  // row = low + 2^(64 low_words) high, so row R = low R^2 / R + high (2^(64 low_words) R^2) / R.
  modulus.enter(low.data(), low.data(), scratch);
  modulus.multiply(high.data(), high.data(), high_factor.data(), scratch);
  modulus.kernel().add(r, low.data(), high.data(), modulus.digit_count());
}

prime_pair::prime_pair(const kernels::table& kernel, view<const word> p, view<const word> q,
                       view<const word> q_inverse)
    : p_(kernel, p), q_(kernel, q), q_inverse_block_(p_.modulus.block_size()) {
  secret_words scratch(p_.modulus.scratch_size());
  p_.modulus.set_all_lanes(q_inverse_block_.data(), q_inverse);
  p_.modulus.enter(q_inverse_block_.data(), q_inverse_block_.data(), scratch.data());
}

void prime_pair::combine(view<word> rows, std::size_t width, word* x_p, const word* x_q,
                         word* scratch) const {
  const view<const word> p = p_.modulus.value(), q = q_.modulus.value();
  const std::size_t count = rows.size / width;
  secret_words remainders(count * q.size), difference(p.size + 1), quotient(p.size);
  for (std::size_t l = 0; l < count; ++l) {
    const view<word> remainder = view<word>(remainders).slice(l * q.size, q.size);
    q_.modulus.get_lane(remainder, x_q, l);
    p_.modulus.get_lane(difference, x_p, l);
    // x_p - x_q + 2 p is positive, because primes of equal length are less than a factor 2 apart.
    add_words(difference, difference, p);
    add_words(difference, difference, p);
    subtract_words(difference, difference, remainder);
    p_.modulus.set_lane(x_p, l, difference);
  }
  p_.modulus.multiply(x_p, x_p, q_inverse_block_.data(), scratch);
  p_.modulus.reduce(x_p, x_p);
  for (std::size_t l = 0; l < count; ++l) {
    const view<word> row = rows.slice(l * width, width);
    p_.modulus.get_lane(quotient, x_p, l);
    multiply_words(row, quotient, q);
    add_words(row, row, view<word>(remainders).slice(l * q.size, q.size));
  }
}

void prime_pair::powers(view<word> rows, std::size_t width, view<const word> exponent_p,
                        view<const word> exponent_q, std::size_t threads) const {
  const kernels::table& kernel = p_.modulus.kernel();
  const shared_exponent windows_p(kernel, exponent_p), windows_q(kernel, exponent_q);
  const std::size_t count = rows.size / width;
  parallel_for(block_count(kernel, count), 1, threads, [&](std::size_t begin, std::size_t end) {
    secret_words x_p(p_.modulus.block_size()), x_q(q_.modulus.block_size());
    secret_words scratch(p_.modulus.power_scratch_size(window_bits));
    for (std::size_t b = begin; b < end; ++b) {
      const std::size_t first = b * kernel.lanes, used = std::min(kernel.lanes, count - first);
      const view<word> block = rows.slice(first * width, used * width);
      p_.enter(x_p.data(), block, width, scratch.data());
      q_.enter(x_q.data(), block, width, scratch.data());
      windows_p.raise(x_p.data(), p_.modulus, scratch.data());
      windows_q.raise(x_q.data(), q_.modulus, scratch.data());
      combine(block, width, x_p.data(), x_q.data(), scratch.data());
    }
  });
}

// ---- Sums of secrets

void add_weighted(view<word> sum, view<const word> rows, std::size_t limbs, bool is_signed,
                  view<const word> weights, std::size_t weight_words) {
  secret_words term(sum.size), extended(sum.size);
  for (std::size_t i = 0; i * limbs < rows.size; ++i) {
    const view<const word> row = rows.slice(i * limbs, limbs);
    const word sign = is_signed ? common::mask_from_bit(row[limbs - 1] >> 63) : 0;
    std::fill(extended.begin(), extended.end(), sign);
    std::copy_n(row.begin(), std::min(limbs, extended.size()), extended.begin());
    multiply_words(term, weights.slice(i * weight_words, weight_words), extended);
    add_words(sum, sum, term);
  }
}

void centred_residue(view<word> r, view<const word> a, view<const word> m) {
  secret_words doubled(m.size), reduced(m.size);
  // Horner's rule from the sign bit, whose weight is negative, downwards; r stays below m.
  const word sign = common::mask_from_bit(a[a.size - 1] >> 63);
  subtract_words(reduced, m, words{1});
  for (std::size_t i = 0; i < m.size; ++i) r[i] = reduced[i] & sign;
  for (std::size_t bit = 64 * a.size - 1; bit-- > 0;) {
    const word carry = add_words(doubled, r, r);
    doubled[0] |= extract_bits(a, bit, 1);
    const word borrow = subtract_words(reduced, doubled, m);
    select_words(r, common::mask_from_bit(borrow & (1 - carry)), doubled, reduced);
  }
  subtract_words(reduced, m, r);
  const word upper = less_mask(reduced, r);
  subtract_words(reduced, r, m);
  select_words(r, upper, reduced, r);
}

}  // namespace veilsum::schemes
