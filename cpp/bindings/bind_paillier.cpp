// Paillier keys and ciphertext vectors: integers and plaintexts as uint64 words, little-endian.
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
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
  const bool same_modulus = schemes::equal_vartime(a.key->n(), b.key->n());
  const bool same_kernel = &a.key->modulus().kernel() == &b.key->modulus().kernel();
  require(a.key == b.key || (same_modulus && same_kernel), "operands are under different keys");
}

using public_key = std::shared_ptr<paillier_public_key>;

// h_s modulo the square of a modulus of `size` words, and 1/h_s modulo that modulus.
schemes::randomness_constants read_base(const word_array& h_s, const word_array& h_inverse,
                                        std::size_t exponent_bits, std::size_t size) {
  require_dimensions(h_s, 1, "h_s");
  require_dimensions(h_inverse, 1, "h_inverse");
  require(extent(h_s, 0) == 2 * size, "h_s must have twice as many words as its modulus");
  require(extent(h_inverse, 0) == size, "h_inverse must have as many words as its modulus");
  require(exponent_bits >= 1 && exponent_bits <= 128 * size,
          "exponent_bits must be positive, and at most those of h_s");
  return {read(h_s), read(h_inverse), exponent_bits};
}

public_key make_public_key(const word_array& n, const word_array& h_s, const word_array& h_inverse,
                           std::size_t exponent_bits, const std::string& kernel_name) {
  const auto modulus = odd_integer(n, "n");
  const auto base = read_base(h_s, h_inverse, exponent_bits, modulus.size);
  schemes::secret_words n_squared(2 * modulus.size);
  schemes::multiply_words(n_squared, modulus, modulus);
  require(schemes::less_mask(base.h_s, n_squared) != 0, "h_s must be below n^2");
  const kernels::table& kernel =
      kernel_name.empty() ? *kernels::active().kernel : kernels::named(kernel_name);
  py::gil_scoped_release release;
  return std::make_shared<paillier_public_key>(kernel, modulus, base);
}

plaintexts read_plaintexts(const word_array& m) {
  require_dimensions(m, 2, "plaintexts");
  require(extent(m, 1) >= 1, "plaintexts must have at least one word");
  return {read(m), extent(m, 1)};
}

void require_exponents(const word_array& exponents, const plaintexts& plain,
                       const public_key& key) {
  require_dimensions(exponents, 2, "exponents");
  require(extent(exponents, 0) == plain.count() && extent(exponents, 1) == key->exponent_words(),
          "exponents must be (count, exponent_words)");
}

ciphertexts encrypt(const public_key& key, const word_array& m, const word_array& exponents,
                    std::size_t threads) {
  const plaintexts plain = read_plaintexts(m);
  require_exponents(exponents, plain, key);
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
  require(extent(rows, 1) == key->modulus().word_count(), "rows must be as long as n^2");
  const auto r = read(rows);
  require(cipher_vector::in_range_vartime(key->modulus(), r),
          "a ciphertext is not between 0 and n^2, both excluded");
  py::gil_scoped_release release;
  return {key, cipher_vector::from_words(key->modulus(), r, threads)};
}

word_array to_words(const ciphertexts& c, std::size_t threads) {
  word_array rows({c.vector.size(), c.key->modulus().word_count()});
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
  const bool fits = extent(exponents, 0) == c.vector.size() || extent(exponents, 0) == 1;
  require(fits && extent(exponents, 1) >= 1, "exponents must be (count, limbs) or (1, limbs)");
  require(bits <= 64 * extent(exponents, 1), "exponents must have that many bits");
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
  word_array rows({c.vector.lanes(), c.key->modulus().word_count()});
  const auto r = write(rows);
  py::gil_scoped_release release;
  const schemes::words products = c.vector.lane_products();
  std::copy(products.begin(), products.end(), r.begin());
  return rows;
}

ciphertexts invert(const ciphertexts& c, const word_array& inverses) {
  require_dimensions(inverses, 2, "inverses");
  require(extent(inverses, 0) == c.vector.lanes() &&
              extent(inverses, 1) == c.key->modulus().word_count(),
          "inverses must be (lanes, words of n^2)");
  const auto i = read(inverses);
  py::gil_scoped_release release;
  return {c.key, c.vector.invert(i)};
}

ciphertexts residues(const public_key& key, const word_array& roots, std::size_t threads) {
  require_dimensions(roots, 2, "roots");
  require(extent(roots, 1) == key->n().size, "roots must be as long as n");
  const auto r = read(roots);
  py::gil_scoped_release release;
  return {key, key->residues(r, threads)};
}

ciphertexts weigh(const ciphertexts& c, std::size_t rows, const word_array& weights,
                  std::size_t columns, std::size_t bits, std::size_t threads) {
  require_dimensions(weights, 2, "weights");
  require(columns >= 1 && extent(weights, 0) % columns == 0, "weights must fill their columns");
  const std::size_t inner = extent(weights, 0) / columns;
  const std::size_t most_rows = inner == 0 ? std::size_t{1} << 31 : c.vector.size() / inner;
  require(rows <= most_rows && rows * inner == c.vector.size(),
          "rows times the rows of weights must be the size");
  require(columns <= std::size_t{1} << 31, "weights must have at most 2^31 columns");
  require(bits >= 1 && bits <= 64 * extent(weights, 1), "weights must have that many bits");
  const schemes::weight_matrix matrix{read(weights), inner, columns, extent(weights, 1), bits};
  py::gil_scoped_release release;
  return {c.key, c.vector.weigh_vartime(rows, matrix, threads)};
}

std::unique_ptr<paillier_private_key> make_private_key(
    std::size_t exponent_bits, const word_array& p, const word_array& q, const word_array& h_p,
    const word_array& h_q, const word_array& blinding_p, const word_array& blinding_q,
    const word_array& h_s_p, const word_array& h_s_q, const word_array& h_inverse_p,
    const word_array& h_inverse_q, const word_array& q_inverse, const word_array& inverse_square) {
  const kernels::table& kernel = *kernels::active().kernel;
  const auto first = odd_integer(p, "p"), second = odd_integer(q, "q");
  const std::size_t size = first.size;
  for (const word_array* a : {&q, &h_p, &h_q, &q_inverse})
    require(a->ndim() == 1 && extent(*a, 0) == size, "integers must have p's words");
  require(inverse_square.ndim() == 1 && extent(inverse_square, 0) == 2 * size,
          "inverse_square must have twice p's words");
  for (const word_array* a : {&blinding_p, &blinding_q})
    require(a->ndim() == 2 && extent(*a, 0) == kernel.lanes && extent(*a, 1) == size,
            "blinding must be (lanes, p's words)");
  return std::make_unique<paillier_private_key>(
      kernel,
      schemes::prime_constants{first, read(h_p), read(blinding_p),
                               read_base(h_s_p, h_inverse_p, exponent_bits, size)},
      schemes::prime_constants{second, read(h_q), read(blinding_q),
                               read_base(h_s_q, h_inverse_q, exponent_bits, size)},
      read(q_inverse), read(inverse_square));
}

void require_pair(const paillier_private_key& key, const paillier_public_key& pub) {
  require(schemes::equal_vartime(pub.n(), key.n()), "the ciphertexts are under another key");
  require(&pub.modulus().kernel() == &key.kernel(), "both keys must be on one kernel");
}

ciphertexts encrypt_privately(const paillier_private_key& key, const public_key& pub,
                              const word_array& m, const word_array& exponents,
                              std::size_t threads) {
  require_pair(key, *pub);
  const plaintexts plain = read_plaintexts(m);
  require_exponents(exponents, plain, pub);
  require(pub->exponent_words() == key.exponent_words(), "both keys must have one exponent_bits");
  const auto e = read(exponents);
  py::gil_scoped_release release;
  return {pub, key.encrypt(*pub, plain, e, threads)};
}

// The status, and the rows, which are zero unless it is "good".
std::pair<std::string, word_array> decrypt(const paillier_private_key& key, const ciphertexts& c,
                                           const word_array& limit, const word_array& check,
                                           std::size_t threads) {
  require_pair(key, *c.key);
  require_dimensions(limit, 1, "limit");
  require(limit.size() >= 1, "limit must have at least one word");
  require_dimensions(check, 1, "check");
  require(extent(check, 0) == key.check_words(c.vector.size()), "check must have check_words");
  const std::size_t limbs = static_cast<std::size_t>(limit.size());
  word_array rows({c.vector.size(), limbs});
  const auto r = write(rows);
  const auto l = read(limit), random = read(check);
  schemes::decryption_status status = schemes::decryption_status::fault;
  {
    py::gil_scoped_release release;
    status = key.decrypt(r, limbs, l, c.vector, *c.key, random, threads);
  }
  constexpr const char* names[] = {"good", "beyond limit", "fault"};
  return {names[static_cast<std::size_t>(status)], rows};
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
      .def("weigh", &weigh, py::arg("rows"), py::arg("weights").noconvert(), py::arg("columns"),
           py::arg("bits"), threads)
      .def("gather", &gather, py::arg("indices").noconvert())
      .def("append", &append, py::arg("other"))
      .def("lane_products", &lane_products)
      .def("invert", &invert, py::arg("inverses").noconvert());
  py::class_<paillier_public_key, public_key>(module, "PaillierPublicKey")
      .def(py::init(&make_public_key), py::arg("n").noconvert(), py::arg("h_s").noconvert(),
           py::arg("h_inverse").noconvert(), py::arg("exponent_bits"), py::arg("kernel") = "")
      .def_property_readonly("exponent_words", &paillier_public_key::exponent_words)
      .def("encrypt", &encrypt, py::arg("plaintexts").noconvert(), py::arg("exponents").noconvert(),
           threads)
      .def("encode", &encode, py::arg("plaintexts").noconvert(), threads)
      .def("residues", &residues, py::arg("roots").noconvert(), threads)
      .def("from_words", &from_words, py::arg("rows").noconvert(), threads);
  py::class_<paillier_private_key>(module, "PaillierPrivateKey")
      .def(py::init(&make_private_key), py::arg("exponent_bits"), py::arg("p").noconvert(),
           py::arg("q").noconvert(), py::arg("h_p").noconvert(), py::arg("h_q").noconvert(),
           py::arg("blinding_p").noconvert(), py::arg("blinding_q").noconvert(),
           py::arg("h_s_p").noconvert(), py::arg("h_s_q").noconvert(),
           py::arg("h_inverse_p").noconvert(), py::arg("h_inverse_q").noconvert(),
           py::arg("q_inverse").noconvert(), py::arg("inverse_square").noconvert())
      .def("check_words", &paillier_private_key::check_words, py::arg("count"))
      .def("encrypt", &encrypt_privately, py::arg("public_key"), py::arg("plaintexts").noconvert(),
           py::arg("exponents").noconvert(), threads)
      .def("decrypt", &decrypt, py::arg("ciphertexts"), py::arg("limit").noconvert(),
           py::arg("check").noconvert(), threads);
}

}  // namespace veilsum::bindings
