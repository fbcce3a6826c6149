#include "schemes/cipher_vector.hpp"

#include <algorithm>
#include <stdexcept>

#include "common/constant_time.hpp"
#include "schemes/parallel.hpp"
#include "schemes/products.hpp"

namespace veilsum::schemes {
namespace {

// A table of 2^w entries pays for itself with long exponents only.
std::size_t scalar_window_bits(std::size_t bits) {
  return bits <= 16 ? 2 : bits <= 64 ? 3 : bits <= 512 ? 4 : 5;
}

// Terms of one multi-exponentiation: more would gain little and hold more memory.
constexpr std::size_t terms_together = 4096;
constexpr std::size_t fewest_terms_a_thread = 64;

}  // namespace

cipher_vector::cipher_vector(const dual_modulus& n, std::size_t count) : m_(&n), count_(count) {
  if (count > data_.max_size() / n.block_size()) throw std::length_error("too many ciphertexts");
  data_.resize(blocks() * n.block_size());
  for (std::size_t b = 0; b < blocks(); ++b) std::copy_n(n.one(), n.block_size(), block(b));
}

cipher_vector cipher_vector::multiply(const cipher_vector& other, std::size_t threads) const {
  cipher_vector result(*m_, count_);
  parallel_for(blocks(), 64, threads, [&](std::size_t begin, std::size_t end) {
    secret_words scratch(m_->scratch_size());
    for (std::size_t b = begin; b < end; ++b)
      m_->multiply(result.block(b), block(b), other.block(b), scratch.data());
  });
  return result;
}

cipher_vector cipher_vector::power(view<const word> exponents, std::size_t limbs, std::size_t bits,
                                   std::size_t threads) const {
  cipher_vector result(*m_, count_);
  const std::size_t width = scalar_window_bits(bits), count = window_count(bits, width);
  const std::size_t stride = exponents.size == limbs ? 0 : limbs;
  parallel_for(blocks(), 1, threads, [&](std::size_t begin, std::size_t end) {
    secret_words scratch(m_->power_scratch_size(width));
    secret_words windows(count * lanes());
    for (std::size_t b = begin; b < end; ++b) {
      std::fill(windows.begin(), windows.end(), 0);
      for (std::size_t l = 0; l < lanes() && b * lanes() + l < count_; ++l)
        write_windows(windows.data() + l, lanes(),
                      exponents.slice((b * lanes() + l) * stride, limbs), count, width);
      m_->power(result.block(b), block(b), windows, width, scratch.data());
    }
  });
  return result;
}

cipher_vector cipher_vector::select(view<const word> masks, const cipher_vector& chosen) const {
  cipher_vector result(*m_, count_);
  const std::size_t size = m_->block_size();
  for (std::size_t b = 0; b < blocks(); ++b)
    for (std::size_t i = 0; i < size; ++i) {
      const std::size_t element = b * lanes() + i % lanes();
      const word mask = element < count_ ? masks[element] : 0;
      result.block(b)[i] = common::select(mask, chosen.block(b)[i], block(b)[i]);
    }
  return result;
}

void cipher_vector::set(std::size_t to, const cipher_vector& source, std::size_t from) {
  const word* x = source.block(from / lanes()) + from % lanes();
  word* y = block(to / lanes()) + to % lanes();
  for (std::size_t d = 0; d < m_->block_size(); d += lanes()) y[d] = x[d];
}

cipher_vector cipher_vector::gather(view<const std::int64_t> indices) const {
  cipher_vector result(*m_, indices.size);
  for (std::size_t i = 0; i < indices.size; ++i)
    result.set(i, *this, static_cast<std::size_t>(indices[i]));
  return result;
}

cipher_vector cipher_vector::append(const cipher_vector& other) const {
  cipher_vector result(*m_, count_ + other.count_);
  std::copy(data_.begin(), data_.end(), result.data_.begin());
  for (std::size_t i = 0; i < other.count_; ++i) result.set(count_ + i, other, i);
  return result;
}

cipher_vector cipher_vector::weigh_vartime(std::size_t rows, const weight_matrix& weights,
                                           std::size_t threads) const {
  const std::size_t outputs = rows * weights.columns;
  cipher_vector result(*m_, outputs);
  const std::size_t slices = std::max<std::size_t>(
      (weights.inner + terms_together - 1) / terms_together,
      result.blocks() == 1
          ? std::min(usable_threads(threads), weights.inner / fewest_terms_a_thread + 1)
          : 1);
  std::vector<cipher_vector> partial(slices, result);
  parallel_for(slices * result.blocks(), 1, threads, [&](std::size_t begin, std::size_t end) {
    std::vector<std::size_t> row(lanes()), column(lanes());
    for (std::size_t job = begin; job < end; ++job) {
      const std::size_t slice = job % slices, b = job / slices;
      const std::size_t used = std::min(lanes(), outputs - b * lanes());
      for (std::size_t l = 0; l < used; ++l) {
        row[l] = (b * lanes() + l) / weights.columns;
        column[l] = (b * lanes() + l) % weights.columns;
      }
      weigh_block_vartime(partial[slice].block(b), *this, row.data(), column.data(), used, weights,
                          weights.inner * slice / slices, weights.inner * (slice + 1) / slices);
    }
  });
  for (const cipher_vector& part : partial) result = result.multiply(part, threads);
  return result;
}

words cipher_vector::lane_products() const {
  secret_words product(m_->one(), m_->one() + m_->block_size()), scratch(m_->scratch_size());
  for (std::size_t b = 0; b < blocks(); ++b)
    m_->multiply(product.data(), product.data(), block(b), scratch.data());
  m_->leave(product.data(), product.data(), scratch.data());
  words rows(lanes() * m_->word_count());
  for (std::size_t l = 0; l < lanes(); ++l)
    m_->get_lane(view<word>(rows).slice(l * m_->word_count(), m_->word_count()), product.data(), l);
  return rows;
}

cipher_vector cipher_vector::invert(view<const word> lane_inverses) const {
  cipher_vector before(*m_, count_), result(*m_, count_);
  secret_words running(m_->one(), m_->one() + m_->block_size()), scratch(m_->scratch_size());
  secret_words inverse(m_->block_size()), stage(m_->block_size());
  for (std::size_t b = 0; b < blocks(); ++b) {
    std::copy(running.begin(), running.end(), before.block(b));
    m_->multiply(running.data(), running.data(), block(b), scratch.data());
  }
  for (std::size_t l = 0; l < lanes(); ++l)
    m_->set_lane(stage.data(), 2, l, lane_inverses.slice(l * m_->word_count(), m_->word_count()));
  m_->enter(inverse.data(), stage.data(), 2, scratch.data());
  for (std::size_t b = blocks(); b-- > 0;) {
    m_->multiply(result.block(b), inverse.data(), before.block(b), scratch.data());
    m_->multiply(inverse.data(), inverse.data(), block(b), scratch.data());
  }
  return result;
}

void cipher_vector::to_words(view<word> rows, std::size_t threads) const {
  const std::size_t width = m_->word_count();
  parallel_for(blocks(), 16, threads, [&](std::size_t begin, std::size_t end) {
    secret_words x(m_->block_size()), scratch(m_->scratch_size());
    for (std::size_t b = begin; b < end; ++b) {
      m_->leave(x.data(), block(b), scratch.data());
      for (std::size_t l = 0; l < lanes() && b * lanes() + l < count_; ++l)
        m_->get_lane(rows.slice((b * lanes() + l) * width, width), x.data(), l);
    }
  });
}

bool cipher_vector::in_range_vartime(const dual_modulus& n, view<const word> rows) {
  const std::size_t width = n.word_count();
  for (std::size_t i = 0; i < rows.size; i += width) {
    const view<const word> row = rows.slice(i, width);
    if (bit_length_vartime(row) == 0 || less_mask(row, n.squared()) == 0) return false;
  }
  return true;
}

cipher_vector cipher_vector::from_words(const dual_modulus& n, view<const word> rows,
                                        std::size_t threads) {
  const std::size_t width = n.word_count();
  cipher_vector result(n, rows.size / width);
  const words unit{1};
  parallel_for(result.blocks(), 16, threads, [&](std::size_t begin, std::size_t end) {
    secret_words stage(n.block_size()), scratch(n.scratch_size());
    for (std::size_t b = begin; b < end; ++b) {
      for (std::size_t l = 0; l < result.lanes(); ++l) {
        const std::size_t i = b * result.lanes() + l;
        n.set_lane(stage.data(), 2, l, i < result.size() ? rows.slice(i * width, width) : unit);
      }
      n.enter(result.block(b), stage.data(), 2, scratch.data());
    }
  });
  return result;
}

}  // namespace veilsum::schemes
