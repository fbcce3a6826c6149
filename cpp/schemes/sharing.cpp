#include "schemes/sharing.hpp"

#include <algorithm>
#include <atomic>

#include "common/constant_time.hpp"
#include "schemes/parallel.hpp"

namespace veilsum::schemes {
namespace {

// The results of a strip of columns stay in the first-level cache until they are looked at.
constexpr std::size_t strip_words = 4096;
constexpr std::size_t grain = 64;

std::size_t strip_columns(std::size_t rows) {
  return std::max(grain, strip_words / std::max<std::size_t>(rows, 1) / grain * grain);
}

// Columns of a strip that is transformed: as many as the first-level cache holds, at least a few lanes.
std::size_t transformed_columns(std::size_t n) {
  return std::min(grain, std::max<std::size_t>(8, strip_words / 2 / n / 8 * 8));
}

row_pointers rows_of(secret_words& memory, std::size_t rows, std::size_t width) {
  row_pointers pointers(rows);
  for (std::size_t i = 0; i < rows; ++i) pointers[i] = memory.data() + i * width;
  return pointers;
}

void shift(const_row_pointers& shifted, const const_row_pointers& rows, std::size_t column) {
  for (std::size_t i = 0; i < rows.size(); ++i) shifted[i] = rows[i] + column;
}

// Residues as the signed integers of least magnitude; returns how many are not within the bounds.
std::size_t centre(std::int64_t* out, const word* residues, std::size_t count, word p,
                   std::int64_t low, std::int64_t high) {
  const word limit = (p - 1) / 2;
  std::size_t outside = 0;
  for (std::size_t j = 0; j < count; ++j) {
    const word negative = 0 - ((limit - residues[j]) >> 63);
    const auto value = static_cast<std::int64_t>(residues[j] - (p & negative));
    outside += static_cast<std::size_t>((value < low) | (value > high));
    out[j] = value;
  }
  return outside;
}

std::size_t take(const opened_secrets& secrets, const word* residues, std::size_t row,
                 std::size_t begin, std::size_t width, word p) {
  const std::size_t at = row * secrets.columns + begin;
  if (at >= secrets.size) return 0;
  const std::size_t count = std::min(width, secrets.size - at);
  return centre(secrets.values + at, residues, count, p, secrets.low, secrets.high);
}

// Marks the columns in which two rows differ.
void mark_differences(word* marks, const word* a, const word* b, std::size_t width) {
  for (std::size_t j = 0; j < width; ++j) marks[j] |= a[j] ^ b[j];
}

void mark_nonzero(word* marks, const word* a, std::size_t width) {
  for (std::size_t j = 0; j < width; ++j) marks[j] |= a[j];
}

std::size_t count_marks(const word* marks, std::size_t width) {
  std::size_t count = 0;
  for (std::size_t j = 0; j < width; ++j) count += common::is_nonzero(marks[j]);
  return count;
}

// Runs work(begin, width) -> verdict over strips of columns, on threads; make() gives each its own work.
template <class Make>
verdict over_strips(std::size_t columns, std::size_t strip, std::size_t threads, const Make& make) {
  std::atomic<std::size_t> disagreeing{0}, outside{0};
  parallel_for(columns, strip, threads, [&](std::size_t begin, std::size_t end) {
    auto work = make();
    for (std::size_t j = begin; j < end; j += strip) {
      const verdict found = work(j, std::min(strip, end - j));
      disagreeing += found.disagreeing;
      outside += found.outside;
    }
  });
  return {disagreeing, outside};
}

}  // namespace

void deal(const prime_field& field, const prime_field::weights& weights,
          const const_row_pointers& known, const row_pointers& out, std::size_t columns) {
  const std::size_t drawn = out.size() - weights.rows();
  field.matmul(out.data() + drawn, weights, known.data(), columns, 1, false);
  field.copy_out(out.data(), known.data() + known.size() - drawn, drawn, columns);
}

void deal_at_roots(const prime_field& field, const transform& roots, std::size_t n,
                   const prime_field::weights& weights, const const_row_pointers& known,
                   const row_pointers& out, std::size_t columns) {
  const std::size_t low = weights.rows(), strip = transformed_columns(n);
  secret_words lowest(low * columns), coefficients(n * strip);
  const_row_pointers given = known;
  const row_pointers computed = rows_of(lowest, low, columns);
  field.matmul(computed.data(), weights, known.data(), columns, 1);
  std::copy(computed.begin(), computed.end(), given.begin());
  const row_pointers all = rows_of(coefficients, n, strip);
  const_row_pointers values(out.size());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = all[transform::reversed(i, n)];
  row_pointers target = out;
  for (std::size_t j = 0; j < columns; j += strip) {
    const std::size_t width = std::min(strip, columns - j);
    for (std::size_t i = 0; i < given.size(); ++i) std::copy_n(given[i] + j, width, all[i]);
    std::fill(all[0] + given.size() * strip, all[0] + coefficients.size(), 0);
    roots.forward_columns(coefficients.data(), n, strip);
    for (std::size_t i = 0; i < out.size(); ++i) target[i] = out[i] + j;
    field.copy_out(target.data(), values.data(), out.size(), width);
  }
}

verdict open(const prime_field& field, const prime_field::weights& weights,
             const const_row_pointers& rows, const const_row_pointers& redundant,
             const opened_secrets& secrets, std::size_t threads) {
  const std::size_t strip = strip_columns(weights.rows());
  const std::size_t opened = weights.rows() - redundant.size();
  const auto make = [&] {
    return [&, memory = secret_words(weights.rows() * strip), marks = secret_words(strip),
            here = const_row_pointers(rows.size())](std::size_t begin, std::size_t width) mutable {
      const row_pointers out = rows_of(memory, weights.rows(), strip);
      shift(here, rows, begin);
      field.matmul(out.data(), weights, here.data(), width, 1);
      verdict found;
      for (std::size_t i = 0; i < opened; ++i)
        found.outside += take(secrets, out[i], i, begin, width, field.modulus());
      std::fill(marks.begin(), marks.end(), 0);
      for (std::size_t i = 0; i < redundant.size(); ++i)
        mark_differences(marks.data(), out[opened + i], redundant[i] + begin, width);
      found.disagreeing = count_marks(marks.data(), width);
      return found;
    };
  };
  return over_strips(secrets.columns, strip, threads, make);
}

verdict open_at_roots(const prime_field& field, const transform& roots, std::size_t n,
                      const erasures& missing, const prime_field::weights& weights,
                      const const_row_pointers& rows, const opened_secrets& secrets,
                      std::size_t threads) {
  const std::size_t strip = transformed_columns(n);
  std::vector<kernels::factor> scales;
  for (const word scale : missing.scales) scales.push_back(field.factor_of(scale));
  const auto make = [&] {
    return
        [&, coefficients = secret_words(n * strip), memory = secret_words(weights.rows() * strip),
         marks = secret_words(strip)](std::size_t begin, std::size_t width) mutable {
          std::fill(coefficients.begin(), coefficients.end(), 0);
          const row_pointers all = rows_of(coefficients, n, strip);
          for (std::size_t i = 0; i < rows.size(); ++i)
            field.scale({all[transform::reversed(missing.places[i], n)], width},
                        {rows[i] + begin, width}, scales[i]);
          roots.inverse_columns(coefficients.data(), n, strip);
          const row_pointers out = rows_of(memory, weights.rows(), strip);
          field.matmul(out.data(), weights, all.data(), width, 1);
          verdict found;
          for (std::size_t i = 0; i < out.size(); ++i)
            found.outside += take(secrets, out[i], i, begin, width, field.modulus());
          std::fill(marks.begin(), marks.end(), 0);
          for (std::size_t i = missing.degree; i < n; ++i)
            mark_nonzero(marks.data(), all[i], width);
          found.disagreeing = count_marks(marks.data(), width);
          return found;
        };
  };
  return over_strips(secrets.columns, strip, threads, make);
}

}  // namespace veilsum::schemes
