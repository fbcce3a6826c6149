// Exponentiation in constant time, written once over a lane type: windows of a variable base, and
// combs of a fixed base whose entries are in log form.
#pragma once

#include "kernels/dual.inl.hpp"

namespace veilsum::kernels {
namespace {

// The two kinds of numbers that have powers: modulo m, and modulo m^2.
template <class Lane>
struct single_number {
  static constexpr std::size_t halves = 1;
  using word = typename Lane::word;
  VEILSUM_INLINE void multiply(word* r, const word* a, const word* b, const lane_modulus<Lane>& m,
                               word* scratch) {
    kernels::multiply<Lane>(r, a, b, m, scratch);
  }
  VEILSUM_INLINE void square(word* r, const word* a, const lane_modulus<Lane>& m, word* scratch) {
    kernels::square<Lane>(r, a, m, scratch);
  }
};

template <class Lane>
struct dual_number {
  static constexpr std::size_t halves = 2;
  using word = typename Lane::word;
  VEILSUM_INLINE void multiply(word* r, const word* a, const word* b, const lane_modulus<Lane>& m,
                               word* scratch) {
    dual_multiply<Lane>(r, a, b, m, scratch);
  }
  VEILSUM_INLINE void square(word* r, const word* a, const lane_modulus<Lane>& m, word* scratch) {
    dual_square<Lane>(r, a, m, scratch);
  }
};

// t = the entry that each lane's index names; every entry is read.
template <class Lane>
VEILSUM_INLINE void select_entry(typename Lane::word* t, const typename Lane::word* entries,
                                 std::size_t entry_count, typename Lane::digit index,
                                 std::size_t size) {
  typename Lane::mask wanted[std::size_t{1} << maximum_window_bits];
  for (std::size_t j = 0; j < entry_count; ++j) wanted[j] = Lane::equals(index, j);
  for (std::size_t d = 0; d < size; d += Lane::lanes) {
    typename Lane::digit found = Lane::zero();
    for (std::size_t j = 0; j < entry_count; ++j)
      found = Lane::select(wanted[j], Lane::load(entries + j * size + d), found);
    Lane::store(t + d, found);
  }
}

template <class Lane>
VEILSUM_INLINE void copy(typename Lane::word* to, const typename Lane::word* from,
                         std::size_t size) {
  for (std::size_t d = 0; d < size; d += Lane::lanes) Lane::store(to + d, Lane::load(from + d));
}

// Fixed windows, most significant first: every window costs the same squarings and one product.
template <class Lane, class Number>
void power(typename Lane::word* r, const typename Lane::word* base, const typename Lane::word* one,
           const typename Lane::word* windows, std::size_t window_count, std::size_t window_bits,
           const lane_modulus<Lane>& m, typename Lane::word* scratch) {
  const std::size_t size = Number::halves * m.count * Lane::lanes;
  const std::size_t entry_count = std::size_t{1} << window_bits;
  typename Lane::word* entries = scratch;
  typename Lane::word* factor = entries + entry_count * size;
  typename Lane::word* rest = factor + size;

  copy<Lane>(entries, one, size);
  copy<Lane>(entries + size, base, size);
  for (std::size_t j = 2; j < entry_count; ++j) {
    typename Lane::word* entry = entries + j * size;
    if (j % 2 == 0)
      Number::square(entry, entries + j / 2 * size, m, rest);
    else
      Number::multiply(entry, entry - size, entries + size, m, rest);
  }

  select_entry<Lane>(r, entries, entry_count, Lane::load(windows), size);
  for (std::size_t i = 1; i < window_count; ++i) {
    for (std::size_t s = 0; s < window_bits; ++s) Number::square(r, r, m, rest);
    select_entry<Lane>(factor, entries, entry_count, Lane::load(windows + i * Lane::lanes), size);
    Number::multiply(r, r, factor, m, rest);
  }
}

// Looks a table's rows up for `Blocks` blocks: integers, then logarithms.
template <class Lane, std::size_t Blocks>
VEILSUM_INLINE void look_up_rows(typename Lane::word* integers, typename Lane::word* logarithms,
                                 const typename Lane::word* row, std::size_t first_digit,
                                 std::size_t entry_count, const typename Lane::selector* selectors,
                                 std::size_t count) {
  typename Lane::digit found[Blocks][Lane::lookup_rows];
  Lane::template look_up<Blocks>(found, row, entry_count, selectors);
  for (std::size_t b = 0; b < Blocks; ++b)
    for (std::size_t i = 0; i < Lane::lookup_rows; ++i) {
      const std::size_t d = first_digit + i, block = b * count;
      typename Lane::word* to = d < count ? integers + (block + d) * Lane::lanes
                                          : logarithms + (block + d - count) * Lane::lanes;
      Lane::store(to, found[b][i]);
    }
}

// Looks one table up for every block. A few rows of the table at a time stay in the nearest cache while
// all blocks read them.
template <class Lane>
VEILSUM_INLINE void look_up(typename Lane::word* integers, typename Lane::word* logarithms,
                            const typename Lane::word* rows, std::size_t entry_count,
                            const typename Lane::selector* selectors, std::size_t blocks,
                            std::size_t count) {
  constexpr std::size_t together = Lane::lookup_blocks;
  const std::size_t size = count * Lane::lanes;
  for (std::size_t d = 0; d < 2 * count; d += Lane::lookup_rows) {
    const typename Lane::word* row = rows + d * entry_count;
    std::size_t b = 0;
    for (; b + together <= blocks; b += together)
      look_up_rows<Lane, together>(integers + b * size, logarithms + b * size, row, d, entry_count,
                                   selectors + b, count);
    for (; b < blocks; ++b)
      look_up_rows<Lane, 1>(integers + b * size, logarithms + b * size, row, d, entry_count,
                            selectors + b, count);
  }
}

// Looks up for one block, where lane l reads the l-th of as many tables as there are lanes.
// found: 2 * count * lanes words.
template <class Lane>
VEILSUM_INLINE void look_up_spread(typename Lane::word* integers, typename Lane::word* logarithms,
                                   const typename Lane::word* rows, std::size_t entry_count,
                                   const typename Lane::selector* selector, std::size_t count,
                                   typename Lane::word* found) {
  const std::size_t size = count * Lane::lanes;
  for (std::size_t l = 0; l < Lane::lanes; ++l) {
    look_up<Lane>(found, found + size, rows + l * 2 * count * entry_count, entry_count, selector, 1,
                  count);
    for (std::size_t d = l; d < size; d += Lane::lanes) {
      integers[d] = found[d];
      logarithms[d] = found[size + d];
    }
  }
}

// kernels::fixed_base over a lane type.
template <class Lane>
struct comb {
  const typename Lane::word* entries;
  std::size_t window_bits, tables, levels;
  bool spread;
};

template <class Lane>
void fixed_base_power(typename Lane::word* r, typename Lane::word* logarithms,
                      const comb<Lane>& base, const typename Lane::word* windows,
                      std::size_t blocks, const lane_modulus<Lane>& m,
                      typename Lane::word* scratch) {
  const std::size_t size = m.count * Lane::lanes;
  const std::size_t entry_count = std::size_t{1} << base.window_bits;
  const std::size_t step = (base.spread ? Lane::lanes : 1) * 2 * m.count * entry_count;
  typename Lane::word* integers[2] = {scratch, scratch + blocks * size};
  typename Lane::word* logarithm = integers[1] + blocks * size;
  typename Lane::word* pair = logarithm + blocks * size;
  typename Lane::word* rest = pair + 2 * size;
  typename Lane::selector selectors[maximum_blocks];
  for (std::size_t b = 0; b < blocks * size; b += Lane::lanes)
    Lane::store(logarithms + b, Lane::zero());
  for (std::size_t level = 0; level < base.levels; ++level) {
    for (std::size_t b = 0; level > 0 && b < blocks; ++b) {
      dual_square<Lane>(r + 2 * b * size, r + 2 * b * size, m, rest);
      add<Lane>(logarithms + b * size, logarithms + b * size, logarithms + b * size, m.count);
    }
    for (std::size_t t = 0; t < base.tables; ++t) {
      for (std::size_t b = 0; b < blocks; ++b) {
        const std::size_t window = (b * base.levels + level) * base.tables + t;
        Lane::select_index(selectors[b], Lane::load(windows + window * Lane::lanes), entry_count);
      }
      if (base.spread)
        look_up_spread<Lane>(integers[t % 2], logarithm, base.entries + t * step, entry_count,
                             selectors, m.count, rest);
      else
        look_up<Lane>(integers[t % 2], logarithm, base.entries + t * step, entry_count, selectors,
                      blocks, m.count);
      for (std::size_t b = 0; b < blocks; ++b) {
        add<Lane>(logarithms + b * size, logarithms + b * size, logarithm + b * size, m.count);
        if (t % 2 == 0) continue;
        typename Lane::word* product = r + 2 * b * size;
        const bool is_first = level == 0 && t == 1;
        typename Lane::word* target = is_first ? product : pair;
        // An exact integer times an exact integer: the quotient is the second half.
        multiply<Lane>(target, integers[0] + b * size, integers[1] + b * size, m, target + size);
        if (!is_first) dual_multiply<Lane>(product, product, pair, m, rest);
      }
    }
  }
}

}  // namespace
}  // namespace veilsum::kernels
