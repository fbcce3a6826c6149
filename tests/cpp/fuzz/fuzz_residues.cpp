// Words to residues of a field: as many are counted out of range as are, and arithmetic on accepted ones is
// right and stays in range.
#include "kernels/dispatch.hpp"
#include "schemes/field.hpp"
#include "tests/cpp/fuzz/fuzz.hpp"

namespace veilsum::tests {
namespace {

__extension__ typedef unsigned __int128 wide;

constexpr std::uint64_t primes[] = {3,
                                    13,
                                    65537,
                                    (std::uint64_t{1} << 50) - 27,
                                    (std::uint64_t{1} << 61) - 1,
                                    (std::uint64_t{1} << 63) - 25,
                                    0xffffffff00000001u};

// Any word, or one near the edges.
std::uint64_t some_word(input& in, std::uint64_t p) {
  switch (in.number(1) % 3) {
    case 0:
      return p - 2 + in.number(1) % 4;
    case 1:
      return in.number(8) % p;
    default:
      return in.number(8);
  }
}

void arithmetic_is_right(const kernels::table& kernel, std::uint64_t p, const natural& a,
                         const natural& b) {
  const schemes::prime_field field(kernel, p);
  natural sum(a.size()), difference_(a.size()), product_(a.size());
  field.add(sum, a, b);
  field.subtract(difference_, a, b);
  field.multiply(product_, a, b);
  for (std::size_t i = 0; i < a.size(); ++i) {
    REQUIRE(answer(sum[i]) == (wide{a[i]} + b[i]) % p);
    REQUIRE(difference_[i] == (wide{a[i]} + p - b[i]) % p);
    REQUIRE(product_[i] == wide{a[i]} * b[i] % p);
  }
}

}  // namespace
}  // namespace veilsum::tests

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace veilsum::tests;
  input in(data, size);
  const std::uint64_t p = primes[in.between(0, std::size(primes) - 1)];
  natural words(in.between(0, 40)), residues;
  for (std::uint64_t& word : words) {
    word = some_word(in, p);
    if (word < p) residues.push_back(word);
  }
  const natural reversed(residues.rbegin(), residues.rend());
  for (const veilsum::kernels::table* kernel : veilsum::kernels::available()) {
    const veilsum::schemes::prime_field field(*kernel, p);
    REQUIRE(field.count_outside(words) == words.size() - residues.size());
    arithmetic_is_right(*kernel, p, residues, reversed);
  }
  return 0;
}
