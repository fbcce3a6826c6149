// Values of polynomials against Horner's rule one number at a time, and interpolation as its inverse: by
// the tree and without it, around its sizes, modulo primes with and without transforms.
#include <algorithm>
#include <cstdio>
#include <vector>

#include "kernels/dispatch.hpp"
#include "schemes/polynomial.hpp"
#include "tests/cpp/check.hpp"

namespace veilsum::tests {
namespace {

using schemes::interpolator;
using schemes::point_set;
using schemes::prime_field;
using schemes::secret_words;
using schemes::subproduct_tree;
using schemes::transform;
using schemes::view;
using schemes::word;

__extension__ typedef unsigned __int128 wide;

constexpr word p50 = 1125899437080577, goldilocks = 0xffffffff00000001,
               mersenne61 = (1ull << 61) - 1;
constexpr word primes[] = {p50, goldilocks, mersenne61, 65537, 97};

word horner(view<const word> coefficients, word x, word p) {
  word sum = 0;
  for (std::size_t j = coefficients.size; j-- > 0;)
    sum = static_cast<word>((static_cast<wide>(sum) * x + coefficients[j]) % p);
  return sum;
}

secret_words residues(std::size_t count, word p, std::uint64_t seed) {
  numbers random(seed);
  secret_words r = random.integer(count);
  for (word& value : r) value %= p;
  return r;
}

// Distinct, zero and p - 1 among them: steps of a generator of all residues.
secret_words distinct_points(std::size_t count, word p) {
  secret_words x(count);
  const word step = p / 3 * 2 + 1;  // no multiple of p
  for (std::size_t i = 0; i < count; ++i)
    x[i] = static_cast<word>((static_cast<wide>(step) * i) % p);
  if (count > 1 && count < p && std::find(x.begin(), x.end(), p - 1) == x.end()) x[1] = p - 1;
  return x;
}

// Every value up to 300 points, then some of them.
void are_values(const secret_words& values, view<const word> coefficients, const secret_words& x,
                word p) {
  const std::size_t step = x.size() <= 300 ? 1 : x.size() / 50;
  for (std::size_t i = 0; i < x.size(); i += step)
    CHECK(values[i] == horner(coefficients, x[i], p));
  if (!x.empty()) CHECK(values.back() == horner(coefficients, x.back(), p));
}

// A prime, and its transforms where they are long enough.
struct setting {
  setting(const kernels::table& kernel, word prime, std::size_t longest)
      : p(prime), field(kernel, p), transforms(kernel, p, std::min(longest, transform::limit(p))) {}

  word p;
  prime_field field;
  transform transforms;
};

void values_are_those_of_horner(const setting& s, std::size_t points, std::size_t coefficients) {
  const secret_words x = residues(points, s.p, points), f = residues(coefficients, s.p, 1);
  for (const transform* transforms : {&s.transforms, static_cast<const transform*>(nullptr)}) {
    secret_words values(points, 1);
    schemes::evaluate(s.field, transforms, values, f, x);
    are_values(values, f, x, s.p);
    if (points == 0) continue;
    std::fill(values.begin(), values.end(), 1);
    point_set(s.field, transforms, x).evaluate(values, f);
    are_values(values, f, x, s.p);
  }
}

void interpolation_undoes_evaluation(const setting& s, std::size_t points) {
  const secret_words x = distinct_points(points, s.p), f = residues(points, s.p, 2);
  secret_words values(points), found(points, 1), again(points, 1);
  schemes::evaluate(s.field, &s.transforms, values, f, x);
  CHECK(schemes::interpolate(s.field, &s.transforms, found, x, values));
  CHECK(found == f);
  CHECK(schemes::interpolate(s.field, nullptr, again, x, values));
  CHECK(again == f);
}

// Even where the library would do without a tree.
void a_tree_of_any_size_evaluates_and_combines(const setting& s, std::size_t points) {
  if (subproduct_tree::longest_transform(points) > transform::limit(s.p)) return;
  const secret_words x = residues(points, s.p, 3), f = residues(points, s.p, 4);
  const subproduct_tree tree(s.field, s.transforms, x);
  const point_set without(s.field, nullptr, x);
  CHECK(tree.product().size == points + 1 && tree.product()[points] == 1);
  CHECK(schemes::equal_vartime(tree.product(), without.product()));
  for (word point : x) CHECK(horner(tree.product(), point, s.p) == 0);
  for (std::size_t coefficients : {points, points / 2, std::size_t{0}}) {
    const view<const word> shorter = view<const word>(f).first(coefficients);
    secret_words values(points, 1);
    tree.evaluate(values, shorter);
    are_values(values, shorter, x, s.p);
  }
  secret_words sum(points, 1), same(points, 1);
  tree.combine(sum, f);
  without.combine(same, f);
  CHECK(sum == same);
}

void equal_points_give_nothing(const setting& s, std::size_t points) {
  secret_words x = distinct_points(points, s.p);
  const secret_words values = residues(points, s.p, 5), untouched(points, 7);
  for (const transform* transforms : {&s.transforms, static_cast<const transform*>(nullptr)})
    for (std::size_t twice : {std::size_t{0}, (points - 1) / 2}) {
      secret_words repeated = x, found = untouched;
      repeated.back() = x[twice];
      CHECK(!schemes::interpolate(s.field, transforms, found, repeated, values));
      CHECK(found == untouched);
      CHECK(!interpolator(s.field, transforms, repeated).distinct());
    }
}

void one_interpolator_serves_many_polynomials(const setting& s, std::size_t points) {
  const secret_words x = distinct_points(points, s.p);
  const interpolator through(s.field, &s.transforms, x);
  CHECK(through.distinct());
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    const secret_words values = residues(points, s.p, seed);
    secret_words f(points), again(points);
    through.interpolate(f, values);
    through.points().evaluate(again, f);
    CHECK(again == values);
  }
}

void a_transform_that_is_too_short_is_as_good_as_none(const kernels::table& kernel) {
  const setting s(kernel, p50, 256);
  interpolation_undoes_evaluation(s, 1000);
  values_are_those_of_horner(s, 1000, 1000);
}

void no_points_are_the_zero_polynomial(const setting& s) {
  CHECK(schemes::interpolate(s.field, &s.transforms, {}, {}, {}));
  const point_set none(s.field, &s.transforms, {});
  CHECK(none.product().size == 1 && none.product()[0] == 1);
}

void a_transform_is_wanted_where_there_is_one() {
  CHECK(schemes::useful_transform(p50, 4000) == 8192);
  CHECK(schemes::useful_transform(p50, 4096) == 8192);
  CHECK(schemes::useful_transform(p50, 4097) == 16384);
  CHECK(schemes::useful_transform(p50, 10) == 0);
  CHECK(schemes::useful_transform(65537, 32768) == 65536);
  CHECK(schemes::useful_transform(65537, 32769) == 0);
  CHECK(schemes::useful_transform(mersenne61, 4096) == 0);
}

void test_prime(const kernels::table& kernel, word p) {
  const setting s(kernel, p, 1 << 14);
  std::vector<std::size_t> sizes{100, 255, 256, 257, 511, 512, 513, 1000, 1025};
  for (std::size_t points = 1; points <= 70; ++points) sizes.push_back(points);
  for (std::size_t points : sizes) {
    a_tree_of_any_size_evaluates_and_combines(s, points);
    if (points <= p) interpolation_undoes_evaluation(s, points);
    if (points <= p && points > 1) equal_points_give_nothing(s, points);
  }
  for (std::size_t points : {0u, 1u, 2u, 9u, 97u, 700u, 2100u})
    for (std::size_t coefficients : {0u, 1u, 8u, 65u, 800u, 2100u})
      values_are_those_of_horner(s, points, coefficients);
  for (std::size_t points : {3u, 97u, 600u})
    if (points <= p) one_interpolator_serves_many_polynomials(s, points);
  if (p > 4096) interpolation_undoes_evaluation(s, 4096);
  no_points_are_the_zero_polynomial(s);
}

}  // namespace
}  // namespace veilsum::tests

int main() {
  using namespace veilsum::tests;
  for (const veilsum::kernels::table* kernel : veilsum::kernels::available()) {
    for (word p : primes) test_prime(*kernel, p);
    a_transform_that_is_too_short_is_as_good_as_none(*kernel);
  }
  a_transform_is_wanted_where_there_is_one();
  return finish("test_polynomial");
}
