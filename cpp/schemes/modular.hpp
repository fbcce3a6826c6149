// What certificates and proofs compute beside ciphertexts: powers of many numbers with one exponent,
// modulo any odd modulus or modulo n = p q by its remainders, and sums of secrets with public weights.
// Time depends on sizes only.
#pragma once

#include "schemes/montgomery.hpp"

namespace veilsum::schemes {

// Each row becomes its power modulo m, canonical. Rows have m.word_count() words.
void powers(view<word> rows, const montgomery_modulus& m, view<const word> exponent,
            std::size_t threads);

// The integers modulo n = p q, seen through their remainders.
class prime_pair {
 public:
  // p, q: different odd primes of the same length; q_inverse = q^-1 mod p.
  prime_pair(const kernels::table& kernel, view<const word> p, view<const word> q,
             view<const word> q_inverse);

  // Each row becomes the integer below n that is its power with exponent_p modulo p and with
  // exponent_q modulo q. Rows have `width` words: those of n, from p's words to twice as many.
  void powers(view<word> rows, std::size_t width, view<const word> exponent_p,
              view<const word> exponent_q, std::size_t threads) const;

 private:
  // One prime's half.
  struct half {
    half(const kernels::table& kernel, view<const word> prime);

    // r = rows, one a lane, modulo the prime, in Montgomery form; loose.
    void enter(word* r, view<const word> rows, std::size_t width, word* scratch) const;

    montgomery_modulus modulus;
    secret_words high_factor;  // takes a row's words beyond the prime's into Montgomery form
  };

  // rows = x_q + q ((x_p - x_q) / q mod p), one row a lane; x_p is overwritten.
  void combine(view<word> rows, std::size_t width, word* x_p, const word* x_q, word* scratch) const;

  half p_, q_;
  secret_words q_inverse_block_;
};

// sum += the sum over i of weights[i] * rows[i], modulo 2^(64 * sum.size). Rows have `limbs` words, in
// two's complement where is_signed says so; weights are non-negative, of `weight_words` words.
void add_weighted(view<word> sum, view<const word> rows, std::size_t limbs, bool is_signed,
                  view<const word> weights, std::size_t weight_words);

// r = the integer between -m/2 and m/2 that is congruent to a modulo m, which is odd. r, with m's
// words, and a are in two's complement.
void centred_residue(view<word> r, view<const word> a, view<const word> m);

}  // namespace veilsum::schemes
