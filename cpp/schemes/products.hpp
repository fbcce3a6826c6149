// Products of many elements at once, eight independent ones to a block of lanes.
#pragma once

#include <memory>
#include <vector>

#include "schemes/cipher_vector.hpp"

namespace veilsum::schemes {

// Elements one after the other, not lane by lane: they are picked one by one.
class element_pool {
 public:
  explicit element_pool(const dual_modulus& m) : m_(m) {}

  // Appends elements begin .. begin + count of a vector; returns the index of the first.
  std::size_t append(const cipher_vector& source, std::size_t begin, std::size_t count);
  // Copies an element into one lane of a dual block.
  void load(word* block, std::size_t lane, std::size_t index) const;

  // Replaces every list of indices by one index, that of the product of its elements; an empty list
  // stays empty. Products are paired up round by round, all lists together.
  void multiply_lists(std::vector<std::vector<std::size_t>>& lists);

 private:
  void reserve(std::size_t count);  // so many more elements, yet to be stored
  void store(std::size_t index, const word* block, std::size_t lane);

  const dual_modulus& m_;
  std::vector<std::unique_ptr<word[]>> memory_;  // one piece for each call of reserve
  std::vector<word*> elements_;
};

// For each of up to `lanes` lanes l the product over k of element (rows[l], k) of `source` to the power
// of weights (k, columns[l]), for k from `begin` to `end`, as a dual block r. Pippenger's method (1976)
// with digits that are halved down to bits: elements of the same digit are multiplied first.
void weigh_block_vartime(word* r, const cipher_vector& source, const std::size_t* rows,
                         const std::size_t* columns, std::size_t used_lanes,
                         const weight_matrix& weights, std::size_t begin, std::size_t end);

}  // namespace veilsum::schemes
