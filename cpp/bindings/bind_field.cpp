// Residues modulo a prime of one word: uint64 arrays in, new uint64 arrays out.
#include "bindings/buffers.hpp"
#include "kernels/dispatch.hpp"
#include "schemes/field.hpp"

namespace veilsum::bindings {
namespace {

using schemes::prime_field;

prime_field make_field(std::uint64_t p) {
  require(p >= 3 && p % 2 == 1, "p must be an odd prime");
  return {*kernels::active().kernel, p};
}

using binary_operation = void (prime_field::*)(common::view<std::uint64_t>,
                                               common::view<const std::uint64_t>,
                                               common::view<const std::uint64_t>) const;

template <binary_operation Operation>
word_array binary(std::uint64_t p, const word_array& a, const word_array& b) {
  require_dimensions(a, 1, "a");
  require_dimensions(b, 1, "b");
  require(a.size() == b.size(), "a and b must have the same size");
  word_array result(a.size());
  const auto x = read(a), y = read(b);
  const auto r = write(result);
  py::gil_scoped_release release;
  (make_field(p).*Operation)(r, x, y);
  return result;
}

word_array power(std::uint64_t p, const word_array& a, std::uint64_t exponent) {
  require_dimensions(a, 1, "a");
  word_array result(a.size());
  const auto x = read(a);
  const auto r = write(result);
  py::gil_scoped_release release;
  make_field(p).power_vartime(r, x, exponent);
  return result;
}

word_array matmul(std::uint64_t p, const word_array& weights, const word_array& values,
                  std::size_t threads) {
  require_dimensions(weights, 2, "weights");
  require_dimensions(values, 2, "values");
  require(extent(weights, 1) == extent(values, 0),
          "weights must have as many columns as values have rows");
  word_array result({weights.shape(0), values.shape(1)});
  const auto w = read(weights), v = read(values);
  const auto r = write(result);
  const std::size_t rows = extent(weights, 0), terms = extent(weights, 1);
  const std::size_t columns = extent(values, 1);
  py::gil_scoped_release release;
  make_field(p).matmul(r, w, rows, terms, v, columns, threads);
  return result;
}

std::size_t check(std::uint64_t p, const word_array& a) {
  const auto x = read(a);
  py::gil_scoped_release release;
  return schemes::count_out_of_range(x, p);
}

}  // namespace

void bind_field(py::module_& module) {
  const auto p = py::arg("p");
  const auto a = py::arg("a").noconvert(), b = py::arg("b").noconvert();
  module.def("field_add", &binary<&prime_field::add>, p, a, b);
  module.def("field_sub", &binary<&prime_field::subtract>, p, a, b);
  module.def("field_mul", &binary<&prime_field::multiply>, p, a, b);
  module.def("field_power", &power, p, a, py::arg("exponent"));
  module.def("field_matmul", &matmul, p, py::arg("weights").noconvert(),
             py::arg("values").noconvert(), py::arg("threads"));
  module.def("field_check", &check, p, a);
}

}  // namespace veilsum::bindings
