// A pointer and a length: what functions take when they neither own nor resize (C++17 has no std::span).
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

namespace veilsum::common {

template <class T>
struct view {
  T* data = nullptr;
  std::size_t size = 0;

  constexpr view() = default;
  constexpr view(T* pointer, std::size_t count) : data(pointer), size(count) {}

  // Any contiguous container whose elements may be seen as T (a temporary one only as const).
  template <class Container, class = std::enable_if_t<std::is_convertible_v<
                                 decltype(std::declval<Container&>().data()), T*>>>
  constexpr view(Container& container) : data(container.data()), size(container.size()) {}
  template <class Container, class = std::enable_if_t<std::is_convertible_v<
                                 decltype(std::declval<const Container&>().data()), T*>>>
  constexpr view(const Container& container) : data(container.data()), size(container.size()) {}

  template <class U, class = std::enable_if_t<std::is_convertible_v<U*, T*>>>
  constexpr view(view<U> other) : data(other.data), size(other.size) {}

  constexpr T& operator[](std::size_t i) const { return data[i]; }
  constexpr T* begin() const { return data; }
  constexpr T* end() const { return data + size; }
  constexpr view first(std::size_t count) const { return {data, count}; }
  constexpr view from(std::size_t offset) const { return {data + offset, size - offset}; }
  constexpr view slice(std::size_t offset, std::size_t count) const {
    return {data + offset, count};
  }
};

}  // namespace veilsum::common
