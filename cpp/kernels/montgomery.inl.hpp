// Montgomery arithmetic, written once over a lane type (see lanes_portable.hpp for what a lane type is).
//
// Block product scanning: the digits of a product are made `tile` columns at a time from tile x tile
// squares of digit products held in registers; each block of quotient digits is solved as soon as its
// columns are complete. Carries are lazy: a column collects at most 2 * count products before it is
// carried, which stays below 2^64 for count <= 1024 in the 52-bit lanes (the checked lanes prove it).
// Sources: Koc, Acar, Kaliski 1996 (FIPS), Gueron and Krasnov 2016 (IFMA).
#pragma once

#include "kernels/api.hpp"

#if defined(__clang__)
#define VEILSUM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define VEILSUM_UNROLL _Pragma("GCC unroll 16")
#endif
#define VEILSUM_INLINE static inline __attribute__((always_inline))

namespace veilsum::kernels {
namespace {

template <class Lane>
struct lane_modulus {
  const typename Lane::word* digits;
  const typename Lane::word* negative_inverse;
  std::size_t count;
};

// The columns of one block: tile x tile products reach 2 * tile - 1 columns, the last takes the carry.
template <class Lane>
struct columns {
  typename Lane::column at[2 * Lane::tile];

  VEILSUM_INLINE void clear(columns& t) {
    VEILSUM_UNROLL
    for (std::size_t c = 0; c < 2 * Lane::tile; ++c) t.at[c] = Lane::zero_column();
  }

  VEILSUM_INLINE void advance(columns& t) {
    VEILSUM_UNROLL
    for (std::size_t c = 0; c < Lane::tile; ++c) {
      t.at[c] = t.at[c + Lane::tile];
      t.at[c + Lane::tile] = Lane::zero_column();
    }
  }
};

template <class Lane>
VEILSUM_INLINE void multiply_tile(columns<Lane>& t, const typename Lane::word* a,
                                  const typename Lane::word* b) {
  typename Lane::digit x[Lane::tile];
  VEILSUM_UNROLL
  for (std::size_t i = 0; i < Lane::tile; ++i) x[i] = Lane::load(a + i * Lane::lanes);
  VEILSUM_UNROLL
  for (std::size_t j = 0; j < Lane::tile; ++j) {
    const typename Lane::digit y = Lane::load(b + j * Lane::lanes);
    VEILSUM_UNROLL
    for (std::size_t i = 0; i < Lane::tile; ++i) Lane::multiply_add(t.at[i + j], x[i], y);
  }
}

// The products of a tile with itself that stand off the diagonal, once each.
template <class Lane>
VEILSUM_INLINE void triangle_tile(columns<Lane>& t, const typename Lane::word* a) {
  VEILSUM_UNROLL
  for (std::size_t j = 1; j < Lane::tile; ++j) {
    const typename Lane::digit y = Lane::load(a + j * Lane::lanes);
    VEILSUM_UNROLL
    for (std::size_t i = 0; i < j; ++i)
      Lane::multiply_add(t.at[i + j], Lane::load(a + i * Lane::lanes), y);
  }
}

template <class Lane>
VEILSUM_INLINE void diagonal_tile(columns<Lane>& t, const typename Lane::word* a) {
  VEILSUM_UNROLL
  for (std::size_t i = 0; i < Lane::tile; ++i) {
    const typename Lane::digit x = Lane::load(a + i * Lane::lanes);
    Lane::multiply_add(t.at[2 * i], x, x);
  }
}

// Finds the next `tile` quotient digits, which make the lower columns vanish modulo the radix.
template <class Lane>
VEILSUM_INLINE void solve(columns<Lane>& t, typename Lane::word* q, const lane_modulus<Lane>& m) {
  const typename Lane::digit inverse = Lane::load(m.negative_inverse);
  VEILSUM_UNROLL
  for (std::size_t c = 0; c < Lane::tile; ++c) {
    const typename Lane::digit digit = Lane::low_product(t.at[c], inverse);
    Lane::store(q + c * Lane::lanes, digit);
    Lane::multiply_add(t.at[c], digit, Lane::load(m.digits));
    Lane::carry(t.at[c + 1], t.at[c]);
    VEILSUM_UNROLL
    for (std::size_t j = 1; j < Lane::tile; ++j)
      Lane::multiply_add(t.at[c + j], digit, Lane::load(m.digits + j * Lane::lanes));
  }
}

template <class Lane>
VEILSUM_INLINE void emit(columns<Lane>& t, typename Lane::word* r) {
  VEILSUM_UNROLL
  for (std::size_t c = 0; c < Lane::tile; ++c) {
    Lane::store(r + c * Lane::lanes, Lane::low(t.at[c]));
    Lane::carry(t.at[c + 1], t.at[c]);
  }
}

// The columns of block k are complete but for the quotient: adds its products and solves, or emits.
// Block k - blocks of r is written after the last read of that block of a and b, so r may be a or b.
template <class Lane>
VEILSUM_INLINE void finish_block(columns<Lane>& t, std::size_t k, typename Lane::word* r,
                                 typename Lane::word* q, const lane_modulus<Lane>& m) {
  constexpr std::size_t stride = Lane::tile * Lane::lanes;
  const std::size_t blocks = m.count / Lane::tile;
  const std::size_t first = k < blocks ? 0 : k - blocks + 1;
  const std::size_t end = k < blocks ? k : blocks;
  for (std::size_t i = first; i < end; ++i)
    multiply_tile<Lane>(t, q + i * stride, m.digits + (k - i) * stride);
  if (k < blocks)
    solve<Lane>(t, q + k * stride, m);
  else
    emit<Lane>(t, r + (k - blocks) * stride);
  columns<Lane>::advance(t);
}

template <class Lane>
void multiply(typename Lane::word* r, const typename Lane::word* a, const typename Lane::word* b,
              const lane_modulus<Lane>& m, typename Lane::word* q) {
  constexpr std::size_t stride = Lane::tile * Lane::lanes;
  const std::size_t blocks = m.count / Lane::tile;
  columns<Lane> t;
  columns<Lane>::clear(t);
  for (std::size_t k = 0; k < 2 * blocks; ++k) {
    const std::size_t first = k < blocks ? 0 : k - blocks + 1;
    const std::size_t end = k < blocks ? k + 1 : blocks;
    for (std::size_t i = first; i < end; ++i)
      multiply_tile<Lane>(t, a + i * stride, b + (k - i) * stride);
    finish_block<Lane>(t, k, r, q, m);
  }
}

template <class Lane>
void square(typename Lane::word* r, const typename Lane::word* a, const lane_modulus<Lane>& m,
            typename Lane::word* q) {
  constexpr std::size_t stride = Lane::tile * Lane::lanes;
  const std::size_t blocks = m.count / Lane::tile;
  columns<Lane> carried;
  columns<Lane>::clear(carried);
  for (std::size_t k = 0; k < 2 * blocks; ++k) {
    columns<Lane> t;
    columns<Lane>::clear(t);
    const bool has_diagonal = k % 2 == 0 && k / 2 < blocks;
    for (std::size_t i = k < blocks ? 0 : k - blocks + 1; 2 * i < k; ++i)
      multiply_tile<Lane>(t, a + i * stride, a + (k - i) * stride);
    if (has_diagonal) triangle_tile<Lane>(t, a + k / 2 * stride);
    VEILSUM_UNROLL
    for (std::size_t c = 0; c < 2 * Lane::tile; ++c) Lane::twice(t.at[c]);
    if (has_diagonal) diagonal_tile<Lane>(t, a + k / 2 * stride);
    VEILSUM_UNROLL
    for (std::size_t c = 0; c < Lane::tile; ++c) Lane::add_column(t.at[c], carried.at[c]);
    finish_block<Lane>(t, k, r, q, m);
    carried = t;
  }
}

template <class Lane>
void add(typename Lane::word* r, const typename Lane::word* a, const typename Lane::word* b,
         std::size_t count) {
  typename Lane::digit carry = Lane::zero();
  for (std::size_t d = 0; d < count * Lane::lanes; d += Lane::lanes)
    Lane::store(r + d, Lane::add_with_carry(Lane::load(a + d), Lane::load(b + d), carry));
}

template <class Lane>
void reduce(typename Lane::word* r, const typename Lane::word* a, const lane_modulus<Lane>& m) {
  const std::size_t size = m.count * Lane::lanes;
  typename Lane::digit borrow = Lane::zero();
  for (std::size_t d = 0; d < size; d += Lane::lanes)
    Lane::subtract_with_borrow(Lane::load(a + d), Lane::load(m.digits + d), borrow);
  const typename Lane::mask keep = Lane::is_one(borrow);
  borrow = Lane::zero();
  for (std::size_t d = 0; d < size; d += Lane::lanes) {
    const typename Lane::digit subtrahend =
        Lane::select(keep, Lane::zero(), Lane::load(m.digits + d));
    Lane::store(r + d, Lane::subtract_with_borrow(Lane::load(a + d), subtrahend, borrow));
  }
}

// t = the entry that each lane's index names; every entry is read.
template <class Lane>
VEILSUM_INLINE void select_entry(typename Lane::word* t, const typename Lane::word* entries,
                                 std::size_t entry_count, typename Lane::digit index,
                                 std::size_t count) {
  typename Lane::mask wanted[std::size_t{1} << maximum_window_bits];
  for (std::size_t j = 0; j < entry_count; ++j) wanted[j] = Lane::equals(index, j);
  const std::size_t size = count * Lane::lanes;
  for (std::size_t d = 0; d < size; d += Lane::lanes) {
    typename Lane::digit found = Lane::zero();
    for (std::size_t j = 0; j < entry_count; ++j)
      found = Lane::select(wanted[j], Lane::load(entries + j * size + d), found);
    Lane::store(t + d, found);
  }
}

template <class Lane>
VEILSUM_INLINE void copy(typename Lane::word* to, const typename Lane::word* from,
                         std::size_t count) {
  for (std::size_t d = 0; d < count * Lane::lanes; d += Lane::lanes)
    Lane::store(to + d, Lane::load(from + d));
}

// Fixed windows, most significant first: every window costs the same squarings and one product.
template <class Lane>
void power(typename Lane::word* r, const typename Lane::word* base, const typename Lane::word* one,
           const typename Lane::word* windows, std::size_t window_count, std::size_t window_bits,
           const lane_modulus<Lane>& m, typename Lane::word* scratch) {
  const std::size_t size = m.count * Lane::lanes;
  const std::size_t entry_count = std::size_t{1} << window_bits;
  typename Lane::word* entries = scratch;
  typename Lane::word* factor = entries + entry_count * size;
  typename Lane::word* q = factor + size;

  copy<Lane>(entries, one, m.count);
  copy<Lane>(entries + size, base, m.count);
  for (std::size_t j = 2; j < entry_count; ++j)
    multiply<Lane>(entries + j * size, entries + (j - 1) * size, entries + size, m, q);

  select_entry<Lane>(r, entries, entry_count, Lane::load(windows), m.count);
  for (std::size_t i = 1; i < window_count; ++i) {
    for (std::size_t s = 0; s < window_bits; ++s) square<Lane>(r, r, m, q);
    select_entry<Lane>(factor, entries, entry_count, Lane::load(windows + i * Lane::lanes),
                       m.count);
    multiply<Lane>(r, r, factor, m, q);
  }
}

// Blocks are the inner loop, so that a window's entries are read from memory once for all of them.
template <class Lane>
void fixed_base(typename Lane::word* r, const typename Lane::word* entries,
                const typename Lane::word* windows, std::size_t window_count,
                std::size_t window_bits, std::size_t blocks, const lane_modulus<Lane>& m,
                typename Lane::word* scratch) {
  const std::size_t size = m.count * Lane::lanes;
  const std::size_t entry_count = std::size_t{1} << window_bits;
  typename Lane::word* factor = scratch;
  typename Lane::word* q = scratch + size;
  for (std::size_t i = 0; i < window_count; ++i) {
    const typename Lane::word* rows = entries + i * m.count * entry_count;
    for (std::size_t block = 0; block < blocks; ++block) {
      typename Lane::word* product = r + block * size;
      typename Lane::word* target = i == 0 ? product : factor;
      const typename Lane::digit index =
          Lane::load(windows + (block * window_count + i) * Lane::lanes);
      for (std::size_t d = 0; d < m.count; ++d)
        Lane::store(target + d * Lane::lanes,
                    Lane::lookup(rows + d * entry_count, entry_count, index));
      if (i > 0) multiply<Lane>(product, product, factor, m, q);
    }
  }
}

}  // namespace
}  // namespace veilsum::kernels
