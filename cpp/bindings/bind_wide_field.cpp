// Residues modulo a prime of several words: rows of uint64 words in, new rows out.
#include <algorithm>
#include <memory>

#include "bindings/buffers.hpp"
#include "kernels/dispatch.hpp"
#include "schemes/wide_field.hpp"

namespace veilsum::bindings {
namespace {

using schemes::wide_field;

constexpr std::size_t maximum_words = 64;

std::unique_ptr<wide_field> make_field(const word_array& modulus) {
  const auto p = odd_integer(modulus, "modulus");
  require(p.size <= maximum_words, "modulus must have at most 64 words");
  require(p[p.size - 1] != 0 && schemes::bit_length_vartime(p) > 1,
          "modulus must be above 1, without leading zero words");
  return std::make_unique<wide_field>(*kernels::active().kernel, p);
}

void require_residues(const wide_field& field, const word_array& a, int dimensions,
                      const char* name) {
  require_dimensions(a, dimensions, name);
  require(extent(a, dimensions - 1) == field.limbs(),
          std::string(name) + " must have as many words as the modulus");
}

void require_operands(const wide_field& field, const word_array& a, const word_array& b) {
  require_residues(field, a, 2, "a");
  require_residues(field, b, 2, "b");
  require(extent(a, 0) == extent(b, 0), "a and b must have as many rows");
}

using binary_operation = void (wide_field::*)(common::view<std::uint64_t>,
                                              common::view<const std::uint64_t>,
                                              common::view<const std::uint64_t>) const;

template <binary_operation Operation>
word_array binary(const wide_field& field, const word_array& a, const word_array& b) {
  require_operands(field, a, b);
  word_array result({a.shape(0), a.shape(1)});
  const auto x = read(a), y = read(b);
  const auto r = write(result);
  py::gil_scoped_release release;
  (field.*Operation)(r, x, y);
  return result;
}

word_array multiply(const wide_field& field, const word_array& a, const word_array& b,
                    std::size_t threads) {
  require_operands(field, a, b);
  word_array result({a.shape(0), a.shape(1)});
  const auto x = read(a), y = read(b);
  const auto r = write(result);
  py::gil_scoped_release release;
  field.multiply(r, x, y, threads);
  return result;
}

word_array power(const wide_field& field, const word_array& a, const word_array& exponent,
                 std::size_t threads) {
  require_residues(field, a, 2, "a");
  require_dimensions(exponent, 1, "exponent");
  require(exponent.size() >= 1, "exponent must have at least one word");
  word_array result({a.shape(0), a.shape(1)});
  std::copy_n(a.data(), a.size(), result.mutable_data());
  const auto r = write(result);
  const auto e = read(exponent);
  py::gil_scoped_release release;
  field.power(r, e, threads);
  return result;
}

word_array matmul(const wide_field& field, const word_array& weights, const word_array& values,
                  std::size_t threads) {
  require_residues(field, weights, 3, "weights");
  require_residues(field, values, 3, "values");
  require(extent(weights, 1) == extent(values, 0),
          "weights must have as many columns as values have rows");
  word_array result({weights.shape(0), values.shape(1), weights.shape(2)});
  const auto w = read(weights), v = read(values);
  const auto r = write(result);
  const std::size_t rows = extent(weights, 0), terms = extent(weights, 1);
  const std::size_t columns = extent(values, 1);
  py::gil_scoped_release release;
  field.matmul(r, w, rows, terms, v, columns, threads);
  return result;
}

byte_array mark_outside(const wide_field& field, const word_array& numbers) {
  require_residues(field, numbers, 2, "numbers");
  byte_array flags(numbers.shape(0));
  const auto f = write(flags);
  const auto x = read(numbers);
  py::gil_scoped_release release;
  field.mark_outside(f, x);
  return flags;
}

}  // namespace

void bind_wide_field(py::module_& module) {
  const auto a = py::arg("a").noconvert(), b = py::arg("b").noconvert();
  const auto threads = py::arg("threads");
  py::class_<wide_field>(module, "WideField")
      .def(py::init(&make_field), py::arg("modulus").noconvert())
      .def("add", &binary<&wide_field::add>, a, b)
      .def("sub", &binary<&wide_field::subtract>, a, b)
      .def("mul", &multiply, a, b, threads)
      .def("power", &power, a, py::arg("exponent").noconvert(), threads)
      .def("matmul", &matmul, py::arg("weights").noconvert(), py::arg("values").noconvert(),
           threads)
      .def("mark_outside", &mark_outside, py::arg("numbers").noconvert());
}

}  // namespace veilsum::bindings
