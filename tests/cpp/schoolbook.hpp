// Arithmetic modulo one number, a bit at a time: what the kernels are compared with.
#pragma once

#include <cstddef>
#include <utility>

#include "schemes/integer.hpp"

namespace veilsum::tests {

using schemes::product;
using schemes::secret_words;
using schemes::view;
using schemes::word;

inline secret_words sum(view<const word> a, view<const word> b) {
  secret_words r((a.size > b.size ? a.size : b.size) + 1);
  schemes::add_words(r, a, b);
  return r;
}

// a - b, as long as a.
inline secret_words difference(view<const word> a, view<const word> b) {
  secret_words r(a.size);
  schemes::subtract_words(r, a, b);
  return r;
}

inline secret_words power_of_two(std::size_t exponent) {
  secret_words r(exponent / 64 + 1, 0);
  r.back() = word{1} << (exponent % 64);
  return r;
}

class schoolbook {
 public:
  // modulus: its last word is not 0.
  explicit schoolbook(secret_words modulus) : m_(std::move(modulus)) {}

  const secret_words& modulus() const { return m_; }

  secret_words residue(view<const word> x) const {
    secret_words r(m_.size(), 0), reduced(m_.size());
    // The highest words, one fewer than the modulus has, are below it.
    const std::size_t given = m_.size() - 1 < x.size ? m_.size() - 1 : x.size;
    for (std::size_t i = 0; i < given; ++i) r[i] = x[x.size - given + i];
    for (std::size_t bit = 64 * (x.size - given); bit-- > 0;) {
      const word carry = schemes::add_words(r, r, r);
      r[0] |= schemes::extract_bits(x, bit, 1);
      const word borrow = schemes::subtract_words(reduced, r, m_);
      if (carry != 0 || borrow == 0) r.swap(reduced);
    }
    return r;
  }
  secret_words times(view<const word> a, view<const word> b) const {
    return residue(product(a, b));
  }
  secret_words minus(view<const word> a, view<const word> b) const {
    return residue(difference(sum(residue(a), m_), residue(b)));
  }
  secret_words power(view<const word> base, view<const word> exponent) const {
    secret_words r = residue(secret_words{1});
    for (std::size_t bit = schemes::bit_length_vartime(exponent); bit-- > 0;) {
      r = times(r, r);
      if (schemes::extract_bits(exponent, bit, 1) != 0) r = times(r, base);
    }
    return r;
  }

 private:
  secret_words m_;
};

// A number of which R^power times itself is known: schoolbooks do not divide by R.
struct scaled {
  secret_words value;
  std::size_t power;
};

// Numbers in Montgomery form, R = 2^radix_bits.
class montgomery_schoolbook : public schoolbook {
 public:
  montgomery_schoolbook(secret_words modulus, std::size_t radix_bits)
      : schoolbook(std::move(modulus)), radix_(power_of_two(radix_bits)) {}

  const secret_words& radix() const { return radix_; }

  // x y / R
  scaled montgomery_product(const scaled& x, const scaled& y) const {
    return {times(x.value, y.value), x.power + y.power + 1};
  }
  bool same(const scaled& x, const scaled& y) const {
    if (x.power > y.power) return same(y, x);
    const secret_words ratio = power(radix_, secret_words{y.power - x.power});
    return times(x.value, ratio) == residue(y.value);
  }

 private:
  secret_words radix_;
};

// Modulo m^2, as kernels know it (kernels/dual.inl.hpp, kernels/api.hpp).
class dual_schoolbook : public montgomery_schoolbook {
 public:
  dual_schoolbook(const secret_words& m, std::size_t radix_bits)
      : montgomery_schoolbook(product(m, m), radix_bits), half_(m) {}

  const secret_words& half() const { return half_; }

  // a - (b / R) m
  scaled dual_number(view<const word> a, view<const word> b) const {
    return {minus(product(radix(), a), product(half_, b)), 1};
  }
  // 1 - (c / R^2) m
  scaled logarithm(view<const word> c) const {
    return {minus(product(radix(), radix()), product(half_, c)), 2};
  }

 private:
  secret_words half_;
};

}  // namespace veilsum::tests
