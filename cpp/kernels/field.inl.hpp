// Arithmetic modulo a prime of one word, written once over a lane type and a field: how residues are
// multiplied, added and made canonical.
//
//   narrow_field   a residue is one digit with room for 4p: sums wait for their reduction
//   word_field     a residue may fill the digit: everything is canonical
//   wide_field     a residue is a word of two digits, whatever p: everything is canonical
//
// S is the radix that a product is divided by: 2^digit_bits, and for wide fields 2^(2 * digit_bits).
// A sum of products is divided by 2^(2 * digit_bits) in all fields: terms * p < 2^(2 * digit_bits), so
// that the result is below 2p and one subtraction makes it canonical. A 52-bit lane collects at most 2048
// products a column, below 2^63, and a wide sum 3 times 1024 halves of products.
// Sources: Montgomery 1985; Harvey 2014 (butterflies on values below 4p).
#pragma once

#include "kernels/montgomery.inl.hpp"

namespace veilsum::kernels {
namespace {

constexpr std::uint64_t low_bits(std::uint64_t x, std::size_t count) {
  return count == 64 ? x : x & ((std::uint64_t{1} << count) - 1);
}

// A residue that many are multiplied by: w S mod p, and for residues of one digit (w S) / p modulo S.
template <class Digit>
struct lane_factor {
  Digit value, companion;
};

// What fields of one digit share: products.
template <class LaneType>
struct digit_field {
  using Lane = LaneType;
  using digit = typename Lane::digit;
  using word = typename Lane::word;
  using sum = typename Lane::column;
  using part = digit;  // a factor of a sum
  using constant = lane_factor<digit>;

  VEILSUM_INLINE sum zero() { return Lane::zero_column(); }
  VEILSUM_INLINE part split(digit x) { return x; }
  VEILSUM_INLINE void multiply_add(sum& t, part a, part b) { Lane::multiply_add(t, a, b); }

  explicit digit_field(const prime& m)
      : p(Lane::constant(m.value)),
        inverse(Lane::constant(low_bits(0 - m.negative_inverse, Lane::digit_bits))),
        square(Lane::constant(m.square)) {}

  VEILSUM_METHOD digit reduce(sum t) const {
    Lane::divide_exact(t, inverse, p);
    return reduce_product(t);
  }
  VEILSUM_METHOD digit multiply(digit a, digit b) const { return product(product(a, b), square); }

  VEILSUM_INLINE constant broadcast(const word* values, const word* companions) {
    return {Lane::broadcast(values), Lane::broadcast(companions)};
  }
  template <std::size_t Parts>
  VEILSUM_INLINE void load_strided(constant (&x)[Parts], const word* values,
                                   const word* companions) {
    digit value[Parts], companion[Parts];
    Lane::load_strided(value, values);
    Lane::load_strided(companion, companions);
    VEILSUM_UNROLL
    for (std::size_t i = 0; i < Parts; ++i) x[i] = {value[i], companion[i]};
  }

  digit p, inverse, square;

 private:
  VEILSUM_METHOD digit reduce_product(sum t) const {
    Lane::divide_exact(t, inverse, p);
    return Lane::subtract_once(t, p);
  }
  VEILSUM_METHOD digit product(digit a, digit b) const {
    sum t = zero();
    Lane::multiply_add(t, a, b);
    return reduce_product(t);
  }
};

template <class LaneType>
struct narrow_field : digit_field<LaneType> {
  using base = digit_field<LaneType>;
  using Lane = LaneType;
  using digit = typename base::digit;
  using constant = typename base::constant;
  static constexpr std::size_t bits = Lane::digit_bits - 2;  // 4p must fit a digit
  static constexpr std::size_t tile_rows = 4;
  static constexpr std::size_t tile_vectors = 3;
  static constexpr std::size_t row_vectors = 6;

  explicit narrow_field(const prime& m) : base(m), twice(Lane::constant(2 * m.value)) {}

  // Below 4p to below 2p.
  VEILSUM_METHOD digit scale(digit x, const constant& w) const {
    return Lane::multiply_by(x, w.value, w.companion, this->p);
  }
  VEILSUM_METHOD digit canonical(digit x) const {
    return Lane::reduce_once(Lane::reduce_once(x, twice), this->p);
  }
  // Below 4p to below 4p.
  VEILSUM_METHOD void butterfly(digit& x, digit& y, const constant& w) const {
    const digit kept = Lane::reduce_once(x, twice), scaled = scale(y, w);
    x = Lane::add(kept, scaled);
    y = Lane::subtract_lazily(kept, scaled, twice);
  }
  // Below 2p to below 2p.
  VEILSUM_METHOD void inverse_butterfly(digit& x, digit& y, const constant& w) const {
    const digit difference = Lane::subtract_lazily(x, y, twice);
    x = Lane::reduce_once(Lane::add(x, y), twice);
    y = scale(difference, w);
  }
  // The last of an inverse: its root is 1, w the factor of both results. Canonical.
  VEILSUM_METHOD void last_butterfly(digit& x, digit& y, const constant& w) const {
    const digit difference = Lane::subtract_lazily(x, y, twice);
    x = canonical_product(Lane::add(x, y), w);
    y = canonical_product(difference, w);
  }

  digit twice;

 private:
  VEILSUM_METHOD digit canonical_product(digit x, const constant& w) const {
    return Lane::reduce_once(scale(x, w), this->p);
  }
};

// Canonical sums and differences.
template <class Lane, class Field>
class canonical_butterflies {
 public:
  using digit = typename Lane::digit;

  VEILSUM_INLINE digit canonical(digit x) { return x; }
  template <class Constant>
  VEILSUM_METHOD void butterfly(digit& x, digit& y, const Constant& w) const {
    const digit kept = x, scaled = self().scale(y, w);
    x = Lane::add_modulo(kept, scaled, self().p);
    y = Lane::subtract_modulo(kept, scaled, self().p);
  }
  template <class Constant>
  VEILSUM_METHOD void inverse_butterfly(digit& x, digit& y, const Constant& w) const {
    const digit difference = Lane::subtract_modulo(x, y, self().p);
    x = Lane::add_modulo(x, y, self().p);
    y = self().scale(difference, w);
  }
  template <class Constant>
  VEILSUM_METHOD void last_butterfly(digit& x, digit& y, const Constant& w) const {
    inverse_butterfly(x, y, w);
    x = self().scale(x, w);
  }

 private:
  friend Field;
  canonical_butterflies() = default;
  VEILSUM_METHOD const Field& self() const { return *static_cast<const Field*>(this); }
};

template <class LaneType>
struct word_field : digit_field<LaneType>, canonical_butterflies<LaneType, word_field<LaneType>> {
  using Lane = LaneType;
  using base = digit_field<LaneType>;
  using digit = typename base::digit;
  static constexpr std::size_t bits = 64;
  static constexpr std::size_t tile_rows = 2;
  static constexpr std::size_t tile_vectors = 1;
  static constexpr std::size_t row_vectors = 2;

  explicit word_field(const prime& m) : base(m) {}

  VEILSUM_METHOD digit scale(digit x, const typename base::constant& w) const {
    return Lane::multiply_by(x, w.value, w.companion, this->p);
  }
};

template <class LaneType>
struct wide_field : canonical_butterflies<LaneType, wide_field<LaneType>> {
  using Lane = LaneType;
  using digit = typename Lane::digit;
  using word = typename Lane::word;
  struct part {
    digit low, high;
  };
  // Of weights 1, 2^52 and 2^104.
  struct sum {
    digit low, mixed, high;
  };
  using constant = part;
  static constexpr std::size_t tile_rows = 4;
  static constexpr std::size_t tile_vectors = 2;
  static constexpr std::size_t row_vectors = 4;

  explicit wide_field(const prime& m)
      : p(Lane::constant(m.value)),
        p_parts(split(p)),
        inverse(Lane::constant(low_bits(0 - m.negative_inverse, Lane::digit_bits))),
        square(split(Lane::constant(m.square))),
        two(Lane::constant(2)),
        two_above(Lane::constant(std::uint64_t{2} << Lane::digit_bits)) {}

  VEILSUM_INLINE sum zero() { return {Lane::zero(), Lane::zero(), Lane::zero()}; }
  VEILSUM_INLINE part split(digit x) { return {Lane::factor(x), Lane::high_digit(x)}; }
  VEILSUM_INLINE void multiply_add(sum& t, const part& a, const part& b) {
    Lane::add_low(t.low, a.low, b.low);
    Lane::add_high(t.mixed, a.low, b.low);
    Lane::add_low(t.mixed, a.low, b.high);
    Lane::add_low(t.mixed, a.high, b.low);
    Lane::add_high(t.high, a.low, b.high);
    Lane::add_high(t.high, a.high, b.low);
    Lane::add_low(t.high, a.high, b.high);
  }
  VEILSUM_METHOD digit reduce(const sum& t) const {
    const digit mixed = Lane::add(t.mixed, Lane::high_digit(t.low));
    return divide({t.low, Lane::add(Lane::low_digit(mixed), two_above),
                   Lane::add(t.high, Lane::high_digit(mixed))});
  }
  VEILSUM_METHOD digit scale(digit x, const constant& w) const {
    sum t{Lane::zero(), two_above, Lane::zero()};
    multiply_add(t, split(x), w);
    return divide(t);
  }
  VEILSUM_METHOD digit multiply(digit a, digit b) const {
    return scale(scale(a, split(b)), square);
  }

  VEILSUM_INLINE constant broadcast(const word* values, const word*) {
    return split(Lane::broadcast(values));
  }
  template <std::size_t Parts>
  VEILSUM_INLINE void load_strided(constant (&x)[Parts], const word* values, const word*) {
    digit value[Parts];
    Lane::load_strided(value, values);
    VEILSUM_UNROLL
    for (std::size_t i = 0; i < Parts; ++i) x[i] = split(value[i]);
  }

  digit p;
  part p_parts;
  digit inverse;
  part square;
  digit two, two_above;

 private:
  // Takes the multiple of p from t that clears the two lowest digits; what is left above differs from it
  // by less than p. The low digits cancel and need no subtraction; the next ones have 2^53 lent, that
  // they stay positive, and what is taken above is as much more.
  VEILSUM_METHOD digit divide(const sum& t) const {
    digit q = Lane::low_product(t.low, inverse);
    digit taken = Lane::zero(), above = two, top = Lane::zero();
    Lane::add_high(taken, q, p_parts.low);
    Lane::add_low(taken, q, p_parts.high);
    Lane::add_high(above, q, p_parts.high);
    const digit mixed = Lane::subtract(t.mixed, taken);
    q = Lane::low_product(mixed, inverse);
    Lane::add_high(above, q, p_parts.low);
    Lane::add_low(above, q, p_parts.high);
    Lane::add_high(top, q, p_parts.high);
    return Lane::subtract_modulo(Lane::add(t.high, Lane::high_digit(mixed)),
                                 Lane::join(above, top, p), p);
  }
};

// ---- Arrays.

// A tile of the product stays in registers.
template <class Field, std::size_t Rows, std::size_t Vectors>
void matmul_tile(typename Field::word* const* out, const typename Field::word* weights,
                 std::size_t terms, const typename Field::word* const* values, std::size_t column,
                 const Field& f, bool stream) {
  using Lane = typename Field::Lane;
  typename Field::sum sum[Rows][Vectors];
  VEILSUM_UNROLL
  for (std::size_t i = 0; i < Rows; ++i) {
    VEILSUM_UNROLL
    for (std::size_t v = 0; v < Vectors; ++v) sum[i][v] = Field::zero();
  }
  for (std::size_t k = 0; k < terms; ++k) {
    typename Field::part value[Vectors];
    VEILSUM_UNROLL
    for (std::size_t v = 0; v < Vectors; ++v)
      value[v] = Field::split(Lane::load_unaligned(values[k] + column + v * Lane::lanes));
    VEILSUM_UNROLL
    for (std::size_t i = 0; i < Rows; ++i) {
      const typename Field::part weight = Field::split(Lane::broadcast(weights + i * terms + k));
      VEILSUM_UNROLL
      for (std::size_t v = 0; v < Vectors; ++v) Field::multiply_add(sum[i][v], value[v], weight);
    }
  }
  VEILSUM_UNROLL
  for (std::size_t i = 0; i < Rows; ++i) {
    VEILSUM_UNROLL
    for (std::size_t v = 0; v < Vectors; ++v) {
      const typename Field::digit residue = f.reduce(sum[i][v]);
      typename Field::word* place = out[i] + column + v * Lane::lanes;
      stream ? Lane::stream(place, residue) : Lane::store_unaligned(place, residue);
    }
  }
}

// All rows of one strip of columns, `Rows` at a time.
template <class Field, std::size_t Rows, std::size_t Vectors>
void matmul_strip(typename Field::word* const* out, const typename Field::word* weights,
                  std::size_t rows, std::size_t terms, const typename Field::word* const* values,
                  std::size_t column, const Field& f, bool stream) {
  std::size_t i = 0;
  for (; i + Rows <= rows; i += Rows)
    matmul_tile<Field, Rows, Vectors>(out + i, weights + i * terms, terms, values, column, f,
                                      stream);
  for (; i < rows; ++i)
    matmul_tile<Field, 1, Vectors>(out + i, weights + i * terms, terms, values, column, f, stream);
}

// Few rows have wider tiles: as many sums at once hide the latency of a multiplication.
template <class Field>
void field_matmul(typename Field::word* const* out, const typename Field::word* weights,
                  std::size_t rows, std::size_t terms, const typename Field::word* const* values,
                  std::size_t columns, const Field& f, bool stream) {
  using Lane = typename Field::Lane;
  constexpr std::size_t tile_width = Field::tile_vectors * Lane::lanes;
  constexpr std::size_t row_width = Field::row_vectors * Lane::lanes;
  std::size_t j = 0;
  if (rows < Field::tile_rows)
    for (; j + row_width <= columns; j += row_width)
      matmul_strip<Field, 1, Field::row_vectors>(out, weights, rows, terms, values, j, f, stream);
  for (; j + tile_width <= columns; j += tile_width)
    matmul_strip<Field, Field::tile_rows, Field::tile_vectors>(out, weights, rows, terms, values, j,
                                                               f, stream);
  for (; j < columns; j += Lane::lanes)
    matmul_strip<Field, Field::tile_rows, 1>(out, weights, rows, terms, values, j, f, stream);
  if (stream) Lane::finish_stream();
}

template <class Field>
void field_multiply(typename Field::word* out, const typename Field::word* a,
                    const typename Field::word* b, std::size_t count, const Field& f) {
  using Lane = typename Field::Lane;
  for (std::size_t j = 0; j < count; j += Lane::lanes)
    Lane::store_unaligned(out + j,
                          f.multiply(Lane::load_unaligned(a + j), Lane::load_unaligned(b + j)));
}

// Words from outside, of which nothing is secret but those that are residues.
template <class Lane>
std::size_t count_outside(const typename Lane::word* words, std::size_t count,
                          typename Lane::word p) {
  std::size_t outside = 0, j = 0;
  for (; j + Lane::lanes <= count; j += Lane::lanes)
    outside += Lane::count_not_less(Lane::load_unaligned(words + j), Lane::broadcast(&p));
  for (; j < count; ++j) outside += words[j] >= p ? 1 : 0;
  return outside;
}

template <class Field>
void field_scale(typename Field::word* out, const typename Field::word* a, std::size_t count,
                 const typename Field::constant& w, const Field& f) {
  using Lane = typename Field::Lane;
  for (std::size_t j = 0; j < count; j += Lane::lanes)
    Lane::store_unaligned(out + j, f.canonical(f.scale(Lane::load_unaligned(a + j), w)));
}

}  // namespace
}  // namespace veilsum::kernels
