// Vectors of Paillier ciphertexts. They stay in a kernel's lane memory as dual numbers modulo n^2, in
// Montgomery form, and become canonical integers only as words.
#pragma once

#include "schemes/dual.hpp"

namespace veilsum::schemes {

// Public factors of ciphertexts: `inner` rows of `columns` non-negative integers of `limbs` words, of
// which `bits` bits are used.
struct weight_matrix {
  view<const word> words;
  std::size_t inner, columns, limbs, bits;
  view<const word> at(std::size_t k, std::size_t column) const {
    return words.slice((k * columns + column) * limbs, limbs);
  }
};

// Every operation gives a new vector; operands are of the same size and modulus.
class cipher_vector {
 public:
  cipher_vector(const dual_modulus& n, std::size_t count);  // every element is 1

  const dual_modulus& modulus() const { return *m_; }
  std::size_t size() const { return count_; }
  std::size_t lanes() const { return m_->lanes(); }
  std::size_t blocks() const { return (count_ + lanes() - 1) / lanes(); }
  word* block(std::size_t i) { return data_.data() + i * m_->block_size(); }
  const word* block(std::size_t i) const { return data_.data() + i * m_->block_size(); }

  cipher_vector multiply(const cipher_vector& other, std::size_t threads) const;
  // Each ciphertext to the power of its own exponent (rows of `limbs` words, non-negative), or all of
  // them to the power of the only row. `bits` bits are used: constant time in the exponents, not in `bits`.
  cipher_vector power(view<const word> exponents, std::size_t limbs, std::size_t bits,
                      std::size_t threads) const;
  // Where a mask word is all ones the element of `chosen`, else this one's.
  cipher_vector select(view<const word> masks, const cipher_vector& chosen) const;
  cipher_vector gather(view<const std::int64_t> indices) const;
  cipher_vector append(const cipher_vector& other) const;

  // The elements as `rows` rows of weights.inner, times the matrix: element (r, c) is the product over k
  // of element (r, k) to the power of weights (k, c). Its time depends on the weights.
  cipher_vector weigh_vartime(std::size_t rows, const weight_matrix& weights,
                              std::size_t threads) const;

  // Inversion by Montgomery's trick. lane_products: the product of each lane's elements, as rows of
  // words, for the caller to invert modulo n^2; invert takes those inverses.
  words lane_products() const;
  cipher_vector invert(view<const word> lane_inverses) const;

  // Canonical ciphertexts, rows of words, and back; from_words takes rows that in_range_vartime accepts.
  static bool in_range_vartime(const dual_modulus& n, view<const word> rows);  // 0 < row < n^2
  void to_words(view<word> rows, std::size_t threads) const;
  static cipher_vector from_words(const dual_modulus& n, view<const word> rows,
                                  std::size_t threads);

 private:
  // Copies one element, lane by lane.
  void set(std::size_t to, const cipher_vector& source, std::size_t from);

  const dual_modulus* m_;
  std::size_t count_;
  secret_words data_;  // randomness made in advance is secret; lanes beyond count_ hold one
};

}  // namespace veilsum::schemes
