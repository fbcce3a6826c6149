// Residues modulo a prime of one word: uint64 arrays in, new uint64 arrays out.
#include <algorithm>
#include <memory>
#include <mutex>
#include <tuple>
#include <utility>

#include "bindings/buffers.hpp"
#include "kernels/dispatch.hpp"
#include "schemes/parallel.hpp"
#include "schemes/polynomial.hpp"
#include "schemes/sharing.hpp"

namespace veilsum::bindings {
namespace {

using common::view;
using schemes::const_row_pointers;
using schemes::prime_field;
using schemes::row_pointers;
using schemes::transform;
using word = std::uint64_t;

// Rows may lie apart, each row's words stand side by side.
using row_array = py::array_t<word>;

template <class Pointers, class Data>
Pointers rows_of(const py::array& array, Data* data, const char* name) {
  require_dimensions(array, 2, name);
  constexpr py::ssize_t size = sizeof(word);
  require(array.size() == 0 || array.shape(1) == 1 || array.strides(1) == size,
          std::string(name) + " must have contiguous rows");
  require(array.strides(0) % size == 0, std::string(name) + " must have aligned rows");
  Pointers rows(static_cast<std::size_t>(array.shape(0)));
  for (std::size_t i = 0; i < rows.size(); ++i)
    rows[i] = data + static_cast<py::ssize_t>(i) * (array.strides(0) / size);
  return rows;
}

const_row_pointers read_rows(const row_array& array, const char* name) {
  return rows_of<const_row_pointers>(array, array.data(), name);
}

row_pointers write_rows(row_array& array, const char* name) {
  return rows_of<row_pointers>(array, array.mutable_data(), name);
}

// Some rows of an array.
const_row_pointers chosen_rows(const row_array& array, const index_array& chosen,
                               const char* name) {
  const const_row_pointers all = read_rows(array, name);
  const_row_pointers rows;
  rows.reserve(static_cast<std::size_t>(chosen.size()));
  for (const std::int64_t place : read(chosen)) {
    require(place >= 0 && static_cast<std::size_t>(place) < all.size(),
            std::string(name) + " has no such row");
    rows.push_back(all[static_cast<std::size_t>(place)]);
  }
  return rows;
}

class field {
 public:
  explicit field(word p) : field_(make(p)), kernel_(kernels::active().kernel) {}

  word modulus() const { return field_.modulus(); }

  using binary_operation = void (prime_field::*)(view<word>, view<const word>,
                                                 view<const word>) const;
  template <binary_operation Operation>
  word_array binary(const word_array& a, const word_array& b) const {
    require_dimensions(a, 1, "a");
    require_dimensions(b, 1, "b");
    require(a.size() == b.size(), "a and b must have the same size");
    word_array result(a.size());
    const auto x = read(a), y = read(b);
    const auto r = write(result);
    py::gil_scoped_release release;
    (field_.*Operation)(r, x, y);
    return result;
  }

  word_array power(const word_array& a, word exponent) const {
    require_dimensions(a, 1, "a");
    word_array result(a.size());
    const auto x = read(a);
    const auto r = write(result);
    py::gil_scoped_release release;
    field_.power_vartime(r, x, exponent);
    return result;
  }

  word_array invert(const word_array& a) const {
    require_dimensions(a, 1, "a");
    word_array result(a.size());
    const auto x = read(a);
    const auto r = write(result);
    py::gil_scoped_release release;
    field_.invert(r, x);
    return result;
  }

  word dot(const word_array& a, const word_array& b) const {
    require(a.ndim() == 1 && b.ndim() == 1 && a.size() == b.size(),
            "a and b must have one dimension and the same size");
    const auto x = read(a), y = read(b);
    py::gil_scoped_release release;
    return field_.dot(x, y);
  }

  // (rows x vectors): each row, from column `first` on, times each vector.
  word_array inner_products(const row_array& rows, const word_array& vectors, std::size_t first,
                            std::size_t threads) const {
    const_row_pointers left = read_rows(rows, "rows");
    const const_row_pointers right =
        rows_of<const_row_pointers>(vectors, vectors.data(), "vectors");
    const std::size_t stride = static_cast<std::size_t>(rows.shape(1)),
                      columns = extent(vectors, 1);
    require(first <= stride && columns <= stride - first,
            "vectors must end where rows do, or before");
    for (const word*& row : left) row += first;
    word_array result({rows.shape(0), vectors.shape(0)});
    const auto r = write(result);
    py::gil_scoped_release release;
    field_.inner_products(r, left.data(), left.size(), right.data(), right.size(), columns,
                          threads);
    return result;
  }

  word_array matmul(const word_array& weights, const word_array& values,
                    std::size_t threads) const {
    require_dimensions(weights, 2, "weights");
    require_dimensions(values, 2, "values");
    require(extent(weights, 1) == extent(values, 0),
            "weights must have as many columns as values have rows");
    word_array result({weights.shape(0), values.shape(1)});
    const auto w = read(weights), v = read(values);
    const auto r = write(result);
    const std::size_t rows = extent(weights, 0), terms = extent(weights, 1);
    const std::size_t columns = extent(values, 1);
    py::gil_scoped_release release;
    field_.matmul(r, w, rows, terms, v, columns, threads);
    return result;
  }

  std::size_t count_outside(const word_array& a) const {
    const auto x = read(a);
    py::gil_scoped_release release;
    return field_.count_outside(x);
  }

  // Along the last of two axes; natural order.
  word_array transformed(const word_array& values, bool inverse, std::size_t threads) const {
    require_dimensions(values, 2, "values");
    word_array result({values.shape(0), values.shape(1)});
    const std::size_t n = extent(values, 1);
    const auto x = read(values);
    const auto r = write(result);
    py::gil_scoped_release release;
    const auto roots = transform_of(n);
    schemes::parallel_for(extent(values, 0), 1, threads, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        const word* const from = x.data + i * n;
        word* const to = r.data + i * n;
        inverse ? roots->interpolate(to, from, n) : roots->evaluate(to, from, n);
      }
    });
    return result;
  }

  word_array evaluate(const word_array& coefficients, const word_array& points) const {
    require_dimensions(coefficients, 1, "coefficients");
    require_dimensions(points, 1, "points");
    word_array result(points.size());
    const auto c = read(coefficients), x = read(points);
    const auto r = write(result);
    py::gil_scoped_release release;
    const auto roots = transform_of(schemes::useful_transform(modulus(), std::min(c.size, x.size)));
    schemes::evaluate(field_, roots.get(), r, c, x);
    return result;
  }

  word_array interpolate(const word_array& points, const word_array& values) const {
    require_dimensions(points, 1, "points");
    require(values.ndim() == 1 && values.size() == points.size(),
            "values must have one dimension and as many elements as points");
    word_array result(points.size());
    const auto x = read(points), y = read(values);
    const auto r = write(result);
    bool distinct = false;
    {
      py::gil_scoped_release release;
      const auto roots = transform_of(schemes::useful_transform(modulus(), x.size));
      distinct = schemes::interpolate(field_, roots.get(), r, x, y);
    }
    require(distinct, "points: got two that are equal, expected distinct ones");
    return result;
  }

  prime_field::weights prepare(const word_array& weights) const {
    require_dimensions(weights, 2, "weights");
    return weigh(weights);
  }

  void deal(const prime_field::weights& weights, const row_array& known, row_array& out,
            std::size_t column) const {
    const auto inputs = read_rows(known, "known");
    const auto outputs = dealt_rows(out, known, column);
    require(weights.terms() == inputs.size(),
            "weights must have as many columns as known has rows");
    require(weights.rows() <= outputs.size() && outputs.size() - weights.rows() <= inputs.size(),
            "out must have as many rows as weights and at most those of known more");
    const auto columns = static_cast<std::size_t>(known.shape(1));
    py::gil_scoped_release release;
    schemes::deal(field_, weights, inputs, outputs, columns);
  }

  void deal_at_roots(const prime_field::weights& weights, const row_array& known, row_array& out,
                     std::size_t column, std::size_t n) const {
    const auto inputs = read_rows(known, "known");
    const auto outputs = dealt_rows(out, known, column);
    require(weights.rows() <= inputs.size() && weights.terms() <= inputs.size() &&
                inputs.size() <= n && outputs.size() <= n,
            "n must be no less than the rows of known and out, and weights no more than known");
    const auto columns = static_cast<std::size_t>(known.shape(1));
    py::gil_scoped_release release;
    const auto roots = transform_of(n);
    schemes::deal_at_roots(field_, *roots, n, weights, inputs, outputs, columns);
  }

  // (secrets, columns that disagree, secrets out of bounds)
  using opened_array = std::tuple<py::array_t<std::int64_t>, std::size_t, std::size_t>;
  opened_array open(const word_array& weights, const row_array& values, const index_array& rows,
                    const index_array& redundant, std::size_t size, std::int64_t low,
                    std::int64_t high, std::size_t threads) const {
    const auto inputs = chosen_rows(values, rows, "values");
    const auto others = chosen_rows(values, redundant, "values");
    require_weights(weights, inputs.size());
    require(others.size() < extent(weights, 0), "weights must have a row for a secret");
    py::array_t<std::int64_t> secrets(static_cast<py::ssize_t>(size));
    const auto target = opened(secrets, values, low, high, extent(weights, 0) - others.size());
    const prime_field::weights w = weigh(weights);
    schemes::verdict found;
    {
      py::gil_scoped_release release;
      found = schemes::open(field_, w, inputs, others, target, threads);
    }
    return {secrets, found.disagreeing, found.outside};
  }

  opened_array open_at_roots(const word_array& weights, const row_array& values,
                             const index_array& places, const word_array& scales, std::size_t n,
                             std::size_t degree, std::size_t size, std::int64_t low,
                             std::int64_t high, std::size_t threads) const {
    const auto inputs = read_rows(values, "values");
    require(extent(places, 0) == inputs.size() && extent(scales, 0) == inputs.size(),
            "places and scales must have one element for each row");
    std::vector<std::size_t> at;
    for (const std::int64_t place : read(places)) {
      require(place >= 0 && static_cast<std::size_t>(place) < n, "places must be below n");
      at.push_back(static_cast<std::size_t>(place));
    }
    require_dimensions(weights, 2, "weights");
    require(extent(weights, 1) <= degree && degree <= n && extent(weights, 0) > 0,
            "weights must be no wider than degree, and degree no more than n");
    py::array_t<std::int64_t> secrets(static_cast<py::ssize_t>(size));
    const auto target = opened(secrets, values, low, high, extent(weights, 0));
    const schemes::erasures missing{at, read(scales), degree};
    const prime_field::weights w = weigh(weights);
    schemes::verdict found;
    {
      py::gil_scoped_release release;
      const auto roots = transform_of(n);
      found = schemes::open_at_roots(field_, *roots, n, missing, w, inputs, target, threads);
    }
    return {secrets, found.disagreeing, found.outside};
  }

 private:
  static prime_field make(word p) {
    require(p >= 3 && p % 2 == 1, "p must be an odd prime");
    return {*kernels::active().kernel, p};
  }

  static void require_weights(const word_array& weights, std::size_t terms) {
    require_dimensions(weights, 2, "weights");
    require(extent(weights, 1) == terms, "weights must have as many columns as there are rows");
  }

  static row_pointers dealt_rows(row_array& out, const row_array& known, std::size_t column) {
    row_pointers rows = write_rows(out, "out");
    require(column <= static_cast<std::size_t>(out.shape(1)) &&
                known.shape(1) <= out.shape(1) - static_cast<py::ssize_t>(column),
            "out must have room for the columns of known");
    for (word*& row : rows) row += column;
    return rows;
  }

  static schemes::opened_secrets opened(py::array_t<std::int64_t>& secrets, const row_array& values,
                                        std::int64_t low, std::int64_t high, std::size_t rows) {
    const auto columns = static_cast<std::size_t>(values.shape(1));
    const auto size = static_cast<std::size_t>(secrets.size());
    require(size <= rows * columns, "size must be at most the number of secrets");
    return {secrets.mutable_data(), size, columns, low, high};
  }

  prime_field::weights weigh(const word_array& weights) const {
    return field_.prepare(read(weights), extent(weights, 0), extent(weights, 1));
  }

  // Tables grow as longer transforms are asked for; those in use stay. They are made outside the lock, so
  // that a fork seldom finds it held.
  std::shared_ptr<const transform> transform_of(std::size_t n) const {
    if (n == 0) return nullptr;
    std::shared_ptr<const transform> found = kept_transform(nullptr);
    if (found && found->longest() >= n) return found;
    return kept_transform(std::make_shared<const transform>(*kernel_, modulus(), n));
  }

  // The longest so far, which `made` becomes where it is longer.
  std::shared_ptr<const transform> kept_transform(std::shared_ptr<const transform> made) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (made && (!transform_ || transform_->longest() < made->longest()))
      transform_ = std::move(made);
    return transform_;
  }

  prime_field field_;
  const kernels::table* kernel_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const transform> transform_;
};

// Cuts words to the mask's bits, in place; whether one is above `largest`.
bool cut_words(word_array& words, word mask, word largest) {
  const auto x = write(words);
  py::gil_scoped_release release;
  return schemes::cut_words(x, mask, largest);
}

}  // namespace

void bind_field(py::module_& module) {
  const auto a = py::arg("a").noconvert(), b = py::arg("b").noconvert();
  const auto weights = py::arg("weights").noconvert(), values = py::arg("values").noconvert();
  const auto known = py::arg("known").noconvert(), out = py::arg("out").noconvert();
  const auto points = py::arg("points").noconvert();
  const auto rows = py::arg("rows").noconvert();
  const auto threads = py::arg("threads");
  module.def("cut_words", &cut_words, py::arg("words").noconvert(), py::arg("mask"),
             py::arg("largest"));
  py::class_<prime_field::weights>(module, "Weights");
  py::class_<field>(module, "Field")
      .def(py::init<word>(), py::arg("p"))
      .def_property_readonly("modulus", &field::modulus)
      .def("add", &field::binary<&prime_field::add>, a, b)
      .def("sub", &field::binary<&prime_field::subtract>, a, b)
      .def("mul", &field::binary<&prime_field::multiply>, a, b)
      .def("power", &field::power, a, py::arg("exponent"))
      .def("invert", &field::invert, a)
      .def("dot", &field::dot, a, b)
      .def("inner_products", &field::inner_products, rows, py::arg("vectors").noconvert(),
           py::arg("first"), threads)
      .def("matmul", &field::matmul, weights, values, threads)
      .def("count_outside", &field::count_outside, a)
      .def("transform", &field::transformed, values, py::arg("inverse"), threads)
      .def("evaluate", &field::evaluate, py::arg("coefficients").noconvert(), points)
      .def("interpolate", &field::interpolate, points, values)
      .def("prepare", &field::prepare, weights)
      .def("deal", &field::deal, py::arg("weights"), known, out, py::arg("column"))
      .def("deal_at_roots", &field::deal_at_roots, py::arg("weights"), known, out,
           py::arg("column"), py::arg("n"))
      .def("open", &field::open, weights, values, rows, py::arg("redundant").noconvert(),
           py::arg("size"), py::arg("low"), py::arg("high"), threads)
      .def("open_at_roots", &field::open_at_roots, weights, values, py::arg("places").noconvert(),
           py::arg("scales").noconvert(), py::arg("n"), py::arg("degree"), py::arg("size"),
           py::arg("low"), py::arg("high"), threads);
}

}  // namespace veilsum::bindings
