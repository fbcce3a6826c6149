#include "schemes/polynomial.hpp"

#include <algorithm>
#include <vector>

namespace veilsum::schemes {
namespace {

// Measured on both kernels: from so many points on a tree pays for an interpolation, from so many
// coefficients on evaluation goes down a tree that is there, and from so many of both one is made for it.
constexpr std::size_t tree_points = 192;
constexpr std::size_t tree_coefficients = 256;
constexpr std::size_t tree_both = 768;
// So many columns at a time bound the memory of the tables of powers.
constexpr std::size_t strip = 128;
// Rows of a matrix product that share the loads of its values.
constexpr std::size_t rows_together = 8;

// About the square root: how long a block is, so that there are about as many blocks; whole vectors.
std::size_t block_length(std::size_t count) {
  std::size_t length = 8;
  while (length * length < count) length += 8;
  return length;
}

// Row r: the points to the power r, for r up to and with `rows`.
words power_rows(const prime_field& field, view<const word> points, std::size_t rows) {
  words table((rows + 1) * points.size, 1);
  for (std::size_t r = 1; r <= rows; ++r)
    field.multiply(view<word>(table).slice(r * points.size, points.size),
                   view<const word>(table).slice((r - 1) * points.size, points.size), points);
  return table;
}

// Blocks of coefficients by one matrix product with the powers of the points, then Horner's rule over
// the blocks (Paterson and Stockmeyer 1973).
void evaluate_strip(const prime_field& field, view<word> out, view<const word> coefficients,
                    view<const word> points) {
  const std::size_t length = block_length(coefficients.size), width = points.size;
  const std::size_t blocks = (coefficients.size + length - 1) / length;
  const words powers = power_rows(field, points, length);
  secret_words padded(blocks * length, 0), values(blocks * width);
  std::copy(coefficients.begin(), coefficients.end(), padded.begin());
  field.matmul(values, padded, blocks, length, view<const word>(powers).first(length * width),
               width, 1);
  std::fill(out.begin(), out.end(), 0);
  for (std::size_t b = blocks; b-- > 0;) {
    field.multiply(out, out, view<const word>(powers).from(length * width));
    field.add(out, out, view<const word>(values).slice(b * width, width));
  }
}

void evaluate_directly(const prime_field& field, view<word> out, view<const word> coefficients,
                       view<const word> points) {
  for (std::size_t begin = 0; begin < points.size; begin += strip) {
    const std::size_t width = std::min(strip, points.size - begin);
    evaluate_strip(field, out.slice(begin, width), coefficients, points.slice(begin, width));
  }
}

// sums[j] += sum over i of weights[i] points[i]^j: the transpose of evaluation, in the same blocks.
void add_power_sums(const prime_field& field, view<word> sums, view<const word> weights,
                    view<const word> points) {
  const std::size_t length = block_length(sums.size), width = points.size;
  const std::size_t blocks = (sums.size + length - 1) / length;
  const words powers = power_rows(field, points, length);
  words columns(length * width);
  for (std::size_t r = 0; r < length; ++r)
    for (std::size_t i = 0; i < width; ++i) columns[i * length + r] = powers[r * width + i];
  secret_words raised(blocks * width), found(blocks * length);
  std::copy(weights.begin(), weights.end(), raised.begin());
  for (std::size_t b = 1; b < blocks; ++b)
    field.multiply(view<word>(raised).slice(b * width, width),
                   view<const word>(raised).slice((b - 1) * width, width),
                   view<const word>(powers).from(length * width));
  field.matmul(found, raised, blocks, width, columns, length, 1);
  field.add(sums, sums, view<const word>(found).first(sums.size));
}

// The product of two polynomials, neither empty: blocks of b by one matrix product with the shifts of a,
// which are one row read from different places.
secret_words convolve(const prime_field& field, view<const word> a, view<const word> b) {
  const std::size_t length = (b.size + rows_together - 1) / rows_together;
  const std::size_t blocks = (b.size + length - 1) / length, width = a.size + length - 1;
  secret_words padded(width + length - 1, 0), weights(blocks * length, 0), products(blocks * width);
  std::copy(a.begin(), a.end(), padded.data() + length - 1);
  std::copy(b.begin(), b.end(), weights.begin());
  std::vector<const word*> shifts(length);
  for (std::size_t j = 0; j < length; ++j) shifts[j] = padded.data() + length - 1 - j;
  std::vector<word*> rows(blocks);
  for (std::size_t i = 0; i < blocks; ++i) rows[i] = products.data() + i * width;
  field.matmul(rows.data(), weights, blocks, length, shifts.data(), width, 1);
  secret_words sum(blocks * length + a.size, 0);
  for (std::size_t i = 0; i < blocks; ++i) {
    const view<word> there = view<word>(sum).slice(i * length, width);
    field.add(there, there, {rows[i], width});
  }
  sum.resize(a.size + b.size - 1);
  return sum;
}

// `lanes` products of as many X - x each, side by side: row j has the coefficients of X^j.
words products_side_by_side(const prime_field& field, view<const word> points, std::size_t lanes) {
  const std::size_t factors = points.size / lanes;
  words product((factors + 1) * lanes, 0), multiple(factors * lanes), point(factors * lanes);
  std::fill_n(product.begin(), lanes, 1);
  for (std::size_t i = 0; i < factors; ++i) {
    const std::size_t size = (i + 1) * lanes;
    for (std::size_t j = 0; j <= i; ++j)
      std::copy_n(points.data + i * lanes, lanes, point.data() + j * lanes);
    const view<word> x = view<word>(multiple).first(size), low = view<word>(product).first(size);
    field.multiply(x, low, view<const word>(point).first(size));
    std::copy_backward(low.begin(), low.end(), low.end() + lanes);
    std::fill_n(low.begin(), lanes, 0);
    field.subtract(low, low, x);
  }
  return product;
}

// Zeros fill the lanes up; their factors X are taken off.
words product_directly(const prime_field& field, view<const word> points) {
  const std::size_t lanes = points.size < 64 ? 1 : 8, rows = (points.size + lanes - 1) / lanes;
  words padded(rows * lanes, 0);
  std::copy(points.begin(), points.end(), padded.begin());
  const words products = products_side_by_side(field, padded, lanes);
  secret_words all{1}, one(rows + 1);
  for (std::size_t l = 0; l < lanes; ++l) {
    for (std::size_t j = 0; j <= rows; ++j) one[j] = products[j * lanes + l];
    all = convolve(field, all, one);
  }
  return words(all.end() - static_cast<std::ptrdiff_t>(points.size + 1), all.end());
}

// product / (X - x) = sum over m of X^m sum over j of product[m + 1 + j] x^j.
void combine_directly(const prime_field& field, view<word> out, view<const word> product,
                      view<const word> weights, view<const word> points) {
  if (out.size == 0) return;
  secret_words sums(points.size, 0);
  for (std::size_t begin = 0; begin < points.size; begin += strip) {
    const std::size_t width = std::min(strip, points.size - begin);
    add_power_sums(field, sums, weights.slice(begin, width), points.slice(begin, width));
  }
  std::reverse(sums.begin(), sums.end());
  const secret_words sum = convolve(field, product.from(1), sums);
  std::copy(sum.end() - static_cast<std::ptrdiff_t>(out.size), sum.end(), out.begin());
}

bool serves(const transform* transforms, word p, std::size_t points) {
  const std::size_t wanted = useful_transform(p, points);
  return transforms != nullptr && wanted != 0 && wanted <= transforms->longest();
}

words derivative(const prime_field& field, view<const word> polynomial) {
  words result(polynomial.begin() + 1, polynomial.end()), index(result.size());
  for (std::size_t i = 0; i < index.size(); ++i) index[i] = (i + 1) % field.modulus();
  field.multiply(result, result, index);
  return result;
}

}  // namespace

std::size_t useful_transform(word p, std::size_t points) {
  if (points < tree_points) return 0;
  const std::size_t length = subproduct_tree::longest_transform(points);
  return length <= transform::limit(p) ? length : 0;
}

point_set::point_set(const prime_field& field, const transform* transforms, view<const word> points)
    : field_(&field), points_(points.begin(), points.end()) {
  if (serves(transforms, field.modulus(), points.size)) {
    tree_.emplace(field, *transforms, points);
    product_.assign(tree_->product().begin(), tree_->product().end());
  } else {
    product_ = product_directly(field, points);
  }
}

void point_set::evaluate(view<word> out, view<const word> coefficients) const {
  if (!tree_ || coefficients.size < tree_coefficients)
    return evaluate_directly(*field_, out, coefficients, points_);
  // Horner's rule over blocks of as many coefficients as points.
  const std::size_t length = size();
  std::size_t begin = (coefficients.size - 1) / length * length;
  tree_->evaluate(out, coefficients.from(begin));
  if (begin == 0) return;
  words power(length);
  secret_words values(length);
  field_->power_vartime(power, points_, length);
  while (begin > 0) {
    begin -= length;
    tree_->evaluate(values, coefficients.slice(begin, length));
    field_->multiply(out, out, power);
    field_->add(out, out, values);
  }
}

void point_set::combine(view<word> out, view<const word> weights) const {
  if (tree_) return tree_->combine(out, weights);
  combine_directly(*field_, out, product_, weights, points_);
}

// The product's derivative is zero at a point that is there twice, and at no other.
interpolator::interpolator(const prime_field& field, const transform* transforms,
                           view<const word> points)
    : field_(&field), points_(field, transforms, points), weights_(points.size) {
  points_.evaluate(weights_, derivative(field, points_.product()));
  distinct_ = std::find(weights_.begin(), weights_.end(), word{0}) == weights_.end();
  if (distinct_) field.invert(weights_, weights_);
}

void interpolator::interpolate(view<word> coefficients, view<const word> values) const {
  secret_words weighted(values.size);
  field_->multiply(weighted, values, weights_);
  points_.combine(coefficients, weighted);
}

void evaluate(const prime_field& field, const transform* transforms, view<word> out,
              view<const word> coefficients, view<const word> points) {
  const std::size_t both = std::min(coefficients.size, points.size);
  if (both < tree_both || !serves(transforms, field.modulus(), both))
    return evaluate_directly(field, out, coefficients, points);
  // Where there are far more points than coefficients, several trees.
  const std::size_t largest = useful_transform(field.modulus(), both) / 2;
  for (std::size_t begin = 0; begin < points.size; begin += largest) {
    const std::size_t count = std::min(largest, points.size - begin);
    const point_set some(field, transforms, points.slice(begin, count));
    some.evaluate(out.slice(begin, count), coefficients);
  }
}

bool interpolate(const prime_field& field, const transform* transforms, view<word> coefficients,
                 view<const word> points, view<const word> values) {
  const interpolator through(field, transforms, points);
  if (through.distinct()) through.interpolate(coefficients, values);
  return through.distinct();
}

}  // namespace veilsum::schemes
