// The kernel that runs everywhere.
#include "kernels/instantiate.inl.hpp"
#include "kernels/lanes_portable.hpp"

namespace veilsum::kernels {

const table portable = instance<portable_lane, portable_lane>::make("portable");

}  // namespace veilsum::kernels
