// Residues modulo primes of one word against schoolbook arithmetic, with every kernel.
#include <algorithm>
#include <vector>

#include "kernels/dispatch.hpp"
#include "schemes/field.hpp"
#include "tests/cpp/check.hpp"
#include "tests/cpp/primes.hpp"

namespace veilsum::tests {
namespace {

using schemes::prime_field;
using schemes::secret_words;
using schemes::view;
using schemes::word;

__extension__ typedef unsigned __int128 wide;

struct subject {
  subject(const kernels::table& kernel, word prime)
      : field(kernel, prime), p(prime), random(prime) {}

  word times(word a, word b) const { return static_cast<word>(static_cast<wide>(a) * b % p); }
  word plus(word a, word b) const { return static_cast<word>((static_cast<wide>(a) + b) % p); }

  // Often the largest.
  secret_words residues(std::size_t count) {
    secret_words x(count);
    for (word& w : x) w = random.next() % 4 == 0 ? p - 1 : random.next() % p;
    return x;
  }
  secret_words expected(const secret_words& weights, std::size_t terms, const secret_words& values,
                        std::size_t columns) const {
    const std::size_t rows = weights.size() / terms;
    secret_words out(rows * columns, 0);
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t k = 0; k < terms; ++k)
        for (std::size_t j = 0; j < columns; ++j)
          out[i * columns + j] =
              plus(out[i * columns + j], times(weights[i * terms + k], values[k * columns + j]));
    return out;
  }

  prime_field field;
  word p;
  numbers random;
};

void products_of_matrices_are_right(subject& s, std::size_t rows, std::size_t terms,
                                    std::size_t columns) {
  const secret_words weights = s.residues(rows * terms), values = s.residues(terms * columns);
  secret_words out(rows * columns, 1);
  s.field.matmul(out, weights, rows, terms, values, columns, 2);
  CHECK(out == s.expected(weights, terms, values, columns));
}

// Rows that lie anywhere, in any order, at any alignment.
void rows_of_matrices_may_lie_anywhere(subject& s) {
  constexpr std::size_t rows = 5, terms = 7, columns = 61, stride = columns + 3;
  const secret_words weights = s.residues(rows * terms), values = s.residues(terms * columns);
  secret_words scattered(terms * stride), out((rows + 1) * stride, 7);
  std::vector<const word*> value_rows(terms);
  std::vector<word*> out_rows(rows);
  for (std::size_t k = 0; k < terms; ++k) {
    word* row = scattered.data() + (terms - 1 - k) * stride + 1;
    std::copy_n(values.data() + k * columns, columns, row);
    value_rows[k] = row;
  }
  for (std::size_t i = 0; i < rows; ++i) out_rows[i] = out.data() + (rows - 1 - i) * stride + 2;
  const prime_field::weights ready = s.field.prepare(weights, rows, terms);
  const secret_words expected = s.expected(weights, terms, values, columns);
  for (int use = 0; use < 2; ++use) {
    s.field.matmul(out_rows.data(), ready, value_rows.data(), columns, 1);
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < columns; ++j) CHECK(out_rows[i][j] == expected[i * columns + j]);
  }
  // Nothing is written beside the rows.
  CHECK(out[0] == 7 && out[1] == 7 && out[2 + columns] == 7 && out[rows * stride] == 7);
}

// Beyond the size of the caches, with every row at a cache line and not: streamed and not.
void large_products_of_matrices_are_right(subject& s) {
  constexpr std::size_t rows = 6, terms = 2, columns = 24000;
  for (std::size_t offset : {0u, 1u}) {
    const secret_words weights = s.residues(rows * terms), values = s.residues(terms * columns);
    secret_words out(rows * columns + 1);
    s.field.matmul(view<word>(out).slice(offset, rows * columns), weights, rows, terms, values,
                   columns, 2);
    const secret_words expected = s.expected(weights, terms, values, columns);
    CHECK(std::equal(expected.begin(), expected.end(), out.begin() + static_cast<long>(offset)));
  }
}

void products_are_right(subject& s) {
  for (std::size_t size : {1u, 7u, 8u, 9u, 100u}) {
    const secret_words a = s.residues(size), b = s.residues(size);
    secret_words products(size), sums(size), differences(size), multiples(size), powers(size);
    const word constant = s.residues(1)[0];
    s.field.multiply(products, a, b);
    s.field.add(sums, a, b);
    s.field.subtract(differences, a, b);
    s.field.scale(multiples, a, constant);
    s.field.power_vartime(powers, a, 5);
    word total = 0;
    for (std::size_t i = 0; i < size; ++i) {
      CHECK(products[i] == s.times(a[i], b[i]));
      CHECK(sums[i] == s.plus(a[i], b[i]));
      CHECK(differences[i] == s.plus(a[i], s.p - b[i]));
      CHECK(multiples[i] == s.times(a[i], constant));
      const word square = s.times(a[i], a[i]);
      CHECK(powers[i] == s.times(s.times(square, square), a[i]));
      total = s.plus(total, products[i]);
    }
    CHECK(s.field.dot(a, b) == total);
  }
}

void long_sums_of_products_are_right(subject& s) {
  const secret_words a = s.residues(1000), b = s.residues(1000);
  word total = 0;
  for (std::size_t i = 0; i < a.size(); ++i) total = s.plus(total, s.times(a[i], b[i]));
  CHECK(s.field.dot(a, b) == total);
}

void inverses_are_right(subject& s) {
  for (std::size_t size : {1u, 2u, 8u, 17u, 300u, 5000u}) {
    secret_words a = s.residues(size), r(size);
    for (word& x : a) x += x == 0 ? 1 : 0;
    s.field.invert(r, a);
    for (std::size_t i = 0; i < size; ++i) CHECK(r[i] < s.p && s.times(a[i], r[i]) == 1);
    s.field.invert(r, r);
    CHECK(r == a);
  }
}

void residues_out_of_range_are_counted(const kernels::table& kernel) {
  const prime_field field(kernel, 13);
  const secret_words values{0, 12, 13, 14, ~word{0}, 1, word{1} << 63, 3, 12, 13, 0,
                            0, 25, 12, 26, 11,       5};
  for (std::size_t size = 0; size <= values.size(); ++size) {
    std::size_t outside = 0;
    for (std::size_t i = 0; i < size; ++i) outside += values[i] >= 13 ? 1 : 0;
    CHECK(field.count_outside(schemes::view<const word>(values).first(size)) == outside);
  }
}

void everything_is_right_modulo(const kernels::table& kernel, word p) {
  subject s(kernel, p);
  for (std::size_t rows = 1; rows <= 9; ++rows)
    for (std::size_t columns : {1u, 8u, 19u, 48u, 77u})
      products_of_matrices_are_right(s, rows, 37, columns);
  products_of_matrices_are_right(s, 3, 1, 9);
  products_of_matrices_are_right(s, 2, 2 * kernels::maximum_field_terms + 1, 9);
  products_of_matrices_are_right(s, 70, kernels::maximum_field_terms, 9);
  rows_of_matrices_may_lie_anywhere(s);
  large_products_of_matrices_are_right(s);
  products_are_right(s);
  long_sums_of_products_are_right(s);
  inverses_are_right(s);
}

}  // namespace
}  // namespace veilsum::tests

int main() {
  using namespace veilsum::tests;
  for (const veilsum::kernels::table* kernel : veilsum::kernels::available()) {
    std::printf("kernel %s\n", kernel->name);
    residues_out_of_range_are_counted(*kernel);
    for (veilsum::schemes::word p : narrow_primes) everything_is_right_modulo(*kernel, p);
    for (veilsum::schemes::word p : wide_primes) everything_is_right_modulo(*kernel, p);
  }
  return finish("test_field");
}
