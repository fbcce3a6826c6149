// Eight numbers a call, 52-bit digits, by AVX-512 IFMA. See lanes_portable.hpp for what a lane type is.
//
// vpmadd52 multiplies the low 52 bits of its factors and adds the low or the high 52 bits of the
// product to a 64-bit sum, so a column is two sums that grow without carries.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#define VEILSUM_LANE static inline __attribute__((always_inline))

namespace veilsum::kernels {
namespace {

struct avx512ifma_lane {
  using word = std::uint64_t;
  struct digit {
    __m512i value;
  };
  struct mask {
    __mmask8 value;
  };
  // low has the column's own weight, high the next column's.
  struct column {
    __m512i low, high;
  };
  static constexpr std::size_t lanes = 8;
  static constexpr std::size_t digit_bits = 52;
  static constexpr std::size_t tile = 4;
  static constexpr std::size_t field_rows = 4;
  static constexpr std::size_t field_bits = 51;  // 2p must fit a digit
  static constexpr word digit_mask = (word{1} << 52) - 1;

  VEILSUM_LANE digit zero() { return {_mm512_setzero_si512()}; }
  VEILSUM_LANE column zero_column() { return {_mm512_setzero_si512(), _mm512_setzero_si512()}; }
  VEILSUM_LANE digit load(const word* p) { return {_mm512_load_si512(p)}; }
  VEILSUM_LANE digit load_unaligned(const word* p) { return {_mm512_loadu_si512(p)}; }
  VEILSUM_LANE digit broadcast(const word* p) {
    return {_mm512_set1_epi64(static_cast<long long>(*p))};
  }
  VEILSUM_LANE void store(word* p, digit x) { _mm512_store_si512(p, x.value); }
  VEILSUM_LANE void store_unaligned(word* p, digit x) { _mm512_storeu_si512(p, x.value); }

  VEILSUM_LANE void multiply_add(column& t, digit a, digit b) {
    t.low = _mm512_madd52lo_epu64(t.low, a.value, b.value);
    t.high = _mm512_madd52hi_epu64(t.high, a.value, b.value);
  }
  VEILSUM_LANE void carry(column& next, const column& done) {
    const __m512i carried = _mm512_add_epi64(_mm512_srli_epi64(done.low, 52), done.high);
    next.low = _mm512_add_epi64(next.low, carried);
  }
  VEILSUM_LANE void add_column(column& t, const column& other) {
    t.low = _mm512_add_epi64(t.low, other.low);
    t.high = _mm512_add_epi64(t.high, other.high);
  }
  VEILSUM_LANE void twice(column& t) { add_column(t, t); }
  VEILSUM_LANE digit low(const column& t) { return {_mm512_and_si512(t.low, ones())}; }
  VEILSUM_LANE digit low_product(const column& t, digit k) {
    return {_mm512_madd52lo_epu64(_mm512_setzero_si512(), t.low, k.value)};
  }

  VEILSUM_LANE digit add_with_carry(digit a, digit b, digit& carry) {
    const __m512i sum = _mm512_add_epi64(_mm512_add_epi64(a.value, b.value), carry.value);
    carry = {_mm512_srli_epi64(sum, 52)};
    return {_mm512_and_si512(sum, ones())};
  }
  VEILSUM_LANE digit subtract_with_borrow(digit a, digit b, digit& borrow) {
    const __m512i difference = _mm512_sub_epi64(_mm512_sub_epi64(a.value, b.value), borrow.value);
    borrow = {_mm512_srli_epi64(difference, 63)};
    return {_mm512_and_si512(difference, ones())};
  }
  // t < 2p: of t and t - p, the one that did not wrap is the smaller.
  VEILSUM_LANE digit subtract_once(const column& t, digit p) {
    return {_mm512_min_epu64(t.low, _mm512_sub_epi64(t.low, p.value))};
  }

  VEILSUM_LANE mask equals(digit index, word value) {
    return {_mm512_cmpeq_epi64_mask(index.value, _mm512_set1_epi64(static_cast<long long>(value)))};
  }
  VEILSUM_LANE mask is_one(digit bit) { return equals(bit, 1); }
  VEILSUM_LANE digit select(mask m, digit if_set, digit if_clear) {
    return {_mm512_mask_blend_epi64(m.value, if_clear.value, if_set.value)};
  }
  // Sixteen entries stand in two registers; a permutation picks each lane's without an address.
  VEILSUM_LANE digit lookup(const word* row, std::size_t entry_count, digit index) {
    __m512i found = _mm512_setzero_si512();
    if (entry_count < 16) {
      for (std::size_t j = 0; j < entry_count; ++j)
        found = _mm512_mask_mov_epi64(found, equals(index, j).value, broadcast(row + j).value);
      return {found};
    }
    const __m512i group = _mm512_srli_epi64(index.value, 4);
    for (std::size_t g = 0; g < entry_count / 16; ++g) {
      const __m512i picked = _mm512_permutex2var_epi64(
          load_unaligned(row + 16 * g).value, index.value, load_unaligned(row + 16 * g + 8).value);
      found = _mm512_mask_mov_epi64(found, equals({group}, g).value, picked);
    }
    return {found};
  }

 private:
  VEILSUM_LANE __m512i ones() { return _mm512_set1_epi64(static_cast<long long>(digit_mask)); }
};

}  // namespace
}  // namespace veilsum::kernels
