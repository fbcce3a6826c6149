// Rows of words to ciphertexts and back. A row is accepted where it is between 0 and n^2, both excluded, and
// nowhere else; accepted rows return unchanged on every kernel, and their lanes' products are right.
#include "kernels/dispatch.hpp"
#include "schemes/cipher_vector.hpp"
#include "tests/cpp/fuzz/fuzz.hpp"

namespace veilsum::tests {
namespace {

using schemes::cipher_vector;
using schemes::dual_modulus;

// Odd and above 1; of any length up to its words'.
natural some_modulus(input& in, std::size_t words) {
  natural n = in.words(words);
  n[0] |= trimmed(n).size() > 1 ? 1 : 3;
  return n;
}

// Any words, or a number near the edges or with a factor that n has.
natural some_row(input& in, const natural& n, const natural& square) {
  const std::size_t width = square.size();
  const natural small{in.number(1)};
  switch (in.number(1) % 4) {
    case 0:
      return resized(small, width);
    case 1:
      return difference(square, small);
    case 2:
      return resized(product(n, in.words(n.size())), width);
    default:
      return in.words(width);
  }
}

// The rows whose index is `lane` modulo `lanes`, multiplied modulo n^2.
natural lane_product(const std::vector<natural>& rows, std::size_t lane, std::size_t lanes,
                     const natural& square) {
  natural result{1};
  for (std::size_t i = lane; i < rows.size(); i += lanes)
    result = remainder(product(result, rows[i]), square);
  return resized(result, square.size());
}

void accepted_rows_return(const dual_modulus& modulus, const std::vector<natural>& rows,
                          const natural& square, std::size_t threads) {
  natural given;
  for (const natural& row : rows) given.insert(given.end(), row.begin(), row.end());
  const cipher_vector vector = cipher_vector::from_words(modulus, given, threads);
  natural returned(given.size(), 0x5a);
  vector.to_words(returned, threads);
  for (std::uint64_t& word : returned) word = answer(word);
  REQUIRE(returned == given);
  const schemes::words products = vector.lane_products();
  for (std::size_t lane = 0; lane < modulus.lanes(); ++lane) {
    const auto begin = products.begin() + static_cast<std::ptrdiff_t>(lane * square.size());
    const natural got(begin, begin + static_cast<std::ptrdiff_t>(square.size()));
    REQUIRE(got == lane_product(rows, lane, modulus.lanes(), square));
  }
}

}  // namespace
}  // namespace veilsum::tests

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace veilsum::tests;
  input in(data, size);
  const std::size_t count = in.between(0, 19), threads = in.between(1, 2);
  const natural n = some_modulus(in, in.between(1, 3)), square = product(n, n);
  std::vector<natural> rows, accepted;
  for (std::size_t i = 0; i < count; ++i) {
    rows.push_back(some_row(in, n, square));
    const bool fits = !trimmed(rows.back()).empty() && less(rows.back(), square);
    if (fits) accepted.push_back(rows.back());
  }
  for (const veilsum::kernels::table* kernel : veilsum::kernels::available()) {
    const dual_modulus modulus(*kernel, n);
    natural all;
    for (const natural& row : rows) all.insert(all.end(), row.begin(), row.end());
    REQUIRE(cipher_vector::in_range_vartime(modulus, all) == (accepted.size() == rows.size()));
    accepted_rows_return(modulus, accepted, square, threads);
  }
  return 0;
}
