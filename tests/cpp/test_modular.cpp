// Powers modulo anything and by remainders, and sums of secrets, on every kernel of this machine.
#include "kernels/dispatch.hpp"
#include "schemes/modular.hpp"
#include "tests/cpp/check.hpp"
#include "tests/cpp/toy_paillier.hpp"

namespace veilsum::tests {
namespace {

using schemes::montgomery_modulus;
using schemes::prime_pair;
using schemes::view;

constexpr std::size_t count = 21;  // no multiple of the lanes

prime_pair toy_pair(const kernels::table& kernel) {
  return {kernel, secret_words{toy_paillier::p}, secret_words{toy_paillier::q},
          secret_words{toy_paillier::q_inverse}};
}

secret_words residues_modulo_n() {
  numbers random(3);
  secret_words rows;
  for (std::size_t i = 0; i < count; ++i)
    for (word w : random.below(toy_paillier::n)) rows.push_back(w);
  return rows;
}

void powers_by_remainders_are_powers_modulo_the_product(const kernels::table& kernel) {
  const prime_pair pair = toy_pair(kernel);
  const montgomery_modulus n(kernel, toy_paillier::n);
  for (const secret_words& exponent : {secret_words{0}, secret_words{1}, secret_words{65537},
                                       secret_words{~word{0}}, secret_words{5, 7}}) {
    secret_words whole = residues_modulo_n(), remainders = whole, threaded = whole;
    schemes::powers(whole, n, exponent, 1);
    pair.powers(remainders, 2, exponent, exponent, 1);
    CHECK(remainders == whole);
    pair.powers(threaded, 2, exponent, exponent, 3);
    CHECK(threaded == whole);
    schemes::powers(whole = residues_modulo_n(), n, exponent, 3);
    CHECK(threaded == whole);
  }
}

void roots_are_undone_by_powers(const kernels::table& kernel) {
  const montgomery_modulus n(kernel, toy_paillier::n);
  const secret_words given = residues_modulo_n();
  secret_words rows = given;
  schemes::powers(rows, n, secret_words{65537}, 1);
  CHECK(rows != given);
  // 1 / 65537 modulo p - 1 and q - 1 (Python's pow gives each).
  toy_pair(kernel).powers(rows, 2, secret_words{0x2a601d12c329d553u},
                          secret_words{0xc62ddb36f75330ddu}, 1);
  CHECK(rows == given);
}

void nothing_is_the_power_of_nothing(const kernels::table& kernel) {
  secret_words none;
  schemes::powers(none, {kernel, toy_paillier::n}, secret_words{3}, 1);
  toy_pair(kernel).powers(none, 2, secret_words{3}, secret_words{3}, 1);
  CHECK(none.empty());
}

void weighted_sums_carry_signs_and_words() {
  secret_words sum{1, 0, 0};
  // 1 + 3 * (-2) + 2^64 * 7 = 7 * 2^64 - 5
  schemes::add_weighted(sum, secret_words{~word{1}, 7}, 1, true, secret_words{3, 0, 0, 1}, 2);
  CHECK((sum == secret_words{~word{4}, 6, 0}));
  sum = {0, 0, 0};
  schemes::add_weighted(sum, secret_words{~word{0}}, 1, false, secret_words{2}, 1);
  CHECK((sum == secret_words{~word{1}, 1, 0}));
  sum = {0, 0, 0};
  schemes::add_weighted(sum, secret_words{~word{0}}, 1, true, secret_words{2}, 1);
  CHECK((sum == secret_words{~word{1}, ~word{0}, ~word{0}}));
}

void residues_are_centred() {
  const secret_words m{7};
  for (std::int64_t a = -30; a <= 30; ++a) {
    secret_words r(1);
    schemes::centred_residue(r, secret_words{static_cast<word>(a)}, m);
    const auto got = static_cast<std::int64_t>(r[0]);
    CHECK(got >= -3 && got <= 3 && (a - got) % 7 == 0);
  }
  secret_words r(2);
  schemes::centred_residue(r, secret_words{~word{0}, ~word{0}, ~word{0}}, toy_paillier::n);
  CHECK((r == secret_words{~word{0}, ~word{0}}));  // -1
}

}  // namespace
}  // namespace veilsum::tests

int main() {
  using namespace veilsum::tests;
  for (const veilsum::kernels::table* kernel : veilsum::kernels::available()) {
    powers_by_remainders_are_powers_modulo_the_product(*kernel);
    roots_are_undone_by_powers(*kernel);
    nothing_is_the_power_of_nothing(*kernel);
  }
  weighted_sums_carry_signs_and_words();
  residues_are_centred();
  return finish("test_modular");
}
