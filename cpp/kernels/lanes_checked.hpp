// The proof by execution for the vector code: the arithmetic of avx512ifma_lane on one number, where
// each value carries an upper bound that holds for every input, and whether a secret flows into it.
//
// The bounds are propagated from the bounds of the operands, never from their values, so that one run
// proves for all inputs that no sum overflows 64 bits. A digit, column or mask converts to nothing: an
// algorithm that compiles cannot branch on one or index by one, except through reveal(), which reports.
// Faults are counted in checked_arithmetic::faults, not thrown: the algorithms know no exceptions.
#pragma once

#include <cstddef>
#include <cstdint>

// Calls: the algorithms are inlined as a whole, which would take compilers minutes with checks inside.
#define VEILSUM_CHECKED static __attribute__((noinline))

namespace veilsum::kernels {

struct checked_faults {
  std::size_t overflows = 0;   // a sum may exceed 64 bits, or a factor 52
  std::size_t leaks = 0;       // a secret was revealed
  std::size_t operations = 0;  // how much was checked
  std::uint64_t largest_sum = 0;
};

class checked_arithmetic {
  __extension__ typedef unsigned __int128 wide;

 public:
  static inline checked_faults faults;

  class digit {
    friend class checked_arithmetic;
    std::uint64_t value = 0;
    std::uint64_t bound = 0;  // value <= bound for every input
    bool secret = false;
  };
  class mask {
    friend class checked_arithmetic;
    bool value = false;
    bool secret = false;
  };
  struct column {
    digit low, high;
  };
  struct selector {
    digit index;
  };
  using word = digit;

  static constexpr std::size_t lanes = 1;
  static constexpr std::size_t digit_bits = 52;
  static constexpr std::size_t fixed_base_bits = 8;
  static constexpr std::size_t lookup_rows = 2;
  static constexpr std::size_t lookup_blocks = 4;
  static constexpr std::uint64_t digit_mask = (std::uint64_t{1} << 52) - 1;

  static digit make_public(std::uint64_t value, std::uint64_t bound = digit_mask) {
    return make(value, bound, false);
  }
  static digit make_secret(std::uint64_t value, std::uint64_t bound = digit_mask) {
    return make(value, bound, true);
  }
  // What tests read at the end of a run.
  static std::uint64_t declassify(digit x) { return x.value; }
  static std::uint64_t bound(digit x) { return x.bound; }
  // What a branch or an index would need.
  static std::uint64_t reveal(digit x) {
    faults.leaks += x.secret ? 1 : 0;
    return x.value;
  }

  VEILSUM_CHECKED digit zero() { return {}; }
  VEILSUM_CHECKED column zero_column() { return {}; }
  VEILSUM_CHECKED digit load(const word* p) { return *p; }
  VEILSUM_CHECKED digit load_unaligned(const word* p) { return *p; }
  VEILSUM_CHECKED digit broadcast(const word* p) { return *p; }
  VEILSUM_CHECKED digit constant(std::uint64_t x) { return make_public(x, x); }
  VEILSUM_CHECKED void store(word* p, digit x) { *p = normalised(x); }
  VEILSUM_CHECKED void store_unaligned(word* p, digit x) { *p = x; }  // a residue may fill the word
  VEILSUM_CHECKED void stream(word* p, digit x) { *p = x; }
  VEILSUM_CHECKED void finish_stream() {}

  VEILSUM_CHECKED void multiply_add(column& t, digit a, digit b) {
    normalised(a);
    normalised(b);
    const wide product = static_cast<wide>(a.value) * b.value;
    const wide bound = static_cast<wide>(a.bound) * b.bound;
    const bool secret = a.secret || b.secret;
    const std::uint64_t low_bound =
        bound > digit_mask ? digit_mask : static_cast<std::uint64_t>(bound);
    t.low = sum(t.low, make(static_cast<std::uint64_t>(product) & digit_mask, low_bound, secret));
    t.high = sum(t.high, make(static_cast<std::uint64_t>(product >> 52),
                              static_cast<std::uint64_t>(bound >> 52), secret));
  }
  VEILSUM_CHECKED void add_low(digit& t, digit a, digit b) {
    column product;
    multiply_add(product, a, b);
    t = sum(t, product.low);
  }
  VEILSUM_CHECKED void add_high(digit& t, digit a, digit b) { t = sum(t, high_product(a, b)); }
  VEILSUM_CHECKED void carry(column& next, const column& done) {
    next.low = sum(next.low, sum(shifted(done.low), done.high));
  }
  VEILSUM_CHECKED void add_column(column& t, const column& other) {
    t.low = sum(t.low, other.low);
    t.high = sum(t.high, other.high);
  }
  VEILSUM_CHECKED void add_digit(column& t, digit x) { t.low = sum(t.low, normalised(x)); }
  VEILSUM_CHECKED void twice(column& t) { add_column(t, t); }
  VEILSUM_CHECKED digit low(const column& t) { return truncated(t.low); }
  VEILSUM_CHECKED digit low_product(const column& t, digit k) { return low_product(t.low, k); }
  VEILSUM_CHECKED digit low_product(digit x, digit k) {
    normalised(k);
    const wide product = static_cast<wide>(x.value & digit_mask) * k.value;
    return make(static_cast<std::uint64_t>(product) & digit_mask, digit_mask, x.secret || k.secret);
  }

  VEILSUM_CHECKED digit add_with_carry(digit a, digit b, digit& carry) {
    const digit total = sum(sum(normalised(a), normalised(b)), carry);
    carry = shifted(total);
    return truncated(total);
  }
  VEILSUM_CHECKED digit subtract_with_borrow(digit a, digit b, digit& borrow) {
    normalised(a);
    normalised(b);
    const std::uint64_t difference = a.value - b.value - borrow.value;
    const bool secret = a.secret || b.secret || borrow.secret;
    borrow = make(difference >> 63, 1, secret);
    return make(difference & digit_mask, digit_mask, secret);
  }
  // The contract: t < 2p, which its bound must show, and 2p fits a digit.
  VEILSUM_CHECKED digit subtract_once(const column& t, digit p) {
    const bool fits = p.bound <= digit_mask / 2 && t.low.bound < 2 * p.bound && t.high.bound == 0;
    faults.overflows += fits ? 0 : 1;
    const std::uint64_t difference = t.low.value - p.value;
    return make(difference < t.low.value ? difference : t.low.value, p.bound - 1,
                t.low.secret || p.secret);
  }

  VEILSUM_CHECKED void divide_exact(column& t, digit inverse, digit p) {
    const digit q = low_product(t, inverse);
    const digit carried = sum(shifted(t.low), t.high);
    t.low = sum(carried, difference(p, high_product(q, p)));
    t.high = zero();
  }
  VEILSUM_CHECKED digit multiply_by(digit y, digit w, digit companion, digit p) {
    column product;
    multiply_add(product, normalised(y), normalised(companion));
    const digit q = low(product);
    return sum(high_product(y, w), difference(p, high_product(q, p)));
  }
  VEILSUM_CHECKED digit add(digit a, digit b) { return sum(a, b); }
  VEILSUM_CHECKED digit subtract_lazily(digit a, digit b, digit m) {
    faults.overflows += b.bound > m.bound ? 1 : 0;
    return sum(a, difference(m, b));
  }
  VEILSUM_CHECKED digit reduce_once(digit x, digit m) {
    faults.overflows += x.bound < 2 * m.bound ? 0 : 1;
    const std::uint64_t less = x.value - m.value;
    return make(less < x.value ? less : x.value, m.bound - 1, x.secret || m.secret);
  }

  VEILSUM_CHECKED digit low_digit(digit x) { return truncated(x); }
  VEILSUM_CHECKED digit high_digit(digit x) { return shifted(x); }
  VEILSUM_CHECKED digit factor(digit x) { return truncated(x); }
  // A quotient times p is below p times the radix, which bounds of digits do not show: this looks at the
  // value.
  VEILSUM_CHECKED digit join(digit low, digit high, digit p) {
    const wide value = low.value + (static_cast<wide>(high.value) << 52);
    faults.overflows += value > static_cast<wide>(p.value) + 1 ? 1 : 0;
    return make(static_cast<std::uint64_t>(value), p.bound + 1, low.secret || high.secret);
  }
  VEILSUM_CHECKED digit subtract(digit a, digit b) { return difference(a, b); }
  VEILSUM_CHECKED digit add_modulo(digit a, digit b, digit p) {
    return subtract_modulo(a, difference(p, b), p);
  }
  VEILSUM_CHECKED digit subtract_modulo(digit a, digit b, digit p) {
    const bool wraps = a.value < b.value;
    const bool near = wraps ? b.value - a.value <= p.value : a.value - b.value < p.value;
    faults.overflows += near && a.bound < p.bound && b.bound <= p.bound + 1 ? 0 : 1;
    ++faults.operations;
    return make(a.value - b.value + (wraps ? p.value : 0), p.bound - 1,
                a.secret || b.secret || p.secret);
  }

  VEILSUM_CHECKED mask equals(digit index, std::uint64_t value) {
    mask m;
    m.value = index.value == value;
    m.secret = index.secret;
    return m;
  }
  VEILSUM_CHECKED mask is_one(digit bit) { return equals(bit, 1); }
  VEILSUM_CHECKED digit select(mask m, digit if_set, digit if_clear) {
    return make(m.value ? if_set.value : if_clear.value,
                if_set.bound > if_clear.bound ? if_set.bound : if_clear.bound,
                m.secret || if_set.secret || if_clear.secret);
  }
  VEILSUM_CHECKED mask has_top_bit(digit x) {
    mask m;
    m.value = x.value >> (digit_bits - 1) != 0;
    m.secret = x.secret;
    return m;
  }
  VEILSUM_CHECKED void select_index(selector& wanted, digit index, std::size_t) {
    wanted.index = index;
  }
  template <std::size_t Blocks>
  VEILSUM_CHECKED void look_up(digit (&found)[Blocks][lookup_rows], const word* rows,
                               std::size_t entry_count, const selector* wanted) {
    for (std::size_t b = 0; b < Blocks; ++b)
      for (std::size_t i = 0; i < lookup_rows; ++i) {
        found[b][i] = zero();
        for (std::size_t j = 0; j < entry_count; ++j)
          found[b][i] = select(equals(wanted[b].index, j), rows[i * entry_count + j], found[b][i]);
      }
  }

 private:
  VEILSUM_CHECKED digit make(std::uint64_t value, std::uint64_t bound, bool secret) {
    digit x;
    x.value = value;
    x.bound = bound;
    x.secret = secret;
    faults.overflows += value > bound ? 1 : 0;
    return x;
  }
  VEILSUM_CHECKED digit sum(digit a, digit b) {
    const wide bound = static_cast<wide>(a.bound) + b.bound;
    ++faults.operations;
    faults.overflows += bound >> 64 != 0 ? 1 : 0;
    const std::uint64_t kept =
        bound >> 64 != 0 ? ~std::uint64_t{0} : static_cast<std::uint64_t>(bound);
    faults.largest_sum = kept > faults.largest_sum ? kept : faults.largest_sum;
    return make(a.value + b.value, kept, a.secret || b.secret);
  }
  // a - b where a is a constant and b never more: at most a.
  VEILSUM_CHECKED digit difference(digit a, digit b) {
    faults.overflows += b.value > a.value ? 1 : 0;
    return make(a.value - b.value, a.bound, a.secret || b.secret);
  }
  VEILSUM_CHECKED digit high_product(digit a, digit b) {
    column t;
    multiply_add(t, a, b);
    return t.high;
  }
  VEILSUM_CHECKED digit shifted(digit x) { return make(x.value >> 52, x.bound >> 52, x.secret); }
  VEILSUM_CHECKED digit truncated(digit x) {
    return make(x.value & digit_mask, x.bound > digit_mask ? digit_mask : x.bound, x.secret);
  }
  VEILSUM_CHECKED digit normalised(digit x) {
    faults.overflows += x.bound > digit_mask ? 1 : 0;
    return x;
  }
};

// Lanes that differ in their tile alone share their numbers and their faults.
template <std::size_t Tile>
class checked_lane_of : public checked_arithmetic {
 public:
  static constexpr std::size_t tile = Tile;
};
using checked_lane = checked_lane_of<4>;

}  // namespace veilsum::kernels
