#include "schemes/paillier.hpp"

#include <algorithm>

#include "common/constant_time.hpp"
#include "schemes/parallel.hpp"

namespace veilsum::schemes {
namespace {

constexpr std::size_t encryption_window_bits = 5;
constexpr std::size_t decryption_window_bits = 5;
constexpr std::size_t scalar_window_bits = 4;
// Blocks that share one pass over the table of h_s, which is larger than the nearest caches.
constexpr std::size_t blocks_together = 8;

secret_words squared(view<const word> a) {
  secret_words r(2 * a.size);
  multiply_words(r, a, a);
  return r;
}

secret_words product(view<const word> a, view<const word> b) {
  secret_words r(a.size + b.size);
  multiply_words(r, a, b);
  return r;
}

// 1/a mod 2^(64 * size) for odd a, doubling the correct words by Newton's iteration.
secret_words inverse_of_odd(view<const word> a) {
  secret_words x(a.size, 0), ax(a.size), next(a.size);
  x[0] = 0 - negative_inverse(a[0]);
  for (std::size_t correct = 1; correct < a.size; correct *= 2) {
    multiply_words(ax, a, x);
    negate_words(ax, ~word{0});
    add_words(ax, ax, words{2});
    multiply_words(next, x, ax);
    std::swap(x, next);
  }
  return x;
}

}  // namespace

// ---- Public key

paillier_public_key::paillier_public_key(const kernels::table& kernel, view<const word> n,
                                         view<const word> h_s, std::size_t exponent_bits)
    : n_(n.begin(), n.end()),
      n_squared_(kernel, squared(n)),
      exponent_bits_(exponent_bits),
      window_count_(window_count(exponent_bits, encryption_window_bits)) {
  make_entries(h_s);
}

void paillier_public_key::make_entries(view<const word> h_s) {
  const std::size_t entry_count = std::size_t{1} << encryption_window_bits;
  const std::size_t digits = n_squared_.digit_count(), lanes = n_squared_.kernel().lanes;
  secret_words scratch(n_squared_.scratch_size()), chain(n_squared_.block_size());
  secret_words base(n_squared_.block_size()), entry(n_squared_.block_size());
  entries_.assign(window_count_ * digits * entry_count, 0);
  n_squared_.set_all_lanes(chain.data(), h_s);
  n_squared_.enter(chain.data(), chain.data(), scratch.data());

  for (std::size_t first = 0; first < window_count_; first += lanes) {
    const std::size_t used = std::min(lanes, window_count_ - first);
    // Lane l takes h_s^(2^(window_bits * (first + l))).
    for (std::size_t l = 0; l < used; ++l) {
      for (std::size_t d = 0; d < digits; ++d) base[d * lanes + l] = chain[d * lanes];
      for (std::size_t s = 0; s < encryption_window_bits; ++s)
        n_squared_.multiply(chain.data(), chain.data(), chain.data(), scratch.data());
    }
    std::copy_n(n_squared_.one(), entry.size(), entry.begin());
    for (std::size_t j = 0; j < entry_count; ++j) {
      secret_words stored(entry.size());
      n_squared_.reduce(stored.data(), entry.data());
      if (first == 0) {
        // One more factor R in the first window makes up for the one that the message's product divides by.
        secret_words extra(entry.size());
        n_squared_.enter(extra.data(), entry.data(), scratch.data());
        n_squared_.reduce(extra.data(), extra.data());
        for (std::size_t d = 0; d < digits; ++d) stored[d * lanes] = extra[d * lanes];
      }
      for (std::size_t l = 0; l < used; ++l)
        for (std::size_t d = 0; d < digits; ++d)
          entries_[((first + l) * digits + d) * entry_count + j] = stored[d * lanes + l];
      n_squared_.multiply(entry.data(), entry.data(), base.data(), scratch.data());
    }
  }
}

void paillier_public_key::message_factor(view<word> r, view<const word> m) const {
  const word negative = common::mask_from_bit(m[m.size - 1] >> 63);
  secret_words magnitude(m.begin(), m.end()), complement(r.size);
  negate_words(magnitude, negative);
  multiply_words(r, magnitude, n_);
  // 1 + |m| n, or n^2 + 1 - |m| n for a negative m.
  subtract_words(complement, n_squared_.value(), r);
  select_words(r, negative, complement, r);
  add_words(r, r, words{1});
}

void paillier_public_key::message_block(word* block, const plaintexts& m, std::size_t first) const {
  const std::size_t lanes = n_squared_.kernel().lanes;
  secret_words factor(n_squared_.word_count());
  for (std::size_t l = 0; l < lanes; ++l) {
    if (first + l < m.count()) {
      message_factor(factor, m.words.slice((first + l) * m.limbs, m.limbs));
      n_squared_.set_lane(block, l, factor);
    } else {
      n_squared_.set_lane(block, l, words{1});
    }
  }
}

cipher_vector paillier_public_key::encrypt(const plaintexts& m, view<const word> exponents,
                                           std::size_t threads) const {
  cipher_vector result(n_squared_, m.count());
  const std::size_t lanes = result.lanes(), size = n_squared_.block_size();
  const kernels::modulus modulus = n_squared_.lane_view();
  parallel_for(result.blocks(), 1, threads, [&](std::size_t begin, std::size_t end) {
    secret_words windows(blocks_together * window_count_ * lanes);
    secret_words scratch(n_squared_.scratch_size()), message(size);
    for (std::size_t group = begin; group < end; group += blocks_together) {
      const std::size_t blocks = std::min(blocks_together, end - group);
      std::fill(windows.begin(), windows.end(), 0);
      for (std::size_t b = 0; b < blocks; ++b)
        for (std::size_t l = 0; l < lanes && (group + b) * lanes + l < m.count(); ++l) {
          secret_words exponent(exponent_words());
          const view<const word> given =
              exponents.from(((group + b) * lanes + l) * exponent_words()).first(exponent_words());
          std::copy(given.begin(), given.end(), exponent.begin());
          if (exponent_bits_ % 64 != 0) exponent.back() &= (word{1} << (exponent_bits_ % 64)) - 1;
          write_windows(windows.data() + b * window_count_ * lanes + l, lanes, exponent,
                        window_count_, encryption_window_bits,
                        window_order::least_significant_first);
        }
      n_squared_.kernel().fixed_base(result.block(group), entries_.data(), windows.data(),
                                     window_count_, encryption_window_bits, blocks, &modulus,
                                     scratch.data());
      for (std::size_t b = 0; b < blocks; ++b) {
        message_block(message.data(), m, (group + b) * lanes);
        n_squared_.multiply(result.block(group + b), result.block(group + b), message.data(),
                            scratch.data());
      }
    }
  });
  return result;
}

cipher_vector paillier_public_key::encode(const plaintexts& m, std::size_t threads) const {
  cipher_vector result(n_squared_, m.count());
  parallel_for(result.blocks(), 1, threads, [&](std::size_t begin, std::size_t end) {
    secret_words scratch(n_squared_.scratch_size());
    for (std::size_t b = begin; b < end; ++b) {
      message_block(result.block(b), m, b * result.lanes());
      n_squared_.enter(result.block(b), result.block(b), scratch.data());
    }
  });
  return result;
}

// ---- Ciphertexts

cipher_vector::cipher_vector(const montgomery_modulus& n_squared, std::size_t count)
    : m_(&n_squared), count_(count) {
  data_.resize(blocks() * n_squared.block_size());
  for (std::size_t b = 0; b < blocks(); ++b)
    std::copy_n(n_squared.one(), n_squared.block_size(), block(b));
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
  const std::size_t count = window_count(bits, scalar_window_bits);
  const kernels::modulus modulus = m_->lane_view();
  parallel_for(blocks(), 1, threads, [&](std::size_t begin, std::size_t end) {
    secret_words scratch(m_->power_scratch_size(scalar_window_bits));
    secret_words windows(count * lanes());
    for (std::size_t b = begin; b < end; ++b) {
      std::fill(windows.begin(), windows.end(), 0);
      for (std::size_t l = 0; l < lanes() && b * lanes() + l < count_; ++l)
        write_windows(windows.data() + l, lanes(),
                      exponents.slice((b * lanes() + l) * limbs, limbs), count, scalar_window_bits,
                      window_order::most_significant_first);
      m_->kernel().power(result.block(b), block(b), m_->one(), windows.data(), count,
                         scalar_window_bits, &modulus, scratch.data());
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
  for (std::size_t i = 0; i < count_; ++i) result.set(i, *this, i);
  for (std::size_t i = 0; i < other.count_; ++i) result.set(count_ + i, other, i);
  return result;
}

words cipher_vector::lane_products() const {
  secret_words all(m_->one(), m_->one() + m_->block_size()), scratch(m_->scratch_size());
  for (std::size_t b = 0; b < blocks(); ++b)
    m_->multiply(all.data(), all.data(), block(b), scratch.data());
  m_->leave(all.data(), all.data(), scratch.data());
  words rows(lanes() * m_->word_count());
  for (std::size_t l = 0; l < lanes(); ++l)
    m_->get_lane(view<word>(rows).slice(l * m_->word_count(), m_->word_count()), all.data(), l);
  return rows;
}

cipher_vector cipher_vector::invert(view<const word> lane_inverses) const {
  // before.block(b): the product of the blocks before b; inverse: of all blocks up to and with b.
  cipher_vector before(*m_, count_), result(*m_, count_);
  secret_words running(m_->one(), m_->one() + m_->block_size()), scratch(m_->scratch_size());
  secret_words inverse(m_->block_size());
  for (std::size_t b = 0; b < blocks(); ++b) {
    std::copy(running.begin(), running.end(), before.block(b));
    m_->multiply(running.data(), running.data(), block(b), scratch.data());
  }
  for (std::size_t l = 0; l < lanes(); ++l)
    m_->set_lane(inverse.data(), l, lane_inverses.slice(l * m_->word_count(), m_->word_count()));
  m_->enter(inverse.data(), inverse.data(), scratch.data());
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
        m_->get_lane(rows.from((b * lanes() + l) * width).first(width), x.data(), l);
    }
  });
}

bool cipher_vector::in_range_vartime(const montgomery_modulus& n_squared, view<const word> rows) {
  const std::size_t width = n_squared.word_count();
  for (std::size_t i = 0; i < rows.size; i += width) {
    const view<const word> row = rows.slice(i, width);
    if (bit_length_vartime(row) == 0 || less_mask(row, n_squared.value()) == 0) return false;
  }
  return true;
}

cipher_vector cipher_vector::from_words(const montgomery_modulus& n_squared, view<const word> rows,
                                        std::size_t threads) {
  const std::size_t width = n_squared.word_count();
  cipher_vector result(n_squared, rows.size / width);
  parallel_for(result.blocks(), 16, threads, [&](std::size_t begin, std::size_t end) {
    secret_words scratch(n_squared.scratch_size());
    for (std::size_t b = begin; b < end; ++b) {
      word* x = result.block(b);
      for (std::size_t l = 0; l < result.lanes(); ++l) {
        const std::size_t i = b * result.lanes() + l;
        if (i < result.size())
          n_squared.set_lane(x, l, rows.slice(i * width, width));
        else
          n_squared.set_lane(x, l, words{1});
      }
      n_squared.enter(x, x, scratch.data());
    }
  });
  return result;
}

// ---- Private key

paillier_private_key::half::half(const kernels::table& kernel, view<const word> prime,
                                 view<const word> h)
    : prime_(prime.begin(), prime.end()),
      inverse_(inverse_of_odd(prime)),
      squared_(kernel, squared(prime)),
      modulus_(kernels::portable, prime),
      h_block_(modulus_.block_size()) {
  secret_words scratch(modulus_.scratch_size()), exponent(prime.size);
  modulus_.set_all_lanes(h_block_.data(), h);
  modulus_.enter(h_block_.data(), h_block_.data(), scratch.data());
  subtract_words(exponent, prime, words{1});
  const std::size_t count = window_count(64 * prime.size, decryption_window_bits);
  windows_.resize(count * kernel.lanes);
  for (std::size_t l = 0; l < kernel.lanes; ++l)
    write_windows(windows_.data() + l, kernel.lanes, exponent, count, decryption_window_bits,
                  window_order::most_significant_first);
}

void paillier_private_key::half::decrypt(word* rows, const word* ciphertexts,
                                         const montgomery_modulus& n_squared) const {
  const std::size_t lanes = squared_.kernel().lanes, size = squared_.block_size();
  secret_words low(size, 0), high(size, 0), x(size), x_words(squared_.word_count());
  secret_words scratch(squared_.power_scratch_size(decryption_window_bits));
  secret_words small_scratch(modulus_.scratch_size());
  // c = low + high R, so c R = low R^2 / R + high R^3 / R.
  std::copy_n(ciphertexts, size, low.begin());
  std::copy_n(ciphertexts + size, std::min(size, n_squared.block_size() - size), high.begin());
  squared_.enter(low.data(), low.data(), scratch.data());
  squared_.multiply(high.data(), high.data(), squared_.radix_cubed(), scratch.data());
  squared_.kernel().add(low.data(), low.data(), high.data(), squared_.digit_count());
  const kernels::modulus m = squared_.lane_view();
  squared_.kernel().power(x.data(), low.data(), squared_.one(), windows_.data(),
                          windows_.size() / lanes, decryption_window_bits, &m, scratch.data());
  squared_.leave(x.data(), x.data(), scratch.data());
  for (std::size_t l = 0; l < lanes; ++l) {
    squared_.get_lane(x_words, x.data(), l);
    finish(view<word>(rows + l * prime_.size(), prime_.size()), x_words, small_scratch.data());
  }
}

void paillier_private_key::half::finish(view<word> r, view<const word> x, word* scratch) const {
  // L(x) = (x - 1) / prime is exact, so that its low words say all: (x - 1) * prime^-1 mod 2^(64 size).
  secret_words numerator(x.size), quotient(r.size), block(modulus_.block_size());
  subtract_words(numerator, x, words{1});
  multiply_words(quotient, numerator, inverse_);
  modulus_.set_lane(block.data(), 0, quotient);
  modulus_.multiply(block.data(), block.data(), h_block_.data(), scratch);
  modulus_.reduce(block.data(), block.data());
  modulus_.get_lane(r, block.data(), 0);
}

paillier_private_key::paillier_private_key(const kernels::table& kernel, view<const word> p,
                                           view<const word> q, view<const word> h_p,
                                           view<const word> h_q, view<const word> q_inverse)
    : p_(kernel, p, h_p),
      q_(kernel, q, h_q),
      n_(product(p, q)),
      half_n_(n_.size()),
      q_inverse_block_(p_.modulus_.block_size()) {
  for (std::size_t i = 0; i < n_.size(); ++i)
    half_n_[i] = n_[i] >> 1 | (i + 1 < n_.size() ? n_[i + 1] << 63 : 0);
  secret_words scratch(p_.modulus_.scratch_size());
  p_.modulus_.set_all_lanes(q_inverse_block_.data(), q_inverse);
  p_.modulus_.enter(q_inverse_block_.data(), q_inverse_block_.data(), scratch.data());
}

word paillier_private_key::combine(view<word> row, view<const word> limit, view<const word> m_p,
                                   view<const word> m_q, word* scratch) const {
  const std::size_t size = m_p.size;
  secret_words difference(size + 1), block(p_.modulus_.block_size()), t(size);
  secret_words m(n_.size()), magnitude(n_.size()), bound(n_.size(), 0);
  // m_p - m_q + 2 p is positive, because primes of equal length are less than a factor 2 apart.
  add_words(difference, p_.prime_, p_.prime_);
  add_words(difference, difference, m_p);
  subtract_words(difference, difference, m_q);
  p_.modulus_.set_lane(block.data(), 0, difference);
  p_.modulus_.multiply(block.data(), block.data(), q_inverse_block_.data(), scratch);
  p_.modulus_.reduce(block.data(), block.data());
  p_.modulus_.get_lane(t, block.data(), 0);
  multiply_words(m, t, q_.prime_);
  add_words(m, m, m_q);

  const word negative = less_mask(half_n_, m);
  subtract_words(magnitude, n_, m);
  select_words(magnitude, negative, magnitude, m);
  std::copy_n(limit.begin(), std::min(limit.size, bound.size()), bound.begin());
  const word exceeds = less_mask(bound, magnitude);
  for (std::size_t i = 0; i < row.size; ++i) row[i] = i < magnitude.size() ? magnitude[i] : 0;
  negate_words(row, negative);
  return exceeds;
}

word paillier_private_key::decrypt(view<word> rows, std::size_t limbs, view<const word> limit,
                                   const cipher_vector& ciphertexts, std::size_t threads) const {
  const montgomery_modulus& n_squared = ciphertexts.modulus();
  const std::size_t lanes = ciphertexts.lanes(), size = p_.prime_.size();
  words exceeds(ciphertexts.blocks(), 0);
  parallel_for(ciphertexts.blocks(), 1, threads, [&](std::size_t begin, std::size_t end) {
    secret_words c(n_squared.block_size()), m_p(lanes * size), m_q(lanes * size);
    secret_words scratch(n_squared.scratch_size());
    for (std::size_t b = begin; b < end; ++b) {
      n_squared.leave(c.data(), ciphertexts.block(b), scratch.data());
      p_.decrypt(m_p.data(), c.data(), n_squared);
      q_.decrypt(m_q.data(), c.data(), n_squared);
      for (std::size_t l = 0; l < lanes && b * lanes + l < ciphertexts.size(); ++l)
        exceeds[b] |= combine(rows.slice((b * lanes + l) * limbs, limbs), limit,
                              view<const word>(m_p).slice(l * size, size),
                              view<const word>(m_q).slice(l * size, size), scratch.data());
    }
  });
  word any = 0;
  for (word mask : exceeds) any |= mask;
  for (word& value : rows) value &= ~any;
  return any;
}

}  // namespace veilsum::schemes
