// The kernel that runs everywhere.
#include "kernels/instantiate.inl.hpp"
#include "kernels/lanes_portable.hpp"

namespace veilsum::kernels {

using field = word_field<portable_lane>;
const table portable = instance<portable_lane, portable_lane, field, field>::make("portable");

}  // namespace veilsum::kernels
