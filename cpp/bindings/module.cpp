#include "bindings/buffers.hpp"

PYBIND11_MODULE(_core, module) {
  module.doc() = "The compiled ground floors of veilsum: kernels and schemes over arrays.";
  veilsum::bindings::bind_kernels(module);
  veilsum::bindings::bind_field(module);
  veilsum::bindings::bind_decoding(module);
  veilsum::bindings::bind_paillier(module);
  veilsum::bindings::bind_packing(module);
  veilsum::bindings::bind_proofs(module);
  veilsum::bindings::bind_wide_field(module);
}
