"""The kernels: the one that is forced runs, an impossible one fails, and all compute the same."""

import json
import os
import subprocess
import sys
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from veilsum import _core, paillier, randomness
from veilsum.field import kernel_info
from veilsum.paillier import CipherArray, PrivateKey
from veilsum.paillier.compiled import private_core

KERNELS = kernel_info()["available"]
EVERY_NAME = ("avx512ifma", "portable")

two_kernels = pytest.mark.skipif(len(KERNELS) < 2, reason="this processor runs one kernel alone")

# Prints what a key does under the kernel of that process: from its import to a decryption.
WORKER = """
import json, sys, warnings
import numpy as np
warnings.simplefilter("ignore")
from veilsum import _core, randomness
from veilsum.paillier import CipherArray, PrivateKey

given = json.loads(sys.stdin.read())
priv = PrivateKey.from_bytes(bytes.fromhex(given["key"]), insecure=True)
pub = priv.public_key
read = CipherArray.from_bytes(bytes.fromhex(given["ciphertexts"]), pub)
with randomness._test_source(lambda count: bytes(i * 7 % 256 for i in range(count))):
    fixed = pub.encrypt(given["plaintexts"])
fresh = pub.encrypt(given["plaintexts"])
computed = (read * [3, -1, 2] + fixed).sum(axis=0) @ [[1], [-2], [5]] - 4
print(json.dumps({
    "info": _core.kernel_info(),
    "lanes": fresh.vector.lane_products().shape[0],
    "fixed": fixed.to_bytes().hex(),
    "fresh": fresh.to_bytes().hex(),
    "decrypted": priv.decrypt(read).tolist(),
    "computed": int(priv.decrypt(computed)[0]),
    "negated": (-(read * [3, -1, 2])).to_bytes().hex(),
}))
"""
PLAINTEXTS = [[i * j - 4 for j in range(3)] for i in range(9)]


@pytest.fixture(scope="module")
def private_key() -> PrivateKey:
    return paillier.keygen(1024, insecure=True)[1]


@pytest.fixture(scope="module")
def runs(private_key: PrivateKey) -> dict[str, Any]:
    """What each kernel does with ciphertexts of the one that this process runs."""
    made = private_key.public_key.encrypt(PLAINTEXTS).to_bytes()
    return {kernel: run_under(kernel, private_key, made) for kernel in KERNELS}


def run_under(kernel: str, key: PrivateKey, ciphertexts: bytes) -> dict[str, Any]:
    given = {
        "key": key.to_bytes().hex(),
        "ciphertexts": ciphertexts.hex(),
        "plaintexts": PLAINTEXTS,
    }
    done = in_a_process(WORKER, kernel, json.dumps(given))
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def in_a_process(
    program: str, kernel: str | None, given: str = ""
) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "VEILSUM_KERNEL"}
    if kernel is not None:
        environment["VEILSUM_KERNEL"] = kernel
    return subprocess.run(
        [sys.executable, "-c", program],
        input=given,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


class TestChoice:
    def test_the_portable_kernel_runs_everywhere_and_comes_last(self) -> None:
        assert KERNELS[-1] == "portable"
        assert set(KERNELS) <= set(EVERY_NAME)

    def test_the_info_says_which_kernel_runs_and_why(self) -> None:
        info = kernel_info()
        assert info["name"] in KERNELS
        assert info["reason"]
        assert info == _core.kernel_info()
        sizes = {"avx512ifma": (8, 52), "portable": (1, 64)}
        assert (info["lanes"], info["digit_bits"]) == sizes[info["name"]]

    @pytest.mark.parametrize("unset", [None, ""])
    def test_the_fastest_is_chosen_unless_one_is_forced(self, unset: str | None) -> None:
        program = "import json; from veilsum import _core; print(json.dumps(_core.kernel_info()))"
        info = json.loads(in_a_process(program, unset).stdout)
        assert info["name"] == KERNELS[0]
        assert "AVX-512" in info["reason"]

    @pytest.mark.parametrize("kernel", EVERY_NAME)
    def test_a_forced_kernel_runs_or_fails_the_import(self, kernel: str) -> None:
        program = "from veilsum import _core; print(_core.kernel_info()['name'])"
        done = in_a_process(program, kernel)
        if kernel in KERNELS:
            assert done.stdout.split() == [kernel]
        else:
            assert done.returncode == 1
            assert f"VEILSUM_KERNEL={kernel} is not a kernel that runs" in done.stderr

    @pytest.mark.parametrize("kernel", ["avx1024", "AVX512IFMA", "portable ", "checked", "0"])
    def test_an_impossible_kernel_fails_the_import_and_names_the_possible(
        self, kernel: str
    ) -> None:
        done = in_a_process("import veilsum.field", kernel)
        assert done.returncode == 1
        assert done.stdout == ""
        last = done.stderr.strip().splitlines()[-1]
        assert last == (
            f"ImportError: VEILSUM_KERNEL={kernel} is not a kernel that runs on this machine; "
            f"available: {', '.join(KERNELS)}; unset it to let veilsum choose"
        )

    @pytest.mark.parametrize("kernel", KERNELS)
    def test_ciphertexts_lie_in_the_lanes_of_the_forced_kernel(
        self, runs: dict[str, Any], kernel: str
    ) -> None:
        info = runs[kernel]["info"]
        assert info["name"] == kernel
        assert info["reason"] == "VEILSUM_KERNEL forces it"
        assert info["available"] == KERNELS
        # One product a lane: only the memory of the kernel that ran has as many.
        assert runs[kernel]["lanes"] == info["lanes"]

    @two_kernels
    def test_kernels_differ_in_lanes_so_that_lanes_tell_them_apart(
        self, runs: dict[str, Any]
    ) -> None:
        assert len({run["info"]["lanes"] for run in runs.values()}) == len(KERNELS)


class TestCiphertexts:
    @pytest.mark.parametrize("kernel", KERNELS)
    def test_every_kernel_decrypts_what_this_process_encrypted(
        self, runs: dict[str, Any], kernel: str
    ) -> None:
        assert runs[kernel]["decrypted"] == PLAINTEXTS

    @pytest.mark.parametrize("kernel", KERNELS)
    def test_this_process_decrypts_what_every_kernel_encrypted(
        self, runs: dict[str, Any], private_key: PrivateKey, kernel: str
    ) -> None:
        fresh = bytes.fromhex(runs[kernel]["fresh"])
        read = CipherArray.from_bytes(fresh, private_key.public_key)
        assert private_key.decrypt(read).tolist() == PLAINTEXTS

    @two_kernels
    @pytest.mark.parametrize(("maker", "opener"), list(permutations(KERNELS, 2)))
    def test_ciphertexts_of_one_kernel_decrypt_under_another(
        self, runs: dict[str, Any], private_key: PrivateKey, maker: str, opener: str
    ) -> None:
        made = bytes.fromhex(runs[maker]["fresh"])
        assert run_under(opener, private_key, made)["decrypted"] == PLAINTEXTS

    @pytest.mark.parametrize("kernel", KERNELS)
    def test_the_same_exponents_give_the_same_ciphertexts_under_every_kernel(
        self, runs: dict[str, Any], private_key: PrivateKey, kernel: str
    ) -> None:
        with randomness._test_source(lambda count: bytes(i * 7 % 256 for i in range(count))):
            ours = private_key.public_key.encrypt(PLAINTEXTS)
        assert runs[kernel]["fixed"] == ours.to_bytes().hex()

    @two_kernels
    def test_sums_products_and_inverses_are_the_same_under_every_kernel(
        self, runs: dict[str, Any]
    ) -> None:
        assert len({run["negated"] for run in runs.values()}) == 1
        plain = np.array(PLAINTEXTS)
        expected = int((plain * [3, -1, 2] + plain).sum(axis=0) @ [1, -2, 5] - 4)
        assert {run["computed"] for run in runs.values()} == {expected}


def rows(numbers: list[int], words: int) -> NDArray[np.uint64]:
    packed = b"".join(number.to_bytes(8 * words, "little") for number in numbers)
    return np.frombuffer(packed, "<u8").astype(np.uint64).reshape(len(numbers), words)


def integers(array: NDArray[np.uint64]) -> list[int]:
    return [int.from_bytes(row.astype("<u8").tobytes(), "little") for row in array]


def edges(m: int, words: int) -> list[int]:
    top = 1 << 64 * words
    numbers = [0, 1, 2, m - 1, m - 2, m // 2, m // 2 + 1, top // 2 % m, (top - 1) % m]
    numbers += [int("f0" * 8 * words, 16) % m, ((1 << 52) - 1) % m, (1 << 52) % m]
    return numbers


def moduli(words: int) -> list[int]:
    top = 1 << 64 * words
    dense = int("9e3779b97f4a7c15" * words, 16)
    return [top - 1, top // 2 + 1, dense, top - (1 << 52 * words // 2) - 1, top // 2 - 1, 3]


@pytest.mark.parametrize("kernel", KERNELS)
class TestModularArithmetic:
    @pytest.mark.parametrize("words", [1, 2, 3, 4, 8, 12, 13, 16, 32])
    def test_edges_multiply_as_python_integers_do(self, kernel: str, words: int) -> None:
        for m in moduli(words):
            numbers = edges(m, words)
            a = [x for x in numbers for _ in numbers]
            b = numbers * len(numbers)
            arithmetic = _core.ModularArithmetic(kernel, rows([m], words)[0])
            got = arithmetic.multiply(rows(a, words), rows(b, words))
            assert integers(got) == [x * y % m for x, y in zip(a, b, strict=True)]

    @pytest.mark.parametrize("words", [1, 2, 3, 8, 16])
    @pytest.mark.parametrize("window_bits", [1, 2, 3, 4, 5, 6])
    def test_edges_have_the_powers_of_python_integers(
        self, kernel: str, words: int, window_bits: int
    ) -> None:
        exponents = [0, 1, 2, 3, 63, 64, 2**32, 2**64 - 1, 2**64, 2**127 + 1, 2**128 - 1, 5**50]
        for m in moduli(words)[:3]:
            bases = edges(m, words)
            arithmetic = _core.ModularArithmetic(kernel, rows([m], words)[0])
            got = arithmetic.power(rows(bases, words), rows(exponents, 2), window_bits)
            expected = [pow(a, e, m) for a, e in zip(bases, exponents, strict=True)]
            assert integers(got) == expected

    @pytest.mark.parametrize("words", [64, 96, 128, 256])
    def test_the_lengths_of_real_keys(self, kernel: str, words: int) -> None:
        m = int("9e3779b97f4a7c15" * words, 16)
        a = [m - 1, m - 2, m // 3, pow(3, 64 * words, m)]
        b = [m - 1, m // 2, m // 5, pow(5, 64 * words, m)]
        arithmetic = _core.ModularArithmetic(kernel, rows([m], words)[0])
        product = arithmetic.multiply(rows(a, words), rows(b, words))
        assert integers(product) == [x * y % m for x, y in zip(a, b, strict=True)]
        power = arithmetic.power(rows(a, words), rows([2**64 - 1, 65537, 3, 0], 1), 5)
        exponents = (2**64 - 1, 65537, 3, 0)
        assert integers(power) == [pow(x, e, m) for x, e in zip(a, exponents, strict=True)]

    @pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 17])
    def test_every_number_of_rows_fills_the_lanes(self, kernel: str, count: int) -> None:
        m = 2**127 - 1
        numbers = [pow(7, i + 1, m) for i in range(count)]
        arithmetic = _core.ModularArithmetic(kernel, rows([m], 2)[0])
        squares = arithmetic.multiply(rows(numbers, 2), rows(numbers, 2))
        assert integers(squares) == [a * a % m for a in numbers]
        powers = arithmetic.power(rows(numbers, 2), rows(list(range(count)), 1), 4)
        assert integers(powers) == [pow(a, i, m) for i, a in enumerate(numbers)]

    @pytest.mark.parametrize("m", [0, 1, 2, 2**64 - 2, 2**64])
    def test_a_modulus_that_is_even_or_one_is_refused(self, kernel: str, m: int) -> None:
        with pytest.raises(ValueError, match="modulus must be odd and above 1"):
            _core.ModularArithmetic(kernel, rows([m], m.bit_length() // 65 + 1)[0])

    def test_arguments_that_do_not_fit_are_refused(self, kernel: str) -> None:
        arithmetic = _core.ModularArithmetic(kernel, rows([2**127 - 1], 2)[0])
        two, one = rows([1, 2], 2), rows([1], 2)
        with pytest.raises(ValueError, match="a and b must have as many rows"):
            arithmetic.multiply(two, one)
        with pytest.raises(ValueError, match="numbers must have as many words as the modulus"):
            arithmetic.multiply(rows([1], 1), rows([1], 1))
        with pytest.raises(ValueError, match="numbers must have 2 dimensions, got 1"):
            arithmetic.multiply(one[0], one[0])
        with pytest.raises(ValueError, match="bases and exponents must have as many rows"):
            arithmetic.power(two, one, 4)
        with pytest.raises(ValueError, match="exponents must have 2 dimensions"):
            arithmetic.power(one, one[0], 4)
        with pytest.raises(ValueError, match="exponents must have at least one word"):
            arithmetic.power(one, np.zeros((1, 0), np.uint64), 4)
        for window_bits in (0, 7):
            with pytest.raises(ValueError, match="window_bits must be from 1 to 6"):
                arithmetic.power(one, one, window_bits)
        with pytest.raises(ValueError, match="modulus must have 1 dimensions"):
            _core.ModularArithmetic(kernel, one)
        with pytest.raises(ValueError, match="modulus must be odd"):
            _core.ModularArithmetic(kernel, np.zeros(0, np.uint64))

    def test_arrays_are_never_converted(self, kernel: str) -> None:
        arithmetic = _core.ModularArithmetic(kernel, rows([2**127 - 1], 2)[0])
        good = rows([1, 2], 2)
        for bad in (good.astype(np.int64), good.astype(float), good[:, ::-1], good.tolist()):
            with pytest.raises(TypeError, match="incompatible function arguments"):
                arithmetic.multiply(bad, good)


def test_arithmetic_in_an_unknown_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="no kernel named sse2 runs on this machine"):
        _core.ModularArithmetic("sse2", rows([13], 1)[0])


class TestCore:
    """The compiled Paillier functions refuse arrays that do not fit, before they read them."""

    @pytest.fixture
    def pub(self, private_key: PrivateKey) -> _core.PaillierPublicKey:
        return private_key.public_key._core

    @pytest.fixture
    def vector(self, private_key: PrivateKey) -> _core.CipherVector:
        return private_key.public_key.encrypt([1, 2, 3]).vector

    @pytest.mark.parametrize("indices", [[3], [-1], [0, 2**40], [-(2**63)]])
    def test_indices_out_of_range(self, vector: _core.CipherVector, indices: list[int]) -> None:
        with pytest.raises(ValueError, match="an index is out of range"):
            vector.gather(np.array(indices))

    def test_vectors_of_other_sizes_or_keys(self, vector: _core.CipherVector) -> None:
        stranger = paillier.keygen(512, insecure=True)[0].encrypt([1, 2, 3]).vector
        masks = np.zeros(3, np.uint64)
        for call in (
            lambda: vector.multiply(stranger, 1),
            lambda: vector.append(stranger),
            lambda: vector.select(masks, stranger),
        ):
            with pytest.raises(ValueError, match="operands are under different keys"):
                call()
        shorter = vector.gather(np.array([0]))
        with pytest.raises(ValueError, match="operands must have the same size"):
            vector.multiply(shorter, 1)
        with pytest.raises(ValueError, match="masks and operands must have the same size"):
            vector.select(masks, shorter)
        with pytest.raises(ValueError, match="masks and operands must have the same size"):
            vector.select(masks[:2], vector)

    def test_rows_of_other_shapes(
        self, pub: _core.PaillierPublicKey, vector: _core.CipherVector
    ) -> None:
        words = pub.exponent_words
        with pytest.raises(ValueError, match=r"exponents must be \(count, exponent_words\)"):
            pub.encrypt(np.zeros((2, 1), np.uint64), np.zeros((1, words), np.uint64), 1)
        with pytest.raises(ValueError, match=r"exponents must be \(count, exponent_words\)"):
            pub.encrypt(np.zeros((2, 1), np.uint64), np.zeros((2, words - 1), np.uint64), 1)
        with pytest.raises(ValueError, match="plaintexts must have at least one word"):
            pub.encode(np.zeros((2, 0), np.uint64), 1)
        with pytest.raises(ValueError, match="plaintexts must have 2 dimensions"):
            pub.encode(np.zeros(2, np.uint64), 1)
        with pytest.raises(ValueError, match=r"rows must be as long as n\^2"):
            pub.from_words(np.ones((2, 3), np.uint64), 1)
        with pytest.raises(ValueError, match=r"exponents must be \(count, limbs\)"):
            vector.power(np.ones((2, 1), np.uint64), 64, 1)
        with pytest.raises(ValueError, match=r"exponents must be \(count, limbs\)"):
            vector.power(np.ones((3, 0), np.uint64), 64, 1)
        with pytest.raises(ValueError, match=r"inverses must be \(lanes, words of n\^2\)"):
            vector.invert(np.ones((1, 3), np.uint64))

    def test_limits_of_other_shapes(
        self, private_key: PrivateKey, vector: _core.CipherVector
    ) -> None:
        key, check = (
            private_key._core_key,
            np.zeros(private_key._core_key.check_words(3), np.uint64),
        )
        with pytest.raises(ValueError, match="limit must have at least one word"):
            key.decrypt(vector, np.zeros(0, np.uint64), check, 1)
        with pytest.raises(ValueError, match="limit must have 1 dimensions"):
            key.decrypt(vector, np.zeros((1, 1), np.uint64), check, 1)
        with pytest.raises(ValueError, match="check must have 1 dimensions"):
            key.decrypt(vector, np.ones(1, np.uint64), check.reshape(1, -1), 1)
        with pytest.raises(ValueError, match="check must have check_words"):
            key.decrypt(vector, np.ones(1, np.uint64), check[1:].copy(), 1)

    def test_a_vector_under_another_key_is_not_decrypted(self, private_key: PrivateKey) -> None:
        other = paillier.keygen(128, insecure=True)[0].encrypt([1]).vector
        check = np.zeros(private_key._core_key.check_words(1), np.uint64)
        with pytest.raises(ValueError, match="the ciphertexts are under another key"):
            private_key._core_key.decrypt(other, np.ones(1, np.uint64), check, 1)

    def test_rows_are_not_encrypted_under_another_key(self, private_key: PrivateKey) -> None:
        other = paillier.keygen(128, insecure=True)[0]._core
        row = np.ones((1, 1), np.uint64)
        with pytest.raises(ValueError, match="the ciphertexts are under another key"):
            private_key._core_key.encrypt(other, row, row, 1)

    def test_weights_of_other_shapes(self, vector: _core.CipherVector) -> None:
        ones = np.ones((3, 1), np.uint64)
        with pytest.raises(ValueError, match="weights must have 2 dimensions"):
            vector.weigh(1, ones[:, 0].copy(), 1, 1, 1)
        with pytest.raises(ValueError, match="weights must fill their columns"):
            vector.weigh(1, ones, 2, 1, 1)
        with pytest.raises(ValueError, match="weights must fill their columns"):
            vector.weigh(1, ones, 0, 1, 1)
        with pytest.raises(ValueError, match="rows times the rows of weights must be the size"):
            vector.weigh(2, ones, 1, 1, 1)
        for bits in (0, 65):
            with pytest.raises(ValueError, match="weights must have that many bits"):
                vector.weigh(1, ones, 1, bits, 1)
        nothing, none = vector.gather(np.zeros(0, np.int64)), np.zeros((0, 1), np.uint64)
        with pytest.raises(ValueError, match="rows times the rows of weights must be the size"):
            nothing.weigh(1 << 61, none, 1, 1, 1)
        with pytest.raises(ValueError, match="weights must have at most 2\\^31 columns"):
            nothing.weigh(1, none, 1 << 62, 1, 1)

    def test_exponents_of_more_bits_than_they_have(self, vector: _core.CipherVector) -> None:
        for bits in (65, 1 << 63):
            with pytest.raises(ValueError, match="exponents must have that many bits"):
                vector.power(np.ones((3, 1), np.uint64), bits, 1)

    def test_a_public_key_of_another_kernel_or_exponent(self) -> None:
        n, h_s, inverse = (np.array(x, np.uint64) for x in ([77], [4, 0], [58]))
        key = private_core(7, 11, 2, exponent_bits=4)
        row, check = np.ones((1, 1), np.uint64), np.zeros(key.check_words(1), np.uint64)
        longer = _core.PaillierPublicKey(n, h_s, inverse, 128)
        with pytest.raises(ValueError, match="both keys must have one exponent_bits"):
            key.encrypt(longer, row, np.ones((1, 2), np.uint64), 1)
        if kernel_info()["name"] == "portable":
            return
        portable = _core.PaillierPublicKey(n, h_s, inverse, 4, kernel="portable")
        with pytest.raises(ValueError, match="both keys must be on one kernel"):
            key.encrypt(portable, row, row, 1)
        with pytest.raises(ValueError, match="both keys must be on one kernel"):
            key.decrypt(portable.encode(row, 1), np.ones(1, np.uint64), check, 1)

    def test_roots_of_other_shapes(self, pub: _core.PaillierPublicKey) -> None:
        with pytest.raises(ValueError, match="roots must be as long as n"):
            pub.residues(np.ones((1, 100), np.uint64), 1)

    def test_keys_of_other_shapes(self) -> None:
        odd, even, two = (np.array(x, np.uint64) for x in ([77], [76], [1, 0]))
        with pytest.raises(ValueError, match="n must be odd"):
            _core.PaillierPublicKey(even, two, odd, 4)
        with pytest.raises(ValueError, match="h_s must have twice as many words as its modulus"):
            _core.PaillierPublicKey(odd, odd, odd, 4)
        with pytest.raises(ValueError, match="h_inverse must have as many words as its modulus"):
            _core.PaillierPublicKey(odd, two, two, 4)
        with pytest.raises(ValueError, match=r"h_s must be below n\^2"):
            _core.PaillierPublicKey(odd, np.array([77 * 77, 0], np.uint64), odd, 4)
        with pytest.raises(ValueError, match="exponent_bits must be positive, and at most"):
            _core.PaillierPublicKey(odd, two, odd, 0)
        with pytest.raises(ValueError, match="exponent_bits must be positive, and at most"):
            _core.PaillierPublicKey(odd, two, odd, 129)
        with pytest.raises(ValueError, match="no kernel named abacus runs on this machine"):
            _core.PaillierPublicKey(odd, two, odd, 4, kernel="abacus")

    def test_private_keys_of_other_shapes(self) -> None:
        odd, even, two = (np.array(x, np.uint64) for x in ([77], [76], [1, 0]))
        units = np.ones((_core.kernel_info()["lanes"], 1), np.uint64)

        def make(**changes: NDArray[np.uint64]) -> _core.PaillierPrivateKey:
            ones = dict.fromkeys(("p", "q", "h_p", "h_q", "h_inverse_p", "h_inverse_q"), odd)
            squares = dict.fromkeys(("h_s_p", "h_s_q", "inverse_square"), two)
            blinding = dict.fromkeys(("blinding_p", "blinding_q"), units)
            parts = ones | squares | blinding | {"q_inverse": odd} | changes
            return _core.PaillierPrivateKey(exponent_bits=4, **parts)

        for name in ("p", "q"):
            with pytest.raises(ValueError, match=f"{name} must be odd"):
                make(**{name: even})
        for name in ("q", "h_p", "h_q", "q_inverse"):
            with pytest.raises(ValueError, match="integers must have p's words"):
                make(**{name: two})
        with pytest.raises(ValueError, match="inverse_square must have twice p's words"):
            make(inverse_square=odd)
        for name in ("blinding_p", "blinding_q"):
            with pytest.raises(ValueError, match=r"blinding must be \(lanes, p's words\)"):
                make(**{name: np.ones((3, 1), np.uint64)})
        with pytest.raises(ValueError, match="h_s must have twice"):
            make(h_s_q=odd)

    def test_a_vector_outlives_its_key(self) -> None:
        pub, priv = paillier.keygen(256, insecure=True)
        data = pub.to_bytes()
        vector = paillier.PublicKey.from_bytes(data, insecure=True).encrypt([5, 6]).vector
        kept = CipherArray(pub, vector, shape=(2,), scale=1, limit=2**62)
        assert priv.decrypt(kept + kept).tolist() == [10, 12]
