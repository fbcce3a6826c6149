// What every binding does with NumPy arrays: take their memory as views, say which argument is wrong.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>

#include "common/view.hpp"

namespace veilsum::bindings {

namespace py = pybind11;

// Never converted: a copy made behind the caller's back could not be wiped.
using word_array = py::array_t<std::uint64_t, py::array::c_style>;
using byte_array = py::array_t<std::uint8_t, py::array::c_style>;
using index_array = py::array_t<std::int64_t, py::array::c_style>;

template <class T>
common::view<const T> read(const py::array_t<T, py::array::c_style>& array) {
  return {array.data(), static_cast<std::size_t>(array.size())};
}

template <class T>
common::view<T> write(py::array_t<T, py::array::c_style>& array) {
  return {array.mutable_data(), static_cast<std::size_t>(array.size())};
}

template <class T>
std::size_t extent(const py::array_t<T, py::array::c_style>& array, int axis) {
  return static_cast<std::size_t>(array.shape(axis));
}

inline void require(bool condition, const std::string& message) {
  if (!condition) throw py::value_error(message);
}

inline void require_dimensions(const py::array& array, int dimensions, const char* name) {
  require(array.ndim() == dimensions, std::string(name) + " must have " +
                                          std::to_string(dimensions) + " dimensions, got " +
                                          std::to_string(array.ndim()));
}

// A modulus, as words.
inline common::view<const std::uint64_t> odd_integer(const word_array& a, const char* name) {
  require_dimensions(a, 1, name);
  require(a.size() > 0 && a.data()[0] % 2 == 1, std::string(name) + " must be odd");
  return read(a);
}

void bind_kernels(py::module_& module);
void bind_field(py::module_& module);
void bind_decoding(py::module_& module);
void bind_paillier(py::module_& module);
void bind_packing(py::module_& module);
void bind_proofs(py::module_& module);
void bind_wide_field(py::module_& module);

}  // namespace veilsum::bindings
