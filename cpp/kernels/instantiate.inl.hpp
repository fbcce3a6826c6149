// Turns the algorithms over one lane type into a kernel table.
#pragma once

#include "kernels/field.inl.hpp"
#include "kernels/power.inl.hpp"

namespace veilsum::kernels {
namespace {

// Lane and Other differ in their tile alone: a number whose count the first tile does not divide is the
// other's.
template <class Lane, class Other>
struct instance {
  using word = std::uint64_t;

  template <class L>
  static lane_modulus<L> view(const modulus* m) {
    return {m->digits, m->negative_inverse, m->half_radix_multiple, m->count};
  }
  static bool fits(const modulus* m) { return m->count % Lane::tile == 0; }
  static lane_prime<Lane> view(const prime& p) {
    return {Lane::broadcast(&p.value), Lane::broadcast(&p.negative_inverse)};
  }

  static void multiply(word* r, const word* a, const word* b, const modulus* m, word* q) {
    fits(m) ? kernels::multiply<Lane>(r, a, b, view<Lane>(m), q)
            : kernels::multiply<Other>(r, a, b, view<Other>(m), q);
  }
  static void square(word* r, const word* a, const modulus* m, word* q) {
    fits(m) ? kernels::square<Lane>(r, a, view<Lane>(m), q)
            : kernels::square<Other>(r, a, view<Other>(m), q);
  }
  static void add(word* r, const word* a, const word* b, std::size_t count) {
    kernels::add<Lane>(r, a, b, count);
  }
  static void reduce(word* r, const word* a, const modulus* m) {
    kernels::reduce<Lane>(r, a, view<Lane>(m));
  }
  template <class L, class Number>
  static void power_of(word* r, const word* base, const word* one, const word* windows,
                       std::size_t window_count, std::size_t window_bits, const modulus* m,
                       word* scratch) {
    kernels::power<L, Number>(r, base, one, windows, window_count, window_bits, view<L>(m),
                              scratch);
  }
  static void power(word* r, const word* base, const word* one, const word* windows,
                    std::size_t window_count, std::size_t window_bits, const modulus* m,
                    word* scratch) {
    (fits(m) ? power_of<Lane, single_number<Lane>>
             : power_of<Other, single_number<Other>>)(r, base, one, windows, window_count,
                                                      window_bits, m, scratch);
  }
  static void dual_multiply(word* r, const word* x, const word* y, const modulus* m,
                            word* scratch) {
    fits(m) ? kernels::dual_multiply<Lane>(r, x, y, view<Lane>(m), scratch)
            : kernels::dual_multiply<Other>(r, x, y, view<Other>(m), scratch);
  }
  static void dual_square(word* r, const word* x, const modulus* m, word* scratch) {
    fits(m) ? kernels::dual_square<Lane>(r, x, view<Lane>(m), scratch)
            : kernels::dual_square<Other>(r, x, view<Other>(m), scratch);
  }
  static void dual_scale(word* r, const word* x, const word* a, const modulus* m, word* scratch) {
    fits(m) ? kernels::dual_scale<Lane>(r, x, a, view<Lane>(m), scratch)
            : kernels::dual_scale<Other>(r, x, a, view<Other>(m), scratch);
  }
  static void dual_power(word* r, const word* base, const word* one, const word* windows,
                         std::size_t window_count, std::size_t window_bits, const modulus* m,
                         word* scratch) {
    (fits(m) ? power_of<Lane, dual_number<Lane>>
             : power_of<Other, dual_number<Other>>)(r, base, one, windows, window_count,
                                                    window_bits, m, scratch);
  }
  template <class L>
  static void fixed_base_power_of(word* r, word* logarithms, const fixed_base* base,
                                  const word* windows, std::size_t blocks, const modulus* m,
                                  word* scratch) {
    const comb<L> c{base->entries, base->window_bits, base->tables, base->levels, base->spread};
    kernels::fixed_base_power<L>(r, logarithms, c, windows, blocks, view<L>(m), scratch);
  }
  static void fixed_base_power(word* r, word* logarithms, const fixed_base* base,
                               const word* windows, std::size_t blocks, const modulus* m,
                               word* scratch) {
    (fits(m) ? fixed_base_power_of<Lane> : fixed_base_power_of<Other>)(r, logarithms, base, windows,
                                                                       blocks, m, scratch);
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
    return {name,
            Lane::lanes,
            Lane::digit_bits,
            {Lane::tile, Other::tile},
            Lane::field_bits,
            Lane::fixed_base_bits,
            multiply,
            square,
            add,
            reduce,
            power,
            dual_multiply,
            dual_square,
            dual_scale,
            dual_power,
            fixed_base_power,
            field_matmul,
            field_multiply};
  }
};

}  // namespace
}  // namespace veilsum::kernels
