// Paillier keys and ciphertext vectors: integers and plaintexts as uint64 words, little-endian.
#include <algorithm>
#include <memory>
#include <vector>

#include "bindings/buffers.hpp"
#include "kernels/dispatch.hpp"
#include "schemes/paillier.hpp"

namespace veilsum::bindings {
namespace {

using schemes::cipher_vector;
using schemes::paillier_private_key;
using schemes::paillier_public_key;
using schemes::plaintexts;

// A vector outlives the Python object of its key.
struct ciphertexts {
  std::shared_ptr<const paillier_public_key> key;
  cipher_vector vector;
};

// Keys are equal where their moduli are: the object may have been made twice.
void require_same_key(const ciphertexts& a, const ciphertexts& b) {
  require(a.key == b.key || schemes::equal_vartime(a.key->n(), b.key->n()),
          "operands are under different keys");
}

using public_key = std::shared_ptr<paillier_public_key>;

common::view<const std::uint64_t> odd_integer(const word_array& a, const char* name) {
  require_dimensions(a, 1, name);
  require(a.size() > 0 && a.data()[0] % 2 == 1, std::string(name) + " must be odd");
  return read(a);
}

public_key make_public_key(const word_array& n, const word_array& h_s, std::size_t exponent_bits) {
  const auto modulus = odd_integer(n, "n");
  require_dimensions(h_s, 1, "h_s");
  require(h_s.size() == 2 * n.size(), "h_s must have twice as many words as n");
  require(exponent_bits >= 1, "exponent_bits must be positive");
  const auto generator = read(h_s);
  schemes::secret_words n_squared(2 * modulus.size);
  schemes::multiply_words(n_squared, modulus, modulus);
  require(schemes::less_mask(generator, n_squared) != 0, "h_s must be below n^2");
  py::gil_scoped_release release;
  return std::make_shared<paillier_public_key>(*kernels::active().kernel, modulus, generator,
                                               exponent_bits);
}

plaintexts read_plaintexts(const word_array& m) {
  require_dimensions(m, 2, "plaintexts");
  require(extent(m, 1) >= 1, "plaintexts must have at least one word");
  return {read(m), extent(m, 1)};
}

ciphertexts encrypt(const public_key& key, const word_array& m, const word_array& exponents,
                    std::size_t threads) {
  const plaintexts plain = read_plaintexts(m);
  require_dimensions(exponents, 2, "exponents");
  require(extent(exponents, 0) == plain.count() && extent(exponents, 1) == key->exponent_words(),
          "exponents must be (count, exponent_words)");
  const auto e = read(exponents);
  py::gil_scoped_release release;
  return {key, key->encrypt(plain, e, threads)};
}

ciphertexts encode(const public_key& key, const word_array& m, std::size_t threads) {
  const plaintexts plain = read_plaintexts(m);
  py::gil_scoped_release release;
  return {key, key->encode(plain, threads)};
}

ciphertexts from_words(const public_key& key, const word_array& rows, std::size_t threads) {
  require_dimensions(rows, 2, "rows");
  require(extent(rows, 1) == key->n_squared().word_count(), "rows must be as long as n^2");
  const auto r = read(rows);
  require(cipher_vector::in_range_vartime(key->n_squared(), r),
          "a ciphertext is not between 0 and n^2, both excluded");
  py::gil_scoped_release release;
  return {key, cipher_vector::from_words(key->n_squared(), r, threads)};
}

word_array to_words(const ciphertexts& c, std::size_t threads) {
  word_array rows({c.vector.size(), c.key->n_squared().word_count()});
  const auto r = write(rows);
  py::gil_scoped_release release;
  c.vector.to_words(r, threads);
  return rows;
}

ciphertexts multiply(const ciphertexts& a, const ciphertexts& b, std::size_t threads) {
  require_same_key(a, b);
  require(a.vector.size() == b.vector.size(), "operands must have the same size");
  py::gil_scoped_release release;
  return {a.key, a.vector.multiply(b.vector, threads)};
}

ciphertexts power(const ciphertexts& c, const word_array& exponents, std::size_t bits,
                  std::size_t threads) {
  require_dimensions(exponents, 2, "exponents");
  require(extent(exponents, 0) == c.vector.size() && extent(exponents, 1) >= 1,
          "exponents must be (count, limbs)");
  const auto e = read(exponents);
  const std::size_t limbs = extent(exponents, 1);
  py::gil_scoped_release release;
  return {c.key, c.vector.power(e, limbs, bits, threads)};
}

ciphertexts select(const ciphertexts& c, const word_array& masks, const ciphertexts& chosen) {
  require_same_key(c, chosen);
  require_dimensions(masks, 1, "masks");
  require(static_cast<std::size_t>(masks.size()) == c.vector.size() &&
              chosen.vector.size() == c.vector.size(),
          "masks and operands must have the same size");
  const auto m = read(masks);
  py::gil_scoped_release release;
  return {c.key, c.vector.select(m, chosen.vector)};
}

ciphertexts gather(const ciphertexts& c, const index_array& indices) {
  require_dimensions(indices, 1, "indices");
  // A copy: another Python thread must not change an index after it was checked.
  const std::vector<std::int64_t> i(indices.data(), indices.data() + indices.size());
  for (std::int64_t index : i)
    require(index >= 0 && static_cast<std::size_t>(index) < c.vector.size(),
            "an index is out of range");
  py::gil_scoped_release release;
  return {c.key, c.vector.gather(i)};
}

ciphertexts append(const ciphertexts& a, const ciphertexts& b) {
  require_same_key(a, b);
  py::gil_scoped_release release;
  return {a.key, a.vector.append(b.vector)};
}

word_array lane_products(const ciphertexts& c) {
  word_array rows({c.vector.lanes(), c.key->n_squared().word_count()});
  const auto r = write(rows);
  py::gil_scoped_release release;
  const schemes::words products = c.vector.lane_products();
  std::copy(products.begin(), products.end(), r.begin());
  return rows;
}

ciphertexts invert(const ciphertexts& c, const word_array& inverses) {
  require_dimensions(inverses, 2, "inverses");
  require(extent(inverses, 0) == c.vector.lanes() &&
              extent(inverses, 1) == c.key->n_squared().word_count(),
          "inverses must be (lanes, words of n^2)");
  const auto i = read(inverses);
  py::gil_scoped_release release;
  return {c.key, c.vector.invert(i)};
}

std::unique_ptr<paillier_private_key> make_private_key(const word_array& p, const word_array& q,
                                                       const word_array& h_p, const word_array& h_q,
                                                       const word_array& q_inverse) {
  const auto first = odd_integer(p, "p"), second = odd_integer(q, "q");
  for (const word_array* a : {&q, &h_p, &h_q, &q_inverse})
    require(a->ndim() == 1 && a->size() == p.size(), "all integers must have p's words");
  return std::make_unique<paillier_private_key>(*kernels::active().kernel, first, second, read(h_p),
                                                read(h_q), read(q_inverse));
}

// The rows, or None where a plaintext exceeds the limit.
py::object decrypt(const paillier_private_key& key, const ciphertexts& c, const word_array& limit,
                   std::size_t threads) {
  require_dimensions(limit, 1, "limit");
  require(limit.size() >= 1, "limit must have at least one word");
  require(schemes::equal_vartime(c.key->n(), key.n()), "the ciphertexts are under another key");
  const std::size_t limbs = static_cast<std::size_t>(limit.size());
  word_array rows({c.vector.size(), limbs});
  const auto r = write(rows);
  const auto l = read(limit);
  schemes::word exceeds = 0;
  {
    py::gil_scoped_release release;
    exceeds = key.decrypt(r, limbs, l, c.vector, threads);
  }
  return exceeds ? py::object(py::none()) : py::object(rows);
}

}  // namespace

void bind_paillier(py::module_& module) {
  const auto threads = py::arg("threads");
  py::class_<ciphertexts>(module, "CipherVector")
      .def("__len__", [](const ciphertexts& c) { return c.vector.size(); })
      .def("to_words", &to_words, threads)
      .def("multiply", &multiply, py::arg("other"), threads)
      .def("power", &power, py::arg("exponents").noconvert(), py::arg("bits"), threads)
      .def("select", &select, py::arg("masks").noconvert(), py::arg("chosen"))
      .def("gather", &gather, py::arg("indices").noconvert())
      .def("append", &append, py::arg("other"))
      .def("lane_products", &lane_products)
      .def("invert", &invert, py::arg("inverses").noconvert());
  py::class_<paillier_public_key, public_key>(module, "PaillierPublicKey")
      .def(py::init(&make_public_key), py::arg("n").noconvert(), py::arg("h_s").noconvert(),
           py::arg("exponent_bits"))
      .def_property_readonly("exponent_words", &paillier_public_key::exponent_words)
      .def("encrypt", &encrypt, py::arg("plaintexts").noconvert(), py::arg("exponents").noconvert(),
           threads)
      .def("encode", &encode, py::arg("plaintexts").noconvert(), threads)
      .def("from_words", &from_words, py::arg("rows").noconvert(), threads);
  py::class_<paillier_private_key>(module, "PaillierPrivateKey")
      .def(py::init(&make_private_key), py::arg("p").noconvert(), py::arg("q").noconvert(),
           py::arg("h_p").noconvert(), py::arg("h_q").noconvert(), py::arg("q_inverse").noconvert())
      .def("decrypt", &decrypt, py::arg("ciphertexts"), py::arg("limit").noconvert(), threads);
}

}  // namespace veilsum::bindings
