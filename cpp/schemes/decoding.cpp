#include "schemes/decoding.hpp"

#include <algorithm>
#include <vector>

#include "schemes/parallel.hpp"

namespace veilsum::schemes {
namespace {

constexpr std::size_t checks_together = 64;
constexpr std::size_t words_together = 64;

// A recurrence c_0 S_n + c_1 S_(n-1) + ... + c_length S_(n-length) = 0, c_0 != 0, for n >= length.
struct recurrence {
  secret_words coefficients;
  std::size_t length;
};

// The recurrence that one sequence broke when it last made the common one longer.
struct failure {
  recurrence held;
  word discrepancy = 1;
  std::size_t end = 0;  // of the part of the sequence that it failed on

  // How long a recurrence becomes that a multiple of this one mends for the first n terms.
  std::size_t mended_length(std::size_t n) const { return n - end + held.length; }
};

// What the recurrence leaves at the last term.
word discrepancy(const scalar_field& f, const recurrence& r, const word* last) {
  word sum = 0;
  for (std::size_t j = 0; j <= r.length; ++j)
    sum = f.plus(sum, f.times(r.coefficients[j], *(last - j)));
  return sum;
}

// r times the old discrepancy minus the one held, shifted, times the new one: the two cancel.
void mend(view<word> mended, const scalar_field& f, const recurrence& r, word wrong,
          const failure& last, std::size_t shift) {
  for (std::size_t j = 0; j < mended.size; ++j)
    mended[j] = f.times(r.coefficients[j], last.discrepancy);
  for (std::size_t j = shift; j < mended.size; ++j)
    mended[j] = f.minus(mended[j], f.times(last.held.coefficients[j - shift], wrong));
}

// The shortest recurrence that `count` sequences obey, each of `terms` words, one after the other. Empty
// where it is longer than `most`, or not the only one of its length.
secret_words shortest_recurrence_vartime(const scalar_field& f, const word* sequences,
                                         std::size_t count, std::size_t terms, std::size_t most) {
  recurrence found{secret_words(most + 1, 0), 0};
  std::vector<failure> failures(count, failure{found});
  found.coefficients[0] = 1;
  secret_words mended(most + 1, 0);
  for (std::size_t n = 1; n <= terms; ++n)
    for (std::size_t h = 0; h < count && found.length < n; ++h) {
      const word wrong = discrepancy(f, found, sequences + h * terms + n - 1);
      if (wrong == 0) continue;
      failure& last = failures[h];
      const std::size_t length = std::max(found.length, last.mended_length(n));
      if (length > most) return {};
      mend(view<word>(mended).first(length + 1), f, found, wrong, last, n - last.end);
      if (length > found.length) {
        std::swap(last.held, found);
        last.discrepancy = wrong;
        last.end = n;
        found.length = length;
      }
      found.coefficients.swap(mended);
    }
  for (const failure& last : failures)
    if (last.mended_length(terms + 1) <= found.length) return {};
  found.coefficients.resize(found.length + 1);
  return found.coefficients;
}

}  // namespace

reed_solomon::reed_solomon(const prime_field& field, view<const word> points, std::size_t dimension)
    : field_(field),
      scalars_(field.modulus()),
      points_(points.begin(), points.end()),
      entered_points_(points.size),
      weights_(points.size, 1),
      redundancy_(points.size - dimension) {
  // 1 / product of x_i - x_j over j != i.
  words gaps(points.size);
  for (std::size_t j = 0; j < points.size; ++j) {
    std::fill(gaps.begin(), gaps.end(), points[j]);
    field_.subtract(gaps, points, gaps);
    gaps[j] = 1;
    field_.multiply(weights_, weights_, gaps);
  }
  field_.power_vartime(weights_, weights_, field_.modulus() - 2);
  std::transform(points.begin(), points.end(), entered_points_.begin(),
                 [&](word x) { return scalars_.entered(x); });
}

secret_words reed_solomon::syndromes(view<const word> received, std::size_t count,
                                     std::size_t threads) const {
  const std::size_t m = length(), together = std::min(checks_together, redundancy_);
  secret_words result(count * redundancy_), sums(together * count);
  words checks((together + 1) * m);
  const auto check = [&](std::size_t r) { return view<word>(checks).slice(r * m, m); };
  std::copy(weights_.begin(), weights_.end(), checks.begin());
  for (std::size_t first = 0; first < redundancy_; first += together) {
    const std::size_t rows = std::min(together, redundancy_ - first);
    for (std::size_t r = 0; r < rows; ++r) field_.multiply(check(r + 1), check(r), points_);
    field_.matmul(view<word>(sums).first(rows * count), view<word>(checks).first(rows * m), rows, m,
                  received, count, threads);
    for (std::size_t w = 0; w < count; ++w)
      for (std::size_t r = 0; r < rows; ++r)
        result[w * redundancy_ + first + r] = sums[r * count + w];
    std::copy_n(check(rows).begin(), m, checks.begin());
  }
  return result;
}

// A recurrence's polynomial is c_0 x^length + c_1 x^(length - 1) + ... Where all its roots are points, and
// distinct, errors at these explain the syndromes, and all are needed, or a shorter one would hold.
bool reed_solomon::mark_roots_vartime(view<std::uint8_t> errors, view<const word> locator) const {
  secret_words values(length(), 0);
  for (const word coefficient : locator)
    for (std::size_t i = 0; i < length(); ++i)
      values[i] = scalars_.plus(scalars_.times(values[i], entered_points_[i]), coefficient);
  std::transform(values.begin(), values.end(), errors.begin(),
                 [](word value) { return static_cast<std::uint8_t>(value == 0); });
  const auto roots = static_cast<std::size_t>(std::count(errors.begin(), errors.end(), 1));
  const bool all = roots + 1 == locator.size;
  if (!all) std::fill(errors.begin(), errors.end(), std::uint8_t{0});
  return all;
}

void reed_solomon::locate_vartime(view<std::uint8_t> errors, view<std::uint8_t> decoded,
                                  view<const word> received, std::size_t count, std::size_t most,
                                  std::size_t threads) const {
  const secret_words sequences = syndromes(received, count, threads);
  parallel_for(count, words_together, threads, [&](std::size_t begin, std::size_t end) {
    for (std::size_t w = begin; w < end; ++w) {
      const secret_words locator = shortest_recurrence_vartime(
          scalars_, sequences.data() + w * redundancy_, 1, redundancy_, most);
      decoded[w] = mark_roots_vartime(errors.slice(w * length(), length()), locator) ? 1 : 0;
    }
  });
}

bool reed_solomon::locate_together_vartime(view<std::uint8_t> errors, view<const word> received,
                                           std::size_t count, std::size_t most,
                                           std::size_t threads) const {
  const secret_words sequences = syndromes(received, count, threads);
  return mark_roots_vartime(
      errors, shortest_recurrence_vartime(scalars_, sequences.data(), count, redundancy_, most));
}

}  // namespace veilsum::schemes
