// The choice of kernel, and one kernel at a time for tests of equality.
#include <pybind11/stl.h>

#include <map>

#include "bindings/buffers.hpp"
#include "kernels/dispatch.hpp"
#include "schemes/montgomery.hpp"
#include "schemes/parallel.hpp"

namespace veilsum::bindings {
namespace {

using schemes::montgomery_modulus;
using schemes::secret_words;

// Integers modulo m in one kernel, every lane used: rows of words in, rows of words out.
class modular_arithmetic {
 public:
  modular_arithmetic(const std::string& kernel, const word_array& modulus)
      : m_(kernels::named(kernel), check(modulus)) {}

  word_array multiply(const word_array& a, const word_array& b) const {
    require_rows(a);
    require_rows(b);
    require(extent(a, 0) == extent(b, 0), "a and b must have as many rows");
    return each_block(a, [&](schemes::word* x, std::size_t first, schemes::word* scratch) {
      secret_words y(m_.block_size());
      load(y.data(), b, first);
      enter(y.data(), scratch);
      m_.multiply(x, x, y.data(), scratch);
    });
  }

  word_array power(const word_array& a, const word_array& exponents,
                   std::size_t window_bits) const {
    require_rows(a);
    require_dimensions(exponents, 2, "exponents");
    require(extent(exponents, 1) >= 1, "exponents must have at least one word");
    require(extent(a, 0) == extent(exponents, 0), "bases and exponents must have as many rows");
    require(window_bits >= 1 && window_bits <= kernels::maximum_window_bits,
            "window_bits must be from 1 to 6");
    const std::size_t lanes = m_.kernel().lanes, words = extent(exponents, 1);
    const std::size_t count = schemes::window_count(64 * words, window_bits);
    return each_block(a, [&](schemes::word* x, std::size_t first, schemes::word*) {
      secret_words windows(count * lanes, 0), scratch(m_.power_scratch_size(window_bits));
      for (std::size_t l = 0; l < lanes && first + l < extent(a, 0); ++l)
        schemes::write_windows(windows.data() + l, lanes,
                               read(exponents).slice((first + l) * words, words), count,
                               window_bits);
      const kernels::modulus m = m_.lane_view();
      const secret_words base(x, x + m_.block_size());
      m_.kernel().power(x, base.data(), m_.one(), windows.data(), count, window_bits, &m,
                        scratch.data());
    });
  }

 private:
  static common::view<const std::uint64_t> check(const word_array& modulus) {
    require_dimensions(modulus, 1, "modulus");
    const auto m = read(modulus);
    require(m.size > 0 && m[0] % 2 == 1 && schemes::bit_length_vartime(m) > 1,
            "modulus must be odd and above 1");
    return m;
  }
  void require_rows(const word_array& a) const {
    require_dimensions(a, 2, "numbers");
    require(extent(a, 1) == m_.word_count(), "numbers must have as many words as the modulus");
  }
  void load(schemes::word* block, const word_array& a, std::size_t first) const {
    for (std::size_t l = 0; l < m_.kernel().lanes && first + l < extent(a, 0); ++l)
      m_.set_lane(block, l, read(a).slice((first + l) * m_.word_count(), m_.word_count()));
  }
  void enter(schemes::word* x, schemes::word* scratch) const { m_.enter(x, x, scratch); }

  template <class Operation>
  word_array each_block(const word_array& a, Operation operation) const {
    word_array result({a.shape(0), a.shape(1)});
    secret_words x(m_.block_size()), scratch(m_.scratch_size());
    for (std::size_t first = 0; first < extent(a, 0); first += m_.kernel().lanes) {
      load(x.data(), a, first);
      enter(x.data(), scratch.data());
      operation(x.data(), first, scratch.data());
      m_.leave(x.data(), x.data(), scratch.data());
      for (std::size_t l = 0; l < m_.kernel().lanes && first + l < extent(a, 0); ++l)
        m_.get_lane(write(result).slice((first + l) * m_.word_count(), m_.word_count()), x.data(),
                    l);
    }
    return result;
  }

  montgomery_modulus m_;
};

py::dict kernel_info() {
  std::vector<std::string> available;
  for (const kernels::table* kernel : kernels::available()) available.emplace_back(kernel->name);
  const kernels::choice& active = kernels::active();
  py::dict info;
  info["name"] = active.kernel->name;
  info["reason"] = active.reason;
  info["available"] = available;
  info["lanes"] = active.kernel->lanes;
  info["digit_bits"] = active.kernel->digit_bits;
  return info;
}

}  // namespace

void bind_kernels(py::module_& module) {
  kernels::active();  // an impossible VEILSUM_KERNEL fails the import, not a later call
  module.def("kernel_info", &kernel_info);
  module.def("usable_threads", &schemes::usable_threads, py::arg("threads"));
  py::class_<modular_arithmetic>(module, "ModularArithmetic")
      .def(py::init<const std::string&, const word_array&>(), py::arg("kernel"),
           py::arg("modulus").noconvert())
      .def("multiply", &modular_arithmetic::multiply, py::arg("a").noconvert(),
           py::arg("b").noconvert())
      .def("power", &modular_arithmetic::power, py::arg("a").noconvert(),
           py::arg("exponents").noconvert(), py::arg("window_bits"));
}

}  // namespace veilsum::bindings
