#include "schemes/field.hpp"

#include <algorithm>
#include <mutex>
#include <vector>

#include "common/constant_time.hpp"
#include "schemes/parallel.hpp"

namespace veilsum::schemes {
namespace {

// Values of one strip of columns, and weights of one block of rows, stay in the second-level cache.
constexpr std::size_t strip_words = 16 * 1024;
constexpr std::size_t weight_words = 32 * 1024;
// Smaller results stay in the caches for their reader.
constexpr std::size_t streamed_words = 128 * 1024;
// Columns that an inner product works on at a time: no lane of any kernel collects more products.
constexpr std::size_t dot_columns = kernels::maximum_field_terms;
// How many residues are inverted side by side.
constexpr std::size_t block_words = 256;

word radix_power(word p, std::size_t bits) {
  return power_of_two(bits, view<const word>(&p, 1))[0];
}

template <class T>
std::vector<T*> rows_of(T* first, std::size_t rows, std::size_t stride) {
  std::vector<T*> result(rows);
  for (std::size_t i = 0; i < rows; ++i) result[i] = first + i * stride;
  return result;
}

template <class T>
std::vector<T*> moved(T* const* rows, std::size_t count, std::size_t offset) {
  std::vector<T*> result(rows, rows + count);
  for (T*& row : result) row += offset;
  return result;
}

bool start_at_cache_lines(word* const* rows, std::size_t count) {
  return std::all_of(rows, rows + count, [](const word* row) {
    return reinterpret_cast<std::uintptr_t>(row) % common::cache_line == 0;
  });
}

}  // namespace

std::size_t prime_field::radix_bits(const kernels::table& kernel, word p) {
  const bool narrow = kernel.field_bits == 64 || p >> kernel.field_bits == 0;
  return narrow ? kernel.digit_bits : 2 * kernel.digit_bits;
}

prime_field::prime_field(const kernels::table& kernel, word p)
    : kernel_(&kernel),
      p_{p, negative_inverse(p), radix_power(p, 2 * radix_bits(kernel, p))},
      matmul_factor_(radix_power(p, 2 * kernel.digit_bits)),
      radix_(radix_power(p, radix_bits(kernel, p))) {}

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
  if (whole > 0) kernel_->field_multiply(r.data, a.data, b.data, whole, &p_);
  if (whole == r.size) return;
  secret_words x(lanes, 0), y(lanes, 0);
  std::copy(a.begin() + whole, a.end(), x.begin());
  std::copy(b.begin() + whole, b.end(), y.begin());
  kernel_->field_multiply(x.data(), x.data(), y.data(), lanes, &p_);
  std::copy_n(x.begin(), r.size - whole, r.begin() + whole);
}

kernels::factor prime_field::factor_of(word constant) const {
  word value;
  multiply({&value, 1}, {&constant, 1}, {&radix_, 1});
  word companion;
  companions({&companion, 1}, {&value, 1});
  return {value, companion};
}

void prime_field::companions(view<word> r, view<const word> values) const {
  const word inverse = 0 - p_.negative_inverse, mask = ~word{0} >> (64 - kernel_->digit_bits);
  for (std::size_t i = 0; i < r.size; ++i) r[i] = values[i] * inverse & mask;
}

void prime_field::scale(view<word> r, view<const word> a, kernels::factor w) const {
  const std::size_t lanes = kernel_->lanes, whole = r.size / lanes * lanes;
  if (whole > 0) kernel_->field_scale(r.data, a.data, whole, w, &p_);
  if (whole == r.size) return;
  secret_words x(lanes, 0);
  std::copy(a.begin() + whole, a.end(), x.begin());
  kernel_->field_scale(x.data(), x.data(), lanes, w, &p_);
  std::copy_n(x.begin(), r.size - whole, r.begin() + whole);
}

void prime_field::power_vartime(view<word> r, view<const word> a, word exponent) const {
  secret_words base(a.begin(), a.end());
  std::fill(r.begin(), r.end(), word{1});
  for (word rest = exponent; rest != 0; rest >>= 1) {
    if (rest & 1) multiply(r, r, base);
    if (rest > 1) multiply(base, base, base);
  }
}

// Montgomery's trick on columns side by side: row i of `products` is the product of rows 0 .. i.
void prime_field::invert(view<word> r, view<const word> a) const {
  if (a.size == 0) return;
  const std::size_t width =
      std::clamp(a.size / 16 / kernel_->lanes * kernel_->lanes, kernel_->lanes, block_words);
  const std::size_t rows = (a.size + width - 1) / width;
  secret_words factors(rows * width, 1), products(rows * width), inverse(width);
  std::copy(a.begin(), a.end(), factors.begin());
  const auto row = [width](secret_words& x, std::size_t i) {
    return view<word>(x).slice(i * width, width);
  };
  std::copy_n(factors.begin(), width, products.begin());
  for (std::size_t i = 1; i < rows; ++i)
    multiply(row(products, i), row(products, i - 1), row(factors, i));
  power_vartime(inverse, row(products, rows - 1), p_.value - 2);
  for (std::size_t i = rows - 1; i > 0; --i) {
    multiply(row(products, i), row(products, i - 1), inverse);
    multiply(inverse, inverse, row(factors, i));
  }
  std::copy_n(inverse.begin(), width, products.begin());
  std::copy_n(products.begin(), r.size, r.begin());
}

void prime_field::copy_out(word* const* out, const word* const* in, std::size_t rows,
                           std::size_t columns) const {
  const std::size_t whole =
      start_at_cache_lines(out, rows) ? columns / kernel_->lanes * kernel_->lanes : 0;
  if (whole > 0) kernel_->stream_rows(out, in, rows, whole);
  for (std::size_t i = 0; i < rows && whole < columns; ++i)
    std::copy_n(in[i] + whole, columns - whole, out[i] + whole);
}

void prime_field::add_inner_products(view<word> lane_sums, const word* const* rows,
                                     std::size_t row_count, const word* const* vectors,
                                     std::size_t vector_count, std::size_t columns) const {
  const std::size_t lanes = kernel_->lanes, whole = columns / lanes * lanes, rest = columns - whole;
  secret_words found(lane_sums.size);
  kernel_->field_dot(found.data(), rows, row_count, vectors, vector_count, whole, &p_);
  add(lane_sums, lane_sums, found);
  if (rest == 0) return;
  secret_words padded((row_count + vector_count) * lanes, 0);
  const std::vector<word*> ends = rows_of(padded.data(), row_count + vector_count, lanes);
  for (std::size_t i = 0; i < row_count; ++i) std::copy_n(rows[i] + whole, rest, ends[i]);
  for (std::size_t j = 0; j < vector_count; ++j)
    std::copy_n(vectors[j] + whole, rest, ends[row_count + j]);
  kernel_->field_dot(found.data(), ends.data(), row_count, ends.data() + row_count, vector_count,
                     lanes, &p_);
  add(lane_sums, lane_sums, found);
}

void prime_field::inner_products(view<word> out, const word* const* rows, std::size_t row_count,
                                 const word* const* vectors, std::size_t vector_count,
                                 std::size_t columns, std::size_t threads) const {
  const std::size_t lanes = kernel_->lanes;
  secret_words total(out.size * lanes, 0);
  std::mutex adding;
  parallel_for(columns, dot_columns, threads, [&](std::size_t begin, std::size_t end) {
    secret_words lane_sums(total.size(), 0);
    for (std::size_t j = begin; j < end; j += dot_columns)
      add_inner_products(lane_sums, moved(rows, row_count, j).data(), row_count,
                         moved(vectors, vector_count, j).data(), vector_count,
                         std::min(end - j, dot_columns));
    const std::lock_guard<std::mutex> lock(adding);
    add(total, total, lane_sums);
  });
  std::fill(out.begin(), out.end(), word{0});
  for (std::size_t i = 0; i < out.size; ++i)
    for (std::size_t l = 0; l < lanes; ++l)
      add(out.slice(i, 1), out.slice(i, 1), view<const word>(total).slice(i * lanes + l, 1));
  scale(out, out, matmul_factor_);
}

word prime_field::dot(view<const word> a, view<const word> b) const {
  word sum = 0;
  inner_products({&sum, 1}, &a.data, 1, &b.data, 1, a.size, 1);
  return sum;
}

prime_field::weights prime_field::prepare(view<const word> matrix, std::size_t rows,
                                          std::size_t terms) const {
  weights w;
  w.scaled_.resize(rows * terms);
  w.rows_ = rows;
  w.terms_ = terms;
  word* next = w.scaled_.data();
  for (std::size_t begin = 0; begin < terms; begin += kernels::maximum_field_terms) {
    const std::size_t size = std::min(kernels::maximum_field_terms, terms - begin);
    for (std::size_t i = 0; i < rows; ++i, next += size)
      std::copy_n(matrix.data + i * terms + begin, size, next);
  }
  scale(w.scaled_, w.scaled_, matmul_factor_);
  return w;
}

// Any number of columns: what does not fill the lanes is padded.
void prime_field::matmul_chunk(word* const* out, const word* scaled, std::size_t rows,
                               std::size_t terms, const word* const* values, std::size_t columns,
                               bool stream) const {
  const std::size_t lanes = kernel_->lanes, whole = columns / lanes * lanes;
  const std::size_t rest = columns - whole;
  if (whole > 0) kernel_->field_matmul(out, scaled, rows, terms, values, whole, &p_, stream);
  if (rest == 0) return;
  secret_words padded(terms * lanes, 0), result(rows * lanes);
  for (std::size_t k = 0; k < terms; ++k)
    std::copy_n(values[k] + whole, rest, padded.data() + k * lanes);
  kernel_->field_matmul(rows_of(result.data(), rows, lanes).data(), scaled, rows, terms,
                        rows_of<const word>(padded.data(), terms, lanes).data(), lanes, &p_, false);
  for (std::size_t i = 0; i < rows; ++i)
    std::copy_n(result.data() + i * lanes, rest, out[i] + whole);
}

void prime_field::matmul_strip(word* const* out, const weights& w, const word* const* values,
                               std::size_t columns, bool stream) const {
  const std::size_t first = std::min(w.terms_, kernels::maximum_field_terms);
  const std::size_t block =
      std::max<std::size_t>(4, weight_words / std::max<std::size_t>(first, 1));
  for (std::size_t i = 0; i < w.rows_; i += block)
    matmul_chunk(out + i, w.chunk(0) + i * first, std::min(block, w.rows_ - i), first, values,
                 columns, stream);
  secret_words sum(first < w.terms_ ? columns : 0);
  for (std::size_t begin = first; begin < w.terms_; begin += kernels::maximum_field_terms) {
    const std::size_t size = std::min(kernels::maximum_field_terms, w.terms_ - begin);
    for (std::size_t i = 0; i < w.rows_; ++i) {
      word* const row = sum.data();
      matmul_chunk(&row, w.chunk(begin) + i * size, 1, size, values + begin, columns, false);
      add({out[i], columns}, {out[i], columns}, sum);
    }
  }
}

void prime_field::matmul(word* const* out, const weights& w, const word* const* values,
                         std::size_t columns, std::size_t threads, bool reads_soon) const {
  if (w.rows_ == 0) return;
  const bool stream = (!reads_soon || w.rows_ * columns >= streamed_words) &&
                      w.terms_ <= kernels::maximum_field_terms &&
                      start_at_cache_lines(out, w.rows_);
  const std::size_t strip =
      std::max<std::size_t>(192, strip_words / std::max<std::size_t>(w.terms_, 1) / 192 * 192);
  parallel_for(columns, strip, threads, [&](std::size_t begin, std::size_t end) {
    for (std::size_t j = begin; j < end; j += strip)
      matmul_strip(moved(out, w.rows_, j).data(), w, moved(values, w.terms_, j).data(),
                   std::min(strip, end - j), stream);
  });
}

void prime_field::matmul(word* const* out, view<const word> matrix, std::size_t rows,
                         std::size_t terms, const word* const* values, std::size_t columns,
                         std::size_t threads) const {
  matmul(out, prepare(matrix, rows, terms), values, columns, threads);
}

void prime_field::matmul(view<word> out, view<const word> matrix, std::size_t rows,
                         std::size_t terms, view<const word> values, std::size_t columns,
                         std::size_t threads) const {
  matmul(rows_of(out.data, rows, columns).data(), matrix, rows, terms,
         rows_of(values.data, terms, columns).data(), columns, threads);
}

bool cut_words(view<word> values, word mask, word largest) {
  word above = 0;
  if (mask >> 63 == 0) {
    for (word& value : values) above |= largest - (value &= mask);
    return above >> 63 != 0;
  }
  for (word& value : values) above |= common::is_less(largest, value &= mask);
  return above != 0;
}

}  // namespace veilsum::schemes
