// Secrets marked undefined, under valgrind's memcheck: it reports each branch or address that depends
// on one. One subject a run, named on the command line; CMakeLists.txt says which must be silent.
#include <valgrind/memcheck.h>

#include <cstring>

#include "kernels/dispatch.hpp"
#include "schemes/field.hpp"
#include "tests/cpp/check.hpp"
#include "tests/cpp/toy_paillier.hpp"

namespace veilsum::tests {
namespace {

using schemes::cipher_vector;

secret_words undefined(secret_words x) {
  VALGRIND_MAKE_MEM_UNDEFINED(x.data(), x.size() * sizeof(word));
  return x;
}

void define(const void* data, std::size_t bytes) { VALGRIND_MAKE_MEM_DEFINED(data, bytes); }

cipher_vector sample(const paillier_public_key& pub) {
  return pub.encrypt({secret_words{5, ~word{0}, 1234567}, 1}, secret_words{11, 12, 13}, 1);
}

void encryption() {
  const paillier_public_key pub = toy_paillier::public_key(*kernels::active().kernel);
  cipher_vector c = pub.encrypt({undefined({5, ~word{0}, 1234567}), 1}, undefined({11, 12, 13}), 1);
  define(c.block(0), c.blocks() * pub.n_squared().block_size() * sizeof(word));
  secret_words rows(12), expected(12);
  c.to_words(rows, 1);
  sample(pub).to_words(expected, 1);
  CHECK(rows == expected);
}

void decryption() {
  const kernels::table& kernel = *kernels::active().kernel;
  const paillier_public_key pub = toy_paillier::public_key(kernel);
  const paillier_private_key priv =
      toy_paillier::private_key(kernel, undefined({toy_paillier::p}), undefined({toy_paillier::q}));
  const cipher_vector c = sample(pub);
  secret_words rows(3);
  const secret_words limit{word{1} << 62};
  word exceeds = priv.decrypt(rows, 1, limit, c, 1);
  define(&exceeds, sizeof(exceeds));
  CHECK(exceeds == 0);
  define(rows.data(), rows.size() * sizeof(word));
  CHECK((rows == secret_words{5, ~word{0}, 1234567}));
}

void scalar_product() {
  const paillier_public_key pub = toy_paillier::public_key(*kernels::active().kernel);
  const cipher_vector c = sample(pub);
  cipher_vector scaled = c.power(undefined({3, 4, 5}), 1, 3, 1);
  define(scaled.block(0), scaled.blocks() * pub.n_squared().block_size() * sizeof(word));
  secret_words rows(12), expected(12);
  scaled.to_words(rows, 1);
  c.power(secret_words{3, 4, 5}, 1, 3, 1).to_words(expected, 1);
  CHECK(rows == expected);
}

void sharing() {
  for (word p : {word{1125899437080577}, ~word{0} - 0xfffffffeu}) {
    const schemes::prime_field field(*kernels::active().kernel, p);
    const secret_words points{1, 1, 1, 2, 1, 3};  // 1 and x for three holders
    secret_words shares(9), sum(3);
    const secret_words secrets = undefined({65, 0, p - 1, 15, 7, p - 2});
    field.matmul(shares, points, 3, 2, secrets, 3, 1);
    field.add(sum, schemes::view<const word>(shares).first(3),
              schemes::view<const word>(shares).slice(3, 3));
    field.subtract(sum, sum, schemes::view<const word>(shares).first(3));
    field.multiply(sum, sum, sum);
    field.power_vartime(sum, sum, 5);
    define(shares.data(), shares.size() * sizeof(word));
    CHECK(shares[0] == 80 && shares[3] == 95 && shares[6] == 110);
  }
}

// ---- Planted leaks: memcheck must speak.

int observed = 0;

void planted_branch() {
  const secret_words exponent = undefined({toy_paillier::p});
  if (exponent[0] & 4) ++observed;
}

void planted_index() {
  const secret_words table{1, 2, 3, 4}, index = undefined({2});
  observed = static_cast<int>(table[index[0] & 3]);
}

void planted_carry() {
  secret_words r(2);
  const secret_words a = undefined({~word{0}, 5}), b = undefined({1, 7});
  if (schemes::subtract_words(r, a, b) == 0) ++observed;
}

struct subject {
  const char* name;
  void (*run)();
};

constexpr subject subjects[] = {
    {"encryption", encryption},         {"decryption", decryption},
    {"scalar_product", scalar_product}, {"sharing", sharing},
    {"planted_branch", planted_branch}, {"planted_index", planted_index},
    {"planted_carry", planted_carry},
};

}  // namespace
}  // namespace veilsum::tests

int main(int argument_count, char** arguments) {
  using namespace veilsum::tests;
  if (!RUNNING_ON_VALGRIND) {
    std::printf("run this under valgrind\n");
    return 2;
  }
  // Under valgrind the processor has no AVX-512: what runs here is the portable kernel or nothing.
  CHECK(veilsum::kernels::active().kernel == &veilsum::kernels::portable);
  for (const subject& s : subjects)
    if (argument_count == 2 && std::strcmp(arguments[1], s.name) == 0) {
      s.run();
      std::printf("kernel %s ran, observed %d\n", veilsum::kernels::active().kernel->name,
                  observed);
      return finish(s.name);
    }
  std::printf("no such subject\n");
  return 2;
}
