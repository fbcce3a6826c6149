#include "schemes/packing.hpp"

#include <algorithm>

#include "common/constant_time.hpp"
#include "schemes/parallel.hpp"

namespace veilsum::schemes {
namespace {

constexpr std::size_t rows_together = 64;

// A bit of a row, which is public.
struct position {
  explicit position(std::size_t bit) : index(bit / 64), shift(bit % 64) {}
  std::size_t index, shift;
};

// The row is zero before. A slot gives up 1 where what is below it is negative.
void pack_row(view<word> row, view<const std::int64_t> values, std::size_t slot_bits) {
  const word mask = (word{1} << slot_bits) - 1;
  word borrow = 0;
  for (std::size_t i = 0; i < values.size; ++i) {
    const position at(i * slot_bits);
    const word digit = static_cast<word>(values[i]) - borrow;
    row[at.index] |= (digit & mask) << at.shift;
    if (at.shift + slot_bits > 64) row[at.index + 1] |= (digit & mask) >> (64 - at.shift);
    borrow = digit >> 63;
  }
  const position end(values.size * slot_bits);
  const word sign = common::mask_from_bit(borrow);
  for (std::size_t i = end.index; i < row.size; ++i)
    row[i] |= sign << (i == end.index ? end.shift : 0);
}

// Returns all ones where the row holds what `unpack` refuses.
word unpack_row(view<std::int64_t> values, view<const word> row, std::size_t slot_bits,
                std::int64_t limit) {
  const word top = word{1} << (slot_bits - 1), most = static_cast<word>(limit);
  word borrow = 0, refused = 0;
  for (std::size_t i = 0; i < values.size; ++i) {
    const word bits = extract_bits(row, i * slot_bits, slot_bits);
    const word digit = (bits ^ top) - top;
    const word value = digit + borrow;
    refused |= (most - value) | (most + value);
    values[i] = static_cast<std::int64_t>(value);
    borrow = digit >> 63;
  }
  const position end(values.size * slot_bits);
  const word sign = common::mask_from_bit(borrow);
  for (std::size_t i = end.index; i < row.size; ++i) {
    const word above = (row[i] ^ sign) >> (i == end.index ? end.shift : 0);
    refused |= common::mask_from_bit(common::is_nonzero(above));
  }
  return common::mask_from_bit(refused >> 63);
}

}  // namespace

void pack(view<word> rows, view<const std::int64_t> values, const slot_layout& layout,
          std::size_t threads) {
  std::fill(rows.begin(), rows.end(), 0);
  parallel_for(layout.rows_for(values.size), rows_together, threads,
               [&](std::size_t begin, std::size_t end) {
                 for (std::size_t r = begin; r < end; ++r) {
                   const view<const std::int64_t> rest = values.from(r * layout.slots);
                   pack_row(rows.slice(r * layout.limbs, layout.limbs),
                            rest.first(std::min(layout.slots, rest.size)), layout.slot_bits);
                 }
               });
}

word unpack(view<std::int64_t> values, view<const word> rows, std::int64_t limit,
            const slot_layout& layout, std::size_t threads) {
  words refused(layout.rows_for(values.size), 0);
  parallel_for(refused.size(), rows_together, threads, [&](std::size_t begin, std::size_t end) {
    for (std::size_t r = begin; r < end; ++r) {
      const view<std::int64_t> rest = values.from(r * layout.slots);
      refused[r] = unpack_row(rest.first(std::min(layout.slots, rest.size)),
                              rows.slice(r * layout.limbs, layout.limbs), layout.slot_bits, limit);
    }
  });
  word any = 0;
  for (word mask : refused) any |= mask;
  for (std::int64_t& value : values) value &= static_cast<std::int64_t>(~any);
  return any;
}

}  // namespace veilsum::schemes
