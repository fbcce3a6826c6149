// Arithmetic modulo m^2 on numbers as long as m, written once over a lane type.
//
// A dual number is a pair (a, b) of numbers of m's digits, one after the other in memory, and stands for
//
//     X = a - (b / R) m   modulo m^2.
//
// Modulo m^2 the product of two second halves vanishes. With a1 a2 + q m = r R, the Montgomery product is
//
//     X1 X2 / R = r - (b3 / R) m   where   b3 = q + (a1 b2 + a2 b1) / R   modulo m:
//
// the quotient of the first half IS what it contributes to the second. A product costs five products of
// numbers as long as m, a square three and a half, where arithmetic on numbers as long as m^2 costs
// eight and six. An exact integer a is the dual number (a, 0); the product of two of them is what
// `multiply` leaves behind: (r, q).
//
// Bounds, with R >= 2^16 m. Halves that come in: a < 4m (or < R, where the other factor's halves are
// below m), b < R. Halves that come out: a < 2m; b < R/2 + 11m, because a quotient of R/2 and more is
// lowered by the largest multiple of m up to R/2.
#pragma once

#include "kernels/montgomery.inl.hpp"

namespace veilsum::kernels {
namespace {

// t += the digits of block k of q, lowered by `lowered` where `is_large`.
template <class Lane>
VEILSUM_INLINE void add_quotient(columns<Lane>& t, const typename Lane::word* q,
                                 const typename Lane::word* lowered, typename Lane::mask is_large,
                                 typename Lane::digit& borrow) {
  VEILSUM_UNROLL
  for (std::size_t c = 0; c < Lane::tile; ++c) {
    const typename Lane::digit less =
        Lane::select(is_large, Lane::load(lowered + c * Lane::lanes), Lane::zero());
    Lane::add_digit(t.at[c],
                    Lane::subtract_with_borrow(Lane::load(q + c * Lane::lanes), less, borrow));
  }
}

// First and Second add up the products that make the two halves.  scratch: 2 * count * lanes words.
template <class Lane, class First, class Second>
VEILSUM_INLINE void reduce_dual(typename Lane::word* r, const First& first, const Second& second,
                                const lane_modulus<Lane>& m, typename Lane::word* scratch) {
  constexpr std::size_t stride = Lane::tile * Lane::lanes;
  const std::size_t blocks = m.count / Lane::tile, size = m.count * Lane::lanes;
  typename Lane::word *q = scratch, *s = scratch + size;
  columns<Lane> first_carried, second_carried;
  columns<Lane>::clear(first_carried);
  columns<Lane>::clear(second_carried);
  typename Lane::mask is_large = Lane::is_one(Lane::zero());
  typename Lane::digit borrow = Lane::zero();
  for (std::size_t k = 0; k < 2 * blocks; ++k) {
    const std::size_t low = k * stride, high = (k - blocks) * stride;
    columns<Lane> t;
    columns<Lane>::clear(t);
    first.add(t, k, blocks);
    columns<Lane>::add_carried(t, first_carried);
    quotient_block<Lane>(t, q, m, k, blocks);
    if (k < blocks)
      solve<Lane>(t, q + low, m);
    else
      emit<Lane>(t, r + high);
    first_carried = t;

    columns<Lane>::clear(t);
    second.add(t, k, blocks);
    columns<Lane>::add_carried(t, second_carried);
    quotient_block<Lane>(t, s, m, k, blocks);
    if (k < blocks) {
      solve<Lane>(t, s + low, m);
    } else {
      if (k == blocks) is_large = Lane::has_top_bit(Lane::load(q + size - Lane::lanes));
      add_quotient<Lane>(t, q + high, m.half_radix_multiple + high, is_large, borrow);
      emit<Lane>(t, r + size + high);
    }
    second_carried = t;
  }
}

// The second half of a product: a1 b2 + b1 a2.
template <class Lane>
struct cross_product_of {
  const typename Lane::word *a1, *b1, *a2, *b2;
  VEILSUM_METHOD void add(columns<Lane>& t, std::size_t k, std::size_t blocks) const {
    product_block<Lane>(t, a1, b2, k, blocks);
    product_block<Lane>(t, b1, a2, k, blocks);
  }
};

template <class Lane>
struct twice_product_of {
  const typename Lane::word *a, *b;
  VEILSUM_METHOD void add(columns<Lane>& t, std::size_t k, std::size_t blocks) const {
    product_block<Lane>(t, a, b, k, blocks);
    twice<Lane>(t);
  }
};

template <class Lane>
void dual_multiply(typename Lane::word* r, const typename Lane::word* x,
                   const typename Lane::word* y, const lane_modulus<Lane>& m,
                   typename Lane::word* scratch) {
  const std::size_t size = m.count * Lane::lanes;
  reduce_dual<Lane>(r, product_of<Lane>{x, y}, cross_product_of<Lane>{x, x + size, y, y + size}, m,
                    scratch);
}

template <class Lane>
void dual_square(typename Lane::word* r, const typename Lane::word* x, const lane_modulus<Lane>& m,
                 typename Lane::word* scratch) {
  const std::size_t size = m.count * Lane::lanes;
  reduce_dual<Lane>(r, square_of<Lane>{x}, twice_product_of<Lane>{x, x + size}, m, scratch);
}

// y is an exact integer.
template <class Lane>
void dual_scale(typename Lane::word* r, const typename Lane::word* x, const typename Lane::word* y,
                const lane_modulus<Lane>& m, typename Lane::word* scratch) {
  const std::size_t size = m.count * Lane::lanes;
  reduce_dual<Lane>(r, product_of<Lane>{x, y}, product_of<Lane>{x + size, y}, m, scratch);
}

}  // namespace
}  // namespace veilsum::kernels
