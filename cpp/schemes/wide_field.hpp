// Vectors of residues modulo a prime of several words, as many at a time as the kernel has lanes. Nothing
// here branches on a residue.
#pragma once

#include "schemes/montgomery.hpp"

namespace veilsum::schemes {

// Residues are canonical (below p) and have `limbs` words each, one behind the other.
class wide_field {
 public:
  // p: an odd prime.
  wide_field(const kernels::table& kernel, view<const word> p) : modulus_(kernel, p) {}

  std::size_t limbs() const { return modulus_.word_count(); }

  // Sizes are equal; r may be a or b.
  void add(view<word> r, view<const word> a, view<const word> b) const;
  void subtract(view<word> r, view<const word> a, view<const word> b) const;
  void multiply(view<word> r, view<const word> a, view<const word> b, std::size_t threads) const;

  // Each residue becomes its power. Time depends on the size of the exponent alone.
  void power(view<word> residues, view<const word> exponent, std::size_t threads) const;

  // out (rows x columns) = weights (rows x terms) * values (terms x columns), row-major.
  void matmul(view<word> out, view<const word> weights, std::size_t rows, std::size_t terms,
              view<const word> values, std::size_t columns, std::size_t threads) const;

  // flags[i] = 1 where number i is not below p, else 0.
  void mark_outside(view<std::uint8_t> flags, view<const word> numbers) const;

 private:
  // Element (i, k) of a matrix starts at data + i * row_step + k * column_step.
  template <class T>
  struct matrix {
    T* data;
    std::size_t row_step, column_step;
    matrix transposed() const { return {data, column_step, row_step}; }
  };

  template <class T>
  view<T> element(const matrix<T>& a, std::size_t i, std::size_t k) const {
    return {a.data + i * a.row_step + k * a.column_step, limbs()};
  }
  // The kernel's digits of every element of the left factor, row by row.
  secret_words digits_of(const matrix<const word>& left, std::size_t rows, std::size_t terms) const;
  // The columns of the product that blocks begin .. end of lanes take.
  void multiply_columns(const matrix<word>& out, const secret_words& left, std::size_t rows,
                        std::size_t terms, const matrix<const word>& right, std::size_t columns,
                        std::size_t begin, std::size_t end) const;
  // sum = the sum over k of digits[k] * values[k] / R, unreduced, below R.
  void sum_products(word* sum, const word* digits, const word* values, std::size_t terms,
                    word* scratch) const;

  montgomery_modulus modulus_;
};

}  // namespace veilsum::schemes
