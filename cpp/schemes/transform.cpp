#include "schemes/transform.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace veilsum::schemes {
namespace {

__extension__ typedef unsigned __int128 wide;

word power_modulo_vartime(word base, word exponent, word p) {
  word result = 1;
  for (; exponent != 0; exponent >>= 1) {
    if (exponent & 1) result = static_cast<word>(static_cast<wide>(result) * base % p);
    base = static_cast<word>(static_cast<wide>(base) * base % p);
  }
  return result;
}

word smallest_nonresidue(word p) {
  word h = 2;
  while (power_modulo_vartime(h, (p - 1) / 2, p) != p - 1) ++h;
  return h;
}

std::size_t checked_length(std::size_t n, std::size_t longest) {
  if (n == 0 || (n & (n - 1)) != 0 || n > longest)
    throw std::invalid_argument("the length of a transform must be a power of two up to " +
                                std::to_string(longest));
  return n;
}

}  // namespace

kernels::roots transform::table::view() const {
  return {values.data(), companions.empty() ? values.data() : companions.data()};
}

transform::transform(const kernels::table& kernel, word p, std::size_t longest)
    : field_(kernel, p),
      longest_(checked_length(longest, limit(p))),
      nonresidue_(smallest_nonresidue(p)) {
  fill_forward();
  fill_inverse();
}

std::size_t transform::limit(word p) { return static_cast<std::size_t>((p - 1) & (1 - p)); }

std::size_t transform::reversed(std::size_t i, std::size_t n) {
  std::size_t r = 0;
  for (; n > 1; n /= 2, i /= 2) r = 2 * r + i % 2;
  return r;
}

word transform::root(std::size_t n) const {
  const word p = field_.modulus();
  return power_modulo_vartime(nonresidue_, (p - 1) / n, p);
}

// Each place 2^j + b is place b times a root of order 2^(j+2).
void transform::fill_forward() {
  words& values = forward_.values;
  values.resize(std::max<std::size_t>(1, longest_ / 2));
  values[0] = field_.factor_of(1).value;
  for (std::size_t size = 1; size < values.size(); size *= 2)
    field_.scale(view<word>(values).slice(size, size), view<const word>(values).first(size),
                 root(4 * size));
  if (!field_.one_digit()) return;
  forward_.companions.resize(values.size());
  field_.companions(forward_.companions, values);
}

// The inverse of a root of order 2^(j+2) is the negative of another one's: at the place with the j lower
// bits complemented.
void transform::fill_inverse() {
  const words& roots = forward_.values;
  words& values = inverse_.values;
  values.resize(roots.size());
  values[0] = roots[0];
  for (std::size_t size = 1; size < roots.size(); size *= 2)
    for (std::size_t b = 0; b < size; ++b)
      values[size + b] = field_.modulus() - roots[2 * size - 1 - b];
  if (!field_.one_digit()) return;
  inverse_.companions.resize(values.size());
  field_.companions(inverse_.companions, values);
}

void transform::forward_columns(word* a, std::size_t n, std::size_t width) const {
  checked_length(n, longest_);
  field_.kernel().transform(a, n, width, forward_.view(), &field_.lane_prime());
}

void transform::inverse_columns(word* a, std::size_t n, std::size_t width) const {
  finish(a, n, width, inverse_, inverse_of(n));
}

// n (p - 1) / n = -1.
word transform::inverse_of(std::size_t n) const {
  return field_.modulus() - (field_.modulus() - 1) / checked_length(n, longest_);
}

void transform::finish(word* a, std::size_t n, std::size_t width, const table& t,
                       word scale) const {
  checked_length(n, longest_);
  field_.kernel().inverse_transform(a, n, width, t.view(), field_.factor_of(scale),
                                    &field_.lane_prime());
}

// Short ones are the first of `lanes` columns.
template <class Columns>
void transform::single(word* a, std::size_t n, const Columns& columns) const {
  const std::size_t lanes = field_.kernel().lanes;
  if (n >= lanes * lanes) return columns(a, 1);
  secret_words spread(n * lanes, 0);
  for (std::size_t i = 0; i < n; ++i) spread[i * lanes] = a[i];
  columns(spread.data(), lanes);
  for (std::size_t i = 0; i < n; ++i) a[i] = spread[i * lanes];
}

void transform::forward(word* a, std::size_t n) const {
  single(a, n, [&](word* x, std::size_t width) { forward_columns(x, n, width); });
}

void transform::inverse(word* a, std::size_t n) const {
  single(a, n, [&](word* x, std::size_t width) { inverse_columns(x, n, width); });
}

// The way back of a transform leads from bit-reversed to natural order; with roots in the place of their
// inverses it is a transform as well.
void transform::evaluate(word* values, const word* coefficients, std::size_t n) const {
  in_order(values, coefficients, n, forward_, 1);
}

void transform::interpolate(word* coefficients, const word* values, std::size_t n) const {
  in_order(coefficients, values, n, inverse_, inverse_of(n));
}

void transform::in_order(word* out, const word* in, std::size_t n, const table& t,
                         word scale) const {
  const std::size_t lanes = field_.kernel().lanes;
  checked_length(n, longest_);
  if (n >= lanes * lanes * lanes)
    return field_.kernel().transform_in_order(out, in, n, t.view(), field_.factor_of(scale),
                                              &field_.lane_prime());
  for (std::size_t i = 0; i < n; ++i) out[reversed(i, n)] = in[i];
  single(out, n, [&](word* x, std::size_t width) { finish(x, n, width, t, scale); });
}

}  // namespace veilsum::schemes
