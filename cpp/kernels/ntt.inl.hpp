// Number-theoretic transforms, written once over a field (kernels/field.inl.hpp).
//
// A transform goes over n elements of `width` words each: columns side by side, all transformed alike. A
// block of elements is a polynomial modulo x^m - z; a butterfly with the root r, r^2 = z, makes of it the
// halves modulo x^(m/2) - r and x^(m/2) + r. Block b of any level has the root at place b of one table,
// which is in bit-reversed order; the results are too. The inverse goes the same way back.
// A single transform has n / lanes elements of `lanes` words first; blocks of `lanes` words are left, and
// as many of these as there are lanes are transposed in registers.
//
// Two levels are made at once, and what fits the first cache is finished there: recursion finds all
// larger caches by itself. Roots are public, and no branch or address depends on anything but sizes.
// Sources: Cooley and Tukey 1965; Gentleman and Sande 1966; Harvey 2014; Frigo and others 1999 (caches).
#pragma once

#include "kernels/field.inl.hpp"

namespace veilsum::kernels {
namespace {

constexpr std::size_t cached_words = 2048;

// What the lowest levels are: nothing special, or tiles of blocks, plain or transposed already.
enum class tiling { none, plain, transposed };

template <class Field>
struct lane_roots {
  using word = typename Field::word;
  const word* values;
  const word* companions;

  VEILSUM_METHOD typename Field::constant at(std::size_t block) const {
    return Field::broadcast(values + block, companions + block);
  }
};

// One element of each quarter of a block.
template <class Field>
struct quarters {
  using Lane = typename Field::Lane;
  typename Field::digit x[4];

  VEILSUM_METHOD void load(const typename Field::word* a, std::size_t step) {
    VEILSUM_UNROLL
    for (std::size_t i = 0; i < 4; ++i) x[i] = Lane::load_unaligned(a + i * step);
  }
  VEILSUM_METHOD void store(typename Field::word* a, std::size_t step) const {
    VEILSUM_UNROLL
    for (std::size_t i = 0; i < 4; ++i) Lane::store_unaligned(a + i * step, x[i]);
  }
};

// ---- Forward.

template <class Field, bool Last>
void forward_two(typename Field::word* a, std::size_t half, std::size_t block,
                 const lane_roots<Field>& roots, const Field& f) {
  using Lane = typename Field::Lane;
  const typename Field::constant root = roots.at(block);
  for (std::size_t i = 0; i < half; i += Lane::lanes) {
    typename Field::digit x = Lane::load_unaligned(a + i), y = Lane::load_unaligned(a + half + i);
    f.butterfly(x, y, root);
    Lane::store_unaligned(a + i, Last ? f.canonical(x) : x);
    Lane::store_unaligned(a + half + i, Last ? f.canonical(y) : y);
  }
}

template <class Field, bool Last>
void forward_four(typename Field::word* a, std::size_t quarter, std::size_t block,
                  const lane_roots<Field>& roots, const Field& f) {
  const typename Field::constant root = roots.at(block), left = roots.at(2 * block),
                                 right = roots.at(2 * block + 1);
  for (std::size_t i = 0; i < quarter; i += Field::Lane::lanes) {
    quarters<Field> q;
    q.load(a + i, quarter);
    f.butterfly(q.x[0], q.x[2], root);
    f.butterfly(q.x[1], q.x[3], root);
    f.butterfly(q.x[0], q.x[1], left);
    f.butterfly(q.x[2], q.x[3], right);
    if constexpr (Last) {
      VEILSUM_UNROLL
      for (std::size_t k = 0; k < 4; ++k) q.x[k] = f.canonical(q.x[k]);
    }
    q.store(a + i, quarter);
  }
}

// The levels of a tile from `Parts` parts of each block on: x[i] has word i of `lanes` blocks, which start
// at `block` of their level.
template <class Field, std::size_t Half, std::size_t Parts>
VEILSUM_INLINE void forward_tile_levels(typename Field::digit* x, std::size_t block,
                                        const lane_roots<Field>& roots, const Field& f) {
  if constexpr (Half > 0) {
    typename Field::constant root[Parts];
    Field::load_strided(root, roots.values + block * Parts, roots.companions + block * Parts);
    VEILSUM_UNROLL
    for (std::size_t part = 0; part < Parts; ++part) {
      VEILSUM_UNROLL
      for (std::size_t i = 0; i < Half; ++i)
        f.butterfly(x[2 * Half * part + i], x[2 * Half * part + Half + i], root[part]);
    }
    forward_tile_levels<Field, Half / 2, 2 * Parts>(x, block, roots, f);
  }
}

// `lanes` blocks of `lanes` words, from `block` of their level on.
template <class Field>
void forward_tile(typename Field::word* a, std::size_t block, const lane_roots<Field>& roots,
                  const Field& f) {
  using Lane = typename Field::Lane;
  typename Field::digit x[Lane::lanes];
  VEILSUM_UNROLL
  for (std::size_t i = 0; i < Lane::lanes; ++i) x[i] = Lane::load_unaligned(a + i * Lane::lanes);
  Lane::transpose(x);
  forward_tile_levels<Field, Lane::lanes / 2, 1>(x, block, roots, f);
  VEILSUM_UNROLL
  for (std::size_t i = 0; i < Lane::lanes; ++i) x[i] = f.canonical(x[i]);
  Lane::transpose(x);
  VEILSUM_UNROLL
  for (std::size_t i = 0; i < Lane::lanes; ++i) Lane::store_unaligned(a + i * Lane::lanes, x[i]);
}

template <class Field, bool Tiles>
void forward_in_cache(typename Field::word* a, std::size_t n, std::size_t width, std::size_t block,
                      const lane_roots<Field>& roots, const Field& f) {
  std::size_t size = n, blocks = 1;
  for (; size > 4; size /= 4, blocks *= 4)
    for (std::size_t b = 0; b < blocks; ++b)
      forward_four<Field, false>(a + b * size * width, size / 4 * width, block * blocks + b, roots,
                                 f);
  if (size > 1)
    for (std::size_t b = 0; b < blocks; ++b)
      (size == 4
           ? forward_four<Field, !Tiles>
           : forward_two<Field, !Tiles>)(a + b * size * width, width, block * blocks + b, roots, f);
  if constexpr (Tiles)
    for (std::size_t b = 0; b < n; b += width) forward_tile(a + b * width, block * n + b, roots, f);
}

template <class Field, bool Tiles>
void forward_rows(typename Field::word* a, std::size_t n, std::size_t width, std::size_t block,
                  const lane_roots<Field>& roots, const Field& f) {
  if (n <= 4 || n * width <= cached_words)
    return forward_in_cache<Field, Tiles>(a, n, width, block, roots, f);
  const std::size_t quarter = n / 4 * width;
  forward_four<Field, false>(a, quarter, block, roots, f);
  for (std::size_t k = 0; k < 4; ++k)
    forward_rows<Field, Tiles>(a + k * quarter, n / 4, width, 4 * block + k, roots, f);
}

// ---- Inverse. With Last these are the last levels, of the only block, and scale has the factor 1/n.

template <class Field, bool Last>
void inverse_two(typename Field::word* a, std::size_t half, std::size_t block,
                 const lane_roots<Field>& roots, const typename Field::constant& scale,
                 const Field& f) {
  using Lane = typename Field::Lane;
  const typename Field::constant root = roots.at(block);
  for (std::size_t i = 0; i < half; i += Lane::lanes) {
    typename Field::digit x = Lane::load_unaligned(a + i), y = Lane::load_unaligned(a + half + i);
    Last ? f.last_butterfly(x, y, scale) : f.inverse_butterfly(x, y, root);
    Lane::store_unaligned(a + i, x);
    Lane::store_unaligned(a + half + i, y);
  }
}

template <class Field, bool Last>
void inverse_four(typename Field::word* a, std::size_t quarter, std::size_t block,
                  const lane_roots<Field>& roots, const typename Field::constant& scale,
                  const Field& f) {
  const typename Field::constant root = roots.at(block), left = roots.at(2 * block),
                                 right = roots.at(2 * block + 1);
  for (std::size_t i = 0; i < quarter; i += Field::Lane::lanes) {
    quarters<Field> q;
    q.load(a + i, quarter);
    f.inverse_butterfly(q.x[0], q.x[1], left);
    f.inverse_butterfly(q.x[2], q.x[3], right);
    Last ? f.last_butterfly(q.x[0], q.x[2], scale) : f.inverse_butterfly(q.x[0], q.x[2], root);
    Last ? f.last_butterfly(q.x[1], q.x[3], scale) : f.inverse_butterfly(q.x[1], q.x[3], root);
    q.store(a + i, quarter);
  }
}

template <class Field, std::size_t Half, std::size_t Parts>
VEILSUM_INLINE void inverse_tile_levels(typename Field::digit* x, std::size_t block,
                                        const lane_roots<Field>& roots, const Field& f) {
  if constexpr (Half > 0) {
    inverse_tile_levels<Field, Half / 2, 2 * Parts>(x, block, roots, f);
    typename Field::constant root[Parts];
    Field::load_strided(root, roots.values + block * Parts, roots.companions + block * Parts);
    VEILSUM_UNROLL
    for (std::size_t part = 0; part < Parts; ++part) {
      VEILSUM_UNROLL
      for (std::size_t i = 0; i < Half; ++i)
        f.inverse_butterfly(x[2 * Half * part + i], x[2 * Half * part + Half + i], root[part]);
    }
  }
}

template <class Field, tiling Tiles>
void inverse_tile(typename Field::word* a, std::size_t block, const lane_roots<Field>& roots,
                  const Field& f) {
  using Lane = typename Field::Lane;
  typename Field::digit x[Lane::lanes];
  VEILSUM_UNROLL
  for (std::size_t i = 0; i < Lane::lanes; ++i) x[i] = Lane::load_unaligned(a + i * Lane::lanes);
  if constexpr (Tiles == tiling::plain) Lane::transpose(x);
  inverse_tile_levels<Field, Lane::lanes / 2, 1>(x, block, roots, f);
  Lane::transpose(x);
  VEILSUM_UNROLL
  for (std::size_t i = 0; i < Lane::lanes; ++i) Lane::store_unaligned(a + i * Lane::lanes, x[i]);
}

template <class Field, tiling Tiles, bool Last>
void inverse_in_cache(typename Field::word* a, std::size_t n, std::size_t width, std::size_t block,
                      const lane_roots<Field>& roots, const typename Field::constant& scale,
                      const Field& f) {
  if constexpr (Tiles != tiling::none)
    for (std::size_t b = 0; b < n; b += width)
      inverse_tile<Field, Tiles>(a + b * width, block * n + b, roots, f);
  const bool odd = (n & 0xaaaaaaaaaaaaaaaa) != 0;  // an odd power of two
  if (odd)
    for (std::size_t b = 0; b < n / 2; ++b)
      (n == 2 ? inverse_two<Field, Last> : inverse_two<Field, false>)(a + 2 * b * width, width,
                                                                      block * (n / 2) + b, roots,
                                                                      scale, f);
  for (std::size_t size = odd ? 8 : 4; size <= n; size *= 4)
    for (std::size_t b = 0; b < n / size; ++b)
      (size == n ? inverse_four<Field, Last>
                 : inverse_four<Field, false>)(a + b * size * width, size / 4 * width,
                                               block * (n / size) + b, roots, scale, f);
}

template <class Field, tiling Tiles, bool Last>
void inverse_rows(typename Field::word* a, std::size_t n, std::size_t width, std::size_t block,
                  const lane_roots<Field>& roots, const typename Field::constant& scale,
                  const Field& f) {
  if (n <= 4 || n * width <= cached_words)
    return inverse_in_cache<Field, Tiles, Last>(a, n, width, block, roots, scale, f);
  const std::size_t quarter = n / 4 * width;
  for (std::size_t k = 0; k < 4; ++k)
    inverse_rows<Field, Tiles, false>(a + k * quarter, n / 4, width, 4 * block + k, roots, scale,
                                      f);
  inverse_four<Field, Last>(a, quarter, block, roots, scale, f);
}

// ---- Out of natural order. An index is (high, upper, middle, low), all of three bits but middle, and its
// reverse (low, middle, upper, high) reversed. Here the tile of one high and middle is transposed, so that
// tiles of the transform, (upper, high), come out transposed as they want them: (high, upper). Whole cache
// lines are read and written.

constexpr std::size_t tile_side = 8;
constexpr std::size_t reversed_side[tile_side] = {0, 4, 2, 6, 1, 5, 3, 7};

// Adds one to a number below n whose bits are reversed.
inline std::size_t next_reversed(std::size_t reversed, std::size_t n) {
  std::size_t bit = n / 2;
  for (; (reversed & bit) != 0; bit /= 2) reversed ^= bit;
  return reversed ^ bit;
}

template <class Lane>
VEILSUM_INLINE void reverse_tile(typename Lane::word* out, std::size_t out_stride,
                                 const typename Lane::word* in, std::size_t in_stride) {
  typename Lane::digit x[tile_side];
  VEILSUM_UNROLL
  for (std::size_t i = 0; i < tile_side; ++i)
    x[i] = Lane::load_unaligned(in + reversed_side[i] * in_stride);
  Lane::transpose(x);
  VEILSUM_UNROLL
  for (std::size_t i = 0; i < tile_side; ++i)
    Lane::store_unaligned(out + reversed_side[i] * out_stride, x[i]);
}

template <class Lane>
void reverse_into_tiles(typename Lane::word* out, const typename Lane::word* in, std::size_t n) {
  const std::size_t middles = n / (tile_side * tile_side * tile_side), eighth = n / tile_side;
  std::size_t reversed = 0;
  for (std::size_t middle = 0; middle < middles; ++middle) {
    for (std::size_t high = 0; high < tile_side; ++high)
      reverse_tile<Lane>(out + (reversed * tile_side + reversed_side[high]) * tile_side, eighth,
                         in + high * eighth + middle * tile_side, eighth / tile_side);
    reversed = next_reversed(reversed, middles);
  }
}

// ---- Both, with columns of one word where width is 1.

template <class Field>
void transform(typename Field::word* a, std::size_t n, std::size_t width,
               const lane_roots<Field>& roots, const Field& f) {
  constexpr std::size_t lanes = Field::Lane::lanes;
  if constexpr (lanes > 1)
    if (width == 1) return forward_rows<Field, true>(a, n / lanes, lanes, 0, roots, f);
  forward_rows<Field, false>(a, n, width, 0, roots, f);
}

template <class Field>
void inverse_transform(typename Field::word* a, std::size_t n, std::size_t width,
                       const lane_roots<Field>& roots, const typename Field::constant& scale,
                       const Field& f) {
  constexpr std::size_t lanes = Field::Lane::lanes;
  if constexpr (lanes > 1)
    if (width == 1)
      return inverse_rows<Field, tiling::plain, true>(a, n / lanes, lanes, 0, roots, scale, f);
  inverse_rows<Field, tiling::none, true>(a, n, width, 0, roots, scale, f);
}

template <class Field>
void transform_in_order(typename Field::word* out, const typename Field::word* in, std::size_t n,
                        const lane_roots<Field>& roots, const typename Field::constant& scale,
                        const Field& f) {
  using Lane = typename Field::Lane;
  if constexpr (Lane::lanes == tile_side) {
    reverse_into_tiles<Lane>(out, in, n);
    inverse_rows<Field, tiling::transposed, true>(out, n / tile_side, tile_side, 0, roots, scale,
                                                  f);
  } else {
    std::size_t reversed = 0;
    for (std::size_t i = 0; i < n; ++i, reversed = next_reversed(reversed, n))
      out[reversed] = in[i];
    inverse_rows<Field, tiling::none, true>(out, n, 1, 0, roots, scale, f);
  }
}

}  // namespace
}  // namespace veilsum::kernels
