// Secrets marked undefined, under valgrind's memcheck: it reports each branch or address that depends
// on one. One subject a run, named on the command line; CMakeLists.txt says which must be silent.
#include <valgrind/memcheck.h>

#include <cstring>
#include <vector>

#include "kernels/dispatch.hpp"
#include "schemes/field.hpp"
#include "schemes/modular.hpp"
#include "schemes/packing.hpp"
#include "schemes/polynomial.hpp"
#include "schemes/sharing.hpp"
#include "schemes/transform.hpp"
#include "schemes/wide_field.hpp"
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

void define(cipher_vector& c) {
  define(c.block(0), c.blocks() * c.modulus().block_size() * sizeof(word));
}

const kernels::table& kernel() { return *kernels::active().kernel; }

paillier_public_key public_key() { return toy_paillier::public_key(kernel()); }

// Every constant of a private key is a secret.
paillier_private_key private_key() {
  toy_paillier::secrets s;
  for (toy_paillier::half* half : {&s.p, &s.q})
    for (secret_words* x : {&half->prime, &half->h, &half->h_s, &half->h_inverse, &half->blinding})
      *x = undefined(*x);
  s.q_inverse = undefined(s.q_inverse);
  s.inverse_square = undefined(s.inverse_square);
  return toy_paillier::private_key(kernel(), s);
}

const secret_words messages{5, ~word{0}, 1234567};

secret_words exponents() {
  numbers random(1);
  return random.integer(messages.size() * toy_paillier::exponent_words);
}

cipher_vector sample(const paillier_public_key& pub) {
  return pub.encrypt({messages, 1}, exponents(), 1);
}

void expect_same(cipher_vector& made_of_secrets, const cipher_vector& expected) {
  define(made_of_secrets);
  secret_words made(4 * expected.size()), known(made.size());
  made_of_secrets.to_words(made, 1);
  expected.to_words(known, 1);
  CHECK(made == known);
}

void encryption() {
  const paillier_public_key pub = public_key();
  cipher_vector c = pub.encrypt({undefined(messages), 1}, undefined(exponents()), 1);
  expect_same(c, sample(pub));
}

void private_encryption() {
  const paillier_public_key pub = public_key();
  const paillier_private_key priv = private_key();
  cipher_vector c = priv.encrypt(pub, {undefined(messages), 1}, undefined(exponents()), 1);
  expect_same(c, sample(pub));
}

// The ciphertexts are public. So may be the check's weights, which are random and used once: they feed a
// multi-exponentiation in variable time. The plaintext that follows them is secret.
void decryption() {
  const paillier_public_key pub = public_key();
  const paillier_private_key priv = private_key();
  const cipher_vector c = sample(pub);
  secret_words rows(3);
  const secret_words limit{word{1} << 62};
  numbers random(2);
  secret_words check = random.integer(priv.check_words(c.size()));
  VALGRIND_MAKE_MEM_UNDEFINED(check.data() + c.size(), (check.size() - c.size()) * sizeof(word));
  auto status = priv.decrypt(rows, 1, limit, c, pub, check, 1);
  define(&status, sizeof(status));
  CHECK(status == schemes::decryption_status::good);
  define(rows.data(), rows.size() * sizeof(word));
  CHECK(rows == messages);
}

void encoding() {
  const paillier_public_key pub = public_key();
  const cipher_vector c = sample(pub);
  cipher_vector sum = pub.encode({undefined(messages), 1}, 1).multiply(c, 1);
  expect_same(sum, pub.encode({messages, 1}, 1).multiply(c, 1));
}

void residues() {
  const paillier_public_key pub = public_key();
  const secret_words roots{5, 0, 1234567, 89};
  cipher_vector c = pub.residues(undefined(roots), 1);
  expect_same(c, pub.residues(roots, 1));
}

// Secret factors, and a secret choice of sign.
void scalar_product() {
  const paillier_public_key pub = public_key();
  const cipher_vector c = sample(pub);
  const secret_words factors{3, 4, 5}, masks{0, ~word{0}, 0};
  const cipher_vector scaled = c.power(undefined(factors), 1, 3, 1);
  cipher_vector chosen = scaled.select(undefined(masks), c);
  expect_same(chosen, c.power(factors, 1, 3, 1).select(masks, c));
}

// What a decryption share and its proof raise ciphertexts to: one secret exponent, and a long one.
void shared_exponent() {
  const paillier_public_key pub = public_key();
  const cipher_vector c = sample(pub);
  numbers random(3);
  const secret_words exponent = random.integer(10);
  cipher_vector raised = c.power(undefined(exponent), exponent.size(), 64 * exponent.size(), 1);
  expect_same(raised, c.power(exponent, exponent.size(), 64 * exponent.size(), 1));
}

void packing() {
  for (std::size_t bits : {2u, 17u, 32u, 33u, 63u}) {
    const schemes::slot_layout layout{192 / bits, bits, 3};
    std::vector<std::int64_t> values(2 * layout.slots - 1, 0), again(values.size());
    values[0] = -1;
    values.back() = 1;
    const std::vector<std::int64_t> expected = values;
    VALGRIND_MAKE_MEM_UNDEFINED(values.data(), values.size() * sizeof(word));
    secret_words rows(6);
    schemes::pack(rows, values, layout, 1);
    word refused = schemes::unpack(again, rows, 1, layout, 1);
    define(&refused, sizeof(refused));
    define(again.data(), again.size() * sizeof(word));
    CHECK(refused == 0 && again == expected);
  }
}

// What a certificate does with the primes.
void roots() {
  const schemes::prime_pair pair(kernel(), undefined({toy_paillier::p}),
                                 undefined({toy_paillier::q}),
                                 undefined({toy_paillier::q_inverse}));
  secret_words rows{5, 0, 1234567, 89}, expected = rows;
  pair.powers(rows, 2, undefined({65537, 1}), undefined({65537, 1}), 1);
  define(rows.data(), rows.size() * sizeof(word));
  schemes::powers(expected, {kernel(), toy_paillier::n}, secret_words{65537, 1}, 1);
  CHECK(rows == expected);
}

// What a proof does with plaintexts and exponents.
void responses() {
  secret_words sum = undefined({1, 0, 0}), r(2);
  schemes::add_weighted(sum, undefined({~word{1}, 7}), 1, true, secret_words{3, 0, 0, 1}, 2);
  schemes::centred_residue(r, sum, toy_paillier::n);
  define(sum.data(), sum.size() * sizeof(word));
  CHECK((sum == secret_words{~word{4}, 6, 0}));
  define(r.data(), r.size() * sizeof(word));
  CHECK((r == secret_words{~word{4}, 6}));
}

void sharing() {
  for (word p : {word{1125899437080577}, ~word{0} - 0xfffffffeu}) {
    const schemes::prime_field field(kernel(), p);
    const secret_words points{1, 1, 1, 2, 1, 3};  // 1 and x for three holders
    secret_words shares(9), sum(3);
    const secret_words secrets = undefined({65, 0, p - 1, 15, 7, p - 2});
    field.matmul(shares, points, 3, 2, secrets, 3, 1);
    field.add(sum, schemes::view<const word>(shares).first(3),
              schemes::view<const word>(shares).slice(3, 3));
    field.subtract(sum, sum, schemes::view<const word>(shares).first(3));
    field.multiply(sum, sum, sum);
    field.scale(sum, sum, undefined({p - 3})[0]);
    field.power_vartime(sum, sum, 5);
    secret_words inverses(3);
    field.invert(inverses, schemes::view<const word>(secrets).from(3));
    word total = field.dot(inverses, schemes::view<const word>(secrets).from(3));
    define(shares.data(), shares.size() * sizeof(word));
    CHECK(shares[0] == 80 && shares[3] == 95 && shares[6] == 110);
    define(&total, sizeof(total));
    CHECK(total == 3);
  }
}

// Lines with their secrets at 0 and the value drawn at 1, then at the roots 1 and -1; both opened again.
void dealing() {
  for (word p : {word{1125899437080577}, ~word{0} - 0xfffffffeu}) {
    const schemes::prime_field field(kernel(), p);
    const schemes::transform roots(kernel(), p, 2);
    const auto line = field.prepare(secret_words{p - 1, 2}, 1, 2);  // at 2
    const auto constant = field.prepare(secret_words{1}, 1, 1);
    const auto back = field.prepare(secret_words{2, p - 1, p - 1, 2}, 2, 2);  // at 0 and 2
    const auto halves = field.prepare(secret_words{2}, 1, 1);
    const secret_words known = undefined({65, p - 3, 80, 1});
    secret_words dealt(4), at_roots(4);
    std::int64_t opened[4];
    schemes::deal(field, line, {&known[0], &known[2]}, {&dealt[0], &dealt[2]}, 2);
    schemes::deal_at_roots(field, roots, 2, constant, {&known[0], &known[2]},
                           {&at_roots[0], &at_roots[2]}, 2);
    const std::vector<std::size_t> places{0, 1};
    const secret_words scales{(p + 1) / 2, (p + 1) / 2};
    schemes::verdict found =
        schemes::open(field, back, {&dealt[0], &dealt[2]}, {&dealt[2]}, {opened, 2, 2, -3, 65}, 1);
    define(&found, sizeof(found));
    CHECK(found.outside == 0);
    found = schemes::open_at_roots(field, roots, 2, {places, scales, 2}, halves,
                                   {&at_roots[0], &at_roots[2]}, {opened + 2, 2, 2, -3, 65}, 1);
    define(&found, sizeof(found));
    CHECK(found.outside == 0 && found.disagreeing == 0);
    define(opened, sizeof(opened));
    CHECK(opened[0] == 65 && opened[1] == -3 && opened[2] == 65 && opened[3] == -3);
    define(dealt.data(), dealt.size() * sizeof(word));
    CHECK(dealt[0] == 80 && dealt[2] == 95 && dealt[3] == 5);
  }
}

// Secrets of several words: 2 at 0 and 7 at 1 is 12 at 2; ((2 + 12) - 7) 2 = 14.
void wide_sharing() {
  const schemes::wide_field field(kernel(), secret_words{297, 0, 0, 0, 1});
  const secret_words weights{296, 0, 0, 0, 1, 2, 0, 0, 0, 0};  // -1 and 2
  const secret_words secrets = undefined({2, 0, 0, 0, 0, 7, 0, 0, 0, 0});
  const auto secret = [&](std::size_t i) {
    return schemes::view<const word>(secrets).slice(5 * i, 5);
  };
  secret_words share(5), result(5), powers(secrets);
  std::uint8_t outside[2];
  field.matmul(share, weights, 1, 2, secrets, 1, 1);
  field.add(result, secret(0), share);
  field.subtract(result, result, secret(1));
  field.multiply(result, result, secret(0), 1);
  field.power(powers, secret_words{5}, 1);
  field.mark_outside({outside, 2}, secrets);
  define(result.data(), result.size() * sizeof(word));
  define(powers.data(), powers.size() * sizeof(word));
  define(outside, sizeof(outside));
  CHECK((result == secret_words{14, 0, 0, 0, 0}));
  CHECK(powers[0] == 32 && powers[5] == 16807 && outside[0] == 0 && outside[1] == 0);
}

void transforms() {
  for (word p : {word{1125899437080577}, ~word{0} - 0xfffffffeu}) {
    const schemes::transform t(kernel(), p, 64);
    constexpr std::size_t width = 8;
    numbers random(p);
    secret_words expected(64 * width);
    for (word& x : expected) x = random.next() % p;
    secret_words columns = undefined(expected), single = undefined(expected);
    t.forward_columns(columns.data(), 64, width);
    t.inverse_columns(columns.data(), 64, width);
    t.forward(single.data(), 64);
    t.inverse(single.data(), 64);
    secret_words values(64);
    t.evaluate(values.data(), single.data(), 64);
    t.interpolate(single.data(), values.data(), 64);
    for (secret_words* x : {&columns, &single}) {
      define(x->data(), x->size() * sizeof(word));
      CHECK(*x == expected);
    }
  }
}

// With a tree and without one.
void interpolation() {
  const word p = 1125899437080577;
  const schemes::prime_field field(kernel(), p);
  const schemes::transform t(kernel(), p, 1024);
  for (std::size_t count : {10u, 300u}) {
    secret_words points(count), values(count), coefficients(count), again(count);
    for (std::size_t i = 0; i < count; ++i) {
      points[i] = 3 * i;
      values[i] = i % 2 == 0 ? p - 1 - i : i;
    }
    const schemes::interpolator through(field, &t, points);
    through.interpolate(coefficients, undefined(values));
    through.points().evaluate(again, coefficients);
    define(again.data(), again.size() * sizeof(word));
    CHECK(again == values);
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
    {"encryption", encryption},
    {"private_encryption", private_encryption},
    {"decryption", decryption},
    {"encoding", encoding},
    {"residues", residues},
    {"scalar_product", scalar_product},
    {"shared_exponent", shared_exponent},
    {"packing", packing},
    {"roots", roots},
    {"responses", responses},
    {"sharing", sharing},
    {"dealing", dealing},
    {"wide_sharing", wide_sharing},
    {"transforms", transforms},
    {"interpolation", interpolation},
    {"planted_branch", planted_branch},
    {"planted_index", planted_index},
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
