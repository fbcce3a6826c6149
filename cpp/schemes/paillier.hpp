// Paillier encryption (Paillier 1999) over whole arrays, with fixed-base randomness (Damgard, Jurik,
// Nielsen 2010, section 4.2): c = (1 + m n) * h_s^r mod n^2, where h_s = h^n mod n^2 and r is half as
// long as n.
//
// Ciphertexts stay in a kernel's lane memory, in Montgomery form, below 2 n^2; they become canonical
// integers only as words. Randomness comes from the caller: this floor has no generator.
#pragma once

#include <memory>

#include "schemes/montgomery.hpp"

namespace veilsum::schemes {

class cipher_vector;

// Plaintexts are rows of `limbs` words in two's complement; their absolute values must be below n/2.
struct plaintexts {
  view<const word> words;
  std::size_t limbs = 0;
  std::size_t count() const { return limbs == 0 ? 0 : words.size / limbs; }
};

class paillier_public_key {
 public:
  // n: odd; h_s: below n^2. exponent_bits: the length of the randomness.
  paillier_public_key(const kernels::table& kernel, view<const word> n, view<const word> h_s,
                      std::size_t exponent_bits);

  const montgomery_modulus& n_squared() const { return n_squared_; }
  view<const word> n() const { return n_; }
  std::size_t exponent_words() const { return (exponent_bits_ + 63) / 64; }

  // exponents: exponent_words() words a plaintext, uniform; bits beyond exponent_bits are ignored.
  cipher_vector encrypt(const plaintexts& m, view<const word> exponents, std::size_t threads) const;

  // (1 + m n), which hides nothing: what a public plaintext contributes to a sum.
  cipher_vector encode(const plaintexts& m, std::size_t threads) const;

 private:
  void make_entries(view<const word> h_s);
  // The integer 1 + m n mod n^2 of one plaintext.
  void message_factor(view<word> r, view<const word> m) const;
  void message_block(word* block, const plaintexts& m, std::size_t first) const;

  secret_words n_;
  montgomery_modulus n_squared_;
  std::size_t exponent_bits_, window_count_;
  words entries_;  // of kernels::table::fixed_base, the first window with one more factor R
};

// A vector of ciphertexts. Every operation gives a new one; sizes of operands are equal.
class cipher_vector {
 public:
  cipher_vector(const montgomery_modulus& n_squared, std::size_t count);

  const montgomery_modulus& modulus() const { return *m_; }
  std::size_t size() const { return count_; }
  word* block(std::size_t i) { return data_.data() + i * m_->block_size(); }
  const word* block(std::size_t i) const { return data_.data() + i * m_->block_size(); }
  std::size_t blocks() const { return (count_ + lanes() - 1) / lanes(); }
  std::size_t lanes() const { return m_->kernel().lanes; }

  cipher_vector multiply(const cipher_vector& other, std::size_t threads) const;
  // Each ciphertext to the power of its own exponent (rows of `limbs` words, non-negative), of which
  // `bits` bits are used: constant time in the exponents, not in `bits`.
  cipher_vector power(view<const word> exponents, std::size_t limbs, std::size_t bits,
                      std::size_t threads) const;
  // Where a mask word is all ones the element of `chosen`, else this one's.
  cipher_vector select(view<const word> masks, const cipher_vector& chosen) const;
  cipher_vector gather(view<const std::int64_t> indices) const;
  cipher_vector append(const cipher_vector& other) const;

  // Inversion by Montgomery's trick. lane_products: the product of each lane's elements, as rows of
  // words, for the caller to invert modulo n^2; invert takes those inverses.
  words lane_products() const;
  cipher_vector invert(view<const word> lane_inverses) const;

  // Canonical ciphertexts, rows of words, and back; from_words takes rows that in_range_vartime accepts.
  static bool in_range_vartime(const montgomery_modulus& n_squared,
                               view<const word> rows);  // 0 < row < n^2
  void to_words(view<word> rows, std::size_t threads) const;
  static cipher_vector from_words(const montgomery_modulus& n_squared, view<const word> rows,
                                  std::size_t threads);

 private:
  const montgomery_modulus* m_;
  std::size_t count_;
  // Copies one element, lane by lane.
  void set(std::size_t to, const cipher_vector& source, std::size_t from);

  words data_;  // lanes beyond count_ hold one
};

class paillier_private_key {
 public:
  // p, q: primes of the same length. h_p = (-q)^-1 mod p, h_q = (-p)^-1 mod q, q_inverse = q^-1 mod p.
  paillier_private_key(const kernels::table& kernel, view<const word> p, view<const word> q,
                       view<const word> h_p, view<const word> h_q, view<const word> q_inverse);

  view<const word> n() const { return n_; }

  // Decrypts by the Chinese remainder theorem (Paillier 1999, section 7) into two's complement rows of
  // `limbs` words. Returns all ones, and rows of zeros, where a plaintext's absolute value exceeds the
  // limit (limbs words, below 2^(64 limbs - 1)); that this happened is for the caller to make public.
  // The ciphertexts are under this key.
  word decrypt(view<word> rows, std::size_t limbs, view<const word> limit,
               const cipher_vector& ciphertexts, std::size_t threads) const;

 private:
  // One prime's half: the plaintext modulo that prime.
  struct half {
    half(const kernels::table& kernel, view<const word> prime, view<const word> h);

    // Canonical plaintexts modulo the prime, one row a lane, of one canonical block modulo n^2.
    void decrypt(word* rows, const word* ciphertexts, const montgomery_modulus& n_squared) const;
    // The plaintext from c^(prime - 1) mod prime^2.
    void finish(view<word> r, view<const word> x, word* scratch) const;

    secret_words prime_, inverse_;  // 1/prime modulo 2^(64 * words)
    montgomery_modulus squared_, modulus_;
    secret_words h_block_, windows_;
  };

  // m = m_q + q ((m_p - m_q) / q mod p), centred; returns all ones where it exceeds the limit.
  word combine(view<word> row, view<const word> limit, view<const word> m_p, view<const word> m_q,
               word* scratch) const;

  half p_, q_;
  secret_words n_, half_n_, q_inverse_block_;
};

}  // namespace veilsum::schemes
