// Vectors of residues modulo a prime of one word. Nothing here branches on a residue.
#pragma once

#include "kernels/api.hpp"
#include "schemes/integer.hpp"

namespace veilsum::schemes {

class prime_field {
 public:
  // A matrix that is made ready once and multiplies many blocks of values.
  class weights {
   public:
    std::size_t rows() const { return rows_; }
    std::size_t terms() const { return terms_; }

   private:
    friend class prime_field;
    // Of terms [begin, end), all rows: long sums are made of several.
    const word* chunk(std::size_t begin) const { return scaled_.data() + rows_ * begin; }

    secret_words scaled_;
    std::size_t rows_ = 0, terms_ = 0;
  };

  // p: an odd prime.
  prime_field(const kernels::table& kernel, word p);

  word modulus() const { return p_.value; }

  // What kernels take.
  const kernels::table& kernel() const { return *kernel_; }
  const kernels::prime& lane_prime() const { return p_; }
  kernels::factor factor_of(word constant) const;
  void companions(view<word> r, view<const word> values) const;
  // Whether a residue is one digit, and factors have companions.
  bool one_digit() const { return radix_bits(*kernel_, p_.value) == kernel_->digit_bits; }

  // How many words are no residues.
  std::size_t count_outside(view<const word> values) const {
    return kernel_->count_outside(values.data, values.size, p_.value);
  }

  // Residues are canonical (below p); sizes are equal; r may be an operand.
  void add(view<word> r, view<const word> a, view<const word> b) const;
  void subtract(view<word> r, view<const word> a, view<const word> b) const;
  void multiply(view<word> r, view<const word> a, view<const word> b) const;
  // By a constant, which is made ready once where it serves often.
  void scale(view<word> r, view<const word> a, kernels::factor constant) const;
  void scale(view<word> r, view<const word> a, word constant) const {
    scale(r, a, factor_of(constant));
  }
  // Copies rows that nobody reads soon, past the caches where they all start at a cache line.
  void copy_out(word* const* out, const word* const* in, std::size_t rows,
                std::size_t columns) const;
  // Time depends on the exponent, which is public, not on a.
  void power_vartime(view<word> r, view<const word> a, word exponent) const;
  // None of the residues may be 0.
  void invert(view<word> r, view<const word> a) const;
  word dot(view<const word> a, view<const word> b) const;

  // out (row_count x vector_count) = rows * vectors^T over `columns` columns. Each row is read once.
  void inner_products(view<word> out, const word* const* rows, std::size_t row_count,
                      const word* const* vectors, std::size_t vector_count, std::size_t columns,
                      std::size_t threads) const;

  // matrix: rows x terms, row-major.
  weights prepare(view<const word> matrix, std::size_t rows, std::size_t terms) const;

  // out (rows of `columns` words) = weights * values (`terms` rows of `columns` words). No row of out may
  // overlap a row of values. Results whose rows all start at a cache line go past the caches where they
  // are large, or nobody `reads_soon`.
  void matmul(word* const* out, const weights& w, const word* const* values, std::size_t columns,
              std::size_t threads, bool reads_soon = true) const;
  void matmul(word* const* out, view<const word> matrix, std::size_t rows, std::size_t terms,
              const word* const* values, std::size_t columns, std::size_t threads) const;
  // The same for matrices that are contiguous, row-major.
  void matmul(view<word> out, view<const word> matrix, std::size_t rows, std::size_t terms,
              view<const word> values, std::size_t columns, std::size_t threads) const;

 private:
  static std::size_t radix_bits(const kernels::table& kernel, word p);
  void add_inner_products(view<word> lane_sums, const word* const* rows, std::size_t row_count,
                          const word* const* vectors, std::size_t vector_count,
                          std::size_t columns) const;
  void matmul_strip(word* const* out, const weights& w, const word* const* values,
                    std::size_t columns, bool stream) const;
  void matmul_chunk(word* const* out, const word* scaled, std::size_t rows, std::size_t terms,
                    const word* const* values, std::size_t columns, bool stream) const;

  const kernels::table* kernel_;
  kernels::prime p_;
  word matmul_factor_;  // 2^(2 * digit_bits) mod p: what a product of matrices is divided by
  word radix_;          // S mod p
};

// Cuts random words to the mask's bits; returns whether one is above `largest`, which is independent of
// those that are not.
bool cut_words(view<word> values, word mask, word largest);

}  // namespace veilsum::schemes
