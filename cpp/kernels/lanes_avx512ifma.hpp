// Eight numbers a call, 52-bit digits, by AVX-512 IFMA. See lanes_portable.hpp for what a lane type is.
//
// vpmadd52 multiplies the low 52 bits of its factors and adds the low or the high 52 bits of the
// product to a 64-bit sum, so a column is two sums that grow without carries.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/api.hpp"

#define VEILSUM_LANE static inline __attribute__((always_inline))

namespace veilsum::kernels {
namespace {

// Tiles of four and of five digits fill the registers about as well; between them they fit every
// length of key.
template <std::size_t Tile>
struct avx512ifma_lane {
  using word = std::uint64_t;
  struct digit {
    __m512i value;
  };
  struct mask {
    __mmask8 value;
  };
  // Which entry of a table each lane wants: its place among sixteen, and where each sixteen is its.
  struct selector {
    __m512i index;
    __mmask8 groups[(std::size_t{1} << maximum_fixed_base_bits) / 16];
  };
  // low has the column's own weight, high the next column's.
  struct column {
    __m512i low, high;
  };
  static constexpr std::size_t lanes = 8;
  static constexpr std::size_t digit_bits = 52;
  static constexpr std::size_t tile = Tile;
  static constexpr std::size_t fixed_base_bits = 8;
  static constexpr std::size_t lookup_rows = 2;
  static constexpr std::size_t lookup_blocks = 4;
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
  VEILSUM_LANE void add_digit(column& t, digit x) { t.low = _mm512_add_epi64(t.low, x.value); }
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
  VEILSUM_LANE mask has_top_bit(digit x) {
    return {_mm512_test_epi64_mask(x.value, _mm512_set1_epi64(1ll << 51))};
  }

  VEILSUM_LANE void select_index(selector& wanted, digit index, std::size_t entry_count) {
    wanted.index = index.value;
    const digit group = {_mm512_srli_epi64(index.value, 4)};
    for (std::size_t g = 0; 16 * g < entry_count; ++g) wanted.groups[g] = equals(group, g).value;
  }
  // Sixteen entries stand in two registers; a permutation picks each lane's without an address. Each
  // register that is loaded serves several blocks.
  template <std::size_t Blocks>
  VEILSUM_LANE void look_up(digit (&found)[Blocks][lookup_rows], const word* rows,
                            std::size_t entry_count, const selector* wanted) {
    __m512i sum[Blocks][lookup_rows], index[Blocks];
    VEILSUM_UNROLL
    for (std::size_t b = 0; b < Blocks; ++b) {
      index[b] = wanted[b].index;
      VEILSUM_UNROLL
      for (std::size_t i = 0; i < lookup_rows; ++i) sum[b][i] = _mm512_setzero_si512();
    }
    for (std::size_t g = 0; 16 * g < entry_count; ++g) {
      VEILSUM_UNROLL
      for (std::size_t i = 0; i < lookup_rows; ++i) {
        const word* entries = rows + i * entry_count + 16 * g;
        const __m512i first = _mm512_load_si512(entries), second = _mm512_load_si512(entries + 8);
        VEILSUM_UNROLL
        for (std::size_t b = 0; b < Blocks; ++b)
          sum[b][i] = _mm512_or_si512(sum[b][i], _mm512_maskz_permutex2var_epi64(
                                                     wanted[b].groups[g], first, index[b], second));
      }
    }
    VEILSUM_UNROLL
    for (std::size_t b = 0; b < Blocks; ++b) {
      VEILSUM_UNROLL
      for (std::size_t i = 0; i < lookup_rows; ++i) found[b][i] = {sum[b][i]};
    }
  }

 private:
  VEILSUM_LANE __m512i ones() { return _mm512_set1_epi64(static_cast<long long>(digit_mask)); }
};

}  // namespace
}  // namespace veilsum::kernels
