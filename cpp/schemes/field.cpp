#include "schemes/field.hpp"

#include <algorithm>

#include "common/constant_time.hpp"
#include "schemes/parallel.hpp"

namespace veilsum::schemes {
namespace {

// Values of one strip of columns stay in the second-level cache while all rows are made.
constexpr std::size_t strip_bytes = 128 * 1024;

word radix_power(word p, std::size_t bits) {
  return power_of_two(bits, view<const word>(&p, 1))[0];
}

const kernels::table& fitting(const kernels::table& kernel, word p) {
  return kernel.field_bits < 64 && p >> kernel.field_bits != 0 ? kernels::portable : kernel;
}

}  // namespace

prime_field::prime_field(const kernels::table& kernel, word p)
    : kernel_(&fitting(kernel, p)),
      p_{p, extract_bits(words{negative_inverse(p)}, 0, kernel_->digit_bits)},
      radix4_(radix_power(p, 4 * kernel_->digit_bits)) {}

void prime_field::add(view<word> r, view<const word> a, view<const word> b) const {
  const word p = p_.value;
  for (std::size_t i = 0; i < r.size; ++i) {
    const word room = p - b[i];
    const word wraps = common::is_less(a[i], room) - 1;  // all ones where a + b >= p
    r[i] = a[i] - room + (p & ~wraps);
  }
}

void prime_field::subtract(view<word> r, view<const word> a, view<const word> b) const {
  const word p = p_.value;
  for (std::size_t i = 0; i < r.size; ++i)
    r[i] = a[i] - b[i] + (p & (0 - common::is_less(a[i], b[i])));
}

void prime_field::multiply(view<word> r, view<const word> a, view<const word> b) const {
  const std::size_t lanes = kernel_->lanes, whole = r.size / lanes * lanes;
  if (whole > 0) kernel_->field_multiply(r.data, a.data, b.data, whole, p_, radix4_);
  if (whole < r.size) {
    secret_words x(lanes, 0), y(lanes, 0);
    std::copy(a.begin() + whole, a.end(), x.begin());
    std::copy(b.begin() + whole, b.end(), y.begin());
    kernel_->field_multiply(x.data(), x.data(), y.data(), lanes, p_, radix4_);
    std::copy(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(r.size - whole),
              r.begin() + whole);
  }
}

void prime_field::power_vartime(view<word> r, view<const word> a, word exponent) const {
  secret_words base(a.begin(), a.end());
  std::fill(r.begin(), r.end(), word{1});
  for (word rest = exponent; rest != 0; rest >>= 1) {
    if (rest & 1) multiply(r, r, base);
    if (rest > 1) multiply(base, base, base);
  }
}

void prime_field::matmul_columns(view<word> out, const word* scaled, std::size_t rows,
                                 std::size_t terms, view<const word> values, std::size_t columns,
                                 std::size_t begin, std::size_t end) const {
  const std::size_t lanes = kernel_->lanes, width = end - begin;
  const std::size_t whole = width / lanes * lanes, rest = width - whole;
  if (whole > 0)
    kernel_->field_matmul(out.data + begin, columns, scaled, rows, terms, values.data + begin,
                          columns, whole, p_);
  if (rest == 0) return;
  secret_words padded(terms * lanes, 0), result(rows * lanes);
  for (std::size_t k = 0; k < terms; ++k)
    std::copy_n(values.data + k * columns + begin + whole, rest, padded.data() + k * lanes);
  kernel_->field_matmul(result.data(), lanes, scaled, rows, terms, padded.data(), lanes, lanes, p_);
  for (std::size_t i = 0; i < rows; ++i)
    std::copy_n(result.data() + i * lanes, rest, out.data + i * columns + begin + whole);
}

void prime_field::matmul(view<word> out, view<const word> weights, std::size_t rows,
                         std::size_t terms, view<const word> values, std::size_t columns,
                         std::size_t threads) const {
  if (out.size == 0) return;
  if (terms > kernels::maximum_field_terms) {
    // Long sums are made in two halves, each within the lanes' bounds.
    const std::size_t head = terms / 2;
    secret_words left(rows * head), right(rows * (terms - head)), sum(out.size);
    for (std::size_t i = 0; i < rows; ++i) {
      std::copy_n(weights.data + i * terms, head, left.data() + i * head);
      std::copy_n(weights.data + i * terms + head, terms - head, right.data() + i * (terms - head));
    }
    matmul(out, left, rows, head, values.first(head * columns), columns, threads);
    matmul(sum, right, rows, terms - head, values.from(head * columns), columns, threads);
    add(out, out, sum);
    return;
  }
  // The kernel divides by R^2.
  secret_words scaled(weights.begin(), weights.end());
  const words factor(scaled.size(), radix_power(p_.value, 2 * kernel_->digit_bits));
  multiply(scaled, scaled, factor);
  const std::size_t strip =
      std::max<std::size_t>(64, strip_bytes / 8 / std::max<std::size_t>(terms, 1) / 64 * 64);
  parallel_for(columns, strip, threads, [&](std::size_t begin, std::size_t end) {
    for (std::size_t j = begin; j < end; j += strip)
      matmul_columns(out, scaled.data(), rows, terms, values, columns, j, std::min(end, j + strip));
  });
}

std::size_t count_out_of_range(view<const word> values, word p) {
  std::size_t count = 0;
  for (word value : values) count += 1 - common::is_less(value, p);
  return count;
}

}  // namespace veilsum::schemes
