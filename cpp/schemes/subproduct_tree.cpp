#include "schemes/subproduct_tree.hpp"

#include <algorithm>
#include <utility>

namespace veilsum::schemes {
namespace {

// The nodes over so many points are transformed side by side, which is faster than one by one, as long
// as their pairs fill a vector; and they stay in the second-level cache.
constexpr std::size_t points_together = 4096;
constexpr std::size_t least_width = 8;

std::size_t power_of_two_from(std::size_t count) {
  std::size_t size = 1;
  while (size < count) size *= 2;
  return size;
}

void copy_rows(word* to, std::size_t to_stride, const word* from, std::size_t from_stride,
               std::size_t width, std::size_t rows) {
  if (width == to_stride && width == from_stride) {
    std::copy_n(from, width * rows, to);
    return;
  }
  for (std::size_t i = 0; i < rows; ++i)
    std::copy_n(from + i * from_stride, width, to + i * to_stride);
}

}  // namespace

std::size_t subproduct_tree::longest_transform(std::size_t points) {
  return 2 * power_of_two_from(points);
}

// A zero among the points that fill up the tree is a factor X of the product, which is taken off at
// the end.
subproduct_tree::subproduct_tree(const prime_field& field, const transform& transforms,
                                 view<const word> points)
    : field_(&field),
      transform_(&transforms),
      count_(points.size),
      size_(power_of_two_from(points.size)) {
  lay_out_levels();
  words nodes(size_, 0), products(size_);
  const view<word> constants = view<word>(nodes).first(count_);
  field.subtract(constants, constants, points);
  for (const level& at : levels_) {
    pair_up(at, products, nodes);
    nodes.swap(products);
  }
  product_ = std::move(nodes);
  product_.push_back(1);
  find_inverse();
}

void subproduct_tree::lay_out_levels() {
  std::size_t count = 0;
  for (std::size_t degree = 1; degree < size_; degree *= 2) ++count;
  transforms_.resize(2 * count * size_);
  const std::size_t together = std::min(size_, points_together);
  std::size_t nodes_width = together;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t degree = std::size_t{1} << i, pairs = together / (2 * degree);
    const view<word> both = view<word>(transforms_).slice(2 * i * size_, 2 * size_);
    levels_.push_back({degree, pairs < least_width ? 1 : pairs, nodes_width, both.first(size_),
                       both.from(size_)});
    nodes_width = levels_.back().width;
  }
}

subproduct_tree::place subproduct_tree::place_of(const level& at, std::size_t group,
                                                 std::size_t side) {
  if (at.nodes_width == 1) return {(2 * group + side) * at.degree, 1};
  const std::size_t half = at.nodes_width / 2, groups = half / at.width;
  return {group / groups * at.nodes_width * at.degree + side * half + group % groups * at.width,
          at.nodes_width};
}

void subproduct_tree::take(word* group, const level& at, place from, const word* nodes) {
  const std::size_t size = at.degree * at.width;
  copy_rows(group, at.width, nodes + from.offset, from.stride, at.width, at.degree);
  std::fill_n(group + size, size, 0);
}

void subproduct_tree::give(word* nodes, const level& at, place to, const word* group) {
  copy_rows(nodes + to.offset, to.stride, group + at.degree * at.width, at.width, at.width,
            at.degree);
}

void subproduct_tree::forward(const level& at, word* group) const {
  const std::size_t length = 2 * at.degree;
  at.width == 1 ? transform_->forward(group, length)
                : transform_->forward_columns(group, length, at.width);
}

void subproduct_tree::inverse(const level& at, word* group) const {
  const std::size_t length = 2 * at.degree;
  at.width == 1 ? transform_->inverse(group, length)
                : transform_->inverse_columns(group, length, at.width);
}

// The product of a pair is monic of degree 2D: in a transform of that length its leading 1 comes round
// to the constant term.
void subproduct_tree::pair_up(const level& at, view<word> products, view<const word> nodes) const {
  const std::size_t size = at.group_size(), middle = size / 2;
  for (std::size_t begin = 0; begin < size_; begin += size) {
    for (std::size_t side : {0u, 1u}) {
      word* group = (side == 0 ? at.left : at.right).data + begin;
      take(group, at, place_of(at, begin / size, side), nodes.data);
      std::fill_n(group + middle, at.width, 1);
      forward(at, group);
    }
    const view<word> product = products.slice(begin, size);
    field_->multiply(product, at.left.slice(begin, size), at.right.slice(begin, size));
    inverse(at, product.data);
    for (word& constant : product.first(at.width))
      constant = (constant == 0 ? field_->modulus() : constant) - 1;
  }
}

// Newton's iteration for 1 / rev, where rev has the product's coefficients in reverse: g (2 - rev g) has
// twice as many right terms as g. What wraps in the cyclic products lies below the terms in use.
void subproduct_tree::find_inverse() {
  words g(size_, 0), errors(size_), guesses(size_);
  g[0] = 1;
  for (std::size_t known = 1; known < size_; known *= 2) {
    const view<word> error = view<word>(errors).first(2 * known);
    const view<word> guess = view<word>(guesses).first(2 * known);
    std::reverse_copy(product_.data() + product_.size() - error.size,
                      product_.data() + product_.size(), error.begin());
    std::copy_n(g.begin(), known, guess.begin());
    std::fill_n(guess.begin() + known, known, 0);
    transform_->forward(error.data, error.size);
    transform_->forward(guess.data, guess.size);
    field_->multiply(error, error, guess);
    transform_->inverse(error.data, error.size);
    std::copy_n(error.begin() + known, known, error.begin());
    std::fill_n(error.begin() + known, known, 0);
    transform_->forward(error.data, error.size);
    field_->multiply(error, error, guess);
    transform_->inverse(error.data, error.size);
    const view<word> next = view<word>(g).slice(known, known);
    field_->subtract(next, next, error.first(known));
  }
  inverse_.assign(2 * size_, 0);
  std::reverse_copy(g.begin(), g.end(), inverse_.begin());
  transform_->forward(inverse_.data(), inverse_.size());
}

// Transposed, the way up becomes the way down: from the middle of coefficients / rev, which has as many
// terms as points, to the upper half of each node's product with the sibling of the child that takes it.
// A sibling's degree is half the length, so that nothing wraps into that half.
void subproduct_tree::evaluate(view<word> out, view<const word> coefficients) const {
  secret_words memory(4 * size_, 0);
  const view<word> series = view<word>(memory).first(2 * size_);
  view<word> nodes = view<word>(memory).slice(2 * size_, size_);
  view<word> children = view<word>(memory).from(3 * size_);
  std::copy(coefficients.begin(), coefficients.end(), series.begin());
  transform_->forward(series.data, series.size);
  field_->multiply(series, series, inverse_);
  transform_->inverse(series.data, series.size);
  std::copy_n(series.begin() + size_ - 1, size_, nodes.begin());
  for (auto at = levels_.rbegin(); at != levels_.rend(); ++at) {
    const std::size_t size = at->group_size();
    const view<word> group = series.first(size), child = series.slice(size_, size);
    for (std::size_t begin = 0; begin < size_; begin += size) {
      std::copy_n(nodes.begin() + begin, size, group.begin());
      forward(*at, group.data);
      for (std::size_t side : {0u, 1u}) {
        const view<word> sibling = side == 0 ? at->right : at->left;
        field_->multiply(child, group, sibling.slice(begin, size));
        inverse(*at, child.data);
        give(children.data, *at, place_of(*at, begin / size, side), child.data);
      }
    }
    std::swap(nodes, children);
  }
  std::copy_n(nodes.begin(), count_, out.begin());
}

// A pair's sum is left * the product of the right + right * that of the left, of degree below 2D.
void subproduct_tree::combine(view<word> out, view<const word> weights) const {
  secret_words memory(3 * size_, 0);
  view<word> nodes = view<word>(memory).first(size_);
  view<word> sums = view<word>(memory).slice(size_, size_);
  std::copy(weights.begin(), weights.end(), nodes.begin());
  for (const level& at : levels_) {
    const std::size_t size = at.group_size();
    const view<word> right = view<word>(memory).slice(2 * size_, size);
    for (std::size_t begin = 0; begin < size_; begin += size) {
      const view<word> left = sums.slice(begin, size);
      take(left.data, at, place_of(at, begin / size, 0), nodes.data);
      take(right.data, at, place_of(at, begin / size, 1), nodes.data);
      forward(at, left.data);
      forward(at, right.data);
      field_->multiply(left, left, at.right.slice(begin, size));
      field_->multiply(right, right, at.left.slice(begin, size));
      field_->add(left, left, right);
      inverse(at, left.data);
    }
    std::swap(nodes, sums);
  }
  std::copy_n(nodes.begin() + padding(), count_, out.begin());
}

}  // namespace veilsum::schemes
