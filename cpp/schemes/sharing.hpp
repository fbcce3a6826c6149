// Sharing many secrets at once: a row holds one holder's values, a column those of one polynomial. Rows
// stand wherever their pointers say. Nothing here branches on a value but for what it counts.
#pragma once

#include <vector>

#include "schemes/field.hpp"
#include "schemes/transform.hpp"

namespace veilsum::schemes {

using row_pointers = std::vector<word*>;
using const_row_pointers = std::vector<const word*>;

// The last out.size() - weights.rows() rows of `known`, then weights * known.
void deal(const prime_field& field, const prime_field::weights& weights,
          const const_row_pointers& known, const row_pointers& out, std::size_t columns);

// Values at the roots of unity of order n, the first out.size() of them. The coefficients are
// weights * known, then the other rows of `known` from weights.rows() on.
void deal_at_roots(const prime_field& field, const transform& roots, std::size_t n,
                   const prime_field::weights& weights, const const_row_pointers& known,
                   const row_pointers& out, std::size_t columns);

// Where opened secrets go: secret `column` of row r stands at r * columns + column, those at `size` and
// beyond are padding; each is centred, and should lie between low and high.
struct opened_secrets {
  std::int64_t* values;
  std::size_t size, columns;
  std::int64_t low, high;
};

struct verdict {
  std::size_t disagreeing = 0;  // columns in which a redundant row is not what the others make it
  std::size_t outside = 0;      // secrets beyond low and high
};

// weights * rows, of which the first weights.rows() - redundant.size() rows are secrets and the others
// what `redundant` should hold.
verdict open(const prime_field& field, const prime_field::weights& weights,
             const const_row_pointers& rows, const const_row_pointers& redundant,
             const opened_secrets& secrets, std::size_t threads);

// The same from values at roots of unity: row i of `rows` is that of root w^places[i], scaled by
// scales[i], which makes missing rows zeros of a polynomial of degree below `degree`. Its coefficients
// from there on must be zero; weights * coefficients are the secrets.
struct erasures {
  view<const std::size_t> places;
  view<const word> scales;
  std::size_t degree;
};
verdict open_at_roots(const prime_field& field, const transform& roots, std::size_t n,
                      const erasures& missing, const prime_field::weights& weights,
                      const const_row_pointers& rows, const opened_secrets& secrets,
                      std::size_t threads);

}  // namespace veilsum::schemes
