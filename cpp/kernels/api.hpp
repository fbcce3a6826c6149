// The kernel table: raw pointers and sizes, and nothing else, cross into instruction-set-specific code.
//
// Lane memory. A kernel works on `lanes` numbers at once, each of `count` digits of `digit_bits` bits;
// digit d of lane l stands at x[d * lanes + l], at an address aligned to 64 bytes. Digits are normalised
// (below 2^digit_bits) on input and output. `count` is a multiple of `tile`.
//
// Montgomery bounds. R = 2^(digit_bits * count), and the caller chooses count so that R >= 2^16 * m.
// "Loose" means below 4m. multiply and square take two loose factors, or one factor below R and one
// below m, and give a value below 2m that is congruent to a * b / R. No secret reaches a branch or an
// address; pointers, counts and window sizes are public. r may be the same as a or b, never overlap.
#pragma once

#include <cstddef>
#include <cstdint>

namespace veilsum::kernels {

struct modulus {
  const std::uint64_t* digits;            // lane memory; each lane may have its own modulus, odd
  const std::uint64_t* negative_inverse;  // one digit a lane: -1/m mod 2^digit_bits
  std::size_t count;                      // digits a number
};

struct prime {
  std::uint64_t value;             // odd, below 2^field_bits
  std::uint64_t negative_inverse;  // -1/p mod 2^digit_bits
};

constexpr std::size_t maximum_window_bits = 6;
constexpr std::size_t maximum_field_terms = 1024;

struct table {
  const char* name;
  std::size_t lanes;
  std::size_t digit_bits;
  std::size_t tile;
  std::size_t field_bits;

  // r = a * b / R.  scratch: count * lanes words.
  void (*multiply)(std::uint64_t* r, const std::uint64_t* a, const std::uint64_t* b,
                   const modulus* m, std::uint64_t* scratch);

  // r = a * a / R.  scratch: count * lanes words.
  void (*square)(std::uint64_t* r, const std::uint64_t* a, const modulus* m,
                 std::uint64_t* scratch);

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

  // For each of `blocks` blocks of lanes, r = product over i of entries[i][window i]. The table is
  // shared by all lanes: digit d of entry j of window i stands at entries[(i * count + d) * 2^window_bits + j].
  // windows[(block * window_count + i) * lanes + l]. Entries are below m.
  // scratch: 2 * count * lanes words.
  void (*fixed_base)(std::uint64_t* r, const std::uint64_t* entries, const std::uint64_t* windows,
                     std::size_t window_count, std::size_t window_bits, std::size_t blocks,
                     const modulus* m, std::uint64_t* scratch);

  // out[i][j] = sum over k of weights[i][k] * values[k][j] / R^2 mod p, canonical, R = 2^digit_bits.
  // Rows lie `stride` words apart; `columns` is a multiple of lanes; terms <= maximum_field_terms.
  // Weights and values are canonical residues. No alignment is needed.
  void (*field_matmul)(std::uint64_t* out, std::size_t out_stride, const std::uint64_t* weights,
                       std::size_t rows, std::size_t terms, const std::uint64_t* values,
                       std::size_t values_stride, std::size_t columns, prime p);

  // out[j] = a[j] * b[j] mod p; radix4 = R^4 mod p; count is a multiple of lanes.
  void (*field_multiply)(std::uint64_t* out, const std::uint64_t* a, const std::uint64_t* b,
                         std::size_t count, prime p, std::uint64_t radix4);
};

extern const table portable;
#if defined(VEILSUM_X86_64)
extern const table avx512ifma;
bool cpu_has_avx512ifma();
#endif

}  // namespace veilsum::kernels
