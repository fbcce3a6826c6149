// Dealing and opening against evaluation point by point, with every kernel.
#include "schemes/sharing.hpp"

#include <algorithm>

#include "kernels/dispatch.hpp"
#include "tests/cpp/check.hpp"

namespace veilsum::tests {
namespace {

using schemes::const_row_pointers;
using schemes::prime_field;
using schemes::row_pointers;
using schemes::secret_words;
using schemes::transform;
using schemes::word;

constexpr word p50 = 1125899437080577, mersenne61 = (word{1} << 61) - 1;
constexpr word goldilocks = ~word{0} - 0xfffffffeu;

word times(word a, word b, word p) {
  return static_cast<word>(static_cast<unsigned __int128>(a) * b % p);
}

word plus(word a, word b, word p) {
  return static_cast<word>((static_cast<unsigned __int128>(a) + b) % p);
}

word power(word base, std::size_t exponent, word p) {
  word r = 1;
  for (; exponent != 0; exponent >>= 1, base = times(base, base, p))
    if (exponent & 1) r = times(r, base, p);
  return r;
}

// A matrix in memory of one's choice: rows at cache lines, or one word beyond them.
class matrix {
 public:
  matrix(std::size_t rows, std::size_t columns, std::size_t offset = 0)
      : stride_((columns + offset + 7) / 8 * 8), offset_(offset), words_(rows * stride_, 0) {
    for (std::size_t i = 0; i < rows; ++i) rows_.push_back(words_.data() + i * stride_ + offset_);
  }
  static matrix random(std::size_t rows, std::size_t columns, word p, std::uint64_t seed) {
    matrix m(rows, columns);
    numbers next(seed);
    for (word* row : m.rows_)
      for (std::size_t j = 0; j < columns; ++j) row[j] = next.next() % p;
    return m;
  }
  const row_pointers& rows() const { return rows_; }
  const_row_pointers read() const { return {rows_.begin(), rows_.end()}; }
  word* operator[](std::size_t i) const { return rows_[i]; }

 private:
  std::size_t stride_, offset_;
  secret_words words_;
  row_pointers rows_;
};

// f(x) for coefficients down a column.
word value_at(const matrix& coefficients, std::size_t terms, std::size_t column, word x, word p) {
  word sum = 0;
  for (std::size_t i = terms; i-- > 0;) sum = plus(times(sum, x, p), coefficients[i][column], p);
  return sum;
}

// The first values are drawn, the others follow: of a line, 2 y_1 - y_0 and 3 y_1 - 2 y_0.
void what_is_drawn_is_dealt_and_the_rest_follows(const kernels::table& kernel, word p,
                                                 std::size_t columns, std::size_t offset) {
  const prime_field field(kernel, p);
  const secret_words line{p - 1, 2, p - 2, 3};
  const matrix known = matrix::random(2, columns, p, columns), out(3, columns, offset);
  schemes::deal(field, field.prepare(line, 2, 2), known.read(), out.rows(), columns);
  for (std::size_t j = 0; j < columns; ++j) {
    const word y0 = known[0][j], y1 = known[1][j];
    CHECK(out[0][j] == y1);
    CHECK(out[1][j] == plus(times(2, y1, p), p - y0, p));
    CHECK(out[2][j] == plus(times(3, y1, p), p - times(2, y0, p), p));
  }
}

void values_at_roots_are_those_of_the_polynomial(const kernels::table& kernel, word p,
                                                 std::size_t n, std::size_t holders,
                                                 std::size_t terms, std::size_t columns) {
  const prime_field field(kernel, p);
  const transform roots(kernel, p, n);
  const secret_words identity{1};
  const matrix known = matrix::random(terms, columns, p, n + columns), out(holders, columns);
  schemes::deal_at_roots(field, roots, n, field.prepare(identity, 1, 1), known.read(), out.rows(),
                         columns);
  for (std::size_t i = 0; i < holders; ++i)
    for (std::size_t j = 0; j < columns; ++j)
      CHECK(out[i][j] == value_at(known, terms, j, power(roots.root(n), i, p), p));
}

// Rows are constants, so that each opens itself and foretells the other.
void secrets_are_centred_and_what_disagrees_is_counted(const kernels::table& kernel, word p,
                                                       std::size_t columns, std::size_t threads) {
  const prime_field field(kernel, p);
  const secret_words constant{1, 1};
  const matrix rows = matrix::random(2, columns, p, columns);
  std::copy_n(rows[0], columns, rows[1]);
  rows[0][0] = rows[1][0] = p - 5;
  std::vector<std::int64_t> secrets(columns);
  const auto half = static_cast<std::int64_t>((p - 1) / 2);
  const auto open = [&](std::int64_t low) {
    return schemes::open(field, field.prepare(constant, 2, 1), {rows[0]}, {rows[1]},
                         {secrets.data(), columns, columns, low, half}, threads);
  };
  const schemes::verdict agreed = open(-half);
  CHECK(agreed.disagreeing == 0 && agreed.outside == 0);
  std::size_t negative = 0;
  for (std::size_t j = 0; j < columns; ++j) {
    const word v = rows[0][j];
    const bool below = v > (p - 1) / 2;
    negative += below ? 1 : 0;
    CHECK(secrets[j] == (below ? -static_cast<std::int64_t>(p - v) : static_cast<std::int64_t>(v)));
  }
  CHECK(secrets[0] == -5 && open(0).outside == negative);
  rows[1][columns - 1] ^= 1;
  rows[1][0] = 0;
  CHECK(open(-half).disagreeing == (columns > 1 ? 2 : 1));
}

// Of n roots some are lost; the rest, scaled by what vanishes there, gives f(0) / vanish(0).
void what_is_left_at_roots_opens_and_is_checked(const kernels::table& kernel, word p, std::size_t n,
                                                std::size_t terms, std::size_t lost,
                                                std::size_t columns, std::size_t threads) {
  const prime_field field(kernel, p);
  const transform roots(kernel, p, n);
  const secret_words identity{1};
  const matrix known = matrix::random(terms, columns, p, n), dealt(n, columns);
  for (std::size_t j = 0; j < columns; ++j) known[0][j] = j % 2 == 0 ? j : p - j;
  schemes::deal_at_roots(field, roots, n, field.prepare(identity, 1, 1), known.read(), dealt.rows(),
                         columns);
  const auto vanishing = [&](word x) {
    word product = 1;
    for (std::size_t i = 0; i < lost; ++i)
      product = times(product, plus(x, p - power(roots.root(n), i, p), p), p);
    return product;
  };
  const_row_pointers rows;
  std::vector<std::size_t> places;
  secret_words scales;
  for (std::size_t i = lost; i < n; ++i) {
    rows.push_back(dealt[i]);
    places.push_back(i);
    scales.push_back(vanishing(power(roots.root(n), i, p)));
  }
  const secret_words weight{power(vanishing(0), p - 2, p)};
  std::vector<std::int64_t> secrets(columns);
  const auto bound = static_cast<std::int64_t>(columns);
  const auto open = [&] {
    return schemes::open_at_roots(field, roots, n, {places, scales, terms + lost},
                                  field.prepare(weight, 1, 1), rows,
                                  {secrets.data(), columns, columns, -bound, bound}, threads);
  };
  const schemes::verdict agreed = open();
  CHECK(agreed.disagreeing == 0 && agreed.outside == 0);
  for (std::size_t j = 0; j < columns; ++j)
    CHECK(secrets[j] == (j % 2 == 0 ? 1 : -1) * static_cast<std::int64_t>(j));
  if (terms + lost == n) return;  // nothing is redundant
  dealt[n - 1][columns - 1] = (dealt[n - 1][columns - 1] + 1) % p;
  CHECK(open().disagreeing == 1);
}

void everything_holds(const kernels::table& kernel, word p) {
  for (std::size_t columns : {1u, 7u, 8u, 64u, 133u}) {
    for (std::size_t offset : {0u, 1u})
      what_is_drawn_is_dealt_and_the_rest_follows(kernel, p, columns, offset);
    for (std::size_t threads : {1u, 3u})
      secrets_are_centred_and_what_disagrees_is_counted(kernel, p, columns, threads);
  }
  for (std::size_t n = 1; n <= 32 && n <= transform::limit(p); n *= 2) {
    for (std::size_t columns : {1u, 8u, 75u}) {
      values_at_roots_are_those_of_the_polynomial(kernel, p, n, n, (n + 1) / 2, columns);
      values_at_roots_are_those_of_the_polynomial(kernel, p, n, n / 2 + 1, 1, columns);
      what_is_left_at_roots_opens_and_is_checked(kernel, p, n, (n + 1) / 2, n / 2, columns, 2);
      what_is_left_at_roots_opens_and_is_checked(kernel, p, n, 1, n / 2, columns, 1);
    }
  }
}

}  // namespace
}  // namespace veilsum::tests

int main() {
  using namespace veilsum;
  for (const kernels::table* kernel : kernels::available())
    for (schemes::word p : {tests::p50, tests::mersenne61, tests::goldilocks, schemes::word{769}})
      tests::everything_holds(*kernel, p);
  return tests::finish("test_sharing");
}
