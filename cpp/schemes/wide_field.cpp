#include "schemes/wide_field.hpp"

#include <algorithm>
#include <utility>

#include "common/constant_time.hpp"
#include "schemes/modular.hpp"
#include "schemes/parallel.hpp"

namespace veilsum::schemes {
namespace {

// Products below 2p that may be added up before their sum reaches R, which is 2^16 p or more.
constexpr std::size_t maximum_sum = std::size_t{1} << 14;

// Block products that are worth a thread.
constexpr std::size_t thread_products = 1024;

std::size_t ceil_divide(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

}  // namespace

void wide_field::add(view<word> r, view<const word> a, view<const word> b) const {
  const std::size_t width = limbs();
  secret_words sum(width), reduced(width);
  for (std::size_t i = 0; i < r.size; i += width) {
    const word carry = add_words(sum, a.slice(i, width), b.slice(i, width));
    const word borrow = subtract_words(reduced, sum, modulus_.value());
    select_words(r.slice(i, width), common::mask_from_bit(borrow & (1 - carry)), sum, reduced);
  }
}

void wide_field::subtract(view<word> r, view<const word> a, view<const word> b) const {
  const std::size_t width = limbs();
  secret_words difference(width), raised(width);
  for (std::size_t i = 0; i < r.size; i += width) {
    const word borrow = subtract_words(difference, a.slice(i, width), b.slice(i, width));
    add_words(raised, difference, modulus_.value());
    select_words(r.slice(i, width), common::mask_from_bit(borrow), raised, difference);
  }
}

void wide_field::multiply(view<word> r, view<const word> a, view<const word> b,
                          std::size_t threads) const {
  const std::size_t lanes = modulus_.kernel().lanes, width = limbs(), count = r.size / width;
  const auto work = [&](std::size_t begin, std::size_t end) {
    secret_words x(modulus_.block_size()), y(x), scratch(modulus_.scratch_size());
    for (std::size_t first = begin * lanes; first < std::min(end * lanes, count); first += lanes) {
      const std::size_t used = std::min(lanes, count - first);
      for (std::size_t l = 0; l < used; ++l) {
        modulus_.set_lane(x.data(), l, a.slice((first + l) * width, width));
        modulus_.set_lane(y.data(), l, b.slice((first + l) * width, width));
      }
      modulus_.multiply(x.data(), x.data(), y.data(), scratch.data());
      modulus_.enter(x.data(), x.data(), scratch.data());
      modulus_.reduce(x.data(), x.data());
      for (std::size_t l = 0; l < used; ++l)
        modulus_.get_lane(r.slice((first + l) * width, width), x.data(), l);
    }
  };
  parallel_for(ceil_divide(count, lanes), thread_products / 4, threads, work);
}

void wide_field::power(view<word> residues, view<const word> exponent, std::size_t threads) const {
  powers(residues, modulus_, exponent, threads);
}

secret_words wide_field::digits_of(const matrix<const word>& left, std::size_t rows,
                                   std::size_t terms) const {
  const std::size_t count = modulus_.digit_count(), bits = modulus_.kernel().digit_bits;
  secret_words digits(rows * terms * count);
  word* next = digits.data();
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t k = 0; k < terms; ++k)
      for (std::size_t d = 0; d < count; ++d)
        *next++ = extract_bits(element(left, i, k), d * bits, bits);
  return digits;
}

void wide_field::sum_products(word* sum, const word* digits, const word* values, std::size_t terms,
                              word* scratch) const {
  const std::size_t lanes = modulus_.kernel().lanes, count = modulus_.digit_count();
  word *factor = scratch, *inner = scratch + modulus_.block_size();
  std::fill_n(sum, modulus_.block_size(), word{0});
  for (std::size_t k = 0; k < terms; ++k) {
    if (k % maximum_sum == maximum_sum - 1) modulus_.multiply(sum, sum, modulus_.one(), inner);
    for (std::size_t d = 0; d < count; ++d)
      std::fill_n(factor + d * lanes, lanes, digits[k * count + d]);
    modulus_.multiply(factor, factor, values + k * modulus_.block_size(), inner);
    modulus_.add(sum, sum, factor);
  }
}

void wide_field::multiply_columns(const matrix<word>& out, const secret_words& left,
                                  std::size_t rows, std::size_t terms,
                                  const matrix<const word>& right, std::size_t columns,
                                  std::size_t begin, std::size_t end) const {
  const std::size_t lanes = modulus_.kernel().lanes, size = modulus_.block_size();
  secret_words values(terms * size), sum(size), scratch(size + modulus_.scratch_size());
  for (std::size_t first = begin * lanes; first < std::min(end * lanes, columns); first += lanes) {
    const std::size_t used = std::min(lanes, columns - first);
    for (std::size_t k = 0; k < terms; ++k)
      for (std::size_t l = 0; l < used; ++l)
        modulus_.set_lane(values.data() + k * size, l, element(right, k, first + l));
    for (std::size_t i = 0; i < rows; ++i) {
      const word* digits = left.data() + i * terms * modulus_.digit_count();
      sum_products(sum.data(), digits, values.data(), terms, scratch.data());
      modulus_.enter(sum.data(), sum.data(), scratch.data());
      modulus_.reduce(sum.data(), sum.data());
      for (std::size_t l = 0; l < used; ++l)
        modulus_.get_lane(element(out, i, first + l), sum.data(), l);
    }
  }
}

void wide_field::matmul(view<word> out, view<const word> weights, std::size_t rows,
                        std::size_t terms, view<const word> values, std::size_t columns,
                        std::size_t threads) const {
  const std::size_t width = limbs();
  matrix<word> product{out.data, columns * width, width};
  matrix<const word> left{weights.data, terms * width, width};
  matrix<const word> right{values.data, columns * width, width};
  if (rows > columns) {  // the lanes take the longer side
    product = product.transposed();
    left = std::exchange(right, left.transposed()).transposed();
    std::swap(rows, columns);
  }
  const secret_words digits = digits_of(left, rows, terms);
  parallel_for(ceil_divide(columns, modulus_.kernel().lanes),
               1 + thread_products / (1 + rows * terms), threads,
               [&](std::size_t begin, std::size_t end) {
                 multiply_columns(product, digits, rows, terms, right, columns, begin, end);
               });
}

void wide_field::mark_outside(view<std::uint8_t> flags, view<const word> numbers) const {
  for (std::size_t i = 0; i < flags.size; ++i) {
    const word inside = less_mask(numbers.slice(i * limbs(), limbs()), modulus_.value());
    flags[i] = static_cast<std::uint8_t>(1 - (inside & 1));
  }
}

}  // namespace veilsum::schemes
