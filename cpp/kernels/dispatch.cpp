#include "kernels/dispatch.hpp"

#include <cstdlib>
#include <stdexcept>

namespace veilsum::kernels {
namespace {

std::string names(const std::vector<const table*>& kernels) {
  std::string list;
  for (const table* kernel : kernels)
    list += (list.empty() ? "" : ", ") + std::string(kernel->name);
  return list;
}

const table* find(const std::string& name) {
  for (const table* kernel : available())
    if (name == kernel->name) return kernel;
  return nullptr;
}

choice choose() {
  const std::vector<const table*> kernels = available();
  const char* forced = std::getenv("VEILSUM_KERNEL");
  if (forced == nullptr || *forced == '\0') {
    const bool vector = kernels.front() != &portable;
    return {kernels.front(), vector ? "the processor and the operating system support AVX-512 IFMA"
                                    : "no AVX-512 IFMA here; the portable kernel runs everywhere"};
  }
  if (const table* kernel = find(forced)) return {kernel, "VEILSUM_KERNEL forces it"};
  throw std::invalid_argument("VEILSUM_KERNEL=" + std::string(forced) +
                              " is not a kernel that runs on this machine; available: " +
                              names(kernels) + "; unset it to let veilsum choose");
}

}  // namespace

std::vector<const table*> available() {
#if defined(VEILSUM_X86_64)
  if (cpu_has_avx512ifma()) return {&avx512ifma, &portable};
#endif
  return {&portable};
}

const table& named(const std::string& name) {
  if (const table* kernel = find(name)) return *kernel;
  throw std::invalid_argument("no kernel named " + name +
                              " runs on this machine; available: " + names(available()));
}

const choice& active() {
  static const choice chosen = choose();
  return chosen;
}

}  // namespace veilsum::kernels
