// A 128-bit Paillier key with fixed primes, for tests of the C++ floor alone.
#pragma once

#include "schemes/paillier.hpp"

namespace veilsum::tests {

using schemes::paillier_private_key;
using schemes::paillier_public_key;
using schemes::secret_words;
using schemes::word;

struct toy_paillier {
  // Two 64-bit primes, both 3 modulo 4; the constants follow from them (Python's pow gives each).
  static constexpr word p = 0xf3a1c0de1234569fu, q = 0xd1b54a32d192ed83u;
  static constexpr word q_inverse = 0x5af4ae5e47a14e61u;
  static inline const secret_words n{0x7384461cfaa7865du, 0xc793966fc8aa591au};
  // h^n mod n^2 for h = -9, and its inverse modulo n.
  static inline const secret_words h_s{0x14db26df10446076u, 0xbbdba7fd6adbaa11u,
                                       0xf4f0d59d528c8691u, 0x3d0d888b1d6a6d9du};
  static inline const secret_words h_inverse{0x9d4d809d0903f1b3u, 0x1c74ade4a78da2e5u};
  // Longer than they need be, so that all lanes of a kernel can work on one power.
  static constexpr std::size_t exponent_bits = 512, exponent_words = 8;

  // What belongs to one prime: schemes::prime_constants that own their words.
  struct half {
    secret_words prime, h, h_s, h_inverse, blinding;
    schemes::prime_constants constants() const {
      return {prime, h, blinding, {h_s, h_inverse, exponent_bits}};
    }
  };
  // What makes the private key.
  struct secrets {
    half p{{toy_paillier::p},
           {0x98ad127fca93083eu},
           {0x7fd2dac0945dd661u, 0x1f58f97ff27835deu},
           {0x13cf816512952d1u},
           {2, 3, 5, 7, 11, 13, 17, 19}};
    half q{{toy_paillier::q},
           {0x4e4a7c31ad07fe1eu},
           {0x6516d48ba4facac5u, 0x732f5e9cfc9e7a9cu},
           {0x88367ebfdec27bacu},
           {23, 29, 31, 37, 41, 43, 47, 53}};
    secret_words q_inverse{toy_paillier::q_inverse};
    secret_words inverse_square{0xb622eb0abc34330fu, 0x37384551ae3a2979u};
  };

  static paillier_public_key public_key(const kernels::table& kernel) {
    return {kernel, n, {h_s, h_inverse, exponent_bits}};
  }
  static paillier_private_key private_key(const kernels::table& kernel, const secrets& s) {
    return {kernel, s.p.constants(), s.q.constants(), s.q_inverse, s.inverse_square};
  }
};

}  // namespace veilsum::tests
