// Reed-Solomon decoding at arbitrary points: which values of a polynomial were altered.
//
// A word is the values of a polynomial of degree below `dimension` at the points, some altered. Its
// syndromes, weighted power sums S_n = sum of v_i x_i^n y_i, vanish on every polynomial's values, so that
// they show the errors alone; the errors' points are the roots of the shortest recurrence that the syndromes
// obey. Sources: Massey, "Shift-register synthesis and BCH decoding", 1969; for several words with errors at
// the same points Feng and Tzeng, "A generalization of the Berlekamp-Massey algorithm for multisequence
// shift-register synthesis", 1991, and Schmidt, Sidorenko and Bossert, "Collaborative decoding of
// interleaved Reed-Solomon codes and concatenated code designs", 2009.
#pragma once

#include <cstdint>

#include "common/constant_time.hpp"
#include "schemes/field.hpp"

namespace veilsum::schemes {

// One residue at a time, modulo an odd p. Products lack a factor of 2^64: sums of products of equally many
// factors are right but for a power of it, and whole where one factor of each has entered.
class scalar_field {
 public:
  explicit scalar_field(word p)
      : p_(p), inverse_(0 - negative_inverse(p)), square_(power_of_two(128, words{p})[0]) {}

  word times(word a, word b) const {
    const wide product = static_cast<wide>(a) * b;
    const word quotient = static_cast<word>(product) * inverse_;
    const word taken = static_cast<word>(static_cast<wide>(quotient) * p_ >> 64);
    return minus(static_cast<word>(product >> 64), taken);
  }
  word minus(word a, word b) const { return a - b + (p_ & (0 - common::is_less(a, b))); }
  word plus(word a, word b) const { return p_ - b > a ? a + b : a - (p_ - b); }
  // a * 2^64
  word entered(word a) const { return times(a, square_); }

 private:
  __extension__ typedef unsigned __int128 wide;

  word p_, inverse_, square_;
};

class reed_solomon {
 public:
  // points: distinct residues; 1 <= dimension <= points.size.
  reed_solomon(const prime_field& field, view<const word> points, std::size_t dimension);

  std::size_t length() const { return points_.size(); }
  std::size_t redundancy() const { return redundancy_; }

  // received (length x count): one in each column. For each, errors (count x length) has 1 at the altered
  // places, and decoded[word] is 1; or 0, and no errors, where no polynomial differs in at most `most`
  // <= redundancy() / 2 places. Another polynomial would differ in more: the answer is no guess.
  void locate_vartime(view<std::uint8_t> errors, view<std::uint8_t> decoded,
                      view<const word> received, std::size_t count, std::size_t most,
                      std::size_t threads) const;

  // The fewest places, at most `most` <= redundancy(), where altering makes every word the values of a
  // polynomial. False, and no errors, where no recurrence, or not one alone, is the shortest. Up to
  // redundancy() / 2 errors are always found; up to count * redundancy() / (count + 1) are for almost
  // all independent errors; others may be made to look like errors elsewhere.
  bool locate_together_vartime(view<std::uint8_t> errors, view<const word> received,
                               std::size_t count, std::size_t most, std::size_t threads) const;

 private:
  // Of each word (count x redundancy).
  secret_words syndromes(view<const word> received, std::size_t count, std::size_t threads) const;
  bool mark_roots_vartime(view<std::uint8_t> errors, view<const word> locator) const;

  prime_field field_;
  scalar_field scalars_;
  words points_, entered_points_, weights_;
  std::size_t redundancy_;
};

}  // namespace veilsum::schemes
