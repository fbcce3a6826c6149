// Numbers modulo m^2 as dual numbers, on every kernel of this machine against schoolbook arithmetic:
// products, squares, scalings, powers, and powers of a fixed base.
#include <algorithm>
#include <memory>
#include <vector>

#include "kernels/dispatch.hpp"
#include "schemes/dual.hpp"
#include "schemes/fixed_base.hpp"
#include "tests/cpp/check.hpp"
#include "tests/cpp/schoolbook.hpp"

namespace veilsum::tests {
namespace {

using schemes::dual_modulus;
using schemes::fixed_base;

std::size_t radix_bits(const dual_modulus& m) {
  return m.half().digit_count() * m.kernel().digit_bits;
}

// One dual number a lane.
struct dual_lanes {
  explicit dual_lanes(const dual_modulus& modulus)
      : m(modulus),
        stage(modulus.block_size()),
        block(modulus.block_size()),
        scratch(modulus.scratch_size()) {}

  void set(std::size_t lane, const secret_words& x) { m.set_lane(stage.data(), 2, lane, x); }
  void enter() { m.enter(block.data(), stage.data(), 2, scratch.data()); }
  void leave() { m.leave(block.data(), block.data(), scratch.data()); }
  secret_words get(std::size_t lane) const {
    secret_words x(m.word_count());
    m.get_lane(x, block.data(), lane);
    return x;
  }
  // A half as it stands: 0 is a, 1 is b.
  void set_half(std::size_t half, const secret_words& x) {
    m.half().set_all_lanes(block.data() + half * m.half_size(), x);
  }
  secret_words half(std::size_t half, std::size_t lane) const {
    secret_words x(radix_bits(m) / 64 + 1);
    m.half().get_lane(x, block.data() + half * m.half_size(), lane);
    return x;
  }

  const dual_modulus& m;
  secret_words stage, block, scratch;
};

// 24 words, 1536 bits: the vector kernel's second tile alone divides their digits.
constexpr std::size_t sizes[] = {1, 2, 3, 4, 5, 8, 16, 24, 33};

// A number below the modulus, edges among them.
secret_words draw(numbers& random, const schoolbook& modulus, std::size_t choice) {
  const secret_words& m = modulus.modulus();
  if (choice == 0) return difference(m, secret_words{1});
  if (choice == 1) return secret_words(m.size(), 0);
  return random.below(m);
}

// With two moduli that take turns. first: the choice of number in the first lane.
void products_squares_and_scalings_are_right(const kernels::table& kernel, std::size_t size,
                                             std::size_t first) {
  numbers random(size);
  const secret_words moduli[] = {random.modulus(size), random.modulus(size)};
  const schoolbook expected[] = {schoolbook(product(moduli[0], moduli[0])),
                                 schoolbook(product(moduli[1], moduli[1]))};
  const dual_modulus modulus(kernel, {moduli[0], moduli[1]});
  const secret_words radix = power_of_two(radix_bits(modulus)), scalar = random.integer(size);
  dual_lanes x(modulus), y(modulus), factor(modulus), r(modulus), squared(modulus), scaled(modulus);
  std::vector<secret_words> a, b;
  for (std::size_t l = 0; l < kernel.lanes; ++l) {
    a.push_back(draw(random, expected[l % 2], first + l));
    b.push_back(draw(random, expected[l % 2], (first + l) / 2));
    x.set(l, a[l]);
    y.set(l, b[l]);
  }
  x.enter();
  y.enter();
  dual_lanes back = x;
  back.leave();
  modulus.multiply(r.block.data(), x.block.data(), y.block.data(), r.scratch.data());
  modulus.square(squared.block.data(), x.block.data(), x.scratch.data());
  factor.set_half(0, scalar);
  const kernels::modulus view = modulus.half().lane_view();
  kernel.dual_scale(scaled.block.data(), x.block.data(), factor.block.data(), &view,
                    scaled.scratch.data());
  r.leave();
  squared.leave();
  scaled.leave();
  for (std::size_t l = 0; l < kernel.lanes; ++l) {
    CHECK(back.get(l) == a[l]);
    CHECK(r.get(l) == expected[l % 2].times(a[l], b[l]));
    CHECK(squared.get(l) == expected[l % 2].times(a[l], a[l]));
    CHECK(expected[l % 2].times(scaled.get(l), radix) == expected[l % 2].times(a[l], scalar));
  }
}

// ---- The edges of the contract of kernels/api.hpp

struct halves {
  secret_words a, b;
};

// a < 2m and b < R/2 + 11m: the bounds of every dual function.
void expect_bounds(const dual_lanes& r, const dual_schoolbook& expected) {
  const secret_words& m = expected.half();
  const auto is_below = [](const secret_words& x, const secret_words& bound) {
    secret_words y(std::max(x.size(), bound.size()) + 1), limit(y.size());
    std::copy(x.begin(), x.end(), y.begin());
    std::copy(bound.begin(), bound.end(), limit.begin());
    return schemes::less_mask(y, limit) != 0;
  };
  const secret_words half_radix = power_of_two(radix_bits(r.m) - 1);
  for (std::size_t l = 0; l < r.m.lanes(); ++l) {
    CHECK(is_below(r.half(0, l), sum(m, m)));
    CHECK(is_below(r.half(1, l), sum(half_radix, product(m, secret_words{11}))));
  }
}

// r = x y / R as every lane has it.
void expect_product(const dual_lanes& r, const halves& x, const halves& y,
                    const dual_schoolbook& expected) {
  expect_bounds(r, expected);
  const scaled made =
      expected.montgomery_product(expected.dual_number(x.a, x.b), expected.dual_number(y.a, y.b));
  for (std::size_t l = 0; l < r.m.lanes(); ++l)
    CHECK(expected.same(expected.dual_number(r.half(0, l), r.half(1, l)), made));
}

dual_lanes in_every_lane(const dual_modulus& modulus, const halves& x) {
  dual_lanes r(modulus);
  r.set_half(0, x.a);
  r.set_half(1, x.b);
  return r;
}

void expect_products(const dual_modulus& modulus, const dual_schoolbook& expected, const halves& x,
                     const halves& y) {
  const dual_lanes left = in_every_lane(modulus, x), right = in_every_lane(modulus, y);
  dual_lanes r(modulus);
  const kernels::modulus m = modulus.half().lane_view();
  const kernels::table& kernel = modulus.kernel();
  kernel.dual_multiply(r.block.data(), left.block.data(), right.block.data(), &m, r.scratch.data());
  expect_product(r, x, y, expected);
  kernel.dual_scale(r.block.data(), left.block.data(), right.block.data(), &m, r.scratch.data());
  expect_product(r, x, {y.a, secret_words{0}}, expected);
}

// Quotients from the smallest to the largest, around the one from which on it is lowered.
void edges_of_the_contract_hold(const kernels::table& kernel, std::size_t size) {
  numbers random(3 * size);
  const secret_words m = random.modulus(size), zero{0}, one{1};
  const dual_modulus modulus(kernel, m);
  const std::size_t bits = radix_bits(modulus), top = 64 * size - 1;
  const dual_schoolbook expected(m, bits);
  const secret_words twice = sum(m, m), half_radix = power_of_two(bits - 1);
  const secret_words loose = difference(sum(twice, twice), one), below_m = difference(m, one);
  const secret_words full = difference(expected.radix(), one);

  struct edge {
    halves x, y;
    secret_words quotient;  // -x.a y.a / m modulo R
  };
  const edge edges[] = {
      {{zero, full}, {zero, full}, zero},
      {{m, full}, {one, full}, full},
      {{sum(half_radix, m), full}, {one, below_m}, difference(half_radix, one)},
      {{power_of_two(bits - 1 - top), full}, {power_of_two(top), below_m}, half_radix},
  };
  for (const edge& e : edges) {
    dual_lanes q(modulus);
    const dual_lanes x = in_every_lane(modulus, e.x), y = in_every_lane(modulus, e.y);
    modulus.half().multiply(q.block.data(), x.block.data(), y.block.data(),
                            q.block.data() + q.m.half_size());
    CHECK(schemes::equal_vartime(q.half(1, 0), e.quotient));
    expect_products(modulus, expected, e.x, e.y);
  }
  expect_products(modulus, expected, {loose, full}, {loose, full});
  expect_products(modulus, expected, {full, full}, {below_m, below_m});
  expect_products(modulus, expected, {below_m, below_m}, {full, full});

  const kernels::modulus view = modulus.half().lane_view();
  for (const secret_words& a : {zero, one, m, below_m, loose}) {
    const halves x{a, full};
    dual_lanes r = in_every_lane(modulus, x);
    kernel.dual_square(r.block.data(), r.block.data(), &view, r.scratch.data());
    expect_product(r, x, x, expected);
  }
}

// ---- Powers

void powers_are_right(const kernels::table& kernel, std::size_t window_bits,
                      std::size_t lane_of_exponent_0) {
  numbers random(4);
  const secret_words moduli[] = {random.modulus(2), random.modulus(2)};
  const schoolbook expected[] = {schoolbook(product(moduli[0], moduli[0])),
                                 schoolbook(product(moduli[1], moduli[1]))};
  const dual_modulus modulus(kernel, {moduli[0], moduli[1]});
  const std::size_t count = schemes::window_count(64, window_bits);
  dual_lanes x(modulus), r(modulus);
  secret_words windows(count * kernel.lanes), scratch(modulus.power_scratch_size(window_bits));
  std::vector<secret_words> base, exponent;
  for (std::size_t l = 0; l < kernel.lanes; ++l) {
    base.push_back(random.below(expected[l % 2].modulus()));
    exponent.push_back(l == lane_of_exponent_0 ? secret_words{0} : random.integer(1));
    x.set(l, base[l]);
    schemes::write_windows(windows.data() + l, kernel.lanes, exponent[l], count, window_bits);
  }
  x.enter();
  modulus.power(r.block.data(), x.block.data(), windows, window_bits, scratch.data());
  r.leave();
  for (std::size_t l = 0; l < kernel.lanes; ++l)
    CHECK(r.get(l) == expected[l % 2].power(base[l], exponent[l]));
}

// A base modulo m^2 whose inverse modulo m is known: a power of 2, and any multiple of m.
struct base_subject {
  base_subject(const kernels::table& kernel, std::size_t size, std::size_t exponent_bits)
      : random(size),
        m(random.modulus(size)),
        modulus(kernel, m),
        expected(product(m, m)),
        bits(exponent_bits) {
    const schoolbook half(m);
    const secret_words e = random.integer(1);
    secret_words half_of_one = sum(m, secret_words{1});  // 1/2 modulo m
    for (std::size_t i = 0; i < half_of_one.size(); ++i)
      half_of_one[i] = schemes::extract_bits(half_of_one, 64 * i + 1, 64);
    base = expected.residue(sum(half.power(secret_words{2}, e), product(m, random.below(m))));
    powers = std::make_unique<fixed_base>(modulus, base, half.power(half_of_one, e), bits);
    secret_words square = base;
    for (std::size_t i = 0; i < bits; ++i) {
      squares.push_back(square);
      square = expected.times(square, square);
    }
  }

  secret_words expected_power(view<const word> exponent) const {
    secret_words r = expected.residue(secret_words{1});
    for (std::size_t i = 0; i < bits; ++i)
      if (schemes::extract_bits(exponent, i, 1) != 0) r = expected.times(r, squares[i]);
    return r;
  }

  // The last of the lanes gets no exponent, and so 0; the one before gets ones beyond the length.
  void expect_powers(std::size_t blocks) {
    const std::size_t length = powers->exponent_words(), all = blocks * modulus.lanes();
    secret_words exponents = random.integer(all * length);
    std::fill(exponents.end() - static_cast<std::ptrdiff_t>(length), exponents.end(), 0);
    if (all > 1)
      std::fill_n(exponents.end() - static_cast<std::ptrdiff_t>(2 * length), length, ~word{0});
    secret_words r(blocks * modulus.block_size()), logarithms(blocks * modulus.half_size());
    powers->power(r.data(), logarithms.data(),
                  view<const word>(exponents).first((all - 1) * length), all - 1, blocks);
    expect(r, logarithms, exponents);
  }
  // All lanes work on one power; the other lanes hold 1, the power of 0.
  void expect_power_of_one() {
    const std::size_t length = powers->exponent_words();
    secret_words exponents = random.integer(length);
    secret_words r(modulus.block_size()), logarithms(modulus.half_size());
    powers->power_one(r.data(), logarithms.data(), exponents);
    exponents.resize(modulus.lanes() * length, 0);
    expect(r, logarithms, exponents);
  }
  void expect(const secret_words& r, const secret_words& logarithms, view<const word> exponents) {
    const std::size_t lanes = modulus.lanes(), length = powers->exponent_words();
    for (std::size_t i = 0; i < exponents.size / length; ++i) {
      const std::size_t block = i / lanes;
      dual_lanes x(modulus);
      std::copy_n(r.data() + block * modulus.block_size(), modulus.block_size(), x.block.data());
      modulus.apply_logarithm(x.block.data(), logarithms.data() + block * modulus.half_size(),
                              x.scratch.data());
      x.leave();
      CHECK(x.get(i % lanes) == expected_power(exponents.slice(i * length, length)));
    }
  }

  numbers random;
  secret_words m;
  dual_modulus modulus;
  schoolbook expected;
  std::size_t bits;
  secret_words base;
  std::unique_ptr<fixed_base> powers;
  std::vector<secret_words> squares;
};

void powers_of_a_fixed_base_are_right(const kernels::table& kernel) {
  for (std::size_t bits : {1u, 2u, 63u, 64u, 65u, 200u, 1000u})
    base_subject(kernel, 2, bits).expect_powers(2);
  for (std::size_t size : {1u, 3u, 16u, 24u, 33u}) base_subject(kernel, size, 40).expect_powers(2);
  base_subject subject(kernel, 2, 64);
  for (std::size_t blocks = 1; blocks <= kernels::maximum_blocks; ++blocks)
    subject.expect_powers(blocks);
}

// 500 bits and more share out evenly over 8 lanes; one lane has nobody to share with.
void all_lanes_may_work_on_one_power(const kernels::table& kernel) {
  std::size_t spread = 0;
  for (std::size_t bits : {64u, 500u, 512u, 1000u, 1024u}) {
    base_subject subject(kernel, 2, bits);
    if (!subject.powers->can_spread()) continue;
    subject.expect_power_of_one();
    ++spread;
  }
  CHECK(spread == (kernel.lanes == 1 ? 0u : 4u));
}

// ---- Kernels

// A chain of products, squares and a power of one number, as each kernel computes it.
secret_words chain(const kernels::table& kernel, std::size_t size) {
  numbers random(5);
  const secret_words m = random.modulus(size), m_squared = product(m, m);
  const dual_modulus modulus(kernel, m);
  dual_lanes x(modulus), y(modulus);
  const secret_words a = random.below(m_squared), b = random.below(m_squared);
  const secret_words exponent = random.integer(2);
  secret_words windows(26 * kernel.lanes), scratch(modulus.power_scratch_size(5));
  for (std::size_t l = 0; l < kernel.lanes; ++l) {
    x.set(l, a);
    y.set(l, b);
    schemes::write_windows(windows.data() + l, kernel.lanes, exponent, 26, 5);
  }
  x.enter();
  y.enter();
  for (int step = 0; step < 20; ++step) {
    modulus.multiply(x.block.data(), x.block.data(), y.block.data(), x.scratch.data());
    modulus.square(x.block.data(), x.block.data(), x.scratch.data());
  }
  modulus.power(y.block.data(), x.block.data(), windows, 5, scratch.data());
  y.leave();
  for (std::size_t l = 1; l < kernel.lanes; ++l) CHECK(y.get(l) == y.get(0));
  return y.get(0);
}

void kernels_agree_bit_for_bit() {
  for (std::size_t size : sizes)
    for (const kernels::table* kernel : kernels::available())
      CHECK(chain(*kernel, size) == chain(kernels::portable, size));
}

}  // namespace
}  // namespace veilsum::tests

int main() {
  using namespace veilsum::tests;
  for (const veilsum::kernels::table* kernel : veilsum::kernels::available()) {
    std::printf("kernel %s\n", kernel->name);
    for (std::size_t size : sizes)
      for (std::size_t first = 0; first < 4; ++first)
        products_squares_and_scalings_are_right(*kernel, size, first);
    for (std::size_t size : {1u, 4u, 16u, 24u}) edges_of_the_contract_hold(*kernel, size);
    for (std::size_t bits = 1; bits <= veilsum::kernels::maximum_window_bits; ++bits)
      for (std::size_t lane : {0u, 1u}) powers_are_right(*kernel, bits, lane);
    powers_of_a_fixed_base_are_right(*kernel);
    all_lanes_may_work_on_one_power(*kernel);
  }
  kernels_agree_bit_for_bit();
  return finish("test_dual");
}
