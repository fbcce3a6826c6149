// Every kernel of this machine against schoolbook arithmetic, and so against every other: numbers modulo
// m, and residues modulo a prime of one digit. test_dual.cpp has the numbers modulo m^2.
#include <algorithm>
#include <vector>

#include "kernels/dispatch.hpp"
#include "schemes/field.hpp"
#include "schemes/montgomery.hpp"
#include "tests/cpp/check.hpp"
#include "tests/cpp/schoolbook.hpp"

namespace veilsum::tests {
namespace {

using schemes::montgomery_modulus;

std::size_t radix_bits(const montgomery_modulus& m) {
  return m.digit_count() * m.kernel().digit_bits;
}

// One number a lane.
struct lanes {
  explicit lanes(const montgomery_modulus& modulus)
      : m(modulus), block(modulus.block_size()), scratch(modulus.scratch_size()) {}

  void set(std::size_t lane, const secret_words& x) { m.set_lane(block.data(), lane, x); }
  void enter() { m.enter(block.data(), block.data(), scratch.data()); }
  void leave() { m.leave(block.data(), block.data(), scratch.data()); }
  secret_words get(std::size_t lane) const {
    secret_words x(m.word_count());
    m.get_lane(x, block.data(), lane);
    return x;
  }
  // All digits, however large the number.
  secret_words whole(std::size_t lane) const {
    secret_words x(radix_bits(m) / 64 + 1);
    m.get_lane(x, block.data(), lane);
    return x;
  }

  const montgomery_modulus& m;
  secret_words block, scratch;
};

// 24 words, 1536 bits: the vector kernel's second tile alone divides their digits.
constexpr std::size_t sizes[] = {1, 2, 3, 4, 5, 8, 16, 24, 33, 48, 64};

void every_tile_has_a_size_of_its_own(const kernels::table& kernel) {
  numbers random(1);
  bool used[2] = {false, false};
  for (std::size_t size : sizes) {
    const montgomery_modulus modulus(kernel, random.modulus(size));
    const bool fits = modulus.digit_count() % kernel.tiles[0] == 0;
    CHECK(fits || modulus.digit_count() % kernel.tiles[1] == 0);
    used[fits ? 0 : 1] = true;
  }
  CHECK(used[0] && (used[1] || kernel.tiles[0] == kernel.tiles[1]));
}

void products_and_squares_are_right(const kernels::table& kernel, std::size_t size) {
  numbers random(1);
  const schoolbook expected(random.modulus(size));
  const secret_words& m = expected.modulus();
  const secret_words largest = difference(m, secret_words{1});
  const montgomery_modulus modulus(kernel, m);
  lanes x(modulus), y(modulus), z(modulus);
  std::vector<secret_words> a, b;
  for (std::size_t l = 0; l < kernel.lanes; ++l) {
    a.push_back(l == 0 ? largest : random.below(m));
    b.push_back(l <= 1 ? largest : random.below(m));
    x.set(l, a[l]);
    y.set(l, b[l]);
  }
  x.enter();
  y.enter();
  const kernels::modulus view = modulus.lane_view();
  kernel.multiply(z.block.data(), x.block.data(), y.block.data(), &view, z.scratch.data());
  kernel.square(x.block.data(), x.block.data(), &view, x.scratch.data());
  z.leave();
  x.leave();
  for (std::size_t l = 0; l < kernel.lanes; ++l) {
    CHECK(z.get(l) == expected.times(a[l], b[l]));
    CHECK(x.get(l) == expected.times(a[l], a[l]));
  }
}

// a b + q m = r R, as integers.
void products_leave_their_quotient(const kernels::table& kernel, std::size_t size) {
  numbers random(2);
  const secret_words m = random.modulus(size);
  const montgomery_modulus modulus(kernel, m);
  const secret_words radix = power_of_two(radix_bits(modulus));
  lanes x(modulus), y(modulus), r(modulus), q(modulus);
  for (std::size_t l = 0; l < kernel.lanes; ++l) {
    x.set(l, random.below(m));
    y.set(l, random.below(m));
  }
  const kernels::modulus view = modulus.lane_view();
  const auto expect_quotient = [&](const lanes& a, const lanes& b) {
    for (std::size_t l = 0; l < kernel.lanes; ++l) {
      const secret_words made = sum(product(a.get(l), b.get(l)), product(q.whole(l), m));
      CHECK(schemes::equal_vartime(made, product(r.whole(l), radix)));
    }
  };
  kernel.multiply(r.block.data(), x.block.data(), y.block.data(), &view, q.block.data());
  expect_quotient(x, y);
  kernel.square(r.block.data(), x.block.data(), &view, q.block.data());
  expect_quotient(x, x);
}

// The edges of the contract of kernels/api.hpp: loose times loose, and any word of R times one below m.
void loose_operands_give_right_products_below_twice_the_modulus(const kernels::table& kernel) {
  numbers random(3);
  const schoolbook expected(random.modulus(4));
  const secret_words& m = expected.modulus();
  const secret_words one{1}, twice = sum(m, m);
  const montgomery_modulus modulus(kernel, m);
  const secret_words radix = power_of_two(radix_bits(modulus));
  const secret_words largest_loose = difference(sum(twice, twice), one);
  const secret_words largest_word = difference(radix, one), largest_residue = difference(m, one);
  const secret_words pairs[][2] = {{largest_loose, largest_loose}, {largest_word, largest_residue}};
  for (const auto& pair : pairs) {
    lanes x(modulus), y(modulus);
    for (std::size_t l = 0; l < kernel.lanes; ++l) {
      x.set(l, pair[0]);
      y.set(l, pair[1]);
    }
    modulus.multiply(x.block.data(), x.block.data(), y.block.data(), x.scratch.data());
    for (std::size_t l = 0; l < kernel.lanes; ++l) {
      const secret_words r = x.whole(l);
      secret_words bound(r.size());
      std::copy(twice.begin(), twice.end(), bound.begin());
      CHECK(schemes::less_mask(r, bound) != 0);
      CHECK(expected.times(r, radix) == expected.times(pair[0], pair[1]));
    }
    modulus.reduce(x.block.data(), x.block.data());
    for (std::size_t l = 0; l < kernel.lanes; ++l)
      CHECK(expected.times(x.get(l), radix) == expected.times(pair[0], pair[1]));
  }
}

void sums_carry_through_all_digits(const kernels::table& kernel) {
  numbers random(4);
  const montgomery_modulus modulus(kernel, random.modulus(3));
  const secret_words ones = difference(power_of_two(radix_bits(modulus) - 1), secret_words{1});
  lanes x(modulus), y(modulus);
  for (std::size_t l = 0; l < kernel.lanes; ++l) {
    x.set(l, ones);
    y.set(l, secret_words{l});
  }
  modulus.add(x.block.data(), x.block.data(), y.block.data());
  for (std::size_t l = 0; l < kernel.lanes; ++l)
    CHECK(schemes::equal_vartime(x.whole(l), sum(ones, secret_words{l})));
}

void lanes_may_have_different_moduli(const kernels::table& kernel) {
  numbers random(5);
  const montgomery_modulus shape(kernel, random.modulus(3));
  const secret_words radix = power_of_two(radix_bits(shape));
  lanes moduli(shape), a(shape), r(shape);
  secret_words inverse(kernel.lanes);
  std::vector<schoolbook> expected;
  for (std::size_t l = 0; l < kernel.lanes; ++l) {
    expected.emplace_back(random.modulus(3));
    const secret_words& m = expected[l].modulus();
    moduli.set(l, m);
    a.set(l, random.below(m));
    const secret_words k{schemes::negative_inverse(m[0])};
    inverse[l] = schemes::extract_bits(k, 0, kernel.digit_bits);
  }
  const kernels::modulus m{moduli.block.data(), inverse.data(), nullptr, shape.digit_count()};
  kernel.multiply(r.block.data(), a.block.data(), a.block.data(), &m, r.scratch.data());
  kernel.reduce(r.block.data(), r.block.data(), &m);
  for (std::size_t l = 0; l < kernel.lanes; ++l)
    CHECK(expected[l].times(r.get(l), radix) == expected[l].times(a.get(l), a.get(l)));
}

// Two moduli that take turns.
void powers_are_right(const kernels::table& kernel, std::size_t window_bits,
                      std::size_t lane_of_exponent_0) {
  numbers random(6);
  const schoolbook expected[] = {schoolbook(random.modulus(2)), schoolbook(random.modulus(2))};
  const montgomery_modulus modulus(kernel, {expected[0].modulus(), expected[1].modulus()});
  const std::size_t count = schemes::window_count(64, window_bits);
  lanes x(modulus), r(modulus);
  secret_words windows(count * kernel.lanes), scratch(modulus.power_scratch_size(window_bits));
  std::vector<secret_words> base, exponent;
  for (std::size_t l = 0; l < kernel.lanes; ++l) {
    base.push_back(random.below(expected[l % 2].modulus()));
    exponent.push_back(l == lane_of_exponent_0 ? secret_words{0} : random.integer(1));
    x.set(l, base[l]);
    schemes::write_windows(windows.data() + l, kernel.lanes, exponent[l], count, window_bits);
  }
  x.enter();
  const kernels::modulus view = modulus.lane_view();
  kernel.power(r.block.data(), x.block.data(), modulus.one(), windows.data(), count, window_bits,
               &view, scratch.data());
  r.leave();
  for (std::size_t l = 0; l < kernel.lanes; ++l)
    CHECK(r.get(l) == expected[l % 2].power(base[l], exponent[l]));
}

// A chain of 40 products and squares of one number, as each kernel computes it.
secret_words chain(const kernels::table& kernel, std::size_t size) {
  numbers random(7);
  const secret_words m = random.modulus(size);
  const montgomery_modulus modulus(kernel, m);
  const kernels::modulus view = modulus.lane_view();
  lanes x(modulus), y(modulus);
  const secret_words a = random.below(m), b = random.below(m);
  for (std::size_t l = 0; l < kernel.lanes; ++l) {
    x.set(l, a);
    y.set(l, b);
  }
  x.enter();
  y.enter();
  for (int step = 0; step < 20; ++step) {
    kernel.multiply(x.block.data(), x.block.data(), y.block.data(), &view, x.scratch.data());
    kernel.square(x.block.data(), x.block.data(), &view, x.scratch.data());
  }
  x.leave();
  for (std::size_t l = 1; l < kernel.lanes; ++l) CHECK(x.get(l) == x.get(0));
  return x.get(0);
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
    every_tile_has_a_size_of_its_own(*kernel);
    for (std::size_t size : sizes) {
      products_and_squares_are_right(*kernel, size);
      products_leave_their_quotient(*kernel, size);
    }
    loose_operands_give_right_products_below_twice_the_modulus(*kernel);
    sums_carry_through_all_digits(*kernel);
    lanes_may_have_different_moduli(*kernel);
    for (std::size_t bits = 1; bits <= veilsum::kernels::maximum_window_bits; ++bits)
      for (std::size_t lane : {0u, 1u}) powers_are_right(*kernel, bits, lane);
  }
  kernels_agree_bit_for_bit();
  return finish("test_kernels");
}
