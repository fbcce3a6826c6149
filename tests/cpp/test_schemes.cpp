// Paillier on every kernel of this machine: round trips, equality of ciphertexts, threads, edges.
#include "kernels/dispatch.hpp"
#include "tests/cpp/check.hpp"
#include "tests/cpp/toy_paillier.hpp"

namespace veilsum::tests {
namespace {

using schemes::cipher_vector;

constexpr std::size_t count = 21;  // no multiple of the lanes

secret_words messages() {
  numbers random(1);
  secret_words m = random.integer(count);
  for (word& w : m) w = static_cast<word>(static_cast<std::int64_t>(w) >> 3);
  m[0] = 0;
  m[1] = ~word{0};  // -1
  return m;
}

secret_words canonical(const cipher_vector& c) {
  secret_words rows(c.size() * 4);
  c.to_words(rows, 1);
  return rows;
}

struct round_trip {
  explicit round_trip(const kernels::table& kernel)
      : pub(toy_paillier::public_key(kernel)),
        priv(toy_paillier::private_key(kernel, secret_words{toy_paillier::p},
                                       secret_words{toy_paillier::q})) {}

  cipher_vector encrypt(const secret_words& m, std::size_t threads) const {
    numbers random(7);
    return pub.encrypt({m, 1}, random.integer(count), threads);
  }
  secret_words decrypt(const cipher_vector& c, std::size_t limbs = 1) const {
    secret_words rows(c.size() * limbs), limit(limbs, ~word{0});
    limit.back() >>= 2;
    CHECK(priv.decrypt(rows, limbs, limit, c, 2) == 0);
    return rows;
  }

  paillier_public_key pub;
  paillier_private_key priv;
};

void every_kernel_gives_the_same_ciphertexts() {
  secret_words first;
  for (const kernels::table* kernel : kernels::available()) {
    const round_trip s(*kernel);
    const secret_words rows = canonical(s.encrypt(messages(), 1));
    if (first.empty()) first = rows;
    CHECK(rows == first);
    CHECK(canonical(s.encrypt(messages(), 3)) == rows);
  }
}

void arithmetic_follows_the_plaintexts(const kernels::table& kernel) {
  const round_trip s(kernel);
  const secret_words m = messages();
  const cipher_vector c = s.encrypt(m, 2);
  CHECK(s.decrypt(c) == m);

  const secret_words doubled = s.decrypt(c.multiply(s.pub.encode({m, 1}, 1), 1));
  for (std::size_t i = 0; i < count; ++i) CHECK(doubled[i] == 2 * m[i]);

  const secret_words factors(count, 5);
  const secret_words products = s.decrypt(c.power(factors, 1, 3, 2), 2);
  for (std::size_t i = 0; i < count; ++i) CHECK(products[2 * i] == 5 * m[i]);

  const std::vector<std::int64_t> reversed{2, 1, 0};
  const cipher_vector few = c.gather({reversed.data(), reversed.size()});
  const secret_words gathered = s.decrypt(few.append(few));
  for (std::size_t i = 0; i < 6; ++i) CHECK(gathered[i] == m[2 - i % 3]);

  const secret_words rows = canonical(c);
  CHECK(cipher_vector::in_range_vartime(s.pub.n_squared(), rows));
  CHECK(s.decrypt(cipher_vector::from_words(s.pub.n_squared(), rows, 2)) == m);
}

void numbers_out_of_range_are_seen(const kernels::table& kernel) {
  const round_trip s(kernel);
  const auto n_squared = s.pub.n_squared().value();
  secret_words row(4, 0);
  CHECK(!cipher_vector::in_range_vartime(s.pub.n_squared(), row));
  row.assign(n_squared.begin(), n_squared.end());
  CHECK(!cipher_vector::in_range_vartime(s.pub.n_squared(), row));
  row[0] -= 1;
  CHECK(cipher_vector::in_range_vartime(s.pub.n_squared(), row));
}

void a_plaintext_beyond_the_limit_gives_nothing(const kernels::table& kernel) {
  const round_trip s(kernel);
  const cipher_vector c = s.encrypt(messages(), 1);
  secret_words rows(count, 1);
  CHECK(s.priv.decrypt(rows, 1, secret_words{1}, c, 1) == ~word{0});
  CHECK(rows == secret_words(count, 0));
}

void empty_vectors_work(const kernels::table& kernel) {
  const round_trip s(kernel);
  const cipher_vector none = s.pub.encrypt({{}, 1}, {}, 0);
  CHECK(none.size() == 0);
  CHECK(canonical(none.multiply(none, 0)).empty());
}

}  // namespace
}  // namespace veilsum::tests

int main() {
  using namespace veilsum::tests;
  every_kernel_gives_the_same_ciphertexts();
  for (const veilsum::kernels::table* kernel : veilsum::kernels::available()) {
    arithmetic_follows_the_plaintexts(*kernel);
    numbers_out_of_range_are_seen(*kernel);
    a_plaintext_beyond_the_limit_gives_nothing(*kernel);
    empty_vectors_work(*kernel);
  }
  return finish("test_schemes");
}
