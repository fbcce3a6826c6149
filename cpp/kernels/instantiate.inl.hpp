// Turns the algorithms over one lane type into a kernel table.
#pragma once

#include <type_traits>

#include "kernels/dot.inl.hpp"
#include "kernels/ntt.inl.hpp"
#include "kernels/power.inl.hpp"

namespace veilsum::kernels {
namespace {

// Lane and Other differ in their tile alone: a number whose count the first tile does not divide is the
// other's. A prime of more than Narrow::bits is Wide's.
template <class Lane, class Other, class Narrow, class Wide>
struct instance {
  using word = std::uint64_t;

  template <class L>
  static lane_modulus<L> view(const modulus* m) {
    return {m->digits, m->negative_inverse, m->half_radix_multiple, m->count};
  }
  static bool fits(const modulus* m) { return m->count % Lane::tile == 0; }

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
  // The field's arithmetic for p, handed to work.
  template <class Work>
  static void with_field(const prime& p, const Work& work) {
    if constexpr (!std::is_same_v<Narrow, Wide>)
      if (p.value >> Narrow::bits != 0) return work(Wide(p));
    work(Narrow(p));
  }
  static void field_matmul(word* const* out, const word* weights, std::size_t rows,
                           std::size_t terms, const word* const* values, std::size_t columns,
                           const prime* p, bool stream) {
    with_field(*p, [=](const auto& f) {
      kernels::field_matmul(out, weights, rows, terms, values, columns, f, stream);
    });
  }
  static void field_multiply(word* out, const word* a, const word* b, std::size_t count,
                             const prime* p) {
    with_field(*p, [=](const auto& f) { kernels::field_multiply(out, a, b, count, f); });
  }
  static void field_scale(word* out, const word* a, std::size_t count, factor w, const prime* p) {
    with_field(*p, [=](const auto& f) {
      kernels::field_scale(out, a, count, f.broadcast(&w.value, &w.companion), f);
    });
  }
  static void field_dot(word* out, const word* const* rows, std::size_t row_count,
                        const word* const* vectors, std::size_t vector_count, std::size_t columns,
                        const prime* p) {
    with_field(*p, [=](const auto& f) {
      kernels::field_dot(out, rows, row_count, vectors, vector_count, columns, f);
    });
  }
  static std::size_t count_outside(const word* words, std::size_t count, word p) {
    return kernels::count_outside<Lane>(words, count, p);
  }
  static void stream_rows(word* const* out, const word* const* in, std::size_t rows,
                          std::size_t columns) {
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < columns; j += Lane::lanes)
        Lane::stream(out[i] + j, Lane::load_unaligned(in[i] + j));
    Lane::finish_stream();
  }
  static void transform(word* a, std::size_t n, std::size_t width, roots r, const prime* p) {
    with_field(
        *p, [=](const auto& f) { kernels::transform(a, n, width, {r.values, r.companions}, f); });
  }
  static void inverse_transform(word* a, std::size_t n, std::size_t width, roots r, factor scale,
                                const prime* p) {
    with_field(*p, [=](const auto& f) {
      kernels::inverse_transform(a, n, width, {r.values, r.companions},
                                 f.broadcast(&scale.value, &scale.companion), f);
    });
  }

  static void transform_in_order(word* out, const word* in, std::size_t n, roots r, factor scale,
                                 const prime* p) {
    with_field(*p, [=](const auto& f) {
      kernels::transform_in_order(out, in, n, {r.values, r.companions},
                                  f.broadcast(&scale.value, &scale.companion), f);
    });
  }

  static constexpr table make(const char* name) {
    return {name,
            Lane::lanes,
            Lane::digit_bits,
            {Lane::tile, Other::tile},
            Narrow::bits,
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
            field_multiply,
            field_scale,
            field_dot,
            count_outside,
            stream_rows,
            transform,
            inverse_transform,
            transform_in_order};
  }
};

}  // namespace
}  // namespace veilsum::kernels
