// Polynomials at many points at once, in about n log^2 n steps: the tree of the products of X - x over
// the points, with the transforms of its nodes (von zur Gathen and Gerhard, Modern Computer Algebra,
// chapter 10; evaluation by the transposed algorithm of Bostan, Lecerf and Schost, Tellegen's principle
// into practice, 2003).
#pragma once

#include <vector>

#include "schemes/field.hpp"
#include "schemes/transform.hpp"

namespace veilsum::schemes {

// Points are public and need not be distinct.
class subproduct_tree {
 public:
  // transforms: for the field's prime, up to longest_transform(points.size). At least one point.
  subproduct_tree(const prime_field& field, const transform& transforms, view<const word> points);

  subproduct_tree(subproduct_tree&&) = default;

  static std::size_t longest_transform(std::size_t points);

  // The coefficients of the product of X - x over the points: one more than points, the last one 1.
  view<const word> product() const { return view<const word>(product_).from(padding()); }

  // out[i] = the polynomial at point i; as many coefficients as points, or fewer.
  void evaluate(view<word> out, view<const word> coefficients) const;

  // out = the coefficients of the sum of weights[i] product / (X - x_i).
  void combine(view<word> out, view<const word> weights) const;

 private:
  // Pairs of neighbouring nodes of one degree, the left ones apart from the right ones. A group is
  // `width` of them side by side: 2 * degree rows of `width` words, the transform of a node in each
  // column.
  struct level {
    std::size_t group_size() const { return 2 * degree * width; }

    std::size_t degree, width;
    std::size_t nodes_width;  // of the nodes before they are paired: see `place`
    view<word> left, right;
  };
  // Where a group's left or right nodes lie among those of the level below, polynomials of `degree`
  // coefficients in groups of nodes_width columns: a half of the columns each, or, where nodes stand
  // alone, one after the other.
  struct place {
    std::size_t offset, stride;
  };
  static place place_of(const level& at, std::size_t group, std::size_t side);
  // The lower half of a group from its place, the upper half zero; and the upper half to its place.
  static void take(word* group, const level& at, place from, const word* nodes);
  static void give(word* nodes, const level& at, place to, const word* group);

  std::size_t padding() const { return size_ - count_; }
  void forward(const level& at, word* group) const;
  void inverse(const level& at, word* group) const;
  void lay_out_levels();
  // Fills a level from its nodes, and makes those of the next.
  void pair_up(const level& at, view<word> products, view<const word> nodes) const;
  void find_inverse();

  const prime_field* field_;
  const transform* transform_;
  std::size_t count_, size_;  // points, and with the zeros that fill them up to a power of two
  words transforms_;          // of the nodes, level after level
  std::vector<level> levels_;
  words product_;
  words inverse_;  // the transform of 1 / (the product's reverse) modulo X^size, in reverse order
};

}  // namespace veilsum::schemes
