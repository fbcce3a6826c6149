// Turns the algorithms over one lane type into a kernel table.
#pragma once

#include "kernels/field.inl.hpp"
#include "kernels/montgomery.inl.hpp"

namespace veilsum::kernels {
namespace {

template <class Lane>
struct instance {
  using word = std::uint64_t;

  static lane_modulus<Lane> view(const modulus* m) {
    return {m->digits, m->negative_inverse, m->count};
  }
  static lane_prime<Lane> view(const prime& p) {
    return {Lane::broadcast(&p.value), Lane::broadcast(&p.negative_inverse)};
  }

  static void multiply(word* r, const word* a, const word* b, const modulus* m, word* scratch) {
    kernels::multiply<Lane>(r, a, b, view(m), scratch);
  }
  static void square(word* r, const word* a, const modulus* m, word* scratch) {
    kernels::square<Lane>(r, a, view(m), scratch);
  }
  static void add(word* r, const word* a, const word* b, std::size_t count) {
    kernels::add<Lane>(r, a, b, count);
  }
  static void reduce(word* r, const word* a, const modulus* m) {
    kernels::reduce<Lane>(r, a, view(m));
  }
  static void power(word* r, const word* base, const word* one, const word* windows,
                    std::size_t window_count, std::size_t window_bits, const modulus* m,
                    word* scratch) {
    kernels::power<Lane>(r, base, one, windows, window_count, window_bits, view(m), scratch);
  }
  static void fixed_base(word* r, const word* entries, const word* windows,
                         std::size_t window_count, std::size_t window_bits, std::size_t blocks,
                         const modulus* m, word* scratch) {
    kernels::fixed_base<Lane>(r, entries, windows, window_count, window_bits, blocks, view(m),
                              scratch);
  }
  static void field_matmul(word* out, std::size_t out_stride, const word* weights, std::size_t rows,
                           std::size_t terms, const word* values, std::size_t values_stride,
                           std::size_t columns, prime p) {
    kernels::field_matmul<Lane>(out, out_stride, weights, rows, terms, values, values_stride,
                                columns, view(p));
  }
  static void field_multiply(word* out, const word* a, const word* b, std::size_t count, prime p,
                             std::uint64_t radix4) {
    kernels::field_multiply<Lane>(out, a, b, count, view(p), Lane::broadcast(&radix4));
  }

  static constexpr table make(const char* name) {
    return {
        name,          Lane::lanes, Lane::digit_bits, Lane::tile, Lane::field_bits, multiply,
        square,        add,         reduce,           power,      fixed_base,       field_matmul,
        field_multiply};
  }
};

}  // namespace
}  // namespace veilsum::kernels
