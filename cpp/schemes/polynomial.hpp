// Polynomials and their values at points of one's choice, modulo a prime of one word.
//
// Points are public. Time depends on nothing of coefficients and values but their number.
#pragma once

#include <optional>

#include "schemes/field.hpp"
#include "schemes/subproduct_tree.hpp"
#include "schemes/transform.hpp"

namespace veilsum::schemes {

// How long a transform is wanted here for so many points (to evaluate: or coefficients, where those are
// fewer); 0 where none is of use: few points, or a prime that has no transform of that length. Without
// one, or with a shorter one, time grows with the square.
std::size_t useful_transform(word p, std::size_t points);

// Points that serve many polynomials. The field and the transforms outlive it.
class point_set {
 public:
  // transforms: for the field's prime, or null.
  point_set(const prime_field& field, const transform* transforms, view<const word> points);

  std::size_t size() const { return points_.size(); }

  // The coefficients of the product of X - x over the points: one more than points, the last one 1.
  view<const word> product() const { return product_; }

  // out[i] = sum over j of coefficients[j] point_i^j, for any number of coefficients.
  void evaluate(view<word> out, view<const word> coefficients) const;

  // out = the coefficients of the sum over i of weights[i] product / (X - point_i).
  void combine(view<word> out, view<const word> weights) const;

 private:
  const prime_field* field_;
  words points_, product_;
  std::optional<subproduct_tree> tree_;
};

// The polynomial of fewer coefficients than points that has given values at the points.
class interpolator {
 public:
  interpolator(const prime_field& field, const transform* transforms, view<const word> points);

  const point_set& points() const { return points_; }

  // Whether the points are distinct. Where they are not, there is nothing to interpolate.
  bool distinct() const { return distinct_; }

  void interpolate(view<word> coefficients, view<const word> values) const;

 private:
  const prime_field* field_;
  point_set points_;
  words weights_;  // 1 / product'(point_i)
  bool distinct_;
};

// The same for one polynomial: point_set::evaluate, for any numbers of points and coefficients, ...
void evaluate(const prime_field& field, const transform* transforms, view<word> out,
              view<const word> coefficients, view<const word> points);

// ... and interpolator::interpolate; false, with nothing written, where two points are equal.
bool interpolate(const prime_field& field, const transform* transforms, view<word> coefficients,
                 view<const word> points, view<const word> values);

}  // namespace veilsum::schemes
