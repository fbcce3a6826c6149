// The arithmetic of certificates and proofs: rows of uint64 words, little-endian.
#include <algorithm>

#include "bindings/buffers.hpp"
#include "kernels/dispatch.hpp"
#include "schemes/modular.hpp"

namespace veilsum::bindings {
namespace {

word_array copy(const word_array& a) {
  word_array result(std::vector<py::ssize_t>(a.shape(), a.shape() + a.ndim()));
  std::copy_n(a.data(), a.size(), result.mutable_data());
  return result;
}

void require_exponent(const word_array& exponent, const char* name) {
  require_dimensions(exponent, 1, name);
  require(exponent.size() >= 1, std::string(name) + " must have at least one word");
}

word_array modular_powers(const word_array& modulus, const word_array& bases,
                          const word_array& exponent, std::size_t threads) {
  const auto m = odd_integer(modulus, "modulus");
  require(schemes::bit_length_vartime(m) > 1, "modulus must be above 1");
  require_dimensions(bases, 2, "bases");
  require(extent(bases, 1) == m.size, "bases must have as many words as the modulus");
  require_exponent(exponent, "exponent");
  word_array rows = copy(bases);
  const auto r = write(rows);
  const auto e = read(exponent);
  py::gil_scoped_release release;
  schemes::powers(r, {*kernels::active().kernel, m}, e, threads);
  return rows;
}

word_array prime_pair_powers(const word_array& p, const word_array& q, const word_array& q_inverse,
                             const word_array& bases, const word_array& exponent_p,
                             const word_array& exponent_q, std::size_t threads) {
  const auto first = odd_integer(p, "p"), second = odd_integer(q, "q");
  require(second.size == first.size, "p and q must have as many words");
  require_dimensions(q_inverse, 1, "q_inverse");
  require(q_inverse.size() == p.size(), "q_inverse must have p's words");
  require_dimensions(bases, 2, "bases");
  require(extent(bases, 1) >= first.size && extent(bases, 1) <= 2 * first.size,
          "bases must have from p's words to twice as many");
  require_exponent(exponent_p, "exponent_p");
  require_exponent(exponent_q, "exponent_q");
  word_array rows = copy(bases);
  const auto r = write(rows);
  const std::size_t width = extent(bases, 1);
  const auto inverse = read(q_inverse), e_p = read(exponent_p), e_q = read(exponent_q);
  py::gil_scoped_release release;
  schemes::prime_pair(*kernels::active().kernel, first, second, inverse)
      .powers(r, width, e_p, e_q, threads);
  return rows;
}

word_array weighted_sum(const word_array& start, const word_array& rows, const word_array& weights,
                        bool is_signed) {
  require_dimensions(start, 1, "start");
  require_dimensions(rows, 2, "rows");
  require_dimensions(weights, 2, "weights");
  require(extent(rows, 0) == extent(weights, 0), "rows and weights must be as many");
  require(extent(rows, 1) >= 1 && extent(weights, 1) >= 1, "rows and weights must have words");
  word_array sum = copy(start);
  const auto s = write(sum);
  const auto r = read(rows), w = read(weights);
  const std::size_t limbs = extent(rows, 1), weight_words = extent(weights, 1);
  py::gil_scoped_release release;
  schemes::add_weighted(s, r, limbs, is_signed, w, weight_words);
  return sum;
}

word_array centred_residue(const word_array& a, const word_array& modulus) {
  const auto m = odd_integer(modulus, "modulus");
  require_dimensions(a, 1, "a");
  require(a.size() >= 1, "a must have at least one word");
  word_array result(modulus.size());
  const auto r = write(result);
  const auto x = read(a);
  py::gil_scoped_release release;
  schemes::centred_residue(r, x, m);
  return result;
}

}  // namespace

void bind_proofs(py::module_& module) {
  const auto threads = py::arg("threads");
  module.def("modular_powers", &modular_powers, py::arg("modulus").noconvert(),
             py::arg("bases").noconvert(), py::arg("exponent").noconvert(), threads);
  module.def("prime_pair_powers", &prime_pair_powers, py::arg("p").noconvert(),
             py::arg("q").noconvert(), py::arg("q_inverse").noconvert(),
             py::arg("bases").noconvert(), py::arg("exponent_p").noconvert(),
             py::arg("exponent_q").noconvert(), threads);
  module.def("weighted_sum", &weighted_sum, py::arg("start").noconvert(),
             py::arg("rows").noconvert(), py::arg("weights").noconvert(), py::arg("is_signed"));
  module.def("centred_residue", &centred_residue, py::arg("a").noconvert(),
             py::arg("modulus").noconvert());
}

}  // namespace veilsum::bindings
