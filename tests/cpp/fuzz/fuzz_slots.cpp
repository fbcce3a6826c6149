// Rows of slots, honest, altered or of any words. They are refused, and then give zeros; or they give values
// within the limit, which pack to the same rows again. Both happen to the rows to which they should.
#include "schemes/packing.hpp"
#include "tests/cpp/fuzz/fuzz.hpp"

namespace veilsum::tests {
namespace {

using schemes::slot_layout;
using slots = std::vector<std::int64_t>;

natural some_rows(input& in, std::size_t count, const slot_layout& layout) {
  const std::size_t size = layout.rows_for(count) * layout.limbs;
  if (in.number(1) % 4 == 0) return in.words(size);
  const std::size_t altered = in.between(0, 1), place = in.number(2);
  slots values(count);
  for (std::int64_t& value : values) {
    const int unused = static_cast<int>(65 - layout.slot_bits);
    value = static_cast<std::int64_t>(in.number(8) << (unused - 1)) >> unused;
  }
  natural rows(size, 0x5a);
  schemes::pack(rows, values, layout, 1);
  if (altered && size > 0) rows[place / 64 % size] ^= std::uint64_t{1} << (place % 64);
  return rows;
}

// Takes the lowest slot off a row that has one word more than its own, for the sign.
std::int64_t take_slot(natural& row, std::size_t slot_bits) {
  const int unused = static_cast<int>(64 - slot_bits);
  const auto value = static_cast<std::int64_t>(row[0] << unused) >> unused;
  const natural extended = [&] {
    natural x(row.size(), value < 0 ? ~std::uint64_t{0} : 0);
    x[0] = static_cast<std::uint64_t>(value);
    return x;
  }();
  row = difference(row, extended);
  for (std::size_t i = 0; i < row.size(); ++i) {
    const std::uint64_t above = i + 1 < row.size() ? row[i + 1] : 0 - (row[i] >> 63);
    row[i] = row[i] >> slot_bits | above << (64 - slot_bits);
  }
  return value;
}

// The slots of a row from the lowest up, if that is all the row holds and they keep to the limit.
bool row_fits(natural row, std::size_t count, std::int64_t limit, std::size_t slot_bits) {
  row.push_back(0 - (row.back() >> 63));
  bool fits = true;
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t value = take_slot(row, slot_bits);
    fits = fits && value >= -limit && value <= limit;
  }
  return fits && trimmed(row).empty();
}

bool rows_fit(const natural& rows, std::size_t count, std::int64_t limit,
              const slot_layout& layout) {
  for (std::size_t r = 0; r < layout.rows_for(count); ++r) {
    const auto begin = rows.begin() + static_cast<std::ptrdiff_t>(r * layout.limbs);
    const natural row(begin, begin + static_cast<std::ptrdiff_t>(layout.limbs));
    const std::size_t held = std::min(layout.slots, count - r * layout.slots);
    if (!row_fits(row, held, limit, layout.slot_bits)) return false;
  }
  return true;
}

void rows_are_refused_or_pack_again(const natural& rows, std::size_t count, std::int64_t limit,
                                    const slot_layout& layout, std::size_t threads) {
  slots values(count, 1);
  const std::uint64_t refused = schemes::unpack(values, rows, limit, layout, threads);
  REQUIRE(refused == 0 || refused == ~std::uint64_t{0});
  // Beyond this a slot could hold its largest magnitude, of which there are two readings.
  if (limit < std::int64_t{1} << (layout.slot_bits - 1))
    REQUIRE((refused == 0) == rows_fit(rows, count, limit, layout));
  if (refused) {
    REQUIRE(values == slots(count, 0));
    return;
  }
  for (std::int64_t value : values) REQUIRE(value >= -limit && value <= limit);
  natural again(rows.size(), 0x5a);
  schemes::pack(again, values, layout, threads);
  for (std::uint64_t& word : again) word = answer(word);
  REQUIRE(again == rows);
}

}  // namespace
}  // namespace veilsum::tests

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace veilsum::tests;
  input in(data, size);
  slot_layout layout;
  layout.limbs = in.between(1, 6);
  layout.slot_bits = in.between(2, 63);
  layout.slots = in.between(1, 64 * layout.limbs / layout.slot_bits);
  const std::size_t count = in.between(0, 3 * layout.slots), threads = in.between(1, 2);
  const std::size_t limit_bits = in.between(0, std::min<std::size_t>(62, layout.slot_bits));
  const std::uint64_t below = (std::uint64_t{1} << limit_bits) - 1;
  const auto limit = static_cast<std::int64_t>(in.number(1) % 2 ? below : in.number(8) & below);
  rows_are_refused_or_pack_again(some_rows(in, count, layout), count, limit, layout, threads);
  return 0;
}
