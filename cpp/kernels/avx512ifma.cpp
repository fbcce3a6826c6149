// The only file that is compiled for AVX-512: nothing here may be emitted as a weak symbol.
#include "kernels/instantiate.inl.hpp"
#include "kernels/lanes_avx512ifma.hpp"

namespace veilsum::kernels {

using lane = avx512ifma_lane<4>;
const table avx512ifma =
    instance<lane, avx512ifma_lane<5>, narrow_field<lane>, wide_field<lane>>::make("avx512ifma");

}  // namespace veilsum::kernels
