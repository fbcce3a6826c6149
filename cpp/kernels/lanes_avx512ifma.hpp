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
  static constexpr word digit_mask = (word{1} << 52) - 1;

  VEILSUM_LANE digit zero() { return {_mm512_setzero_si512()}; }
  VEILSUM_LANE column zero_column() { return {_mm512_setzero_si512(), _mm512_setzero_si512()}; }
  VEILSUM_LANE digit load(const word* p) { return {_mm512_load_si512(p)}; }
  VEILSUM_LANE digit load_unaligned(const word* p) { return {_mm512_loadu_si512(p)}; }
  VEILSUM_LANE digit broadcast(const word* p) {
    return {_mm512_set1_epi64(static_cast<long long>(*p))};
  }
  VEILSUM_LANE digit constant(word x) { return broadcast(&x); }
  VEILSUM_LANE void store(word* p, digit x) { _mm512_store_si512(p, x.value); }
  VEILSUM_LANE void store_unaligned(word* p, digit x) { _mm512_storeu_si512(p, x.value); }

  VEILSUM_LANE void stream(word* p, digit x) {
    _mm512_stream_si512(reinterpret_cast<__m512i*>(p), x.value);
  }
  VEILSUM_LANE void finish_stream() { _mm_sfence(); }

  VEILSUM_LANE void multiply_add(column& t, digit a, digit b) {
    t.low = _mm512_madd52lo_epu64(t.low, a.value, b.value);
    t.high = _mm512_madd52hi_epu64(t.high, a.value, b.value);
  }
  // The low and the high half of a product; factors give their low 52 bits.
  VEILSUM_LANE void add_low(digit& t, digit a, digit b) {
    t.value = _mm512_madd52lo_epu64(t.value, a.value, b.value);
  }
  VEILSUM_LANE void add_high(digit& t, digit a, digit b) {
    t.value = _mm512_madd52hi_epu64(t.value, a.value, b.value);
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
  VEILSUM_LANE digit low_product(const column& t, digit k) { return low_product(digit{t.low}, k); }
  VEILSUM_LANE digit low_product(digit x, digit k) {
    return {_mm512_madd52lo_epu64(_mm512_setzero_si512(), x.value, k.value)};
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

  // Residues of one digit. t = (t - q p) / 2^52 + p with the q that makes the division exact;
  // inverse = 1/p.
  VEILSUM_LANE void divide_exact(column& t, digit inverse, digit p) {
    const __m512i q = low_product(t, inverse).value;
    t.low = _mm512_add_epi64(_mm512_srli_epi64(t.low, 52), t.high);
    t.low = _mm512_sub_epi64(t.low, high_product_less(q, p));
    t.high = _mm512_setzero_si512();
  }
  // y * w / 2^52 modulo p, below y w / 2^52 + p; companion = w / p.
  VEILSUM_LANE digit multiply_by(digit y, digit w, digit companion, digit p) {
    const __m512i product = _mm512_madd52hi_epu64(_mm512_setzero_si512(), y.value, w.value);
    return {_mm512_sub_epi64(product, high_product_less(low_product(y, companion).value, p))};
  }
  VEILSUM_LANE digit add(digit a, digit b) { return {_mm512_add_epi64(a.value, b.value)}; }
  // a - b + m, for b up to m.
  VEILSUM_LANE digit subtract_lazily(digit a, digit b, digit m) {
    return {_mm512_sub_epi64(_mm512_add_epi64(a.value, m.value), b.value)};
  }
  // x mod m, for x < 2m.
  VEILSUM_LANE digit reduce_once(digit x, digit m) {
    return {_mm512_min_epu64(x.value, _mm512_sub_epi64(x.value, m.value))};
  }

  // Residues of a word: a digit of 52 bits, which a multiplication takes by itself, and one of 12.
  VEILSUM_LANE digit low_digit(digit x) { return {_mm512_and_si512(x.value, ones())}; }
  VEILSUM_LANE digit high_digit(digit x) { return {_mm512_srli_epi64(x.value, 52)}; }
  VEILSUM_LANE digit factor(digit x) { return x; }
  // low + 2^52 high, at most p + 1.
  VEILSUM_LANE digit join(digit low, digit high, digit) {
    return {_mm512_add_epi64(low.value, _mm512_slli_epi64(high.value, 52))};
  }
  // a - b, not negative.
  VEILSUM_LANE digit subtract(digit a, digit b) { return {_mm512_sub_epi64(a.value, b.value)}; }
  // Modulo p, canonical: of canonical residues, and the difference of what differs by less than p.
  VEILSUM_LANE digit add_modulo(digit a, digit b, digit p) {
    return subtract_modulo(a, {_mm512_sub_epi64(p.value, b.value)}, p);
  }
  VEILSUM_LANE digit subtract_modulo(digit a, digit b, digit p) {
    const __m512i difference = _mm512_sub_epi64(a.value, b.value);
    return {_mm512_mask_add_epi64(difference, _mm512_cmplt_epu64_mask(a.value, b.value), difference,
                                  p.value)};
  }

  VEILSUM_LANE std::size_t count_not_less(digit a, digit b) {
    return static_cast<std::size_t>(__builtin_popcount(_mm512_cmpge_epu64_mask(a.value, b.value)));
  }

  VEILSUM_LANE void transpose(digit (&x)[lanes]) {
    __m512i pairs[lanes], fours[lanes];
    VEILSUM_UNROLL
    for (std::size_t i = 0; i < lanes; i += 2) {
      pairs[i] = _mm512_unpacklo_epi64(x[i].value, x[i + 1].value);
      pairs[i + 1] = _mm512_unpackhi_epi64(x[i].value, x[i + 1].value);
    }
    VEILSUM_UNROLL
    for (std::size_t i = 0; i < lanes; i += 4) {
      fours[i] = _mm512_shuffle_i64x2(pairs[i], pairs[i + 2], 0x88);
      fours[i + 1] = _mm512_shuffle_i64x2(pairs[i + 1], pairs[i + 3], 0x88);
      fours[i + 2] = _mm512_shuffle_i64x2(pairs[i], pairs[i + 2], 0xdd);
      fours[i + 3] = _mm512_shuffle_i64x2(pairs[i + 1], pairs[i + 3], 0xdd);
    }
    VEILSUM_UNROLL
    for (std::size_t i = 0; i < 4; ++i) {
      x[i].value = _mm512_shuffle_i64x2(fours[i], fours[i + 4], 0x88);
      x[i + 4].value = _mm512_shuffle_i64x2(fours[i], fours[i + 4], 0xdd);
    }
  }
  // Lane l of x[i] is p[l * Parts + i].
  template <std::size_t Parts>
  VEILSUM_LANE void load_strided(digit (&x)[Parts], const word* p) {
    VEILSUM_UNROLL
    for (std::size_t i = 0; i < Parts; ++i) x[i] = load_unaligned(p + i * lanes);
    if constexpr (Parts == 2) unzip(x[0], x[1]);
    if constexpr (Parts == 4) {
      unzip(x[0], x[1]);
      unzip(x[2], x[3]);
      unzip(x[0], x[2]);
      unzip(x[1], x[3]);
    }
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
  // The high half of q p, less p.
  VEILSUM_LANE __m512i high_product_less(__m512i q, digit p) {
    return _mm512_madd52hi_epu64(_mm512_sub_epi64(_mm512_setzero_si512(), p.value), q, p.value);
  }
  // The entries at even places of both, and those at odd ones.
  VEILSUM_LANE void unzip(digit& first, digit& second) {
    const __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
    const __m512i odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
    const __m512i a = first.value, b = second.value;
    first.value = _mm512_permutex2var_epi64(a, even, b);
    second.value = _mm512_permutex2var_epi64(a, odd, b);
  }
  VEILSUM_LANE __m512i ones() { return _mm512_set1_epi64(static_cast<long long>(digit_mask)); }
};

}  // namespace
}  // namespace veilsum::kernels
