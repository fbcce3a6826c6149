// The only file that is compiled for AVX-512: nothing here may be emitted as a weak symbol.
#include "kernels/instantiate.inl.hpp"
#include "kernels/lanes_avx512ifma.hpp"

namespace veilsum::kernels {

const table avx512ifma = instance<avx512ifma_lane<4>, avx512ifma_lane<5>>::make("avx512ifma");

}  // namespace veilsum::kernels
