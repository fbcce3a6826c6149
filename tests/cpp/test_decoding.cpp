// Inner products against schoolbook sums, and liars found among values of polynomials, on every kernel.
#include <algorithm>
#include <numeric>
#include <vector>

#include "kernels/dispatch.hpp"
#include "schemes/decoding.hpp"
#include "tests/cpp/check.hpp"

namespace veilsum::tests {
namespace {

using schemes::prime_field;
using schemes::reed_solomon;
using schemes::secret_words;
using schemes::word;
using schemes::words;
using marks = std::vector<std::uint8_t>;

__extension__ typedef unsigned __int128 wide;

word times(word a, word b, word p) { return static_cast<word>(static_cast<wide>(a) * b % p); }
word plus(word a, word b, word p) { return static_cast<word>((static_cast<wide>(a) + b) % p); }

secret_words residues(numbers& random, std::size_t count, word p) {
  secret_words x(count);
  for (word& w : x) w = random.next() % 4 == 0 ? p - 1 : random.next() % p;
  return x;
}

void inner_products_are_right(const prime_field& field, std::size_t columns, std::size_t threads) {
  const word p = field.modulus();
  const std::size_t rows = 6, vectors = 3, row_stride = columns + 2, vector_stride = columns + 1;
  numbers random(columns);
  const secret_words a = residues(random, rows * row_stride, p);
  const secret_words b = residues(random, vectors * vector_stride, p);
  secret_words out(rows * vectors);
  std::vector<const word*> left, right;
  for (std::size_t i = 0; i < rows; ++i) left.push_back(a.data() + i * row_stride);
  for (std::size_t j = 0; j < vectors; ++j) right.push_back(b.data() + j * vector_stride);
  field.inner_products(out, left.data(), rows, right.data(), vectors, columns, threads);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < vectors; ++j) {
      word sum = 0;
      for (std::size_t k = 0; k < columns; ++k)
        sum = plus(sum, times(a[i * row_stride + k], b[j * vector_stride + k], p), p);
      CHECK(out[i * vectors + j] == sum);
    }
}

void scalar_arithmetic_is_right(word p) {
  const schemes::scalar_field f(p);
  numbers random(p);
  const secret_words a = residues(random, 50, p);
  for (const word x : a)
    for (const word y : a) {
      CHECK(f.times(f.entered(x), y) == times(x, y, p));
      CHECK(f.plus(x, y) == plus(x, y, p));
      CHECK(f.minus(x, y) == plus(x, p - y, p));
    }
}

// Words of a code: the values of fresh polynomials at the points, one in each column.
struct dealing {
  dealing(word p, std::size_t length, std::size_t dimension, std::size_t word_count)
      : random(length), modulus(p), count(word_count), points(length), values(length * count) {
    // Distinct, in no order, zero and the largest residue among them where there is room.
    for (std::size_t i = 0; i < length; ++i) points[i] = i % 2 == 0 ? i / 2 : p - 1 - i / 2;
    for (std::size_t w = 0; w < count; ++w) {
      const secret_words coefficients = residues(random, dimension, p);
      for (std::size_t i = 0; i < length; ++i)
        for (std::size_t j = dimension; j-- > 0;)
          value(i, w) = plus(times(value(i, w), points[i], p), coefficients[j], p);
    }
  }
  word& value(std::size_t i, std::size_t w) { return values[i * count + w]; }
  void alter(std::size_t i, std::size_t w) {
    value(i, w) = plus(value(i, w), 1 + random.next() % (modulus - 1), modulus);
  }
  // So many different places, marked.
  marks places(std::size_t chosen) {
    marks result(points.size(), 0);
    std::fill_n(result.begin(), chosen, std::uint8_t{1});
    for (std::size_t i = result.size(); i-- > 1;)
      std::swap(result[i], result[random.next() % (i + 1)]);
    return result;
  }

  numbers random;
  word modulus;
  std::size_t count;
  words points;
  secret_words values;
};

// Word w gets w errors: all within the radius are found, the others are refused.
void errors_are_found_up_to_the_radius_and_refused_beyond(const prime_field& field,
                                                          std::size_t length, std::size_t dimension,
                                                          std::size_t most) {
  const std::size_t detectable = length - dimension - most;
  dealing d(field.modulus(), length, dimension, detectable + 1);
  marks expected, errors(d.count * length, 7), decoded(d.count, 7);
  for (std::size_t w = 0; w < d.count; ++w) {
    const marks liars = d.places(w);
    for (std::size_t i = 0; i < length; ++i) {
      if (liars[i] != 0) d.alter(i, w);
      expected.push_back(w <= most ? liars[i] : 0);
    }
  }
  const reed_solomon code(field, d.points, dimension);
  for (std::size_t threads : {1u, 3u}) {
    code.locate_vartime(errors, decoded, d.values, d.count, most, threads);
    CHECK(errors == expected);
    for (std::size_t w = 0; w < d.count; ++w) CHECK(decoded[w] == (w <= most ? 1 : 0));
  }
}

// As many words as errors, which are independent: all but one of the redundant values may be altered.
void independent_errors_are_found_together(const prime_field& field, std::size_t length,
                                           std::size_t dimension) {
  const std::size_t most = length - dimension - 1;
  for (std::size_t altered = 0; altered <= most; ++altered) {
    dealing d(field.modulus(), length, dimension, std::max<std::size_t>(altered, 1));
    const marks liars = d.places(altered);
    std::size_t first = 0;  // a triangle of errors has full rank
    for (std::size_t i = 0; i < length; ++i) {
      if (liars[i] == 0) continue;
      for (std::size_t w = first; w < d.count; ++w) d.alter(i, w);
      ++first;
    }
    marks errors(length, 7);
    const reed_solomon code(field, d.points, dimension);
    CHECK(code.locate_together_vartime(errors, d.values, d.count, most, 2));
    CHECK(errors == liars);
    if (altered == 0) continue;
    CHECK(!code.locate_together_vartime(errors, d.values, d.count, altered - 1, 2));
    CHECK(errors == marks(length, 0));
  }
}

void words_that_two_sets_of_errors_explain_are_refused() {
  // Of two values of a constant either may be wrong, that at 0 as well.
  const prime_field field(kernels::portable, 13);
  const reed_solomon code(field, words{0, 2}, 1);
  marks errors(2, 7);
  CHECK(!code.locate_together_vartime(errors, words{5, 6}, 1, 1, 1));
  CHECK(errors == marks(2, 0));
}

void no_redundancy_shows_no_error() {
  const prime_field field(kernels::portable, 13);
  const reed_solomon code(field, words{3, 1, 2}, 3);
  marks errors(6, 7), decoded(2, 7);
  code.locate_vartime(errors, decoded, words{1, 2, 3, 4, 5, 6}, 2, 0, 1);
  CHECK(errors == marks(6, 0) && decoded == marks(2, 1));
}

}  // namespace
}  // namespace veilsum::tests

int main() {
  using namespace veilsum::tests;
  using veilsum::schemes::prime_field;
  for (std::uint64_t p : {std::uint64_t{13}, std::uint64_t{1125899437080577},
                          (std::uint64_t{1} << 61) - 1, ~std::uint64_t{0} - 0xfffffffeu}) {
    scalar_arithmetic_is_right(p);
    for (const veilsum::kernels::table* kernel : veilsum::kernels::available()) {
      const prime_field field(*kernel, p);
      for (std::size_t columns : {0u, 1u, 8u, 1000u, 1024u, 1031u, 8192u, 20003u})
        for (std::size_t threads : {1u, 2u}) inner_products_are_right(field, columns, threads);
      for (std::size_t dimension : {1u, 3u, 9u, 10u})
        for (std::size_t most = 0; most <= (10 - dimension) / 2; ++most)
          errors_are_found_up_to_the_radius_and_refused_beyond(field, 10, dimension, most);
      for (std::size_t dimension : {1u, 3u, 9u})
        independent_errors_are_found_together(field, 10, dimension);
      if (p == 13) continue;
      errors_are_found_up_to_the_radius_and_refused_beyond(field, 203, 70, 66);
      independent_errors_are_found_together(field, 40, 10);
    }
  }
  words_that_two_sets_of_errors_explain_are_refused();
  no_redundancy_shows_no_error();
  return finish("test_decoding");
}
