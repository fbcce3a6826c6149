// Arithmetic modulo a prime of one digit, written once over a lane type.
//
// A sum of products fills at most three digits; two Montgomery steps take off two of them, so that
// the result is below terms * p^2 / R^2 + p + 1 < 2p (terms * p < R^2) and one subtraction makes it
// canonical. A 52-bit lane collects at most 1024 products a column, below 2^62.
#pragma once

#include "kernels/montgomery.inl.hpp"

namespace veilsum::kernels {
namespace {

template <class Lane>
struct lane_prime {
  typename Lane::digit value;
  typename Lane::digit negative_inverse;
};

template <class Lane>
VEILSUM_INLINE typename Lane::digit reduce_sum(typename Lane::column t, const lane_prime<Lane>& p) {
  VEILSUM_UNROLL
  for (int step = 0; step < 2; ++step) {
    Lane::multiply_add(t, Lane::low_product(t, p.negative_inverse), p.value);
    typename Lane::column next = Lane::zero_column();
    Lane::carry(next, t);
    t = next;
  }
  return Lane::subtract_once(t, p.value);
}

template <class Lane, std::size_t Rows>
VEILSUM_INLINE void matmul_rows(typename Lane::word* out, std::size_t out_stride,
                                const typename Lane::word* weights, std::size_t terms,
                                const typename Lane::word* values, std::size_t values_stride,
                                std::size_t columns, const lane_prime<Lane>& p) {
  for (std::size_t j = 0; j < columns; j += Lane::lanes) {
    typename Lane::column sum[Rows];
    VEILSUM_UNROLL
    for (std::size_t i = 0; i < Rows; ++i) sum[i] = Lane::zero_column();
    for (std::size_t k = 0; k < terms; ++k) {
      const typename Lane::digit value = Lane::load_unaligned(values + k * values_stride + j);
      VEILSUM_UNROLL
      for (std::size_t i = 0; i < Rows; ++i)
        Lane::multiply_add(sum[i], value, Lane::broadcast(weights + i * terms + k));
    }
    VEILSUM_UNROLL
    for (std::size_t i = 0; i < Rows; ++i)
      Lane::store_unaligned(out + i * out_stride + j, reduce_sum<Lane>(sum[i], p));
  }
}

template <class Lane>
void field_matmul(typename Lane::word* out, std::size_t out_stride,
                  const typename Lane::word* weights, std::size_t rows, std::size_t terms,
                  const typename Lane::word* values, std::size_t values_stride, std::size_t columns,
                  const lane_prime<Lane>& p) {
  constexpr std::size_t together = Lane::field_rows;
  std::size_t i = 0;
  for (; i + together <= rows; i += together)
    matmul_rows<Lane, together>(out + i * out_stride, out_stride, weights + i * terms, terms,
                                values, values_stride, columns, p);
  for (; i < rows; ++i)
    matmul_rows<Lane, 1>(out + i * out_stride, out_stride, weights + i * terms, terms, values,
                         values_stride, columns, p);
}

template <class Lane>
void field_multiply(typename Lane::word* out, const typename Lane::word* a,
                    const typename Lane::word* b, std::size_t count, const lane_prime<Lane>& p,
                    typename Lane::digit radix4) {
  for (std::size_t j = 0; j < count; j += Lane::lanes) {
    typename Lane::column t = Lane::zero_column();
    Lane::multiply_add(t, Lane::load_unaligned(a + j), Lane::load_unaligned(b + j));
    const typename Lane::digit scaled = reduce_sum<Lane>(t, p);
    t = Lane::zero_column();
    Lane::multiply_add(t, scaled, radix4);
    Lane::store_unaligned(out + j, reduce_sum<Lane>(t, p));
  }
}

}  // namespace
}  // namespace veilsum::kernels
