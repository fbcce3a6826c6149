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
  static constexpr word h_p = 0x98ad127fca93083eu, h_q = 0x4e4a7c31ad07fe1eu,
                        q_inverse = 0x5af4ae5e47a14e61u;
  static inline const secret_words n{0x7384461cfaa7865du, 0xc793966fc8aa591au};
  // h^n mod n^2 for h = -9.
  static inline const secret_words h_s{0x14db26df10446076u, 0xbbdba7fd6adbaa11u,
                                       0xf4f0d59d528c8691u, 0x3d0d888b1d6a6d9du};
  static constexpr std::size_t exponent_bits = 64;

  static paillier_public_key public_key(const kernels::table& kernel) {
    return {kernel, n, h_s, exponent_bits};
  }
  static paillier_private_key private_key(const kernels::table& kernel,
                                          const secret_words& secret_p,
                                          const secret_words& secret_q) {
    return {
        kernel, secret_p, secret_q, secret_words{h_p}, secret_words{h_q}, secret_words{q_inverse}};
  }
};

}  // namespace veilsum::tests
