// The vector algorithms over lanes that carry bounds and secrecy: nothing overflows for any input, no
// secret reaches a branch or an address, and planted faults are caught.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <type_traits>
#include <vector>

#include "kernels/dot.inl.hpp"
#include "kernels/lanes_checked.hpp"
#include "kernels/ntt.inl.hpp"
#include "kernels/power.inl.hpp"
#include "tests/cpp/check.hpp"
#include "tests/cpp/primes.hpp"
#include "tests/cpp/schoolbook.hpp"

namespace veilsum::tests {
namespace {

using kernels::checked_lane;
using checked_words = std::vector<checked_lane::word>;

template <class T>
constexpr bool converts_to_nothing =
    !std::is_convertible_v<T, bool> && !std::is_constructible_v<bool, T> &&
    !std::is_convertible_v<T, std::size_t> && !std::is_constructible_v<std::size_t, T>;
static_assert(converts_to_nothing<checked_lane::digit>);
static_assert(converts_to_nothing<checked_lane::mask>);
static_assert(converts_to_nothing<checked_lane::column>);

// A secret modulus of `size` words in 52-bit digits, in lanes of one tile, with what the algorithms need.
template <class Lane>
struct subject {
  explicit subject(std::size_t size)
      : random(size),
        m(random.modulus(size)),
        count(digits_for(size)),
        single(m, 52 * count),
        dual(m, 52 * count),
        digits(secret(m)),
        inverse(1, checked_lane::make_secret(schemes::negative_inverse(m[0]) &
                                             checked_lane::digit_mask)),
        half_radix_multiple(secret(
            difference(power_of_two(52 * count - 1), schemes::power_of_two(52 * count - 1, m)))) {}

  static std::size_t digits_for(std::size_t size) {
    const std::size_t needed = (64 * size + 16 + 51) / 52;
    return (needed + Lane::tile - 1) / Lane::tile * Lane::tile;
  }
  checked_words secret(view<const word> x) const {
    checked_words r(count);
    for (std::size_t d = 0; d < count; ++d)
      r[d] = checked_lane::make_secret(schemes::extract_bits(x, 52 * d, 52));
    return r;
  }
  // `halves` numbers below m, one behind the other.
  checked_words draw(std::size_t halves) const {
    checked_words r;
    for (std::size_t half = 0; half < halves; ++half)
      for (const checked_lane::digit& d : secret(random.below(m))) r.push_back(d);
    return r;
  }
  secret_words value(const checked_words& x, std::size_t half = 0) const {
    secret_words r(52 * count / 64 + 1, 0);
    for (std::size_t d = 0; d < count; ++d)
      for (std::size_t bit = 0; bit < 52; ++bit)
        r[(52 * d + bit) / 64] |= (checked_lane::declassify(x[half * count + d]) >> bit & 1)
                                  << ((52 * d + bit) % 64);
    return r;
  }
  scaled number(const checked_words& x) const { return {value(x), 0}; }
  scaled dual_number(const checked_words& x) const {
    return dual.dual_number(value(x, 0), value(x, 1));
  }
  kernels::lane_modulus<Lane> view_of_modulus() const {
    return {digits.data(), inverse.data(), half_radix_multiple.data(), count};
  }

  mutable numbers random;
  secret_words m;
  std::size_t count;
  montgomery_schoolbook single;
  dual_schoolbook dual;
  checked_words digits, inverse, half_radix_multiple;
};

void expect_no_fault() {
  CHECK(checked_lane::faults.overflows == 0);
  CHECK(checked_lane::faults.leaks == 0);
  CHECK(checked_lane::faults.operations > 0);
  checked_lane::faults = {};
}

template <class Lane>
void products_stay_within_64_bits(const subject<Lane>& s) {
  const checked_words a = s.draw(1), b = s.draw(1);
  const scaled x = s.number(a), y = s.number(b);
  checked_words r(s.count), q(s.count), twice(s.count);
  kernels::multiply<Lane>(r.data(), a.data(), b.data(), s.view_of_modulus(), q.data());
  CHECK(s.single.same(s.number(r), s.single.montgomery_product(x, y)));
  kernels::square<Lane>(r.data(), a.data(), s.view_of_modulus(), q.data());
  CHECK(s.single.same(s.number(r), s.single.montgomery_product(x, x)));
  kernels::add<Lane>(twice.data(), a.data(), a.data(), s.count);
  kernels::reduce<Lane>(r.data(), twice.data(), s.view_of_modulus());
  CHECK(schemes::equal_vartime(s.value(r), s.single.residue(s.value(twice))));
  expect_no_fault();
}

template <class Lane>
void dual_products_stay_within_64_bits(const subject<Lane>& s) {
  const checked_words a = s.draw(2), b = s.draw(2);
  const scaled x = s.dual_number(a), y = s.dual_number(b);
  checked_words r(2 * s.count), scratch(2 * s.count);
  kernels::dual_multiply<Lane>(r.data(), a.data(), b.data(), s.view_of_modulus(), scratch.data());
  CHECK(s.dual.same(s.dual_number(r), s.dual.montgomery_product(x, y)));
  kernels::dual_square<Lane>(r.data(), a.data(), s.view_of_modulus(), scratch.data());
  CHECK(s.dual.same(s.dual_number(r), s.dual.montgomery_product(x, x)));
  kernels::dual_scale<Lane>(r.data(), a.data(), b.data(), s.view_of_modulus(), scratch.data());
  CHECK(s.dual.same(s.dual_number(r), s.dual.montgomery_product(x, s.number(b))));
  std::printf("%zu bits, tile %zu: largest sum bound 2^%.2f\n", 64 * s.m.size(), Lane::tile,
              std::log2(static_cast<double>(checked_lane::faults.largest_sum)));
  expect_no_fault();
}

// Two windows, 1 and 2 modulo 2^window_bits. Any number stands for 1 here: it is the entry of window 0.
template <class Lane, class Number>
void powers_do_not_reveal_exponents(const subject<Lane>& s, std::size_t window_bits) {
  const bool is_dual = Number::halves == 2;
  const std::size_t size = Number::halves * s.count;
  const word most = (word{1} << window_bits) - 1;
  const checked_words base = s.draw(Number::halves), one = s.draw(Number::halves);
  const checked_words windows{checked_lane::make_secret(1, most),
                              checked_lane::make_secret(2 & most, most)};
  checked_words r(size), scratch(((std::size_t{1} << window_bits) + 2) * size);
  kernels::power<Lane, Number>(r.data(), base.data(), one.data(), windows.data(), 2, window_bits,
                               s.view_of_modulus(), scratch.data());

  const montgomery_schoolbook& book =
      is_dual ? static_cast<const montgomery_schoolbook&>(s.dual) : s.single;
  const auto number = [&](const checked_words& x) {
    return is_dual ? s.dual_number(x) : s.number(x);
  };
  const scaled x = number(base);
  scaled made = x;
  for (std::size_t i = 0; i < window_bits; ++i) made = book.montgomery_product(made, made);
  made =
      book.montgomery_product(made, window_bits == 1 ? number(one) : book.montgomery_product(x, x));
  CHECK(book.same(number(r), made));
  expect_no_fault();
}

// A product of any entries: two levels of two tables.
template <class Lane>
void powers_of_a_fixed_base_do_not_reveal_exponents(const subject<Lane>& s, std::size_t window_bits,
                                                    std::size_t blocks, bool spread = false) {
  constexpr std::size_t tables = 2, levels = 2;
  const std::size_t entry_count = std::size_t{1} << window_bits;
  checked_words entries(tables * 2 * s.count * entry_count);
  std::vector<scaled> values;
  for (std::size_t e = 0; e < tables * entry_count; ++e) {
    const checked_words entry = s.draw(2);  // an integer, and a logarithm
    for (std::size_t d = 0; d < 2 * s.count; ++d)
      entries[(e / entry_count * 2 * s.count + d) * entry_count + e % entry_count] = entry[d];
    const scaled logarithm = s.dual.logarithm(s.value(entry, 1));
    values.push_back({s.dual.times(s.value(entry), logarithm.value), logarithm.power});
  }
  std::vector<std::size_t> chosen;
  checked_words windows;
  for (std::size_t i = 0; i < blocks * levels * tables; ++i) {
    chosen.push_back(s.random.next() % entry_count);
    windows.push_back(checked_lane::make_secret(chosen[i], entry_count - 1));
  }
  checked_words r(blocks * 2 * s.count), logarithms(blocks * s.count);
  checked_words scratch((3 * blocks + 4) * s.count);
  const kernels::comb<Lane> comb{entries.data(), window_bits, tables, levels, spread};
  kernels::fixed_base_power<Lane>(r.data(), logarithms.data(), comb, windows.data(), blocks,
                                  s.view_of_modulus(), scratch.data());
  for (std::size_t b = 0; b < blocks; ++b) {
    const auto pair = [&](std::size_t level) {
      const std::size_t* window = chosen.data() + (b * levels + level) * tables;
      return s.dual.montgomery_product(values[window[0]], values[entry_count + window[1]]);
    };
    const scaled first = pair(0);
    const scaled made = s.dual.montgomery_product(s.dual.montgomery_product(first, first), pair(1));
    const auto at = [&](const checked_words& x, std::size_t block_size) {
      const auto begin = x.begin() + static_cast<std::ptrdiff_t>(b * block_size);
      return checked_words(begin, begin + static_cast<std::ptrdiff_t>(block_size));
    };
    const scaled power = s.dual_number(at(r, 2 * s.count));
    const scaled logarithm = s.dual.logarithm(s.value(at(logarithms, s.count)));
    CHECK(s.dual.same({s.dual.times(power.value, logarithm.value), power.power + logarithm.power},
                      made));
  }
  expect_no_fault();
}

// Halves of up to 8192 bits; 16384 bits are the most that a modulus may have.
template <class Lane>
void everything_is_proven_at_every_size() {
  for (std::size_t size : {2u, 8u, 16u, 24u, 32u, 48u, 64u, 128u, 256u}) {
    const subject<Lane> s(size);
    products_stay_within_64_bits(s);
    dual_products_stay_within_64_bits(s);
    if (size > 128) continue;  // what follows is made of such products
    powers_do_not_reveal_exponents<Lane, kernels::single_number<Lane>>(s, 1);
    powers_do_not_reveal_exponents<Lane, kernels::dual_number<Lane>>(s, 1);
    for (bool spread : {false, true})
      powers_of_a_fixed_base_do_not_reveal_exponents(s, 1, 1, spread);
  }
  const subject<Lane> s(3);
  for (std::size_t bits = 2; bits <= kernels::maximum_window_bits; ++bits) {
    powers_do_not_reveal_exponents<Lane, kernels::single_number<Lane>>(s, bits);
    powers_do_not_reveal_exponents<Lane, kernels::dual_number<Lane>>(s, bits);
  }
  powers_of_a_fixed_base_do_not_reveal_exponents(s, Lane::fixed_base_bits, kernels::maximum_blocks);
  powers_of_a_fixed_base_do_not_reveal_exponents(s, 4, Lane::lookup_blocks + 1);
}

using narrow = kernels::narrow_field<checked_lane>;
using wide = kernels::wide_field<checked_lane>;

template <class Field>
kernels::prime prime_of(word p) {
  const std::size_t radix_bits = std::is_same_v<Field, narrow> ? 52 : 104;
  const secret_words m{p};
  return {p, schemes::negative_inverse(p), schemes::power_of_two(2 * radix_bits, m)[0]};
}

word product_modulo(word a, word b, word p) {
  return static_cast<word>(static_cast<unsigned __int128>(a) * b % p);
}

word power_modulo(word base, word exponent, word p) {
  word r = 1;
  for (; exponent != 0; exponent >>= 1, base = product_modulo(base, base, p))
    if (exponent & 1) r = product_modulo(r, base, p);
  return r;
}

// As a product of matrices: one lane, so that its inner products are whole.
template <class Field>
void inner_products_are_the_same(const Field& field, const checked_words& weights,
                                 const checked_words& values, const checked_words& expected) {
  const std::size_t rows = expected.size();
  checked_words out(rows);
  const checked_lane::word* vector = values.data();
  std::vector<const checked_lane::word*> pointers;
  for (std::size_t i = 0; i < rows; ++i) pointers.push_back(weights.data() + i * values.size());
  kernels::field_dot(out.data(), pointers.data(), rows, &vector, 1, values.size(), field);
  for (std::size_t i = 0; i < rows; ++i)
    CHECK(checked_lane::declassify(out[i]) == checked_lane::declassify(expected[i]));
}

// Bounds are those of the largest residues, values the largest or a few random ones.
template <class Field>
void field_sums_stay_within_64_bits_up_to_the_most_terms(word p) {
  const Field field(prime_of<Field>(p));
  numbers random(p);
  const secret_words m{p};
  const word unscale = schemes::power_of_two(104, m)[0];
  for (const bool largest : {true, false}) {
    constexpr std::size_t terms = kernels::maximum_field_terms, rows = 5;
    checked_words weights(rows * terms), values(terms), out(rows);
    for (checked_words* x : {&weights, &values})
      for (checked_lane::digit& d : *x)
        d = checked_lane::make_secret(largest ? p - 1 : random.next() % p, p - 1);
    std::vector<checked_lane::word*> out_rows;
    std::vector<const checked_lane::word*> value_rows;
    for (checked_lane::word& x : out) out_rows.push_back(&x);
    for (const checked_lane::word& x : values) value_rows.push_back(&x);
    kernels::field_matmul(out_rows.data(), weights.data(), rows, terms, value_rows.data(), 1, field,
                          true);
    for (std::size_t i = 0; i < rows; ++i) {
      word sum = 0;
      for (std::size_t k = 0; k < terms; ++k)
        sum = static_cast<word>((static_cast<unsigned __int128>(sum) +
                                 product_modulo(checked_lane::declassify(weights[i * terms + k]),
                                                checked_lane::declassify(values[k]), p)) %
                                p);
      CHECK(product_modulo(checked_lane::declassify(out[i]), unscale, p) == sum);
      CHECK(checked_lane::bound(out[i]) == p - 1);
    }
    inner_products_are_the_same(field, weights, values, out);
  }
  expect_no_fault();
}

template <class Field>
void field_products_are_canonical(word p) {
  const Field field(prime_of<Field>(p));
  const word values[] = {0, 1, 2, p / 2, p - 2, p - 1};
  for (word a : values)
    for (word b : values) {
      const checked_words x{checked_lane::make_secret(a, p - 1)};
      const checked_words y{checked_lane::make_secret(b, p - 1)};
      checked_words r(1);
      kernels::field_multiply(r.data(), x.data(), y.data(), 1, field);
      CHECK(checked_lane::declassify(r[0]) == product_modulo(a, b, p));
      CHECK(checked_lane::bound(r[0]) == p - 1);
    }
  expect_no_fault();
}

// A bound that holds at the end of three lengths, with any number of levels made two at a time, holds at
// all. The roots are of no order: bounds do not depend on them, and what the inverse takes back neither.
template <class Field>
void transforms_stay_within_their_bounds(word p) {
  const Field field(prime_of<Field>(p));
  constexpr bool is_narrow = std::is_same_v<Field, narrow>;
  const std::size_t digits = is_narrow ? 1 : 2;
  const secret_words m{p};
  const word inverse = 0 - schemes::negative_inverse(p);
  const word radix = schemes::power_of_two(52 * digits, m)[0];
  numbers random(p);
  const auto value_of = [&](word w) {
    return checked_lane::make_public(product_modulo(w, radix, p), p - 1);
  };
  for (std::size_t n : {2u, 8u, 64u, 4096u}) {
    checked_words values, inverses, companions, inverse_companions, a, before;
    for (std::size_t i = 0; i < std::max<std::size_t>(n / 2, 1); ++i) {
      const word w = i == 0 ? 1 : 1 + random.next() % (p - 1);
      values.push_back(value_of(w));
      inverses.push_back(value_of(power_modulo(w, p - 2, p)));
    }
    const auto companion = [&](const checked_lane::digit& value) {
      return checked_lane::make_public(checked_lane::declassify(value) * inverse &
                                       checked_lane::digit_mask);
    };
    std::transform(values.begin(), values.end(), std::back_inserter(companions), companion);
    std::transform(inverses.begin(), inverses.end(), std::back_inserter(inverse_companions),
                   companion);
    for (std::size_t i = 0; i < n; ++i)
      a.push_back(checked_lane::make_secret(random.next() % p, p - 1));
    before = a;
    kernels::transform<Field>(a.data(), n, 1, {values.data(), companions.data()}, field);
    for (const checked_lane::digit& x : a) CHECK(checked_lane::bound(x) == p - 1);
    const checked_lane::digit scale = value_of(power_modulo(n % p, p - 2, p));
    const checked_lane::digit scale_companion = companion(scale);
    kernels::inverse_transform<Field>(a.data(), n, 1, {inverses.data(), inverse_companions.data()},
                                      Field::broadcast(&scale, &scale_companion), field);
    for (std::size_t i = 0; i < n; ++i) {
      CHECK(checked_lane::declassify(a[i]) == checked_lane::declassify(before[i]));
      CHECK(checked_lane::bound(a[i]) == p - 1);
    }
  }
  expect_no_fault();
}

// One bit more than a narrow field may have: sums of 4p no longer fit the digit.
void planted_prime_without_room_for_sums_is_caught() {
  const word p = (word{1} << 51) - 129;
  const narrow field(prime_of<narrow>(p));
  checked_words a(4, checked_lane::make_secret(p - 1, p - 1));
  const checked_words roots(2, checked_lane::make_public(1, p - 1));
  kernels::transform<narrow>(a.data(), 4, 1, {roots.data(), roots.data()}, field);
  CHECK(checked_lane::faults.overflows > 0);
  checked_lane::faults = {};
}

template <class Field>
void everything_is_proven_modulo(word p) {
  field_sums_stay_within_64_bits_up_to_the_most_terms<Field>(p);
  field_products_are_canonical<Field>(p);
  transforms_stay_within_their_bounds<Field>(p);
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
  const subject<checked_lane> s(2);
  checked_words x = s.draw(1), r(s.count);
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
  everything_is_proven_at_every_size<veilsum::kernels::checked_lane_of<4>>();
  everything_is_proven_at_every_size<veilsum::kernels::checked_lane_of<5>>();
  for (veilsum::schemes::word p : narrow_primes) everything_is_proven_modulo<narrow>(p);
  for (veilsum::schemes::word p : wide_primes) everything_is_proven_modulo<wide>(p);
  planted_overflow_is_caught();
  planted_unnormalised_factor_is_caught();
  planted_sum_that_is_not_reduced_is_caught();
  planted_prime_that_fills_the_digit_is_caught();
  planted_prime_without_room_for_sums_is_caught();
  planted_branch_on_a_carry_is_caught();
  planted_secret_index_is_caught();
  return finish("test_checked_lanes");
}
