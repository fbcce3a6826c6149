// Every kernel of this machine against schoolbook arithmetic, and so against every other.
#include "kernels/dispatch.hpp"
#include "schemes/field.hpp"
#include "schemes/montgomery.hpp"
#include "tests/cpp/check.hpp"

namespace veilsum::tests {
namespace {

using schemes::montgomery_modulus;
using schemes::secret_words;
using schemes::word;

// a * b mod m by shift and add.
secret_words multiply_slowly(const secret_words& a, const secret_words& b, const secret_words& m) {
  secret_words r(m.size(), 0), t(m.size());
  const auto add_mod = [&](const secret_words& x) {
    const word carry = schemes::add_words(r, r, x);
    const word borrow = schemes::subtract_words(t, r, m);
    if (carry || !borrow) r = t;
  };
  for (std::size_t bit = 64 * b.size(); bit-- > 0;) {
    add_mod(secret_words(r));
    if (b[bit / 64] >> (bit % 64) & 1) add_mod(a);
  }
  return r;
}

secret_words power_slowly(const secret_words& base, const secret_words& exponent,
                          const secret_words& m) {
  secret_words r(m.size(), 0);
  r[0] = 1;
  for (std::size_t bit = 64 * exponent.size(); bit-- > 0;) {
    r = multiply_slowly(r, r, m);
    if (exponent[bit / 64] >> (bit % 64) & 1) r = multiply_slowly(r, base, m);
  }
  return r;
}

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

  const montgomery_modulus& m;
  secret_words block, scratch;
};

void products_and_squares_are_right_at_every_size(const kernels::table& kernel) {
  numbers random(1);
  for (std::size_t size : {1u, 2u, 3u, 4u, 5u, 8u, 16u, 33u, 48u, 64u}) {
    const secret_words m = random.modulus(size);
    const montgomery_modulus modulus(kernel, m);
    lanes x(modulus), y(modulus), z(modulus);
    std::vector<secret_words> a, b;
    secret_words largest(m);
    largest[0] -= 1;
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
      CHECK(z.get(l) == multiply_slowly(a[l], b[l], m));
      CHECK(x.get(l) == multiply_slowly(a[l], a[l], m));
    }
  }
}

// The edges of the contract of kernels/api.hpp: loose times loose, and any word of R times one below m.
void loose_operands_give_right_products_below_twice_the_modulus(const kernels::table& kernel) {
  numbers random(2);
  const secret_words m = random.modulus(4);
  const montgomery_modulus modulus(kernel, m);
  const std::size_t bits = modulus.digit_count() * kernel.digit_bits;
  const secret_words one{1}, radix = schemes::power_of_two(bits, m);
  secret_words minus_one(4), radix_less_one(4), twice(5), loose(5),
      full((bits + 63) / 64, ~word{0});
  schemes::subtract_words(minus_one, m, one);
  schemes::subtract_words(radix_less_one, radix, one);
  schemes::add_words(twice, m, m);
  schemes::add_words(loose, twice, twice);
  schemes::subtract_words(loose, loose, one);  // 4m - 1
  struct operand {
    secret_words value, residue;
  };
  const operand largest_loose{loose, minus_one}, largest_word{full, radix_less_one},
      largest_residue{minus_one, minus_one};
  const operand pairs[][2] = {{largest_loose, largest_loose}, {largest_word, largest_residue}};
  for (const auto& pair : pairs) {
    lanes x(modulus), y(modulus);
    for (std::size_t l = 0; l < kernel.lanes; ++l) {
      x.set(l, pair[0].value);
      y.set(l, pair[1].value);
    }
    modulus.multiply(x.block.data(), x.block.data(), y.block.data(), x.scratch.data());
    for (std::size_t l = 0; l < kernel.lanes; ++l) {
      secret_words product(5);
      modulus.get_lane(product, x.block.data(), l);
      CHECK(schemes::less_mask(product, twice) != 0);
    }
    modulus.reduce(x.block.data(), x.block.data());
    for (std::size_t l = 0; l < kernel.lanes; ++l)
      CHECK(multiply_slowly(x.get(l), radix, m) ==
            multiply_slowly(pair[0].residue, pair[1].residue, m));
  }
}

void lanes_may_have_different_moduli(const kernels::table& kernel) {
  numbers random(3);
  const montgomery_modulus shape(kernel, random.modulus(3));
  secret_words digits(shape.block_size()), inverse(kernel.lanes), a(shape.block_size());
  secret_words r(shape.block_size()), scratch(shape.scratch_size());
  std::vector<secret_words> moduli, values;
  for (std::size_t l = 0; l < kernel.lanes; ++l) {
    moduli.push_back(random.modulus(3));
    values.push_back(random.below(moduli[l]));
    shape.set_lane(digits.data(), l, moduli[l]);
    shape.set_lane(a.data(), l, values[l]);
    const secret_words k{schemes::negative_inverse(moduli[l][0])};
    inverse[l] = schemes::extract_bits(k, 0, kernel.digit_bits);
  }
  const kernels::modulus m{digits.data(), inverse.data(), shape.digit_count()};
  kernel.multiply(r.data(), a.data(), a.data(), &m, scratch.data());
  kernel.reduce(r.data(), r.data(), &m);
  for (std::size_t l = 0; l < kernel.lanes; ++l) {
    // r R = a a modulo the lane's own modulus.
    secret_words result(3);
    shape.get_lane(result, r.data(), l);
    const secret_words radix =
        schemes::power_of_two(shape.digit_count() * kernel.digit_bits, moduli[l]);
    CHECK(multiply_slowly(result, radix, moduli[l]) ==
          multiply_slowly(values[l], values[l], moduli[l]));
  }
}

void powers_are_right_for_every_window(const kernels::table& kernel) {
  numbers random(4);
  const secret_words m = random.modulus(2);
  const montgomery_modulus modulus(kernel, m);
  for (std::size_t bits = 1; bits <= kernels::maximum_window_bits; ++bits) {
    const std::size_t count = (64 + bits - 1) / bits;
    lanes x(modulus);
    secret_words windows(count * kernel.lanes), r(modulus.block_size());
    secret_words scratch(modulus.power_scratch_size(bits));
    std::vector<secret_words> base, exponent;
    for (std::size_t l = 0; l < kernel.lanes; ++l) {
      base.push_back(random.below(m));
      exponent.push_back(l == 0 ? secret_words{0} : random.integer(1));
      x.set(l, base[l]);
      for (std::size_t i = 0; i < count; ++i)
        windows[(count - 1 - i) * kernel.lanes + l] =
            schemes::extract_bits(exponent[l], i * bits, bits);
    }
    x.enter();
    const kernels::modulus view = modulus.lane_view();
    kernel.power(r.data(), x.block.data(), modulus.one(), windows.data(), count, bits, &view,
                 scratch.data());
    x.block = r;
    x.leave();
    for (std::size_t l = 0; l < kernel.lanes; ++l)
      CHECK(x.get(l) == power_slowly(base[l], exponent[l], m));
  }
}

void residues_are_right_modulo(const kernels::table& kernel, word p) {
  numbers random(5);
  const schemes::prime_field field(kernel, p);
  const std::size_t rows = 5, terms = 37, columns = 19;
  const auto residues = [&](std::size_t count) {
    secret_words x(count);
    for (word& w : x) w = random.next() % 4 == 0 ? p - 1 : random.next() % p;
    return x;
  };
  const secret_words weights = residues(rows * terms), values = residues(terms * columns);
  secret_words out(rows * columns), product(terms * columns), sum(terms * columns);
  field.matmul(out, weights, rows, terms, values, columns, 2);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < columns; ++j) {
      unsigned __int128 expected = 0;
      for (std::size_t k = 0; k < terms; ++k)
        expected = (expected + static_cast<unsigned __int128>(weights[i * terms + k]) *
                                   values[k * columns + j] % p) %
                   p;
      CHECK(out[i * columns + j] == static_cast<word>(expected));
    }
  field.multiply(product, values, values);
  field.add(sum, values, values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const unsigned __int128 v = values[i];
    CHECK(product[i] == static_cast<word>(v * v % p));
    CHECK(sum[i] == static_cast<word>((v + v) % p));
  }
}

}  // namespace
}  // namespace veilsum::tests

int main() {
  using namespace veilsum::tests;
  for (const veilsum::kernels::table* kernel : veilsum::kernels::available()) {
    std::printf("kernel %s\n", kernel->name);
    products_and_squares_are_right_at_every_size(*kernel);
    loose_operands_give_right_products_below_twice_the_modulus(*kernel);
    lanes_may_have_different_moduli(*kernel);
    powers_are_right_for_every_window(*kernel);
    for (std::uint64_t p : {std::uint64_t{3}, std::uint64_t{13}, std::uint64_t{1125899437080577},
                            (std::uint64_t{1} << 61) - 1, ~std::uint64_t{0} - 0xfffffffeu})
      residues_are_right_modulo(*kernel, p);
  }
  return finish("test_kernels");
}
