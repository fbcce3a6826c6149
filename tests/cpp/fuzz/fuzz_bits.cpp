// Bit fields of integers: single ones, the windows of an exponent, and a kernel's digits, each against the
// integer's bits one by one.
#include "kernels/dispatch.hpp"
#include "schemes/montgomery.hpp"
#include "tests/cpp/fuzz/fuzz.hpp"

namespace veilsum::tests {
namespace {

using schemes::montgomery_modulus;
using schemes::view;

std::uint64_t field(const natural& a, std::size_t position, std::size_t bits) {
  std::uint64_t x = 0;
  for (std::size_t i = 0; i < bits; ++i) x |= std::uint64_t{bit(a, position + i)} << i;
  return x;
}

void fields_are_the_bits_they_cover(const natural& a, std::size_t position, std::size_t bits) {
  REQUIRE(answer(schemes::extract_bits(a, position, bits)) == field(a, position, bits));
}

void windows_cover_the_exponent(const natural& a, std::size_t window_bits, std::size_t stride) {
  const std::size_t count = schemes::window_count(64 * a.size(), window_bits);
  natural windows(count * stride, 0x5a);
  schemes::write_windows(windows.data(), stride, a, count, window_bits);
  REQUIRE(count >= 1 && count * window_bits >= 64 * a.size());
  for (std::size_t i = 0; i < windows.size(); ++i) {
    const std::size_t place = (count - 1 - i / stride) * window_bits;
    REQUIRE(windows[i] == (i % stride == 0 ? field(a, place, window_bits) : 0x5a));
  }
}

void digits_give_the_words_back(const kernels::table& kernel, const natural& a, std::size_t lane) {
  const natural m(a.size(), 3);  // only its length matters
  const montgomery_modulus modulus(kernel, m);
  natural block(modulus.block_size(), 0x5a), returned(a.size());
  modulus.set_lane(block.data(), lane, a);
  for (std::size_t i = 0; i < block.size(); ++i) {
    const std::size_t place = i / kernel.lanes * kernel.digit_bits;
    REQUIRE(block[i] == (i % kernel.lanes == lane ? field(a, place, kernel.digit_bits) : 0x5a));
  }
  modulus.get_lane(returned, block.data(), lane);
  REQUIRE(returned == a);
}

}  // namespace
}  // namespace veilsum::tests

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace veilsum;
  tests::input in(data, size);
  const std::size_t position = in.between(0, 1100), bits = in.between(1, 64);
  const std::size_t window_bits = in.between(1, 12), stride = in.between(1, 8);
  const std::size_t lane = in.between(0, 7);
  const tests::natural a = in.words(in.between(1, 16));
  tests::fields_are_the_bits_they_cover(a, position, bits);
  tests::windows_cover_the_exponent(a, window_bits, stride);
  // Constants of a long modulus take most of the time, and none of it goes into digits.
  const tests::natural few = tests::resized(a, 1 + a.size() % 3);
  for (const kernels::table* kernel : kernels::available())
    tests::digits_give_the_words_back(*kernel, few, lane % kernel->lanes);
  return 0;
}
