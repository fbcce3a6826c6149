// Number-theoretic transforms modulo a prime of one word. Time depends on lengths alone.
#pragma once

#include <cstddef>

#include "schemes/field.hpp"

namespace veilsum::schemes {

// A forward transform makes of the coefficients a[0 .. n) of f the values f(w_n^i); in bit-reversed
// order: f(w_n^i) stands at the place whose index is i with its log2(n) bits reversed. Lengths are powers
// of two up to `longest`; others throw std::invalid_argument. Immutable, so that threads may share one.
class transform {
 public:
  // Throws std::invalid_argument unless `longest` is a power of two that divides p - 1.
  transform(const kernels::table& kernel, word p, std::size_t longest);

  // The largest power of two that divides p - 1.
  static std::size_t limit(word p);

  std::size_t longest() const { return longest_; }

  // w_n = h^((p-1)/n), h the smallest quadratic non-residue: of order n, and w_n^2 = w_(n/2).
  word root(std::size_t n) const;

  // i with its log2(n) bits reversed.
  static std::size_t reversed(std::size_t i, std::size_t n);

  // Natural to bit-reversed order and back; canonical residues.
  void forward(word* a, std::size_t n) const;
  void inverse(word* a, std::size_t n) const;
  // The same for each column of n rows of `width` words; width is a multiple of the kernel's lanes.
  void forward_columns(word* a, std::size_t n, std::size_t width) const;
  void inverse_columns(word* a, std::size_t n, std::size_t width) const;

  // Both in natural order, from one array to another: values at all roots, and back to coefficients.
  void evaluate(word* values, const word* coefficients, std::size_t n) const;
  void interpolate(word* coefficients, const word* values, std::size_t n) const;

 private:
  struct table {
    words values, companions;
    kernels::roots view() const;
  };
  void fill_forward();
  void fill_inverse();
  void finish(word* a, std::size_t n, std::size_t width, const table& t, word scale) const;
  void in_order(word* out, const word* in, std::size_t n, const table& t, word scale) const;
  word inverse_of(std::size_t n) const;
  template <class Columns>
  void single(word* a, std::size_t n, const Columns& columns) const;

  prime_field field_;
  std::size_t longest_;
  word nonresidue_;
  table forward_, inverse_;
};

}  // namespace veilsum::schemes
