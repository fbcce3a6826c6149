// Slots against schoolbook sums of multiples of powers of two, at every width; edges, and what is refused.
#include <algorithm>
#include <vector>

#include "schemes/packing.hpp"
#include "tests/cpp/check.hpp"

namespace veilsum::tests {
namespace {

using schemes::secret_words;
using schemes::slot_layout;
using schemes::view;
using schemes::word;
using slots = std::vector<std::int64_t>;

// The largest absolute value of a slot.
std::int64_t most(std::size_t slot_bits) { return (std::int64_t{1} << (slot_bits - 1)) - 1; }

// value = sum of v_i 2^(slot_bits i) modulo 2^(64 limbs), by Horner's rule.
secret_words schoolbook(view<const std::int64_t> values, const slot_layout& layout) {
  secret_words sum(layout.limbs, 0), shifted(layout.limbs), term(layout.limbs);
  for (std::size_t i = values.size; i-- > 0;) {
    schemes::multiply_words(shifted, sum, secret_words{word{1} << layout.slot_bits});
    std::fill(term.begin(), term.end(), values[i] < 0 ? ~word{0} : 0);
    term[0] = static_cast<word>(values[i]);
    schemes::add_words(sum, shifted, term);
  }
  return sum;
}

secret_words packed(const slots& values, const slot_layout& layout, std::size_t threads = 1) {
  secret_words rows(layout.rows_for(values.size()) * layout.limbs, 0x5a);
  schemes::pack(rows, values, layout, threads);
  return rows;
}

// Values from -limit to limit, both edges and runs of negative slots among them.
slots mixed(std::size_t count, std::int64_t limit, std::uint64_t seed) {
  numbers random(seed);
  slots values(count);
  for (std::int64_t& value : values) {
    const std::uint64_t drawn = random.next();
    const auto size = static_cast<std::int64_t>((drawn >> 2) % (static_cast<word>(limit) + 1));
    value = drawn % 4 == 0 ? limit : drawn % 4 == 1 ? -limit : drawn % 4 == 2 ? size : -size;
  }
  return values;
}

// As many slots as fit, one less, and one alone, which leaves words above.
std::vector<slot_layout> layouts(std::size_t slot_bits) {
  std::vector<slot_layout> found;
  for (std::size_t limbs : {1u, 2u, 3u, 32u})
    for (std::size_t count : {64 * limbs / slot_bits, 64 * limbs / slot_bits - 1, std::size_t{1}})
      if (count >= 1) found.push_back({count, slot_bits, limbs});
  return found;
}

void rows_are_schoolbook_sums_and_come_back(const slot_layout& layout) {
  const std::size_t count =
      3 * layout.slots + layout.slots / 2;  // the last row may be partly empty
  const slots values = mixed(count, most(layout.slot_bits), layout.slots);
  const secret_words rows = packed(values, layout);
  for (std::size_t r = 0; r < layout.rows_for(count); ++r) {
    const std::size_t first = r * layout.slots;
    const view<const std::int64_t> row{values.data() + first,
                                       std::min(layout.slots, count - first)};
    CHECK(schemes::equal_vartime(schoolbook(row, layout),
                                 view<const word>(rows).slice(r * layout.limbs, layout.limbs)));
  }
  slots again(count, 1);
  CHECK(schemes::unpack(again, rows, most(layout.slot_bits), layout, 1) == 0);
  CHECK(again == values);
}

void sums_of_rows_hold_sums_of_slots(const slot_layout& layout) {
  const std::int64_t limit = most(layout.slot_bits) / 3;
  slots sums(5 * layout.slots, 0);
  secret_words total(5 * layout.limbs, 0);
  for (std::uint64_t summand = 0; summand < 3; ++summand) {
    const slots values = mixed(sums.size(), limit, summand);
    const secret_words rows = packed(values, layout);
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += values[i];
    for (std::size_t r = 0; r < 5; ++r) {
      const view<word> row = view<word>(total).slice(r * layout.limbs, layout.limbs);
      schemes::add_words(row, row, view<const word>(rows).slice(r * layout.limbs, layout.limbs));
    }
  }
  slots again(sums.size());
  CHECK(schemes::unpack(again, total, 3 * limit, layout, 2) == 0);
  CHECK(again == sums);
}

void any_number_of_threads_gives_the_same_rows() {
  const slot_layout layout{5, 63, 5};
  const slots values = mixed(1003, most(63), 9);
  const secret_words rows = packed(values, layout);
  for (std::size_t threads : {0u, 2u, 3u}) {
    CHECK(packed(values, layout, threads) == rows);
    slots again(values.size());
    CHECK(schemes::unpack(again, rows, most(63), layout, threads) == 0);
    CHECK(again == values);
  }
}

void refused(const secret_words& rows, std::size_t count, std::int64_t limit,
             const slot_layout& layout) {
  slots values(count, 1);
  CHECK(schemes::unpack(values, rows, limit, layout, 1) == ~word{0});
  CHECK(values == slots(count, 0));
}

void a_slot_beyond_the_limit_gives_nothing(const slot_layout& layout) {
  const std::size_t count = 2 * layout.slots;
  for (std::size_t i = 0; i < count; ++i)
    for (std::int64_t sign : {1, -1}) {
      slots values(count, 0), again(count);
      values[i] = sign;
      const secret_words rows = packed(values, layout);
      CHECK(schemes::unpack(again, rows, 1, layout, 1) == 0);
      refused(rows, count, 0, layout);
    }
}

void a_row_that_holds_more_than_its_slots_gives_nothing() {
  const slot_layout layout{3, 20, 2};  // 60 of 128 bits
  for (std::size_t bit = 0; bit < 128; ++bit) {
    secret_words rows(2, 0);
    rows[bit / 64] = word{1} << (bit % 64);
    slots values(3);
    // Below bit 60 it is a slot's; a slot's own sign bit alone would take 1 from the next.
    const bool fits = bit < 59;
    CHECK((schemes::unpack(values, rows, most(21), layout, 1) == 0) == fits);
    if (!fits) refused(rows, 3, most(21), layout);
  }
}

void a_slot_beyond_the_last_value_gives_nothing() {
  const slot_layout layout{4, 16, 1};
  const secret_words rows = packed({1, -2, 3}, layout);
  slots values(3);
  CHECK(schemes::unpack(values, rows, 3, layout, 1) == 0);
  refused(rows, 2, 3, layout);
  refused(rows, 1, 3, layout);
}

void no_values_are_no_rows() {
  const slot_layout layout{63, 32, 32};
  CHECK(packed({}, layout).empty());
  CHECK(schemes::unpack({}, {}, 1, layout, 0) == 0);
}

}  // namespace
}  // namespace veilsum::tests

int main() {
  using namespace veilsum::tests;
  for (std::size_t slot_bits = 2; slot_bits <= 63; ++slot_bits)
    for (const auto& layout : layouts(slot_bits)) {
      rows_are_schoolbook_sums_and_come_back(layout);
      sums_of_rows_hold_sums_of_slots(layout);
      a_slot_beyond_the_limit_gives_nothing(layout);
    }
  any_number_of_threads_gives_the_same_rows();
  a_row_that_holds_more_than_its_slots_gives_nothing();
  a_slot_beyond_the_last_value_gives_nothing();
  no_values_are_no_rows();
  return finish("test_packing");
}
