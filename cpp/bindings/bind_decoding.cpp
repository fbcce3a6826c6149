// Which holders lie: Reed-Solomon decoding.
#include <utility>

#include "bindings/buffers.hpp"
#include "kernels/dispatch.hpp"
#include "schemes/decoding.hpp"

namespace veilsum::bindings {
namespace {

using schemes::prime_field;
using schemes::reed_solomon;

prime_field make_field(std::uint64_t p) {
  require(p >= 3 && p % 2 == 1, "p must be an odd prime");
  return {*kernels::active().kernel, p};
}

void require_words(const word_array& points, const word_array& words, std::size_t threshold) {
  require_dimensions(points, 1, "points");
  require_dimensions(words, 2, "words");
  require(points.size() == words.shape(0), "words must have a row for each point");
  require(threshold >= 1 && threshold <= extent(points, 0),
          "threshold must be from 1 to the number of points");
}

// (errors, decoded): a row of marks and a flag for each column of words.
std::pair<byte_array, byte_array> decode_columns(std::uint64_t p, const word_array& points,
                                                 const word_array& words, std::size_t threshold,
                                                 std::size_t max_errors, std::size_t threads) {
  require_words(points, words, threshold);
  require(max_errors <= (extent(points, 0) - threshold) / 2,
          "max_errors must be at most half the redundancy");
  const prime_field field = make_field(p);
  byte_array errors({words.shape(1), words.shape(0)}), decoded(words.shape(1));
  const auto places = read(points), received = read(words);
  const auto marks = write(errors), flags = write(decoded);
  const std::size_t count = extent(words, 1);
  {
    py::gil_scoped_release release;
    reed_solomon(field, places, threshold)
        .locate_vartime(marks, flags, received, count, max_errors, threads);
  }
  return {errors, decoded};
}

// (errors, decoded): one row of marks, and one flag, for all words.
std::pair<byte_array, bool> decode_together(std::uint64_t p, const word_array& points,
                                            const word_array& words, std::size_t threshold,
                                            std::size_t max_errors, std::size_t threads) {
  require_words(points, words, threshold);
  require(max_errors <= extent(points, 0) - threshold, "max_errors must be at most the redundancy");
  const prime_field field = make_field(p);
  byte_array errors(words.shape(0));
  const auto places = read(points), received = read(words);
  const auto marks = write(errors);
  const std::size_t count = extent(words, 1);
  bool decoded = false;
  {
    py::gil_scoped_release release;
    decoded = reed_solomon(field, places, threshold)
                  .locate_together_vartime(marks, received, count, max_errors, threads);
  }
  return {errors, decoded};
}

}  // namespace

void bind_decoding(py::module_& module) {
  const auto p = py::arg("p");
  const auto points = py::arg("points").noconvert(), words = py::arg("words").noconvert();
  const auto threshold = py::arg("threshold"), max_errors = py::arg("max_errors");
  const auto threads = py::arg("threads");
  module.def("decode_columns", &decode_columns, p, points, words, threshold, max_errors, threads);
  module.def("decode_together", &decode_together, p, points, words, threshold, max_errors, threads);
}

}  // namespace veilsum::bindings
