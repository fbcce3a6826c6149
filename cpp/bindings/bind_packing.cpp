// Slots: int64 arrays to rows of uint64 words that hold many of them each, and back.
#include "bindings/buffers.hpp"
#include "schemes/packing.hpp"

namespace veilsum::bindings {
namespace {

using schemes::slot_layout;

slot_layout make_layout(std::size_t slots, std::size_t slot_bits, std::size_t limbs) {
  require(slot_bits >= 2 && slot_bits <= 63, "slot_bits must be from 2 to 63");
  require(slots >= 1 && slots <= 64 * limbs / slot_bits, "a row must hold from 1 slot to its bits");
  return {slots, slot_bits, limbs};
}

word_array pack_slots(const index_array& values, std::size_t slots, std::size_t slot_bits,
                      std::size_t limbs, std::size_t threads) {
  require_dimensions(values, 1, "values");
  const slot_layout layout = make_layout(slots, slot_bits, limbs);
  word_array rows({layout.rows_for(extent(values, 0)), limbs});
  const auto v = read(values);
  const auto r = write(rows);
  py::gil_scoped_release release;
  schemes::pack(r, v, layout, threads);
  return rows;
}

// The values, or None where a row holds what it must not.
py::object unpack_slots(const word_array& rows, std::size_t count, std::size_t slots,
                        std::size_t slot_bits, std::int64_t limit, std::size_t threads) {
  require_dimensions(rows, 2, "rows");
  const slot_layout layout = make_layout(slots, slot_bits, extent(rows, 1));
  require(limit >= 0 && limit >> 62 == 0, "limit must be from 0 to 2^62 - 1");
  require(extent(rows, 0) == layout.rows_for(count), "rows must be as many as the values fill");
  index_array values(static_cast<py::ssize_t>(count));
  const auto r = read(rows);
  const auto v = write(values);
  schemes::word refused = 0;
  {
    py::gil_scoped_release release;
    refused = schemes::unpack(v, r, limit, layout, threads);
  }
  return refused ? py::object(py::none()) : py::object(values);
}

}  // namespace

void bind_packing(py::module_& module) {
  const auto slots = py::arg("slots"), slot_bits = py::arg("slot_bits");
  const auto threads = py::arg("threads");
  module.def("pack_slots", &pack_slots, py::arg("values").noconvert(), slots, slot_bits,
             py::arg("limbs"), threads);
  module.def("unpack_slots", &unpack_slots, py::arg("rows").noconvert(), py::arg("count"), slots,
             slot_bits, py::arg("limit"), threads);
}

}  // namespace veilsum::bindings
