// Memory for secrets: cache-line aligned, and overwritten before it is given back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <vector>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace veilsum::common {

// The barrier keeps the compiler from dropping stores to memory that is about to be freed.
inline void wipe(void* data, std::size_t bytes) {
  std::memset(data, 0, bytes);
  __asm__ volatile("" : : "r"(data) : "memory");
}

constexpr std::size_t cache_line = 64;
constexpr std::size_t huge_page = std::size_t{2} << 20;

constexpr std::align_val_t alignment_of(std::size_t bytes) {
  return std::align_val_t(bytes < huge_page ? cache_line : huge_page);
}

// Taking a large array into use costs more than its use, small page by small page. Advice alone: where
// the system has no huge pages nothing is lost.
inline void advise_huge_pages(void* data, std::size_t bytes) {
#if defined(__linux__)
  if (bytes >= huge_page) madvise(data, bytes, MADV_HUGEPAGE);
#endif
}

template <class T, bool Wipes>
struct aligned_allocator {
  using value_type = T;
  template <class U>
  struct rebind {
    using other = aligned_allocator<U, Wipes>;
  };

  aligned_allocator() = default;
  template <class U>
  aligned_allocator(const aligned_allocator<U, Wipes>&) {}

  T* allocate(std::size_t count) {
    if (count > static_cast<std::size_t>(-1) / sizeof(T)) throw std::bad_array_new_length();
    const std::size_t bytes = count * sizeof(T);
    void* data = ::operator new(bytes, alignment_of(bytes));
    advise_huge_pages(data, bytes);
    return static_cast<T*>(data);
  }
  void deallocate(T* data, std::size_t count) noexcept {
    if (Wipes) wipe(data, count * sizeof(T));
    ::operator delete(data, alignment_of(count * sizeof(T)));
  }
  friend bool operator==(const aligned_allocator&, const aligned_allocator&) { return true; }
  friend bool operator!=(const aligned_allocator&, const aligned_allocator&) { return false; }
};

using words = std::vector<std::uint64_t, aligned_allocator<std::uint64_t, false>>;
using secret_words = std::vector<std::uint64_t, aligned_allocator<std::uint64_t, true>>;

}  // namespace veilsum::common
