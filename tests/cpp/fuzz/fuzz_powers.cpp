// Rows of words, whatever they hold, to powers modulo any odd number, and by remainders modulo p q: against
// powers by squaring, as canonical words.
#include "kernels/dispatch.hpp"
#include "schemes/modular.hpp"
#include "tests/cpp/fuzz/fuzz.hpp"

namespace veilsum::tests {
namespace {

// Two 64-bit primes, and 1/q modulo p (Python's pow gives it).
constexpr std::uint64_t prime_p = 0xf3a1c0de1234569fu, prime_q = 0xd1b54a32d192ed83u;
constexpr std::uint64_t inverse_of_q = 0x5af4ae5e47a14e61u;

natural row_of(const natural& rows, std::size_t i, std::size_t width) {
  const auto begin = rows.begin() + static_cast<std::ptrdiff_t>(i * width);
  return natural(begin, begin + static_cast<std::ptrdiff_t>(width));
}

void powers_are_canonical(input in, const kernels::table& kernel) {
  const std::size_t count = in.between(0, 9), width = in.between(1, 3), threads = in.between(1, 2);
  natural m = in.words(width);
  m[0] |= trimmed(m).size() > 1 ? 1 : 3;
  const natural exponent{in.number(in.between(1, 2))}, given = in.words(count * width);
  natural rows = given;
  schemes::powers(rows, {kernel, m}, exponent, threads);
  for (std::size_t i = 0; i < count; ++i) {
    natural got = row_of(rows, i, width);
    got[0] = answer(got[0]);
    REQUIRE(got == resized(power(remainder(row_of(given, i, width), m), exponent, m), width));
  }
}

void remainders_are_powers_modulo_each_prime(input in, const kernels::table& kernel) {
  const std::size_t count = in.between(0, 9), width = in.between(1, 2), threads = in.between(1, 2);
  const natural p{prime_p}, q{prime_q};
  const natural exponent_p{in.number(in.between(1, 2))}, exponent_q{in.number(in.between(1, 2))};
  const natural given = in.words(count * width);
  const schemes::prime_pair pair(kernel, p, q, natural{inverse_of_q});
  natural rows = given;
  pair.powers(rows, width, exponent_p, exponent_q, threads);
  for (std::size_t i = 0; i < count; ++i) {
    const natural row = row_of(given, i, width), got = row_of(rows, i, width);
    // A row of one word holds an integer modulo n only where its power is that short.
    if (width < 2) continue;
    REQUIRE(less(got, product(p, q)));
    REQUIRE(remainder(got, p) == power(remainder(row, p), exponent_p, p));
    REQUIRE(remainder(got, q) == power(remainder(row, q), exponent_q, q));
  }
}

}  // namespace
}  // namespace veilsum::tests

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace veilsum;
  tests::input in(data, size);
  const bool by_remainders = in.number(1) % 2 != 0;
  for (const kernels::table* kernel : kernels::available())
    by_remainders ? tests::remainders_are_powers_modulo_each_prime(in, *kernel)
                  : tests::powers_are_canonical(in, *kernel);
  return 0;
}
