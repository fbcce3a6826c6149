// Whether this processor, and the operating system under it, run the AVX-512 IFMA kernel.
#include <cpuid.h>

#include "kernels/api.hpp"

namespace veilsum::kernels {
namespace {

constexpr unsigned osxsave = 1u << 27;                                        // leaf 1, ecx
constexpr unsigned avx512f = 1u << 16, avx512dq = 1u << 17, ifma = 1u << 21;  // leaf 7, ebx
constexpr unsigned zmm_state = 0xe6;  // xcr0: SSE, AVX, opmask, both halves of the zmm registers

unsigned extended_control_register() {
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

}  // namespace

bool cpu_has_avx512ifma() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & osxsave)) return false;
  if ((extended_control_register() & zmm_state) != zmm_state) return false;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const unsigned wanted = avx512f | avx512dq | ifma;
  return (b & wanted) == wanted;
}

}  // namespace veilsum::kernels
