// Which kernel runs in this process, and why.
#pragma once

#include <string>
#include <vector>

#include "kernels/api.hpp"

namespace veilsum::kernels {

struct choice {
  const table* kernel;
  std::string reason;
};

// The kernels that this processor can run, the fastest first.
std::vector<const table*> available();

// Chosen once: the fastest available, or the one that VEILSUM_KERNEL names.
// Throws std::invalid_argument where that names none that can run here.
const choice& active();

// The kernel of that name; throws std::invalid_argument where it does not run on this machine.
const table& named(const std::string& name);

}  // namespace veilsum::kernels
