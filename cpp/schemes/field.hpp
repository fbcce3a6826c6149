// Vectors of residues modulo a prime of one word. Nothing here branches on a residue.
#pragma once

#include "kernels/api.hpp"
#include "schemes/integer.hpp"

namespace veilsum::schemes {

class prime_field {
 public:
  // p: an odd prime. The kernel falls back to the portable one where p is too large for its digits.
  prime_field(const kernels::table& kernel, word p);

  word modulus() const { return p_.value; }

  // Residues are canonical (below p); sizes are equal.
  void add(view<word> r, view<const word> a, view<const word> b) const;
  void subtract(view<word> r, view<const word> a, view<const word> b) const;
  void multiply(view<word> r, view<const word> a, view<const word> b) const;
  // Time depends on the exponent, which is public, not on a.
  void power_vartime(view<word> r, view<const word> a, word exponent) const;

  // out (rows x columns) = weights (rows x terms) * values (terms x columns), row-major.
  void matmul(view<word> out, view<const word> weights, std::size_t rows, std::size_t terms,
              view<const word> values, std::size_t columns, std::size_t threads) const;

 private:
  void matmul_columns(view<word> out, const word* scaled, std::size_t rows, std::size_t terms,
                      view<const word> values, std::size_t columns, std::size_t begin,
                      std::size_t end) const;

  const kernels::table* kernel_;
  kernels::prime p_;
  word radix4_;  // R^4 mod p
};

// How many of the values are not below p.
std::size_t count_out_of_range(view<const word> values, word p);

}  // namespace veilsum::schemes
