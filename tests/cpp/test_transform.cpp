// Transforms against evaluation point by point, with every kernel.
#include "schemes/transform.hpp"

#include <algorithm>
#include <stdexcept>

#include "kernels/dispatch.hpp"
#include "tests/cpp/check.hpp"
#include "tests/cpp/primes.hpp"

namespace veilsum::tests {
namespace {

using schemes::secret_words;
using schemes::transform;
using schemes::word;

word times(word a, word b, word p) {
  return static_cast<word>(static_cast<unsigned __int128>(a) * b % p);
}

word power(word base, std::size_t exponent, word p) {
  word r = 1;
  for (; exponent != 0; exponent >>= 1, base = times(base, base, p))
    if (exponent & 1) r = times(r, base, p);
  return r;
}

std::size_t reversed(std::size_t x, std::size_t n) {
  std::size_t r = 0;
  for (std::size_t bit = 1; bit < n; bit *= 2, x >>= 1) r = r << 1 | (x & 1);
  return r;
}

word value_at(const secret_words& coefficients, word x, word p) {
  word sum = 0;
  for (std::size_t i = coefficients.size(); i-- > 0;)
    sum =
        static_cast<word>((static_cast<unsigned __int128>(times(sum, x, p)) + coefficients[i]) % p);
  return sum;
}

secret_words residues(numbers& random, std::size_t count, word p) {
  secret_words x(count);
  for (word& w : x) w = random.next() % 4 == 0 ? p - 1 : random.next() % p;
  return x;
}

void roots_have_their_order_and_follow_from_each_other(const transform& t, word p,
                                                       std::size_t longest) {
  CHECK(t.root(1) == 1);
  for (std::size_t n = 2; n <= longest; n *= 2) {
    CHECK(power(t.root(n), n / 2, p) == p - 1);
    CHECK(times(t.root(n), t.root(n), p) == t.root(n / 2));
  }
}

void results_are_values_in_bit_reversed_order(const transform& t, word p, std::size_t n) {
  numbers random(n);
  const secret_words coefficients = residues(random, n, p);
  secret_words a = coefficients;
  t.forward(a.data(), n);
  CHECK(std::all_of(a.begin(), a.end(), [p](word x) { return x < p; }));
  for (std::size_t i = 0; i < n; i += 1 + n / 100)
    CHECK(a[reversed(i, n)] == value_at(coefficients, power(t.root(n), i, p), p));
  t.inverse(a.data(), n);
  CHECK(a == coefficients);
}

// Sums wait for their reduction: the largest residues go furthest.
void the_largest_residues_come_back(const transform& t, word p, std::size_t n) {
  const secret_words largest(n, p - 1);
  secret_words a = largest;
  t.forward(a.data(), n);
  CHECK(a[0] == (p - n % p) % p && std::count(a.begin() + 1, a.end(), 0) == long(n) - 1);
  a = largest;
  t.inverse(a.data(), n);
  CHECK(a[0] == p - 1 && std::count(a.begin() + 1, a.end(), 0) == long(n) - 1);
}

void columns_are_transformed_alike(const transform& t, word p, std::size_t n, std::size_t width) {
  numbers random(n + width);
  const secret_words before = residues(random, n * width, p);
  secret_words a = before;
  t.forward_columns(a.data(), n, width);
  for (std::size_t c = 0; c < width; c += 1 + width / 9) {
    secret_words column(n);
    for (std::size_t i = 0; i < n; ++i) column[i] = before[i * width + c];
    t.forward(column.data(), n);
    for (std::size_t i = 0; i < n; ++i) CHECK(a[i * width + c] == column[i]);
  }
  t.inverse_columns(a.data(), n, width);
  CHECK(a == before);
}

// In natural order both ways, whether in one kernel's tiles or not.
void natural_order_is_the_reversed_one(const transform& t, word p, std::size_t n) {
  numbers random(n);
  const secret_words coefficients = residues(random, n, p);
  secret_words in_bits(coefficients), values(n), back(n);
  t.forward(in_bits.data(), n);
  t.evaluate(values.data(), coefficients.data(), n);
  for (std::size_t i = 0; i < n; ++i) CHECK(values[i] == in_bits[transform::reversed(i, n)]);
  t.interpolate(back.data(), values.data(), n);
  CHECK(back == coefficients);
}

void everything_is_right_modulo(const kernels::table& kernel, word p) {
  const std::size_t most = std::min<std::size_t>(transform::limit(p), 1 << 16);
  const transform t(kernel, p, most);
  roots_have_their_order_and_follow_from_each_other(t, p, most);
  for (std::size_t n = 1; n <= most; n *= n == 1 << 12 ? 16 : 2) {
    results_are_values_in_bit_reversed_order(t, p, n);
    the_largest_residues_come_back(t, p, n);
    natural_order_is_the_reversed_one(t, p, n);
  }
  for (std::size_t n = 1; n <= std::min<std::size_t>(most, 256); n *= 2)
    for (std::size_t multiple : {1u, 3u, 64u})
      columns_are_transformed_alike(t, p, n, multiple * kernel.lanes);
}

void kernels_agree_on_long_transforms(word p) {
  constexpr std::size_t n = 1 << 15;
  numbers random(p);
  const secret_words coefficients = residues(random, n, p);
  secret_words expected = coefficients;
  transform(kernels::portable, p, n).forward(expected.data(), n);
  for (const kernels::table* kernel : kernels::available()) {
    const transform t(*kernel, p, n);
    secret_words a = coefficients;
    t.forward(a.data(), n);
    CHECK(a == expected);
    t.inverse(a.data(), n);
    CHECK(a == coefficients);
  }
}

template <class Work>
bool refuses(const Work& work) {
  try {
    work();
  } catch (const std::invalid_argument&) {
    return true;
  }
  return false;
}

void lengths_that_have_no_root_are_refused(const kernels::table& kernel) {
  CHECK(transform::limit(97) == 32);
  for (std::size_t longest : {0u, 3u, 24u, 64u})
    CHECK(refuses([&] { const transform t(kernel, 97, longest); }));
  const transform t(kernel, 97, 8);
  secret_words a(16 * kernel.lanes, 0);
  for (std::size_t n : {0u, 3u, 16u}) {
    CHECK(refuses([&] { t.forward(a.data(), n); }));
    CHECK(refuses([&] { t.inverse(a.data(), n); }));
    CHECK(refuses([&] { t.evaluate(a.data(), a.data() + 8, n); }));
    CHECK(refuses([&] { t.interpolate(a.data(), a.data() + 8, n); }));
    CHECK(refuses([&] { t.forward_columns(a.data(), n, kernel.lanes); }));
    CHECK(refuses([&] { t.inverse_columns(a.data(), n, kernel.lanes); }));
  }
}

}  // namespace
}  // namespace veilsum::tests

int main() {
  using namespace veilsum::tests;
  for (const veilsum::kernels::table* kernel : veilsum::kernels::available()) {
    std::printf("kernel %s\n", kernel->name);
    for (veilsum::schemes::word p : narrow_primes) everything_is_right_modulo(*kernel, p);
    for (veilsum::schemes::word p : wide_primes) everything_is_right_modulo(*kernel, p);
    lengths_that_have_no_root_are_refused(*kernel);
  }
  for (veilsum::schemes::word p : {narrow_primes[4], wide_primes[4]})
    kernels_agree_on_long_transforms(p);
  return finish("test_transform");
}
