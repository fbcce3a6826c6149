// Inner products modulo a prime, written once over the fields of kernels/field.inl.hpp.
//
// Both factors lie along the lanes, so that each lane sums the products of its own columns. The bounds are
// those of a product of matrices: a lane collects at most maximum_field_terms products.
#pragma once

#include "kernels/field.inl.hpp"

namespace veilsum::kernels {
namespace {

template <class Field, std::size_t Rows>
VEILSUM_INLINE void dot_rows(typename Field::word* out, std::size_t out_stride,
                             const typename Field::word* const* rows,
                             const typename Field::word* vector, std::size_t columns,
                             const Field& f) {
  using Lane = typename Field::Lane;
  typename Field::sum sum[Rows];
  VEILSUM_UNROLL
  for (std::size_t i = 0; i < Rows; ++i) sum[i] = Field::zero();
  for (std::size_t k = 0; k < columns; k += Lane::lanes) {
    const typename Field::part factor = Field::split(Lane::load_unaligned(vector + k));
    VEILSUM_UNROLL
    for (std::size_t i = 0; i < Rows; ++i)
      Field::multiply_add(sum[i], Field::split(Lane::load_unaligned(rows[i] + k)), factor);
  }
  VEILSUM_UNROLL
  for (std::size_t i = 0; i < Rows; ++i)
    Lane::store_unaligned(out + i * out_stride, f.reduce(sum[i]));
}

// The same rows against one vector after the other, while they are in the cache.
template <class Field, std::size_t Rows>
VEILSUM_INLINE void dot_vectors(typename Field::word* out, const typename Field::word* const* rows,
                                const typename Field::word* const* vectors,
                                std::size_t vector_count, std::size_t columns, const Field& f) {
  constexpr std::size_t lanes = Field::Lane::lanes;
  for (std::size_t j = 0; j < vector_count; ++j)
    dot_rows<Field, Rows>(out + j * lanes, vector_count * lanes, rows, vectors[j], columns, f);
}

template <class Field>
void field_dot(typename Field::word* out, const typename Field::word* const* rows,
               std::size_t row_count, const typename Field::word* const* vectors,
               std::size_t vector_count, std::size_t columns, const Field& f) {
  constexpr std::size_t together = Field::tile_rows;
  const std::size_t out_stride = vector_count * Field::Lane::lanes;
  std::size_t i = 0;
  for (; i + together <= row_count; i += together)
    dot_vectors<Field, together>(out + i * out_stride, rows + i, vectors, vector_count, columns, f);
  for (; i < row_count; ++i)
    dot_vectors<Field, 1>(out + i * out_stride, rows + i, vectors, vector_count, columns, f);
}

}  // namespace
}  // namespace veilsum::kernels
