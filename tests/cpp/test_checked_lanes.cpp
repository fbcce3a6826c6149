// The vector algorithms over lanes that carry bounds and secrecy: nothing overflows for any input, no
// secret reaches a branch or an address, and planted faults are caught.
#include "kernels/field.inl.hpp"
#include "kernels/lanes_checked.hpp"
#include "kernels/montgomery.inl.hpp"
#include "schemes/montgomery.hpp"
#include "tests/cpp/check.hpp"

#include <cmath>
#include <type_traits>
#include <vector>

namespace veilsum::tests {
namespace {

using kernels::checked_lane;
using schemes::secret_words;
using schemes::word;
using checked_words = std::vector<checked_lane::word>;

template <class T>
constexpr bool converts_to_nothing =
    !std::is_convertible_v<T, bool> && !std::is_constructible_v<bool, T> &&
    !std::is_convertible_v<T, std::size_t> && !std::is_constructible_v<std::size_t, T>;
static_assert(converts_to_nothing<checked_lane::digit>);
static_assert(converts_to_nothing<checked_lane::mask>);
static_assert(converts_to_nothing<checked_lane::column>);

// A modulus of `size` words in 52-bit digits, secret, with what the algorithms need.
struct subject {
  subject(std::size_t size, std::uint64_t seed)
      : random(seed),
        m(random.modulus(size)),
        count(((64 * size + 16 + 51) / 52 + 3) / 4 * 4),
        digits(secret(m)),
        inverse{
            checked_lane::make_secret(schemes::negative_inverse(m[0]) & checked_lane::digit_mask)},
        one(secret(schemes::power_of_two(52 * count, m))),
        square(secret(schemes::power_of_two(104 * count, m))) {}

  checked_words secret(schemes::view<const word> x) const {
    checked_words r(count);
    for (std::size_t d = 0; d < count; ++d)
      r[d] = checked_lane::make_secret(schemes::extract_bits(x, 52 * d, 52));
    return r;
  }
  secret_words value(const checked_words& x) const {
    secret_words r(m.size(), 0);
    for (std::size_t d = 0; d < count; ++d)
      for (std::size_t bit = 0; bit < 52 && 52 * d + bit < 64 * m.size(); ++bit)
        r[(52 * d + bit) / 64] |= (checked_lane::declassify(x[d]) >> bit & 1)
                                  << ((52 * d + bit) % 64);
    return r;
  }
  kernels::lane_modulus<checked_lane> view() const {
    return {digits.data(), inverse.data(), count};
  }
  checked_words multiply(const checked_words& a, const checked_words& b) const {
    checked_words r(count), q(count);
    kernels::multiply<checked_lane>(r.data(), a.data(), b.data(), view(), q.data());
    return r;
  }
  secret_words leave(const checked_words& a) const {
    checked_words r = multiply(a, secret(secret_words{1}));
    kernels::reduce<checked_lane>(r.data(), r.data(), view());
    return value(r);
  }

  mutable numbers random;
  secret_words m;
  std::size_t count;
  checked_words digits, inverse, one, square;
};

secret_words square_by_portable_kernel(const secret_words& a, const secret_words& m) {
  const schemes::montgomery_modulus modulus(kernels::portable, m);
  secret_words x(modulus.block_size()), scratch(modulus.scratch_size()), r(m.size());
  modulus.set_lane(x.data(), 0, a);
  modulus.multiply(x.data(), x.data(), modulus.radix_squared(), scratch.data());
  modulus.multiply(x.data(), x.data(), x.data(), scratch.data());
  modulus.leave(x.data(), x.data(), scratch.data());
  modulus.get_lane(r, x.data(), 0);
  return r;
}

void expect_no_fault() {
  CHECK(checked_lane::faults.overflows == 0);
  CHECK(checked_lane::faults.leaks == 0);
  CHECK(checked_lane::faults.operations > 0);
  checked_lane::faults = {};
}

// 8192 bits is n^2 of the longest key that kernels are sized for; 16384 that of 8192-bit keys.
void products_stay_within_64_bits_at_every_size() {
  for (std::size_t size : {2u, 16u, 32u, 64u, 96u, 128u, 256u}) {
    const subject s(size, size);
    const secret_words a = s.random.below(s.m);
    const checked_words x = s.multiply(s.secret(a), s.square);
    checked_words squared(s.count), q(s.count);
    kernels::square<checked_lane>(squared.data(), x.data(), s.view(), q.data());
    CHECK(s.leave(squared) == square_by_portable_kernel(a, s.m));
    CHECK(s.leave(s.multiply(x, x)) == square_by_portable_kernel(a, s.m));
    checked_words sum(s.count);
    kernels::add<checked_lane>(sum.data(), x.data(), x.data(), s.count);
    std::printf("%zu bits: largest sum bound 2^%.2f\n", 64 * size,
                std::log2(static_cast<double>(checked_lane::faults.largest_sum)));
    expect_no_fault();
  }
}

void exponentiations_do_not_reveal_exponents() {
  const subject s(4, 9);
  const secret_words a = s.random.below(s.m);
  const checked_words base = s.multiply(s.secret(a), s.square);
  // Exponent 2 = windows 0, 2 of 4 bits.
  const checked_words windows{checked_lane::make_secret(0, 15), checked_lane::make_secret(2, 15)};
  checked_words r(s.count), scratch(18 * s.count);
  kernels::power<checked_lane>(r.data(), base.data(), s.one.data(), windows.data(), 2, 4, s.view(),
                               scratch.data());
  CHECK(s.leave(r) == square_by_portable_kernel(a, s.m));

  // Two windows of one bit over the table {1, a}, {1, a}: entries in digit-major order.
  checked_words entries(2 * s.count * 2), product(s.count), fixed_scratch(2 * s.count);
  checked_words canonical = base;
  kernels::reduce<checked_lane>(canonical.data(), canonical.data(), s.view());
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t d = 0; d < s.count; ++d) {
      entries[(i * s.count + d) * 2] = s.one[d];
      entries[(i * s.count + d) * 2 + 1] = canonical[d];
    }
  const checked_words ones(2, checked_lane::make_secret(1, 1));
  kernels::fixed_base<checked_lane>(product.data(), entries.data(), ones.data(), 2, 1, 1, s.view(),
                                    fixed_scratch.data());
  CHECK(s.leave(product) == square_by_portable_kernel(a, s.m));
  expect_no_fault();
}

void field_sums_stay_within_64_bits_up_to_the_most_terms() {
  const word p = (word{1} << 51) - 129;  // odd and as large as a lane's field may be
  const auto residue = [&] { return checked_lane::make_secret(p - 1, p - 1); };
  const checked_words weights(kernels::maximum_field_terms, residue());
  const checked_words values(kernels::maximum_field_terms, residue());
  checked_words out(1);
  const secret_words inverse{schemes::negative_inverse(p)};
  const kernels::lane_prime<checked_lane> prime{
      checked_lane::make_public(p, p),
      checked_lane::make_public(schemes::extract_bits(inverse, 0, 52))};
  kernels::field_matmul<checked_lane>(out.data(), 1, weights.data(), 1, weights.size(),
                                      values.data(), 1, 1, prime);
  // (p-1)^2 * terms / R^2 = terms / R^2 modulo p.
  const secret_words modulus{p};
  unsigned __int128 back = checked_lane::declassify(out[0]);
  back = back * schemes::power_of_two(104, modulus)[0] % p;
  CHECK(back == kernels::maximum_field_terms);
  expect_no_fault();
}

void planted_overflow_is_caught() {
  checked_lane::column t = checked_lane::zero_column();
  const checked_lane::digit largest = checked_lane::make_secret(checked_lane::digit_mask);
  for (int i = 0; i < 5000; ++i) checked_lane::multiply_add(t, largest, largest);
  CHECK(checked_lane::faults.overflows > 0);
  checked_lane::faults = {};
}

void planted_unnormalised_factor_is_caught() {
  checked_lane::column t = checked_lane::zero_column();
  checked_lane::multiply_add(t, checked_lane::make_secret(3, word{1} << 53),
                             checked_lane::make_secret(1));
  CHECK(checked_lane::faults.overflows > 0);
  checked_lane::faults = {};
}

void planted_sum_that_is_not_reduced_is_caught() {
  checked_lane::column t = checked_lane::zero_column();
  const checked_lane::digit largest = checked_lane::make_secret(checked_lane::digit_mask);
  for (int i = 0; i < 3000; ++i) checked_lane::multiply_add(t, largest, largest);
  CHECK(checked_lane::faults.overflows == 0);
  checked_lane::subtract_once(t, checked_lane::make_public((word{1} << 50) - 27));
  CHECK(checked_lane::faults.overflows > 0);
  checked_lane::faults = {};
}

void planted_prime_that_fills_the_digit_is_caught() {
  checked_lane::column t = checked_lane::zero_column();
  const word p = (word{1} << 52) - 47;
  checked_lane::subtract_once(t, checked_lane::make_public(p, p));
  CHECK(checked_lane::faults.overflows > 0);
  checked_lane::faults = {};
}

// The final subtraction of textbook Montgomery, skipped where it is not needed: a timing leak.
void planted_branch_on_a_carry_is_caught() {
  const subject s(2, 11);
  checked_words x = s.multiply(s.square, s.square), r(s.count);
  checked_lane::digit borrow = checked_lane::zero();
  for (std::size_t d = 0; d < s.count; ++d)
    r[d] = checked_lane::subtract_with_borrow(x[d], s.digits[d], borrow);
  CHECK(checked_lane::faults.leaks == 0);
  if (checked_lane::reveal(borrow) == 0) x = r;
  CHECK(checked_lane::faults.leaks == 1);
  checked_lane::faults = {};
}

void planted_secret_index_is_caught() {
  const checked_words table(4, checked_lane::make_public(7));
  const checked_lane::digit index = checked_lane::make_secret(2, 3);
  CHECK(checked_lane::declassify(table[checked_lane::reveal(index)]) == 7);
  CHECK(checked_lane::faults.leaks == 1);
  checked_lane::faults = {};
}

}  // namespace
}  // namespace veilsum::tests

int main() {
  using namespace veilsum::tests;
  products_stay_within_64_bits_at_every_size();
  exponentiations_do_not_reveal_exponents();
  field_sums_stay_within_64_bits_up_to_the_most_terms();
  planted_overflow_is_caught();
  planted_unnormalised_factor_is_caught();
  planted_sum_that_is_not_reduced_is_caught();
  planted_prime_that_fills_the_digit_is_caught();
  planted_branch_on_a_carry_is_caught();
  planted_secret_index_is_caught();
  return finish("test_checked_lanes");
}
