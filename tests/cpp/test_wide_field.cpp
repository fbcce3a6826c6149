// Residues modulo primes of several words, on every kernel of this machine, against schoolbook numbers.
#include "kernels/dispatch.hpp"
#include "schemes/wide_field.hpp"
#include "tests/cpp/check.hpp"
#include "tests/cpp/schoolbook.hpp"

namespace veilsum::tests {
namespace {

using schemes::wide_field;

// 2^256 + 297; 2^192 - 237, which leaves the fewest spare bits; 2^66 - 5, whose top word is almost empty.
const secret_words primes[] = {
    {297, 0, 0, 0, 1}, {~word{0} - 236, ~word{0}, ~word{0}}, {~word{0} - 4, 3}};

constexpr std::size_t count = 21;  // no multiple of the lanes

// Residues one behind the other; the edges come first.
secret_words residues(numbers& random, const schoolbook& oracle, std::size_t size) {
  const secret_words& p = oracle.modulus();
  secret_words rows;
  for (std::size_t i = 0; i < size; ++i) {
    secret_words x = oracle.residue(random.integer(2 * p.size()));
    if (i < 2) x = difference(p, secret_words{1 + i});
    if (i == 2) x.assign(p.size(), 0);
    rows.insert(rows.end(), x.begin(), x.end());
  }
  return rows;
}

view<const word> at(const secret_words& rows, const schoolbook& oracle, std::size_t i) {
  const std::size_t width = oracle.modulus().size();
  return view<const word>(rows).slice(i * width, width);
}

bool same(view<const word> a, view<const word> b) {
  return a.size == b.size && schemes::equal_vartime(a, b);
}

void operations_agree_with_the_schoolbook(const kernels::table& kernel, const secret_words& p) {
  const wide_field field(kernel, p);
  const schoolbook oracle(p);
  numbers random(1);
  const secret_words a = residues(random, oracle, count), b = residues(random, oracle, count);
  const secret_words exponent{~word{0}, 5};
  secret_words added(a.size()), subtracted(a), multiplied(a.size()), powers(a);
  field.add(added, a, b);
  field.subtract(subtracted, subtracted, b);  // in place
  field.multiply(multiplied, a, b, 1);
  field.power(powers, exponent, 1);
  for (std::size_t i = 0; i < count; ++i) {
    const view<const word> x = at(a, oracle, i), y = at(b, oracle, i);
    CHECK(same(at(added, oracle, i), oracle.residue(sum(x, y))));
    CHECK(same(at(subtracted, oracle, i), oracle.minus(x, y)));
    CHECK(same(at(multiplied, oracle, i), oracle.times(x, y)));
    CHECK(same(at(powers, oracle, i), oracle.power(x, exponent)));
  }
}

void check_product(const wide_field& field, const schoolbook& oracle, std::size_t rows,
                   std::size_t terms, std::size_t columns) {
  numbers random(rows + 100 * terms + 10000 * columns);
  const std::size_t width = field.limbs();
  const secret_words weights = residues(random, oracle, rows * terms);
  const secret_words values = residues(random, oracle, terms * columns);
  secret_words out(rows * columns * width, 7), threaded(out);
  field.matmul(out, weights, rows, terms, values, columns, 1);
  field.matmul(threaded, weights, rows, terms, values, columns, 3);
  CHECK(threaded == out);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < columns; ++j) {
      secret_words expected(width, 0);
      for (std::size_t k = 0; k < terms; ++k)
        expected = oracle.residue(sum(expected, oracle.times(at(weights, oracle, i * terms + k),
                                                             at(values, oracle, k * columns + j))));
      CHECK(same(at(out, oracle, i * columns + j), expected));
    }
}

void products_of_matrices_agree(const kernels::table& kernel, const secret_words& p) {
  const wide_field field(kernel, p);
  const schoolbook oracle(p);
  for (std::size_t rows : {0u, 1u, 3u, 17u})
    for (std::size_t terms : {0u, 1u, 4u})
      for (std::size_t columns : {0u, 1u, 9u}) check_product(field, oracle, rows, terms, columns);
}

// (p - 1)^2 added up so often that the sum passes through its bound more than once.
void long_sums_stay_in_bounds(const kernels::table& kernel, const secret_words& p) {
  const wide_field field(kernel, p);
  const std::size_t terms = 200000, width = p.size();
  const secret_words largest = difference(p, secret_words{1});
  secret_words factors, out(width), expected(width, 0);
  for (std::size_t k = 0; k < terms; ++k)
    factors.insert(factors.end(), largest.begin(), largest.end());
  field.matmul(out, factors, 1, terms, factors, 1, 1);
  expected[0] = terms;  // (-1)^2 each
  CHECK(out == expected);
}

void many_products_are_split_over_threads(const kernels::table& kernel) {
  const secret_words& p = primes[0];
  const wide_field field(kernel, p);
  const schoolbook oracle(p);
  numbers random(4);
  const secret_words a = residues(random, oracle, 5000);
  secret_words one(a.size()), three(a.size());
  field.multiply(one, a, a, 1);
  field.multiply(three, a, a, 3);
  CHECK(one == three);
}

void numbers_outside_are_marked(const kernels::table& kernel, const secret_words& p) {
  const wide_field field(kernel, p);
  secret_words given = difference(p, secret_words{1});
  given.insert(given.end(), p.begin(), p.end());
  given.resize(given.size() + p.size(), 0);
  given.resize(given.size() + p.size(), ~word{0});
  std::uint8_t flags[4] = {9, 9, 9, 9};
  field.mark_outside({flags, 4}, given);
  CHECK(flags[0] == 0 && flags[1] == 1 && flags[2] == 0 && flags[3] == 1);
}

}  // namespace
}  // namespace veilsum::tests

int main() {
  using namespace veilsum::tests;
  for (const veilsum::kernels::table* kernel : veilsum::kernels::available()) {
    for (const auto& p : primes) {
      operations_agree_with_the_schoolbook(*kernel, p);
      products_of_matrices_agree(*kernel, p);
      long_sums_stay_in_bounds(*kernel, p);
      numbers_outside_are_marked(*kernel, p);
    }
    many_products_are_split_over_threads(*kernel);
  }
  return finish("test_wide_field");
}
