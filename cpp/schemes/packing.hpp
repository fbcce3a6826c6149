// Many small signed integers in one wide one: value = sum of v_i 2^(slot_bits i), a sum of signed terms,
// so that adding wide integers adds all the small ones, whatever their signs. Time depends on sizes only.
#pragma once

#include "schemes/integer.hpp"

namespace veilsum::schemes {

// Rows of `limbs` words in two's complement hold `slots` slots of `slot_bits` bits (from 2 to 63) each:
// slots * slot_bits <= 64 * limbs. Slots are between -2^(slot_bits - 1) and 2^(slot_bits - 1), both
// excluded; a row's slots beyond the last value are zero.
struct slot_layout {
  std::size_t slots = 0, slot_bits = 0, limbs = 0;

  std::size_t rows_for(std::size_t count) const { return count / slots + (count % slots != 0); }
};

// rows: layout.rows_for(values.size) of them.
void pack(view<word> rows, view<const std::int64_t> values, const slot_layout& layout,
          std::size_t threads);

// Reads what sums of packed rows hold. Returns all ones, and values of zero, where a slot's absolute
// value exceeds the limit (below 2^62), a slot beyond the last value is not zero, or a row holds more
// than its slots; that this happened is for the caller to make public.
word unpack(view<std::int64_t> values, view<const word> rows, std::int64_t limit,
            const slot_layout& layout, std::size_t threads);

}  // namespace veilsum::schemes
