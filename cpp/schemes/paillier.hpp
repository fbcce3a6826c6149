// Paillier encryption (Paillier 1999) over whole arrays, with fixed-base randomness (Damgard, Jurik,
// Nielsen 2010, section 4.2): c = (1 + m n) * h_s^r mod n^2, where h_s = h^n mod n^2 and r is half as
// long as n. Randomness comes from the caller: this floor has no generator.
#pragma once

#include <memory>
#include <mutex>

#include "schemes/cipher_vector.hpp"
#include "schemes/fixed_base.hpp"

namespace veilsum::schemes {

// Plaintexts are rows of `limbs` words in two's complement; their absolute values must be below n/2.
struct plaintexts {
  view<const word> words;
  std::size_t limbs = 0;
  std::size_t count() const { return limbs == 0 ? 0 : words.size / limbs; }
  view<const word> row(std::size_t i) const { return words.slice(i * limbs, limbs); }
};

// The base h_s of the randomness modulo the square of a modulus, and 1/h_s modulo that modulus.
struct randomness_constants {
  view<const word> h_s, h_inverse;
  std::size_t exponent_bits;
};

// Powers of h_s. The tables are made when they are first needed.
class randomness_base {
 public:
  randomness_base(const dual_modulus& m, const randomness_constants& constants)
      : m_(&m),
        h_s_(constants.h_s.begin(), constants.h_s.end()),
        h_inverse_(constants.h_inverse.begin(), constants.h_inverse.end()),
        exponent_bits_(constants.exponent_bits) {}

  std::size_t exponent_words() const { return (exponent_bits_ + 63) / 64; }
  const fixed_base& tables() const {
    std::call_once(made_, [&] {
      tables_ = std::make_unique<fixed_base>(*m_, h_s_, h_inverse_, exponent_bits_);
    });
    return *tables_;
  }

 private:
  const dual_modulus* m_;
  secret_words h_s_, h_inverse_;
  std::size_t exponent_bits_;
  mutable std::once_flag made_;
  mutable std::unique_ptr<const fixed_base> tables_;
};

// How plaintexts become the logarithms of (1 + m n) modulo the square of a modulus: the words of m modulo
// n are cut into as many parts as there are factors, and each part is weighed by its factor.
class message_encoder {
 public:
  // cofactor: n / modulus (public encoding: 1).
  message_encoder(const dual_modulus& modulus, view<const word> n, view<const word> cofactor);

  // Plaintexts first .. first + lanes as a block of logarithms; 0 beyond the last one.
  void write(word* block, const plaintexts& m, std::size_t first) const;

 private:
  const dual_modulus* modulus_;
  secret_words n_;
  std::vector<secret_words> factors_;
};

class paillier_public_key {
 public:
  // n: odd. base: h_s modulo n^2. The key may not be moved: its parts refer to each other.
  paillier_public_key(const kernels::table& kernel, view<const word> n,
                      const randomness_constants& base);
  paillier_public_key(const paillier_public_key&) = delete;

  const dual_modulus& modulus() const { return modulus_; }
  view<const word> n() const { return modulus_.half().value(); }
  std::size_t exponent_words() const { return base_.exponent_words(); }

  // exponents: exponent_words() words a plaintext, uniform; bits beyond exponent_bits are ignored.
  cipher_vector encrypt(const plaintexts& m, view<const word> exponents, std::size_t threads) const;

  // (1 + m n), which hides nothing: what a public plaintext contributes to a sum.
  cipher_vector encode(const plaintexts& m, std::size_t threads) const;

  // Classic randomness: the n-th power of every row (as many words as n, units modulo n).
  cipher_vector residues(view<const word> roots, std::size_t threads) const;

 private:
  dual_modulus modulus_;
  randomness_base base_;
  message_encoder encoder_;
};

enum class decryption_status : word {
  good = 0,
  beyond_limit = 1,  // a plaintext's absolute value exceeds the limit
  fault = 2,         // the computation went wrong: nothing may be released
};

// One prime of a private key, with what follows from it; each as long as the prime.
struct prime_constants {
  view<const word> prime;
  view<const word> h;         // -1 / (the other prime) modulo this one
  view<const word> blinding;  // a unit for each lane
  randomness_constants base;  // h_s modulo the prime's square
};

class paillier_private_key {
 public:
  // p, q: odd primes of as many words. q_inverse: 1/q mod p; inverse_square: 1/p^2 mod q^2.
  paillier_private_key(const kernels::table& kernel, const prime_constants& p,
                       const prime_constants& q, view<const word> q_inverse,
                       view<const word> inverse_square);
  paillier_private_key(const paillier_private_key&) = delete;

  view<const word> n() const { return n_; }
  const kernels::table& kernel() const { return p_half_.modulus.kernel(); }
  std::size_t exponent_words() const { return p_half_.base.exponent_words(); }

  // What pub.encrypt gives for the same exponents, by the Chinese remainder theorem, and faster. pub has
  // this key's n, kernel and length of exponents. Not checked against faults.
  cipher_vector encrypt(const paillier_public_key& pub, const plaintexts& m,
                        view<const word> exponents, std::size_t threads) const;

  // How many words of randomness `check` holds for so many ciphertexts.
  std::size_t check_words(std::size_t count) const { return count + n_.size(); }

  // Decrypts by the Chinese remainder theorem (Paillier 1999, section 7) into two's complement rows of
  // `limbs` words, from blinded bases. `check` is uniform and weighs one more ciphertext, a combination
  // of the others and of a plaintext, which must open to the same combination of what they open to.
  // Unless the status is good all rows are zero; the status is for the caller to make public.
  // limit: limbs words, below 2^(64 limbs - 1). The ciphertexts are under this key.
  decryption_status decrypt(view<word> rows, std::size_t limbs, view<const word> limit,
                            const cipher_vector& ciphertexts, const paillier_public_key& pub,
                            view<const word> check, std::size_t threads) const;

 private:
  // Lanes that take turns: unit 2i is ciphertext i modulo p^2, unit 2i + 1 the same modulo q^2. A kernel
  // of one lane has two of these, one for each prime.
  struct turns {
    turns(const kernels::table& kernel, const std::vector<prime_constants>& primes);

    dual_modulus modulus;
    secret_words minus_h;  // a block of prime - h
    secret_words windows;  // of the exponents prime - 1
    std::mutex guard;
    secret_words blinding;  // prime-th powers modulo the prime's square, squared after each use
  };
  // One prime's half of an encryption.
  struct half {
    half(const kernels::table& kernel, const prime_constants& prime, view<const word> other);
    dual_modulus modulus;
    randomness_base base;
    message_encoder encoder;
  };

  turns& turns_of(std::size_t block) const { return *turns_[block % turns_.size()]; }
  word open_block(word* rows, turns& t, const cipher_vector& ciphertexts,
                  view<const word> cipher_words, std::size_t first) const;
  word open_units(view<word> rows, const cipher_vector& ciphertexts, std::size_t threads) const;

  // m = m_q + q ((m_p - m_q) / q mod p), below n.
  void combine(view<word> m, view<const word> m_p, view<const word> m_q) const;
  // All ones unless the last plaintext is the combination of the others that `check` says.
  word check_mask(view<const word> plaintexts, view<const word> check) const;
  // A plaintext below n as signed words; all ones where it exceeds the limit.
  word write_signed(view<word> row, view<const word> limit, view<const word> m) const;
  // c = c_p + p^2 ((c_q - c_p) / p^2 mod q^2), for a block: c_p as words, c_q as a dual block.
  void join_block(word* stage, const dual_modulus& n, view<const word> c_p, word* c_q,
                  std::size_t count, word* scratch) const;

  secret_words p_, q_, n_, p_squared_;
  std::vector<std::unique_ptr<turns>> turns_;
  half p_half_, q_half_;
  montgomery_modulus combine_p_, check_n_;                // on one lane
  secret_words q_inverse_block_, minus_q_inverse_block_;  // of combine_p_, in Montgomery form
  secret_words inverse_square_, minus_inverse_square_;    // dual blocks modulo q^2
};

}  // namespace veilsum::schemes
