#include "schemes/fixed_base.hpp"

#include <algorithm>
#include <vector>

namespace veilsum::schemes {
namespace {

constexpr std::size_t levels = 4;

// A block of entries in the making: a, c, and v = R^2 / a modulo m, which makes a product's logarithm.
struct log_block {
  explicit log_block(std::size_t size) : a(size), c(size), v(size) {}
  secret_words a, c, v;
};

class log_arithmetic {
 public:
  explicit log_arithmetic(const dual_modulus& m)
      : dual_(m), m_(m.half()), one_(log_block(m_.block_size())), scratch_(m.scratch_size()) {
    one_ = from_dual(m.one(), m_.one());
  }

  const log_block& one() const { return one_; }

  // A number below m^2 in every lane, with its inverse modulo m.
  log_block from_words(view<const word> x, view<const word> inverse) {
    secret_words block(dual_.block_size()), stage(dual_.block_size()), v(m_.block_size());
    for (std::size_t l = 0; l < dual_.lanes(); ++l) {
      dual_.set_lane(stage.data(), 2, l, x);
      m_.set_lane(v.data(), l, inverse);
    }
    dual_.enter(block.data(), stage.data(), 2, scratch_.data());
    m_.enter(v.data(), v.data(), scratch_.data());
    return from_dual(block.data(), v.data());
  }

  // x = a - (b / R) m has beta = -b / (R a), so c = b R / a = b v / R.
  log_block from_dual(const word* x, const word* v) {
    log_block r(m_.block_size());
    std::copy_n(x, r.a.size(), r.a.begin());
    std::copy_n(v, r.v.size(), r.v.begin());
    m_.multiply(r.c.data(), x + r.a.size(), v, scratch_.data());
    normalise(r.c);
    return r;
  }

  // The product of the integers is r - (q / R) m: its logarithm is the sum of both and q v / R.
  void multiply(log_block& r, const log_block& x, const log_block& y) {
    secret_words a(r.a.size()), q(m_.scratch_size()), c(r.a.size());
    m_.multiply(a.data(), x.a.data(), y.a.data(), q.data());
    m_.add(c.data(), x.c.data(), y.c.data());
    m_.multiply(r.v.data(), x.v.data(), y.v.data(), scratch_.data());
    m_.multiply(r.c.data(), q.data(), r.v.data(), scratch_.data());
    m_.add(r.c.data(), r.c.data(), c.data());
    normalise(r.c);
    r.a = a;
  }

 private:
  // Below m, for a sum of three.
  void normalise(secret_words& c) {
    m_.multiply(c.data(), c.data(), m_.one(), scratch_.data());
    m_.reduce(c.data(), c.data());
  }

  const dual_modulus& dual_;
  const montgomery_modulus& m_;
  log_block one_;
  secret_words scratch_;
};

void copy_lane(log_block& to, std::size_t to_lane, const log_block& from, std::size_t lanes) {
  for (std::size_t d = 0; d < from.a.size(); d += lanes) {
    to.a[d + to_lane] = from.a[d];
    to.c[d + to_lane] = from.c[d];
    to.v[d + to_lane] = from.v[d];
  }
}

}  // namespace

fixed_base::fixed_base(const dual_modulus& m, view<const word> base, view<const word> inverse,
                       std::size_t exponent_bits)
    : m_(&m), exponent_bits_(exponent_bits), window_bits_(m.kernel().fixed_base_bits) {
  // An even number of tables, because entries are multiplied in pairs.
  const std::size_t unit = 2 * levels, needed = window_count(exponent_bits, window_bits_);
  columns_ = (needed + unit - 1) / unit * unit;
  tables_ = columns_ / levels;

  const std::size_t lanes = m.lanes(), groups = (tables_ + lanes - 1) / lanes;
  log_arithmetic logs(m);
  // bases[g * window_bits + i]: in lane l, base^(2^(i columns + t levels)) for table t = g lanes + l.
  std::vector<log_block> bases(groups * window_bits_, logs.one());
  log_block chain = logs.from_words(base, inverse);
  for (std::size_t e = 0; e < window_bits_ * columns_; ++e) {
    const std::size_t i = e / columns_, column = e % columns_;
    if (column % levels == 0) {
      const std::size_t t = column / levels;
      copy_lane(bases[t / lanes * window_bits_ + i], t % lanes, chain, lanes);
    }
    logs.multiply(chain, chain, chain);
  }
  entries_.assign((tables_ * m.block_size() / lanes) << window_bits_, 0);
  for (std::size_t g = 0; g < groups; ++g) {
    // Entry j is the product of the bases of j's bits.
    std::vector<log_block> entries(std::size_t{1} << window_bits_, logs.one());
    for (std::size_t j = 1; j < entries.size(); ++j) {
      std::size_t i = 0;
      while ((j >> i & 1) == 0) ++i;
      logs.multiply(entries[j], entries[j & (j - 1)], bases[g * window_bits_ + i]);
    }
    for (std::size_t j = 0; j < entries.size(); ++j)
      for (std::size_t l = 0; l < lanes && g * lanes + l < tables_; ++l)
        write_entry(g * lanes + l, j, entries[j].a.data() + l, entries[j].c.data() + l);
  }
}

void fixed_base::write_entry(std::size_t table, std::size_t entry, const word* a, const word* c) {
  const std::size_t lanes = m_->lanes(), digits = m_->half_size() / lanes;
  word* row = entries_.data() + ((table * 2 * digits) << window_bits_) + entry;
  for (std::size_t d = 0; d < digits; ++d) {
    row[d << window_bits_] = a[d * lanes];
    row[(digits + d) << window_bits_] = c[d * lanes];
  }
}

// Column t levels + (levels - 1 - level) of the comb is the window of table t at that level.
secret_words fixed_base::windows_of(view<const word> exponent) const {
  secret_words columns(columns_ + 64, 0), windows(columns_);
  for (std::size_t i = 0; i < window_bits_; ++i)
    for (std::size_t c = 0; c < columns_; c += 64) {
      const std::size_t begin = i * columns_ + c;
      if (begin >= exponent_bits_) break;
      const std::size_t count = std::min({std::size_t{64}, columns_ - c, exponent_bits_ - begin});
      const word bits = extract_bits(exponent, begin, count);
      for (std::size_t j = 0; j < 64; ++j) columns[c + j] |= (bits >> j & 1) << i;
    }
  for (std::size_t level = 0; level < levels; ++level)
    for (std::size_t t = 0; t < tables_; ++t)
      windows[level * tables_ + t] = columns[t * levels + levels - 1 - level];
  return windows;
}

void fixed_base::run_kernel(word* r, word* logarithms, const secret_words& windows,
                            std::size_t blocks, bool spread) const {
  secret_words scratch((3 * blocks + 4) * m_->half_size());
  const std::size_t tables = spread ? tables_ / m_->lanes() : tables_;
  const kernels::fixed_base base{entries_.data(), window_bits_, tables, levels, spread};
  const kernels::modulus m = m_->half().lane_view();
  m_->kernel().fixed_base_power(r, logarithms, &base, windows.data(), blocks, &m, scratch.data());
}

void fixed_base::power(word* r, word* logarithms, view<const word> exponents, std::size_t count,
                       std::size_t blocks) const {
  const std::size_t lanes = m_->lanes(), length = exponent_words();
  secret_words windows(blocks * columns_ * lanes, 0);
  for (std::size_t i = 0; i < count; ++i) {
    const secret_words own = windows_of(exponents.slice(i * length, length));
    word* block = windows.data() + i / lanes * columns_ * lanes;
    for (std::size_t w = 0; w < columns_; ++w) block[w * lanes + i % lanes] = own[w];
  }
  run_kernel(r, logarithms, windows, blocks, false);
}

// Every lane takes its share of the tables, in the order of windows_of; then the lanes' products are
// multiplied, half of the lanes with the other half.
void fixed_base::power_one(word* r, word* logarithms, view<const word> exponent) const {
  const std::size_t lanes = m_->lanes();
  secret_words x(m_->block_size()), y(x.size()), c(m_->half_size()), d(c.size());
  secret_words scratch(m_->scratch_size());
  run_kernel(x.data(), c.data(), windows_of(exponent), 1, true);
  for (std::size_t half = lanes / 2; half > 0; half /= 2) {
    for (std::size_t i = 0; i + half < x.size(); ++i) y[i] = x[i + half];
    for (std::size_t i = 0; i + half < c.size(); ++i) d[i] = c[i + half];
    m_->multiply(x.data(), x.data(), y.data(), scratch.data());
    m_->half().add(c.data(), c.data(), d.data());
  }
  std::copy_n(m_->one(), m_->block_size(), r);
  std::fill_n(logarithms, m_->half_size(), 0);
  for (std::size_t i = 0; i < x.size(); i += lanes) r[i] = x[i];
  for (std::size_t i = 0; i < c.size(); i += lanes) logarithms[i] = c[i];
}

}  // namespace veilsum::schemes
