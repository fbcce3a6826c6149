// The kernel table: raw pointers and sizes, and nothing else, cross into instruction-set-specific code.
//
// Lane memory. A kernel works on `lanes` numbers at once, each of `count` digits of `digit_bits` bits;
// digit d of lane l stands at x[d * lanes + l], at an address aligned to 64 bytes. Digits are normalised
// (below 2^digit_bits) on input and output. `count` is a multiple of one of the `tiles`.
//
// Montgomery bounds. R = 2^(digit_bits * count), and the caller chooses count so that R >= 2^16 * m.
// "Loose" means below 4m. multiply and square take two loose factors, or one factor below R and one
// below m, and give a value below 2m that is congruent to a * b / R; in general a * b up to k m R gives
// a value below (k + 1) m. No secret reaches a branch or an
// address; pointers, counts and window sizes are public. r may be the same as a or b, never overlap.
//
// Dual numbers. Modulo m^2 a number is a pair of numbers of `count` digits, (a, b) = a - (b / R) m, one
// behind the other: 2 * count * lanes words (kernels/dual.inl.hpp says why and within which bounds). Dual
// functions take a loose (or one a below R and a factor of halves below m) and b below R; they give a
// below 2m and b below R/2 + 11m, congruent to x * y / R modulo m^2.
#pragma once

#include <cstddef>
#include <cstdint>

namespace veilsum::kernels {

struct modulus {
  const std::uint64_t* digits;               // lane memory; each lane may have its own modulus, odd
  const std::uint64_t* negative_inverse;     // one digit a lane: -1/m mod 2^digit_bits
  const std::uint64_t* half_radix_multiple;  // lane memory: the largest multiple of m up to R/2
  std::size_t count;                         // digits a number
};

// Powers of one base for `tables` * `levels` windows, shared by all lanes: digit d of entry j of table t
// stands at entries[(t * 2 * count + d) * 2^window_bits + j]. The first `count` digits are an integer
// a < 2m, the others c < m, and the entry is a (1 - (c / R^2) m) modulo m^2: a logarithm modulo m, which
// products of entries add up. `tables` is even; with `spread` there is one block; window_bits is the
// kernel's fixed_base_bits.
struct fixed_base {
  const std::uint64_t* entries;
  std::size_t window_bits;
  std::size_t tables;  // that a lane goes through on each level
  std::size_t levels;
  bool spread;  // lane l takes table t * lanes + l instead of t: its share of one number's power
};

// Residues modulo p are canonical (below p) on input and output. S is 2^digit_bits for p below
// 2^field_bits, and 2^(2 * digit_bits) for larger ones.
struct prime {
  std::uint64_t value;             // odd
  std::uint64_t negative_inverse;  // -1/p mod 2^64
  std::uint64_t square;            // S^2 mod p
};

// What many residues are multiplied by.
struct factor {
  std::uint64_t value;      // w S mod p
  std::uint64_t companion;  // value / p mod 2^digit_bits
};

// The factors of a transform, or those of its inverse. With w_n a root of order n, w_(2n)^2 = w_n, place
// 2^j + b for b < 2^j has the factor w_(2^(j+2))^(2 rev(b) + 1), rev reversing j bits; place 0 has 1.
struct roots {
  const std::uint64_t* values;
  const std::uint64_t* companions;
};

constexpr std::size_t maximum_window_bits = 6;
constexpr std::size_t maximum_fixed_base_bits = 8;
constexpr std::size_t maximum_blocks = 16;
constexpr std::size_t maximum_field_terms = 1024;

struct table {
  const char* name;
  std::size_t lanes;
  std::size_t digit_bits;
  std::size_t tiles[2];
  std::size_t field_bits;       // of the primes whose residues are one digit
  std::size_t fixed_base_bits;  // the window with which fixed_base_power is fastest

  // r = a * b / R.  q (count * lanes words) receives the quotient: a * b + q * m = r * R, so that (r, q)
  // is the dual number of the product of the exact integers a and b.
  void (*multiply)(std::uint64_t* r, const std::uint64_t* a, const std::uint64_t* b,
                   const modulus* m, std::uint64_t* q);

  // r = a * a / R, and its quotient.
  void (*square)(std::uint64_t* r, const std::uint64_t* a, const modulus* m, std::uint64_t* q);

  // r = a + b without reduction; the sum must stay below R.
  void (*add)(std::uint64_t* r, const std::uint64_t* a, const std::uint64_t* b, std::size_t count);

  // r = a mod m for a < 2m, canonical.
  void (*reduce)(std::uint64_t* r, const std::uint64_t* a, const modulus* m);

  // r = base^e in Montgomery form; one = R mod m. windows[i * lanes + l] is window i of lane l's
  // exponent, most significant first, each below 2^window_bits. base may be loose.
  // scratch: (2^window_bits + 2) * count * lanes words.
  void (*power)(std::uint64_t* r, const std::uint64_t* base, const std::uint64_t* one,
                const std::uint64_t* windows, std::size_t window_count, std::size_t window_bits,
                const modulus* m, std::uint64_t* scratch);

  // r = x * y / R, r = x * x / R and r = x * a / R modulo m^2, where a is an exact integer.
  // scratch: 2 * count * lanes words.
  void (*dual_multiply)(std::uint64_t* r, const std::uint64_t* x, const std::uint64_t* y,
                        const modulus* m, std::uint64_t* scratch);
  void (*dual_square)(std::uint64_t* r, const std::uint64_t* x, const modulus* m,
                      std::uint64_t* scratch);
  void (*dual_scale)(std::uint64_t* r, const std::uint64_t* x, const std::uint64_t* a,
                     const modulus* m, std::uint64_t* scratch);

  // power for dual numbers.  scratch: 2 * (2^window_bits + 2) * count * lanes words.
  void (*dual_power)(std::uint64_t* r, const std::uint64_t* base, const std::uint64_t* one,
                     const std::uint64_t* windows, std::size_t window_count,
                     std::size_t window_bits, const modulus* m, std::uint64_t* scratch);

  // For each of `blocks` <= maximum_blocks blocks of lanes a product P of entries, the windows of each
  // level after squaring what came before. r: dual numbers; logarithms: sums c of c's, count digits, so
  // that P = r (1 - (c / R^2) m). windows[((block * levels + level) * tables + t) * lanes + l].
  // scratch: (3 * blocks + 4) * count * lanes words.
  void (*fixed_base_power)(std::uint64_t* r, std::uint64_t* logarithms, const fixed_base* base,
                           const std::uint64_t* windows, std::size_t blocks, const modulus* m,
                           std::uint64_t* scratch);

  // out[i][j] = sum over k of weights[i * terms + k] * values[k][j] / 2^(2 * digit_bits) mod p.
  // `columns` is a multiple of lanes; terms <= maximum_field_terms. No alignment is needed, but 64 bytes
  // for rows of out that are streamed past the caches.
  void (*field_matmul)(std::uint64_t* const* out, const std::uint64_t* weights, std::size_t rows,
                       std::size_t terms, const std::uint64_t* const* values, std::size_t columns,
                       const prime* p, bool stream);

  // out[j] = a[j] * b[j] mod p and out[j] = a[j] * w mod p; count is a multiple of lanes.
  void (*field_multiply)(std::uint64_t* out, const std::uint64_t* a, const std::uint64_t* b,
                         std::size_t count, const prime* p);
  void (*field_scale)(std::uint64_t* out, const std::uint64_t* a, std::size_t count, factor w,
                      const prime* p);

  // out[(i * vector_count + j) * lanes + l] = sum of rows[i][k] * vectors[j][k] / 2^(2 * digit_bits) mod p
  // over the k that are l modulo lanes. `columns` is a multiple of lanes, at most lanes *
  // maximum_field_terms. No alignment is needed.
  void (*field_dot)(std::uint64_t* out, const std::uint64_t* const* rows, std::size_t row_count,
                    const std::uint64_t* const* vectors, std::size_t vector_count,
                    std::size_t columns, const prime* p);

  // How many words are p or more.
  std::size_t (*count_outside)(const std::uint64_t* words, std::size_t count, std::uint64_t p);

  // Copies rows of `columns` words past the caches. columns is a multiple of lanes, and the rows of out
  // are aligned to 64 bytes.
  void (*stream_rows)(std::uint64_t* const* out, const std::uint64_t* const* in, std::size_t rows,
                      std::size_t columns);

  // Of n elements, a power of two, of `width` words: each column alike, in place. Word c of element i
  // becomes sum over j of word c of element j times w_n^(j rev(i)), rev reversing the bits of i; the
  // inverse takes it back, with scale the factor of 1/n. width is a multiple of lanes, or it is 1 and n
  // at least lanes^2. Roots: n/2 of them. No alignment is needed.
  void (*transform)(std::uint64_t* a, std::size_t n, std::size_t width, roots r, const prime* p);
  void (*inverse_transform)(std::uint64_t* a, std::size_t n, std::size_t width, roots r,
                            factor scale, const prime* p);

  // The same in natural order, from one array to another: out[i] = scale * sum over j of in[j] w_n^(ij),
  // and with the roots of inverse_transform w_n^(-ij). n is at least lanes^3.
  void (*transform_in_order)(std::uint64_t* out, const std::uint64_t* in, std::size_t n, roots r,
                             factor scale, const prime* p);
};

extern const table portable;
#if defined(VEILSUM_X86_64)
extern const table avx512ifma;
bool cpu_has_avx512ifma();
#endif

}  // namespace veilsum::kernels
