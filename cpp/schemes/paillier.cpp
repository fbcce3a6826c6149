#include "schemes/paillier.hpp"

#include <algorithm>

#include "common/constant_time.hpp"
#include "schemes/parallel.hpp"

namespace veilsum::schemes {
namespace {

constexpr std::size_t decryption_window_bits = 5;
// Bits of the weights in decryption's check, which are odd: a fault in one plaintext cannot pass, and one
// in several passes with probability 2^-15.
constexpr std::size_t check_bits = 16;
// Blocks that share one pass over the tables of h_s.
constexpr std::size_t together = kernels::maximum_blocks;

secret_words difference(view<const word> a, view<const word> b) {
  secret_words r(a.size);
  subtract_words(r, a, b);
  return r;
}

// a mod m, for a < 2m.
void reduce_words(view<word> a, view<const word> m) {
  secret_words reduced(a.size);
  const word borrow = subtract_words(reduced, a, m);
  select_words(a, common::mask_from_bit(borrow), a, reduced);
}

// Encrypts plaintexts first .. first + blocks * lanes modulo the square of one modulus.
void encrypt_blocks(word* r, const dual_modulus& modulus, const fixed_base& base,
                    const message_encoder& encoder, const plaintexts& m, view<const word> exponents,
                    std::size_t first, std::size_t blocks) {
  const std::size_t lanes = modulus.lanes(), length = base.exponent_words();
  const std::size_t count = std::min(blocks * lanes, m.count() - first);
  secret_words logarithms(blocks * modulus.half_size()), message(modulus.half_size());
  secret_words scratch(modulus.scratch_size());
  const view<const word> drawn = exponents.slice(first * length, count * length);
  if (count == 1 && base.can_spread())
    base.power_one(r, logarithms.data(), drawn);
  else
    base.power(r, logarithms.data(), drawn, count, blocks);
  for (std::size_t b = 0; b < blocks; ++b) {
    word* logarithm = logarithms.data() + b * modulus.half_size();
    encoder.write(message.data(), m, first + b * lanes);
    modulus.half().add(logarithm, logarithm, message.data());
    modulus.apply_logarithm(r + b * modulus.block_size(), logarithm, scratch.data());
  }
}

}  // namespace

// ---- Messages

// The logarithm of 1 + m n = 1 + (m cofactor) modulus is c = -m cofactor R^2, and a part of m below R
// times a factor divides by R.
message_encoder::message_encoder(const dual_modulus& modulus, view<const word> n,
                                 view<const word> cofactor)
    : modulus_(&modulus), n_(n.begin(), n.end()) {
  const montgomery_modulus& half = modulus.half();
  const std::size_t size = half.word_count(), parts = (n.size + size - 1) / size;
  secret_words block(half.block_size()), weight(half.block_size()), scratch(half.scratch_size());
  for (std::size_t j = 0; j < parts; ++j) {
    half.set_all_lanes(block.data(), cofactor);
    half.set_all_lanes(weight.data(), power_of_two(64 * size * j, half.value()));
    half.multiply(block.data(), block.data(), weight.data(), scratch.data());
    for (int power = 0; power < 4; ++power) half.enter(block.data(), block.data(), scratch.data());
    half.reduce(block.data(), block.data());
    secret_words factor(size);
    half.get_lane(factor, block.data(), 0);
    half.set_all_lanes(block.data(), difference(half.value(), factor));
    factors_.push_back(block);
  }
}

void message_encoder::write(word* block, const plaintexts& m, std::size_t first) const {
  const montgomery_modulus& half = modulus_->half();
  secret_words stage(factors_.size() * half.block_size(), 0), scratch(half.scratch_size());
  secret_words residue(n_.size()), complement(n_.size());
  for (std::size_t l = 0; l < modulus_->lanes() && first + l < m.count(); ++l) {
    const view<const word> row = m.row(first + l);
    const word negative = common::mask_from_bit(row[row.size - 1] >> 63);
    secret_words magnitude(row.begin(), row.end());
    negate_words(magnitude, negative);
    subtract_words(complement, n_, magnitude);
    select_words(residue, negative, complement, magnitude);
    modulus_->set_lane(stage.data(), factors_.size(), l, residue);
  }
  std::fill_n(block, half.block_size(), 0);
  for (std::size_t j = 0; j < factors_.size(); ++j) {
    word* part = stage.data() + j * half.block_size();
    half.multiply(part, part, factors_[j].data(), scratch.data());
    half.add(block, block, part);
  }
}

// ---- Public key

paillier_public_key::paillier_public_key(const kernels::table& kernel, view<const word> n,
                                         const randomness_constants& base)
    : modulus_(kernel, n), base_(modulus_, base), encoder_(modulus_, n, words{1}) {}

cipher_vector paillier_public_key::encrypt(const plaintexts& m, view<const word> exponents,
                                           std::size_t threads) const {
  cipher_vector result(modulus_, m.count());
  const fixed_base& tables = base_.tables();
  parallel_for(result.blocks(), together, threads, [&](std::size_t begin, std::size_t end) {
    for (std::size_t b = begin; b < end; b += together)
      encrypt_blocks(result.block(b), modulus_, tables, encoder_, m, exponents, b * result.lanes(),
                     std::min(together, end - b));
  });
  return result;
}

cipher_vector paillier_public_key::encode(const plaintexts& m, std::size_t threads) const {
  cipher_vector result(modulus_, m.count());
  parallel_for(result.blocks(), 16, threads, [&](std::size_t begin, std::size_t end) {
    secret_words scratch(modulus_.scratch_size()), message(modulus_.half_size());
    for (std::size_t b = begin; b < end; ++b) {
      encoder_.write(message.data(), m, b * result.lanes());
      modulus_.apply_logarithm(result.block(b), message.data(), scratch.data());
    }
  });
  return result;
}

cipher_vector paillier_public_key::residues(view<const word> roots, std::size_t threads) const {
  const std::size_t size = n().size, lanes = modulus_.lanes();
  cipher_vector result(modulus_, roots.size / size);
  const std::size_t count = window_count(64 * size, decryption_window_bits);
  const words unit{1};
  words windows(count * lanes);
  for (std::size_t l = 0; l < lanes; ++l)
    write_windows(windows.data() + l, lanes, n(), count, decryption_window_bits);
  parallel_for(result.blocks(), 1, threads, [&](std::size_t begin, std::size_t end) {
    secret_words stage(modulus_.half_size()), base(modulus_.block_size());
    secret_words scratch(modulus_.power_scratch_size(decryption_window_bits));
    for (std::size_t b = begin; b < end; ++b) {
      for (std::size_t l = 0; l < lanes; ++l) {
        const std::size_t i = b * lanes + l;
        modulus_.set_lane(stage.data(), 1, l,
                          i < result.size() ? roots.slice(i * size, size) : unit);
      }
      modulus_.enter(base.data(), stage.data(), 1, scratch.data());
      modulus_.power(result.block(b), base.data(), windows, decryption_window_bits, scratch.data());
    }
  });
  return result;
}

// ---- Private key

namespace {

std::vector<view<const word>> moduli_of(const std::vector<prime_constants>& primes) {
  std::vector<view<const word>> moduli(primes.size());
  std::transform(primes.begin(), primes.end(), moduli.begin(),
                 [](const prime_constants& c) { return c.prime; });
  return moduli;
}

}  // namespace

paillier_private_key::turns::turns(const kernels::table& kernel,
                                   const std::vector<prime_constants>& primes)
    : modulus(kernel, moduli_of(primes)),
      minus_h(modulus.half_size()),
      blinding(modulus.block_size()) {
  const std::size_t size = modulus.half().word_count(), lanes = kernel.lanes;
  const std::size_t count = window_count(64 * size, decryption_window_bits);
  secret_words prime_windows(count * lanes), stage(modulus.half_size());
  secret_words scratch(modulus.power_scratch_size(decryption_window_bits));
  windows.resize(count * lanes);
  for (std::size_t l = 0; l < lanes; ++l) {
    const prime_constants& c = primes[l % primes.size()];
    modulus.half().set_lane(minus_h.data(), l, difference(c.prime, c.h));
    write_windows(windows.data() + l, lanes, difference(c.prime, words{1}), count,
                  decryption_window_bits);
    write_windows(prime_windows.data() + l, lanes, c.prime, count, decryption_window_bits);
    modulus.set_lane(stage.data(), 1, l, c.blinding.slice(l * size, size));
  }
  secret_words root(modulus.block_size());
  modulus.enter(root.data(), stage.data(), 1, scratch.data());
  modulus.power(blinding.data(), root.data(), prime_windows, decryption_window_bits,
                scratch.data());
}

paillier_private_key::half::half(const kernels::table& kernel, const prime_constants& prime,
                                 view<const word> other)
    : modulus(kernel, prime.prime),
      base(modulus, prime.base),
      encoder(modulus, product(prime.prime, other), other) {}

paillier_private_key::paillier_private_key(const kernels::table& kernel, const prime_constants& p,
                                           const prime_constants& q, view<const word> q_inverse,
                                           view<const word> inverse_square)
    : p_(p.prime.begin(), p.prime.end()),
      q_(q.prime.begin(), q.prime.end()),
      n_(product(p.prime, q.prime)),
      p_squared_(product(p.prime, p.prime)),
      p_half_(kernel, p, q.prime),
      q_half_(kernel, q, p.prime),
      combine_p_(kernels::portable, p.prime),
      check_n_(kernels::portable, n_),
      q_inverse_block_(combine_p_.block_size()),
      minus_q_inverse_block_(combine_p_.block_size()),
      inverse_square_(q_half_.modulus.block_size()),
      minus_inverse_square_(q_half_.modulus.block_size()) {
  if (kernel.lanes > 1) {
    turns_.push_back(std::make_unique<turns>(kernel, std::vector<prime_constants>{p, q}));
  } else {
    turns_.push_back(std::make_unique<turns>(kernel, std::vector<prime_constants>{p}));
    turns_.push_back(std::make_unique<turns>(kernel, std::vector<prime_constants>{q}));
  }
  secret_words scratch(combine_p_.scratch_size());
  const auto enter_p = [&](secret_words& block, view<const word> x) {
    combine_p_.set_all_lanes(block.data(), x);
    combine_p_.enter(block.data(), block.data(), scratch.data());
    combine_p_.reduce(block.data(), block.data());
  };
  enter_p(q_inverse_block_, q_inverse);
  enter_p(minus_q_inverse_block_, difference(p.prime, q_inverse));
  const dual_modulus& q_modulus = q_half_.modulus;
  secret_words stage(q_modulus.block_size()), dual_scratch(q_modulus.scratch_size());
  const auto enter_q = [&](secret_words& block, view<const word> x) {
    for (std::size_t l = 0; l < kernel.lanes; ++l) q_modulus.set_lane(stage.data(), 2, l, x);
    q_modulus.enter(block.data(), stage.data(), 2, dual_scratch.data());
  };
  enter_q(inverse_square_, inverse_square);
  enter_q(minus_inverse_square_, difference(q_modulus.squared(), inverse_square));
}

void paillier_private_key::join_block(word* stage, const dual_modulus& n, view<const word> c_p,
                                      word* c_q, std::size_t count, word* scratch) const {
  const dual_modulus& modulus = q_half_.modulus;
  const std::size_t width = modulus.word_count();
  secret_words q_stage(modulus.block_size(), 0), other(modulus.block_size());
  secret_words t(width + 1), term(width), c(2 * width);
  for (std::size_t l = 0; l < count; ++l)
    modulus.set_lane(q_stage.data(), 2, l, c_p.slice(l * width, width));
  modulus.enter(other.data(), q_stage.data(), 2, scratch);
  modulus.multiply(other.data(), other.data(), minus_inverse_square_.data(), scratch);
  modulus.leave(other.data(), other.data(), scratch);
  modulus.multiply(c_q, c_q, inverse_square_.data(), scratch);
  modulus.leave(c_q, c_q, scratch);
  for (std::size_t l = 0; l < count; ++l) {
    modulus.get_lane(view<word>(t).first(width), c_q, l);
    modulus.get_lane(term, other.data(), l);
    t[width] = 0;
    add_words(t, t, term);
    reduce_words(t, modulus.squared());
    multiply_words(c, view<const word>(t).first(width), p_squared_);
    add_words(c, c, c_p.slice(l * width, width));
    n.set_lane(stage, 2, l, view<const word>(c).first(n.word_count()));
  }
  for (std::size_t l = count; l < n.lanes(); ++l) n.set_lane(stage, 2, l, words{1});
}

cipher_vector paillier_private_key::encrypt(const paillier_public_key& pub, const plaintexts& m,
                                            view<const word> exponents, std::size_t threads) const {
  const dual_modulus& n = pub.modulus();
  const dual_modulus &p = p_half_.modulus, &q = q_half_.modulus;
  cipher_vector result(n, m.count());
  const std::size_t lanes = n.lanes(), width = p.word_count();
  const fixed_base &p_tables = p_half_.base.tables(), &q_tables = q_half_.base.tables();
  parallel_for(result.blocks(), together, threads, [&](std::size_t begin, std::size_t end) {
    secret_words c_p(together * p.block_size()), c_q(together * q.block_size());
    secret_words stage(n.block_size()), scratch(n.scratch_size()), rows(lanes * width);
    for (std::size_t group = begin; group < end; group += together) {
      const std::size_t blocks = std::min(together, end - group);
      encrypt_blocks(c_p.data(), p, p_tables, p_half_.encoder, m, exponents, group * lanes, blocks);
      encrypt_blocks(c_q.data(), q, q_tables, q_half_.encoder, m, exponents, group * lanes, blocks);
      for (std::size_t b = 0; b < blocks; ++b) {
        const std::size_t count = std::min(lanes, m.count() - (group + b) * lanes);
        word* left = c_p.data() + b * p.block_size();
        p.leave(left, left, scratch.data());
        std::fill(rows.begin(), rows.end(), 0);  // no fault may leave the last block's in place
        for (std::size_t l = 0; l < count; ++l)
          p.get_lane(view<word>(rows).slice(l * width, width), left, l);
        join_block(stage.data(), n, rows, c_q.data() + b * q.block_size(), count, scratch.data());
        n.enter(result.block(group + b), stage.data(), 2, scratch.data());
      }
    }
  });
  return result;
}

// L(x) h for x = c^(prime - 1): of x = a - (b / R) prime, with a up to the prime, a is 1, and so L(x) is
// -b / R. Another a betrays a fault.
word paillier_private_key::open_block(word* rows, turns& t, const cipher_vector& ciphertexts,
                                      view<const word> cipher_words, std::size_t first) const {
  const dual_modulus& modulus = t.modulus;
  const montgomery_modulus& prime = modulus.half();
  const std::size_t size = prime.word_count(), lanes = modulus.lanes();
  const std::size_t width = ciphertexts.modulus().word_count(), units = 2 * ciphertexts.size();
  secret_words stage(4 * prime.block_size(), 0), x(modulus.block_size()), y(modulus.block_size());
  secret_words scratch(modulus.power_scratch_size(decryption_window_bits)), a(size + 1);
  for (std::size_t l = 0; l < lanes && first + l < units; ++l)
    modulus.set_lane(stage.data(), 4, l, cipher_words.slice((first + l) / 2 * width, width));
  modulus.enter(x.data(), stage.data(), 4, scratch.data());
  {
    const std::lock_guard<std::mutex> lock(t.guard);
    modulus.multiply(x.data(), x.data(), t.blinding.data(), scratch.data());
    modulus.square(t.blinding.data(), t.blinding.data(), scratch.data());
  }
  modulus.power(y.data(), x.data(), t.windows, decryption_window_bits, scratch.data());
  modulus.strip(y.data(), y.data(), scratch.data());
  word* b = y.data() + prime.block_size();
  prime.multiply(b, b, t.minus_h.data(), scratch.data());
  prime.reduce(b, b);
  word wrong = 0;
  for (std::size_t l = 0; l < lanes && first + l < units; ++l) {
    prime.get_lane(a, y.data(), l);
    a[0] ^= 1;
    for (word w : a) wrong |= w;
    prime.get_lane(view<word>(rows + (first + l) * size, size), b, l);
  }
  return common::mask_from_bit(common::is_nonzero(wrong));
}

// Plaintexts modulo the primes: row u is that of unit u. All ones where one came out wrong.
word paillier_private_key::open_units(view<word> rows, const cipher_vector& ciphertexts,
                                      std::size_t threads) const {
  const std::size_t lanes = ciphertexts.lanes(), units = 2 * ciphertexts.size();
  secret_words cipher_words(ciphertexts.size() * ciphertexts.modulus().word_count());
  ciphertexts.to_words(cipher_words, threads);
  words faults((units + lanes - 1) / lanes);
  parallel_for(faults.size(), 1, threads, [&](std::size_t begin, std::size_t end) {
    for (std::size_t b = begin; b < end; ++b)
      faults[b] = open_block(rows.data, turns_of(b), ciphertexts, cipher_words, b * lanes);
  });
  word any = 0;
  for (word fault : faults) any |= fault;
  return any;
}

void paillier_private_key::combine(view<word> m, view<const word> m_p, view<const word> m_q) const {
  secret_words x(combine_p_.block_size()), y(x), t(p_.size());
  secret_words scratch(combine_p_.scratch_size());
  combine_p_.set_lane(x.data(), 0, m_p);
  combine_p_.multiply(x.data(), x.data(), q_inverse_block_.data(), scratch.data());
  combine_p_.reduce(x.data(), x.data());
  combine_p_.set_lane(y.data(), 0, m_q);
  combine_p_.multiply(y.data(), y.data(), minus_q_inverse_block_.data(), scratch.data());
  combine_p_.reduce(y.data(), y.data());
  combine_p_.add(x.data(), x.data(), y.data());
  combine_p_.reduce(x.data(), x.data());
  combine_p_.get_lane(t, x.data(), 0);
  multiply_words(m, t, q_);
  add_words(m, m, m_q);
}

word paillier_private_key::check_mask(view<const word> plaintexts, view<const word> check) const {
  const std::size_t size = n_.size(), count = check.size - size;
  secret_words x(check_n_.block_size()), weight(x.size()), sum(x.size(), 0);
  secret_words scratch(check_n_.scratch_size());
  const auto weigh = [&](view<const word> m, view<const word> w) {
    check_n_.set_lane(x.data(), 0, m);
    check_n_.set_lane(weight.data(), 0, w);
    check_n_.multiply(x.data(), x.data(), weight.data(), scratch.data());
    check_n_.reduce(x.data(), x.data());
  };
  for (std::size_t i = 0; i <= count; ++i) {
    if (i < count)
      weigh(plaintexts.slice(i * size, size),
            secret_words{extract_bits(check, 64 * i, check_bits)});
    else
      weigh(check.from(count), words{1});
    check_n_.add(sum.data(), sum.data(), x.data());
    check_n_.reduce(sum.data(), sum.data());
  }
  weigh(plaintexts.slice(count * size, size), words{1});
  word different = 0;
  for (std::size_t i = 0; i < x.size(); ++i) different |= x[i] ^ sum[i];
  return common::mask_from_bit(common::is_nonzero(different));
}

word paillier_private_key::write_signed(view<word> row, view<const word> limit,
                                        view<const word> m) const {
  secret_words magnitude(n_.size()), bound(n_.size(), 0);
  subtract_words(magnitude, n_, m);
  const word negative = less_mask(magnitude, m);
  select_words(magnitude, negative, magnitude, m);
  std::copy_n(limit.begin(), std::min(limit.size, bound.size()), bound.begin());
  const word exceeds = less_mask(bound, magnitude);
  for (std::size_t i = 0; i < row.size; ++i) row[i] = i < magnitude.size() ? magnitude[i] : 0;
  negate_words(row, negative);
  return exceeds;
}

decryption_status paillier_private_key::decrypt(view<word> rows, std::size_t limbs,
                                                view<const word> limit,
                                                const cipher_vector& ciphertexts,
                                                const paillier_public_key& pub,
                                                view<const word> check, std::size_t threads) const {
  const std::size_t count = ciphertexts.size(), size = n_.size(), prime_size = p_.size();
  if (count == 0) return decryption_status::good;
  // The combination's own plaintext, not negative, keeps wrong but linear constants from passing.
  secret_words known(check.begin(), check.end());
  std::fill(known.begin() + static_cast<std::ptrdiff_t>(count + pub.n().size), known.end(), 0);
  known[count + pub.n().size - 1] &= ~word{0} >> 1;
  for (std::size_t i = 0; i < count; ++i) known[i] |= 1;
  const view<const word> own = view<const word>(known).slice(count, pub.n().size);
  const cipher_vector combination =
      ciphertexts
          .weigh_vartime(1, {view<const word>(known).first(count), count, 1, 1, check_bits},
                         threads)
          .multiply(pub.encode({own, own.size}, 1), 1);
  secret_words opened(2 * (count + 1) * prime_size), m((count + 1) * size);
  word fault = open_units(opened, ciphertexts.append(combination), threads);
  const view<const word> units(opened);
  parallel_for(count + 1, 16, threads, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i)
      combine(view<word>(m).slice(i * size, size), units.slice(2 * i * prime_size, prime_size),
              units.slice((2 * i + 1) * prime_size, prime_size));
  });
  fault |= check_mask(m, known);
  word exceeds = 0;
  for (std::size_t i = 0; i < count; ++i)
    exceeds |= write_signed(rows.slice(i * limbs, limbs), limit,
                            view<const word>(m).slice(i * size, size));
  for (word& value : rows) value &= ~(fault | exceeds);
  return static_cast<decryption_status>(common::select(fault, 2, exceeds & 1));
}

}  // namespace veilsum::schemes
