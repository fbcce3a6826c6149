// Paillier on every kernel of this machine: equality of ciphertexts however they are made, round trips,
// arithmetic, weighted sums, edges, and faults that must not get out.
#include <algorithm>
#include <vector>

#include "kernels/dispatch.hpp"
#include "tests/cpp/check.hpp"
#include "tests/cpp/schoolbook.hpp"
#include "tests/cpp/toy_paillier.hpp"

namespace veilsum::tests {
namespace {

using schemes::cipher_vector;
using schemes::decryption_status;
using schemes::weight_matrix;

constexpr std::size_t width = 4;  // words of a ciphertext

// Signed numbers of 60 bits, 0 and -1 first.
secret_words messages(std::size_t count) {
  numbers random(1);
  secret_words m = random.integer(count);
  for (word& w : m) w = static_cast<word>(static_cast<std::int64_t>(w) >> 3);
  if (count > 0) m[0] = 0;
  if (count > 1) m[1] = ~word{0};
  return m;
}

secret_words canonical(const cipher_vector& c) {
  secret_words rows(c.size() * width);
  c.to_words(rows, 1);
  return rows;
}

secret_words exponents(std::size_t count) {
  numbers random(7);
  return random.integer(count * toy_paillier::exponent_words);
}

struct opened {
  decryption_status status;
  secret_words rows;
};

struct keys {
  explicit keys(const kernels::table& kernel, const toy_paillier::secrets& secrets = {})
      : pub(toy_paillier::public_key(kernel)), priv(toy_paillier::private_key(kernel, secrets)) {}

  cipher_vector encrypt(const secret_words& m, std::size_t threads = 1) const {
    return pub.encrypt({m, 1}, exponents(m.size()), threads);
  }
  cipher_vector encrypt_privately(const secret_words& m, std::size_t threads = 1) const {
    return priv.encrypt(pub, {m, 1}, exponents(m.size()), threads);
  }
  opened open(const cipher_vector& c, const secret_words& limit, const secret_words& check) const {
    opened r{decryption_status::fault, secret_words(c.size() * limit.size(), 1)};
    r.status = priv.decrypt(r.rows, limit.size(), limit, c, pub, check, 2);
    return r;
  }
  secret_words check_for(const cipher_vector& c) const {
    numbers random(8);
    return random.integer(priv.check_words(c.size()));
  }
  // What must open well.
  secret_words decrypt(const cipher_vector& c, std::size_t limbs = 1) const {
    secret_words limit(limbs, ~word{0});
    limit.back() >>= 2;
    const opened r = open(c, limit, check_for(c));
    CHECK(r.status == decryption_status::good);
    return r.rows;
  }

  paillier_public_key pub;
  paillier_private_key priv;
};

// Counts around one lane block, and around the groups of 16 blocks that share a pass over the tables.
void ciphertexts_are_the_same_however_they_are_made() {
  const keys reference(kernels::portable);
  for (std::size_t count : {1u, 7u, 8u, 9u, 15u, 16u, 17u, 127u, 128u, 129u, 300u}) {
    const secret_words m = messages(count);
    const secret_words expected = canonical(reference.encrypt(m));
    for (const kernels::table* kernel : kernels::available()) {
      const keys k(*kernel);
      for (std::size_t threads : {1u, 3u}) {
        CHECK(canonical(k.encrypt(m, threads)) == expected);
        CHECK(canonical(k.encrypt_privately(m, threads)) == expected);
      }
    }
  }
}

// c = (1 + m n) h_s^r modulo n^2.
void ciphertexts_are_what_the_scheme_says(const keys& k) {
  const schoolbook squares(product(toy_paillier::n, toy_paillier::n));
  const secret_words rows =
      canonical(k.pub.encrypt({secret_words{0, ~word{0}, 1234567}, 1}, exponents(3), 1));
  const secret_words one{1}, randomness = exponents(3);
  const secret_words residues[] = {{0}, difference(toy_paillier::n, one), {1234567}};
  for (std::size_t i = 0; i < 3; ++i) {
    const secret_words message = sum(product(residues[i], toy_paillier::n), one);
    const secret_words noise =
        squares.power(toy_paillier::h_s,
                      view<const word>(randomness)
                          .slice(i * toy_paillier::exponent_words, toy_paillier::exponent_words));
    CHECK(schemes::equal_vartime(squares.times(message, noise),
                                 view<const word>(rows).slice(i * width, width)));
  }
}

void decryption_undoes_encryption(const keys& k) {
  for (std::size_t count : {1u, 3u, 4u, 5u, 33u}) {
    const secret_words m = messages(count);
    CHECK(k.decrypt(k.encrypt(m)) == m);
    CHECK(k.decrypt(k.encrypt_privately(m)) == m);
  }
  // The longest plaintexts: (n - 1) / 2 and its negative, in three words.
  secret_words half(3, 0);
  for (std::size_t i = 0; i < 2; ++i)
    half[i] = schemes::extract_bits(toy_paillier::n, 64 * i + 1, 64);
  secret_words m = half;
  schemes::negate_words(half, ~word{0});
  m.insert(m.end(), half.begin(), half.end());
  CHECK(k.decrypt(k.pub.encrypt({m, 3}, exponents(2), 1), 3) == m);
}

void arithmetic_follows_the_plaintexts(const keys& k) {
  const std::size_t count = 21;  // no multiple of the lanes
  const secret_words m = messages(count);
  const cipher_vector c = k.encrypt(m, 2);
  const secret_words doubled = k.decrypt(c.multiply(k.pub.encode({m, 1}, 1), 1));
  for (std::size_t i = 0; i < count; ++i) CHECK(doubled[i] == 2 * m[i]);

  const secret_words factors(count, 5);
  const secret_words products = k.decrypt(c.power(factors, 1, 3, 2), 2);
  for (std::size_t i = 0; i < count; ++i) CHECK(products[2 * i] == 5 * m[i]);

  const std::vector<std::int64_t> reversed{2, 1, 0};
  const cipher_vector few = c.gather({reversed.data(), reversed.size()});
  const secret_words gathered = k.decrypt(few.append(few));
  for (std::size_t i = 0; i < 6; ++i) CHECK(gathered[i] == m[2 - i % 3]);

  secret_words masks(count, 0);
  masks[4] = masks[20] = ~word{0};
  const secret_words chosen = k.decrypt(c.select(masks, c.power(factors, 1, 3, 1)), 2);
  for (std::size_t i = 0; i < count; ++i) CHECK(chosen[2 * i] == (masks[i] != 0 ? 5 * m[i] : m[i]));
}

void words_become_ciphertexts_and_come_back(const keys& k) {
  for (std::size_t count : {1u, 9u, 129u}) {
    const secret_words m = messages(count), rows = canonical(k.encrypt(m));
    CHECK(cipher_vector::in_range_vartime(k.pub.modulus(), rows));
    for (std::size_t threads : {1u, 3u}) {
      const cipher_vector c = cipher_vector::from_words(k.pub.modulus(), rows, threads);
      secret_words again(rows.size());
      c.to_words(again, threads);
      CHECK(again == rows);
      CHECK(k.decrypt(c) == m);
    }
  }
}

void numbers_out_of_range_are_seen(const keys& k) {
  const auto n_squared = k.pub.modulus().squared();
  secret_words row(width, 0);
  CHECK(!cipher_vector::in_range_vartime(k.pub.modulus(), row));
  row.assign(n_squared.begin(), n_squared.end());
  CHECK(!cipher_vector::in_range_vartime(k.pub.modulus(), row));
  row[0] -= 1;
  CHECK(cipher_vector::in_range_vartime(k.pub.modulus(), row));
}

void residues_are_powers_and_hold_nothing(const keys& k) {
  const std::size_t count = 13;
  numbers random(2);
  secret_words roots, rows;
  for (std::size_t i = 0; i < count; ++i) {
    const secret_words root = random.below(toy_paillier::n);
    roots.insert(roots.end(), root.begin(), root.end());
    rows.insert(rows.end(), root.begin(), root.end());
    rows.resize(rows.size() + 2, 0);  // as long as n^2
  }
  secret_words degrees;
  for (std::size_t i = 0; i < count; ++i)
    degrees.insert(degrees.end(), toy_paillier::n.begin(), toy_paillier::n.end());
  const cipher_vector powers =
      cipher_vector::from_words(k.pub.modulus(), rows, 1).power(degrees, 2, 128, 1);
  const cipher_vector residues = k.pub.residues(roots, 2);
  CHECK(canonical(residues) == canonical(powers));
  CHECK(k.decrypt(residues) == secret_words(count, 0));
}

void one_exponent_serves_every_ciphertext(const keys& k) {
  numbers random(4);
  const schoolbook squares(product(toy_paillier::n, toy_paillier::n));
  for (std::size_t limbs : {1u, 4u, 9u})
    for (std::size_t count : {0u, 1u, 13u}) {
      const secret_words exponent = random.integer(limbs);
      const cipher_vector c = k.encrypt(messages(count));
      const secret_words rows = canonical(c);
      const secret_words powers = canonical(c.power(exponent, limbs, 64 * limbs, 2));
      for (std::size_t i = 0; i < count; ++i) {
        const auto at = [&](const secret_words& all) {
          return view<const word>(all).slice(i * width, width);
        };
        CHECK(squares.residue(at(powers)) == squares.power(at(rows), exponent));
      }
    }
}

void inverses_hold_the_negatives(const keys& k) {
  // n (p - 1) (q - 1) - 1: the power that inverts modulo n^2.
  const secret_words one{1};
  const secret_words order = product(toy_paillier::n, product(secret_words{toy_paillier::p - 1},
                                                              secret_words{toy_paillier::q - 1}));
  const secret_words exponent = difference(order, one);
  const schoolbook squares(product(toy_paillier::n, toy_paillier::n));
  for (std::size_t count : {0u, 1u, 8u, 21u}) {
    const secret_words m = messages(count);
    const cipher_vector c = count == 1 ? k.encrypt_privately(m) : k.encrypt(m);
    const schemes::words products = c.lane_products();
    schemes::words inverses;
    for (std::size_t l = 0; l < c.lanes(); ++l) {
      const auto lane = view<const word>(products).slice(l * width, width);
      const secret_words inverse = squares.power(lane, exponent);
      CHECK(squares.times(inverse, lane) == squares.residue(one));
      inverses.insert(inverses.end(), inverse.begin(), inverse.end());
    }
    const cipher_vector inverted = c.invert(inverses);
    secret_words negated = k.decrypt(inverted);
    for (word& w : negated) w = 0 - w;
    CHECK(negated == m);
    CHECK(canonical(c.multiply(inverted, 1)) == canonical(cipher_vector(k.pub.modulus(), count)));
  }
}

// ---- Weighted sums

// Element (r, c) by one power and one product a term.
cipher_vector weigh_slowly(const cipher_vector& x, std::size_t rows, const weight_matrix& weights) {
  cipher_vector result(x.modulus(), rows * weights.columns);
  for (std::size_t k = 0; k < weights.inner; ++k) {
    std::vector<std::int64_t> elements;
    secret_words powers;
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < weights.columns; ++c) {
        elements.push_back(static_cast<std::int64_t>(r * weights.inner + k));
        const view<const word> weight = weights.at(k, c);
        powers.insert(powers.end(), weight.begin(), weight.end());
      }
    result = result.multiply(x.gather(elements).power(powers, weights.limbs, weights.bits, 1), 1);
  }
  return result;
}

struct shape {
  std::size_t rows, inner, columns;
};

void weighing_is_power_and_product(const keys& k, const shape& s, std::size_t bits) {
  numbers random(bits);
  const std::size_t limbs = (bits + 63) / 64;
  secret_words words = random.integer(s.inner * s.columns * limbs);
  for (std::size_t i = 0; i < words.size(); ++i) {
    words[i] = schemes::extract_bits(secret_words{words[i]}, 0, std::min<std::size_t>(bits, 64));
    if (i % 7 == 3) words[i] = 0;
  }
  const weight_matrix weights{words, s.inner, s.columns, limbs, bits};
  const cipher_vector c = k.encrypt(messages(s.rows * s.inner), 2);
  const secret_words expected = canonical(weigh_slowly(c, s.rows, weights));
  for (std::size_t threads : {1u, 3u})
    CHECK(canonical(c.weigh_vartime(s.rows, weights, threads)) == expected);
}

void weighing_by_one_is_a_product(const keys& k) {
  for (std::size_t count : {1u, 2u, 100u, 5000u}) {
    const secret_words ones(count, 1), m = messages(count);
    const cipher_vector total = k.encrypt(m).weigh_vartime(1, {ones, count, 1, 1, 1}, 2);
    word expected = 0;
    for (word w : m) expected += w;
    CHECK(k.decrypt(total, 2)[0] == expected);
  }
}

void weighing_is_right_for_every_shape(const keys& k) {
  for (std::size_t bits : {1u, 8u, 32u, 64u, 128u})
    for (const shape& s : {shape{1, 1, 1}, shape{1, 3, 1}, shape{3, 3, 5}, shape{9, 1, 2},
                           shape{2, 100, 3}, shape{1, 0, 1}, shape{3, 0, 4}, shape{0, 3, 2}})
      weighing_is_power_and_product(k, s, bits);
  weighing_is_power_and_product(k, {1, 5000, 1}, 16);
  weighing_is_power_and_product(k, {2, 5000, 2}, 3);
}

// ---- Limits and faults

void expect_nothing(const opened& r, decryption_status status) {
  CHECK(r.status == status);
  CHECK(r.rows == secret_words(r.rows.size(), 0));
}

void a_plaintext_beyond_the_limit_gives_nothing(const keys& k) {
  const secret_words m{3, ~word{4}, 2};  // 3, -5, 2
  const cipher_vector c = k.encrypt(m);
  const opened within = k.open(c, secret_words{5}, k.check_for(c));
  CHECK(within.status == decryption_status::good && within.rows == m);
  expect_nothing(k.open(c, secret_words{4}, k.check_for(c)), decryption_status::beyond_limit);
  // A number that fills a word and its sign does not fit one word.
  const cipher_vector large = k.pub.encrypt({secret_words{word{1} << 63, 0}, 2}, exponents(1), 1);
  const word most = ~word{0} >> 1;
  expect_nothing(k.open(large, secret_words{most}, k.check_for(large)),
                 decryption_status::beyond_limit);
  CHECK(k.decrypt(large, 2)[0] == word{1} << 63);
}

// It has a factor in common with n: no ciphertext at all.
void a_multiple_of_a_prime_gives_nothing(const keys& k) {
  for (word prime : {toy_paillier::p, toy_paillier::q}) {
    secret_words rows = canonical(k.encrypt(messages(3)));
    const secret_words multiple{prime, 0, 0, 0};
    std::copy(multiple.begin(), multiple.end(), rows.begin() + width);
    const cipher_vector c = cipher_vector::from_words(k.pub.modulus(), rows, 1);
    expect_nothing(k.open(c, secret_words{~word{0} >> 2}, k.check_for(c)),
                   decryption_status::fault);
  }
}

void a_check_of_zeros_is_a_check(const keys& k) {
  const secret_words m = messages(5);
  const cipher_vector c = k.encrypt(m);
  const secret_words zeros(k.priv.check_words(5), 0);
  const opened r = k.open(c, secret_words{~word{0} >> 2}, zeros);
  CHECK(r.status == decryption_status::good && r.rows == m);
}

// Every constant that decryption uses, with a bit flipped.
void a_fault_in_a_constant_gives_nothing(const kernels::table& kernel) {
  for (word flipped : {word{1}, word{1} << 40, word{1} << 63})
    for (int constant = 0; constant < 3; ++constant) {
      toy_paillier::secrets wrong;
      (constant == 0 ? wrong.p.h : constant == 1 ? wrong.q.h : wrong.q_inverse)[0] ^= flipped;
      const keys k(kernel, wrong);
      for (std::size_t count : {1u, 5u}) {
        const cipher_vector c = k.encrypt(messages(count));
        expect_nothing(k.open(c, secret_words{~word{0} >> 2}, k.check_for(c)),
                       decryption_status::fault);
        // A fault says nothing of limits.
        expect_nothing(k.open(c, secret_words{0}, k.check_for(c)), decryption_status::fault);
      }
    }
}

// They make private encryptions, which then differ from the public ones.
void a_fault_in_a_constant_of_encryption_leaves_decryption_alone(const kernels::table& kernel) {
  const secret_words m = messages(3);
  std::vector<toy_paillier::secrets> wrong(6);
  wrong[0].inverse_square[0] ^= 2;
  wrong[1].p.h_s[0] ^= 2;
  wrong[2].q.h_s[0] ^= 2;
  wrong[3].p.h_inverse[0] ^= 2;
  wrong[4].q.h_inverse[0] ^= 2;
  for (std::size_t i = 0; i < wrong.size(); ++i) {
    const keys k(kernel, wrong[i]);
    const cipher_vector c = k.encrypt(m);
    CHECK(k.decrypt(c) == m);
    CHECK((canonical(k.encrypt_privately(m)) == canonical(c)) == (i == 5));
  }
}

// Blinding changes nothing but what an observer of the computation sees, call after call.
void any_blinding_gives_the_same_plaintexts(const kernels::table& kernel) {
  toy_paillier::secrets secrets;
  numbers random(3);
  secrets.p.blinding = random.integer(8);
  secrets.q.blinding = random.integer(8);
  const keys k(kernel, secrets);
  const secret_words m = messages(9);
  for (int call = 0; call < 5; ++call) CHECK(k.decrypt(k.encrypt(m)) == m);
}

void empty_vectors_work(const keys& k) {
  const cipher_vector none = k.pub.encrypt({{}, 1}, {}, 0);
  CHECK(none.size() == 0);
  CHECK(canonical(none.multiply(none, 0)).empty());
  CHECK(k.priv.encrypt(k.pub, {{}, 1}, {}, 0).size() == 0);
  CHECK(k.pub.encode({{}, 1}, 0).size() == 0);
  CHECK(k.pub.residues({}, 0).size() == 0);
  CHECK(k.decrypt(none).empty());
}

}  // namespace
}  // namespace veilsum::tests

int main() {
  using namespace veilsum::tests;
  ciphertexts_are_the_same_however_they_are_made();
  for (const veilsum::kernels::table* kernel : veilsum::kernels::available()) {
    std::printf("kernel %s\n", kernel->name);
    const keys k(*kernel);
    ciphertexts_are_what_the_scheme_says(k);
    decryption_undoes_encryption(k);
    arithmetic_follows_the_plaintexts(k);
    words_become_ciphertexts_and_come_back(k);
    numbers_out_of_range_are_seen(k);
    residues_are_powers_and_hold_nothing(k);
    one_exponent_serves_every_ciphertext(k);
    inverses_hold_the_negatives(k);
    weighing_by_one_is_a_product(k);
    weighing_is_right_for_every_shape(k);
    a_plaintext_beyond_the_limit_gives_nothing(k);
    a_multiple_of_a_prime_gives_nothing(k);
    a_check_of_zeros_is_a_check(k);
    a_fault_in_a_constant_gives_nothing(*kernel);
    a_fault_in_a_constant_of_encryption_leaves_decryption_alone(*kernel);
    any_blinding_gives_the_same_plaintexts(*kernel);
    empty_vectors_work(k);
  }
  return finish("test_schemes");
}
