#include "schemes/products.hpp"

#include <algorithm>

namespace veilsum::schemes {
namespace {

using index_list = std::vector<std::size_t>;

struct pairing {
  std::size_t target, a, b;
};

// Elements by lane, digit position and digit: the product over them of element^(digit * radix^position)
// is what each lane wants.
struct digit_lists {
  digit_lists(std::size_t used_lanes, std::size_t bit_count, std::size_t digit_width)
      : width(digit_width),
        positions((bit_count + digit_width - 1) / digit_width),
        lists((used_lanes * positions) << digit_width) {}

  index_list& at(std::size_t lane, std::size_t position, std::size_t digit) {
    return lists[((lane * positions + position) << width) + digit];
  }

  std::size_t width, positions;
  std::vector<index_list> lists;
};

// Products for `terms` elements at a width: one for each digit, and two more a digit value for the rest.
std::size_t best_width(std::size_t terms, std::size_t bits) {
  std::size_t best = 1, least = bits * terms;
  for (std::size_t width : {2u, 4u, 8u}) {
    const std::size_t cost = (bits + width - 1) / width * (terms + (std::size_t{2} << width));
    if (cost < least) {
      least = cost;
      best = width;
    }
  }
  return best;
}

// Every digit becomes two of half the width.
digit_lists halve(digit_lists& whole, std::size_t used_lanes) {
  const std::size_t width = whole.width / 2;
  digit_lists r(used_lanes, 2 * whole.positions * width, width);
  for (std::size_t lane = 0; lane < used_lanes; ++lane)
    for (std::size_t position = 0; position < whole.positions; ++position)
      for (std::size_t digit = 1; digit >> whole.width == 0; ++digit)
        for (std::size_t index : whole.at(lane, position, digit))
          for (std::size_t half : {0u, 1u}) {
            const std::size_t part = digit >> (half * width) & ((std::size_t{1} << width) - 1);
            if (part != 0) r.at(lane, 2 * position + half, part).push_back(index);
          }
  return r;
}

}  // namespace

std::size_t element_pool::append(const cipher_vector& source, std::size_t begin,
                                 std::size_t count) {
  const std::size_t first = elements_.size();
  reserve(count);
  for (std::size_t i = 0; i < count; ++i)
    store(first + i, source.block((begin + i) / m_.lanes()), (begin + i) % m_.lanes());
  return first;
}

void element_pool::reserve(std::size_t count) {
  const std::size_t digits = m_.block_size() / m_.lanes();
  // Not zeroed: every word is stored before it is loaded.
  memory_.emplace_back(new word[count * digits]);
  for (std::size_t i = 0; i < count; ++i) elements_.push_back(memory_.back().get() + i * digits);
}

void element_pool::store(std::size_t index, const word* block, std::size_t lane) {
  const std::size_t digits = m_.block_size() / m_.lanes();
  word* element = elements_[index];
  for (std::size_t d = 0; d < digits; ++d) element[d] = block[d * m_.lanes() + lane];
}

void element_pool::load(word* block, std::size_t lane, std::size_t index) const {
  const std::size_t digits = m_.block_size() / m_.lanes();
  const word* element = elements_[index];
  for (std::size_t d = 0; d < digits; ++d) block[d * m_.lanes() + lane] = element[d];
}

void element_pool::multiply_lists(std::vector<index_list>& lists) {
  secret_words x(m_.one(), m_.one() + m_.block_size()), y(x), scratch(m_.scratch_size());
  // What this call makes is used once and may be overwritten; what it was given may stand in more lists.
  const std::size_t first_own = elements_.size();
  std::vector<pairing> round;
  do {
    round.clear();
    std::size_t size = elements_.size();
    for (index_list& list : lists) {
      const std::size_t pairs = list.size() / 2, odd = list.size() % 2;
      for (std::size_t i = 0; i < pairs; ++i) {
        const std::size_t a = list[2 * i], b = list[2 * i + 1];
        list[i] = a >= first_own ? a : b >= first_own ? b : size++;
        round.push_back({list[i], a, b});
      }
      if (odd == 1) list[pairs] = list.back();
      list.resize(pairs + odd);
    }
    reserve(size - elements_.size());
    for (std::size_t first = 0; first < round.size(); first += m_.lanes()) {
      const std::size_t used = std::min(m_.lanes(), round.size() - first);
      for (std::size_t l = 0; l < used; ++l) {
        load(x.data(), l, round[first + l].a);
        load(y.data(), l, round[first + l].b);
      }
      m_.multiply(x.data(), x.data(), y.data(), scratch.data());
      for (std::size_t l = 0; l < used; ++l) store(round[first + l].target, x.data(), l);
    }
  } while (!round.empty());
}

namespace {

// Horner's rule over digits of one bit.
void combine_bits(word* r, const dual_modulus& m, const element_pool& pool, digit_lists& bits,
                  std::size_t used_lanes) {
  secret_words factor(m.block_size()), scratch(m.scratch_size());
  std::copy_n(m.one(), m.block_size(), r);
  bool is_one = true;
  for (std::size_t position = bits.positions; position-- > 0;) {
    if (!is_one) m.square(r, r, scratch.data());
    bool found = false;
    std::copy_n(m.one(), m.block_size(), factor.begin());
    for (std::size_t l = 0; l < used_lanes; ++l)
      for (std::size_t index : bits.at(l, position, 1)) {
        pool.load(factor.data(), l, index);
        found = true;
      }
    if (found) m.multiply(r, r, factor.data(), scratch.data());
    is_one = is_one && !found;
  }
}

}  // namespace

void weigh_block_vartime(word* r, const cipher_vector& source, const std::size_t* rows,
                         const std::size_t* columns, std::size_t used_lanes,
                         const weight_matrix& weights, std::size_t begin, std::size_t end) {
  const dual_modulus& m = source.modulus();
  element_pool pool(m);
  digit_lists digits(used_lanes, weights.bits, best_width(end - begin, weights.bits));
  std::size_t first = 0;
  for (std::size_t l = 0; l < used_lanes; ++l) {
    if (l == 0 || rows[l] != rows[l - 1])
      first = pool.append(source, rows[l] * weights.inner + begin, end - begin);
    for (std::size_t k = begin; k < end; ++k)
      for (std::size_t position = 0; position < digits.positions; ++position) {
        const word digit =
            extract_bits(weights.at(k, columns[l]), position * digits.width,
                         std::min(digits.width, weights.bits - position * digits.width));
        if (digit != 0) digits.at(l, position, digit).push_back(first + k - begin);
      }
  }
  pool.multiply_lists(digits.lists);
  while (digits.width > 1) {
    digits = halve(digits, used_lanes);
    pool.multiply_lists(digits.lists);
  }
  combine_bits(r, m, pool, digits, used_lanes);
}

}  // namespace veilsum::schemes
