// Montgomery arithmetic, written once over a lane type (see lanes_portable.hpp for what a lane type is).
//
// Block product scanning: the digits of a product are made `tile` columns at a time from tile x tile
// squares of digit products held in registers; each block of quotient digits is solved as soon as its
// columns are complete. Carries are lazy: a column collects at most 3 * count products before it is
// carried, which stays below 2^64 for count <= 640 in the 52-bit lanes (the checked lanes prove it).
// Sources: Koc, Acar, Kaliski 1996 (FIPS), Gueron and Krasnov 2016 (IFMA).
#pragma once

#include "kernels/api.hpp"

#if defined(__clang__)
#define VEILSUM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define VEILSUM_UNROLL _Pragma("GCC unroll 16")
#endif
#define VEILSUM_INLINE static inline __attribute__((always_inline))
#define VEILSUM_METHOD inline __attribute__((always_inline))

namespace veilsum::kernels {
namespace {

template <class Lane>
struct lane_modulus {
  const typename Lane::word* digits;
  const typename Lane::word* negative_inverse;
  const typename Lane::word* half_radix_multiple;  // for dual numbers alone
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

  // t += what the block before reached into this one's columns.
  VEILSUM_INLINE void add_carried(columns& t, const columns& before) {
    VEILSUM_UNROLL
    for (std::size_t c = 0; c < Lane::tile; ++c)
      Lane::add_column(t.at[c], before.at[c + Lane::tile]);
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

template <class Lane>
VEILSUM_INLINE void twice(columns<Lane>& t) {
  VEILSUM_UNROLL
  for (std::size_t c = 0; c < 2 * Lane::tile; ++c) Lane::twice(t.at[c]);
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

// The products of `pairs` pairs of tiles that meet in one block: a's upwards with b's downwards.
template <class Lane>
VEILSUM_INLINE void multiply_tiles(columns<Lane>& t, const typename Lane::word* a,
                                   const typename Lane::word* b, std::size_t pairs) {
  constexpr std::size_t stride = Lane::tile * Lane::lanes;
  for (std::size_t i = 0; i < pairs * stride; i += stride) multiply_tile<Lane>(t, a + i, b - i);
}

// Block k of the columns of a * b.
template <class Lane>
VEILSUM_INLINE void product_block(columns<Lane>& t, const typename Lane::word* a,
                                  const typename Lane::word* b, std::size_t k, std::size_t blocks) {
  constexpr std::size_t stride = Lane::tile * Lane::lanes;
  const std::size_t first = k < blocks ? 0 : k - blocks + 1;
  const std::size_t end = k < blocks ? k + 1 : blocks;
  multiply_tiles<Lane>(t, a + first * stride, b + (k - first) * stride, end - first);
}

// Block k of the columns of a * a, into cleared columns: what is off the diagonal once, and twice.
template <class Lane>
VEILSUM_INLINE void square_block(columns<Lane>& t, const typename Lane::word* a, std::size_t k,
                                 std::size_t blocks) {
  constexpr std::size_t stride = Lane::tile * Lane::lanes;
  const bool has_diagonal = k % 2 == 0 && k / 2 < blocks;
  const std::size_t first = k < blocks ? 0 : k - blocks + 1;
  if (2 * first < k)
    multiply_tiles<Lane>(t, a + first * stride, a + (k - first) * stride, (k + 1) / 2 - first);
  if (has_diagonal) triangle_tile<Lane>(t, a + k / 2 * stride);
  twice<Lane>(t);
  if (has_diagonal) diagonal_tile<Lane>(t, a + k / 2 * stride);
}

// The products of the quotient's known digits with the modulus in block k.
template <class Lane>
VEILSUM_INLINE void quotient_block(columns<Lane>& t, const typename Lane::word* q,
                                   const lane_modulus<Lane>& m, std::size_t k, std::size_t blocks) {
  constexpr std::size_t stride = Lane::tile * Lane::lanes;
  const std::size_t first = k < blocks ? 0 : k - blocks + 1;
  const std::size_t end = k < blocks ? k : blocks;
  if (first < end)
    multiply_tiles<Lane>(t, q + first * stride, m.digits + (k - first) * stride, end - first);
}

// r = (what `products` adds up, block by block) / R. Block k - blocks of r is written after the last
// read of that block of the factors, so r may be a factor.
template <class Lane, class Products>
VEILSUM_INLINE void reduce_products(typename Lane::word* r, const Products& products,
                                    const lane_modulus<Lane>& m, typename Lane::word* q) {
  constexpr std::size_t stride = Lane::tile * Lane::lanes;
  const std::size_t blocks = m.count / Lane::tile;
  columns<Lane> carried;
  columns<Lane>::clear(carried);
  for (std::size_t k = 0; k < 2 * blocks; ++k) {
    columns<Lane> t;
    columns<Lane>::clear(t);
    products.add(t, k, blocks);
    columns<Lane>::add_carried(t, carried);
    quotient_block<Lane>(t, q, m, k, blocks);
    if (k < blocks)
      solve<Lane>(t, q + k * stride, m);
    else
      emit<Lane>(t, r + (k - blocks) * stride);
    carried = t;
  }
}

// What reduce_products may add up.
template <class Lane>
struct product_of {
  const typename Lane::word *a, *b;
  VEILSUM_METHOD void add(columns<Lane>& t, std::size_t k, std::size_t blocks) const {
    product_block<Lane>(t, a, b, k, blocks);
  }
};

template <class Lane>
struct square_of {
  const typename Lane::word* a;
  VEILSUM_METHOD void add(columns<Lane>& t, std::size_t k, std::size_t blocks) const {
    square_block<Lane>(t, a, k, blocks);
  }
};

template <class Lane>
void multiply(typename Lane::word* r, const typename Lane::word* a, const typename Lane::word* b,
              const lane_modulus<Lane>& m, typename Lane::word* q) {
  reduce_products<Lane>(r, product_of<Lane>{a, b}, m, q);
}

template <class Lane>
void square(typename Lane::word* r, const typename Lane::word* a, const lane_modulus<Lane>& m,
            typename Lane::word* q) {
  reduce_products<Lane>(r, square_of<Lane>{a}, m, q);
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

}  // namespace
}  // namespace veilsum::kernels
