"""Laws of certificates and proofs: Python's integers below, and what no altered message passes."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from veilsum import _core, paillier
from veilsum.errors import DeserializationError, InvalidKey, ProtocolError
from veilsum.paillier import (
    CipherArray,
    KeyCertificate,
    PlaintextProof,
    PrivateKey,
    PublicKey,
    certify,
    encrypt_with_proof,
)

Keys = tuple[PublicKey, PrivateKey]
Words = NDArray[np.uint64]

STEADY = settings(deadline=None, derandomize=True)


def words(number: int, count: int) -> Words:
    stored = (number % (1 << 64 * count)).to_bytes(8 * count, "little")
    return np.frombuffer(stored, "<u8").astype(np.uint64)


def rows(numbers: list[int], count: int) -> Words:
    return np.array([words(number, count) for number in numbers], np.uint64).reshape(-1, count)


def integer(row: Words, *, signed: bool = False) -> int:
    return int.from_bytes(row.astype("<u8").tobytes(), "little", signed=signed)


@st.composite
def runs_of_bits(draw: st.DrawFn, bits: int) -> int:
    """Integers of long runs of ones and zeros, where carries travel far."""
    number, position, bit = 0, 0, draw(st.integers(0, 1))
    while position < bits:
        length = min(draw(st.integers(1, bits)), bits - position)
        number |= bit * ((1 << length) - 1) << position
        position += length
        bit ^= 1
    return number


def naturals(bits: int) -> st.SearchStrategy[int]:
    return st.one_of(st.integers(0, 2**bits - 1), runs_of_bits(bits))


def whole(bits: int) -> st.SearchStrategy[int]:
    """Integers that two's complement of so many bits holds."""
    return naturals(bits).map(lambda n: n - (1 << bits - 1))


sizes = st.sampled_from([1, 2, 3, 4, 7, 16, 33])


class TestCompiledArithmetic:
    @STEADY
    @given(data=st.data(), size=sizes, count=st.integers(0, 19), exponent_words=st.integers(1, 3))
    def test_powers_are_those_of_python_integers(
        self, data: Any, size: int, count: int, exponent_words: int
    ) -> None:
        m = data.draw(naturals(64 * size)) | 1
        assume(m > 1)
        bases = [b % m for b in data.draw(st.lists(naturals(64 * size), max_size=count))]
        exponent = data.draw(naturals(64 * exponent_words))
        got = _core.modular_powers(
            words(m, size), rows(bases, size), words(exponent, exponent_words), 1
        )
        assert [integer(row) for row in got] == [pow(base, exponent, m) for base in bases]

    @STEADY
    @given(data=st.data(), bits=st.sampled_from([32, 64, 96, 128, 256, 1024]))
    def test_powers_by_remainders_are_those_of_python_integers(self, data: Any, bits: int) -> None:
        p, q = (data.draw(naturals(bits)) | 1 << (bits - 1) | 1 for _ in range(2))
        assume(math.gcd(p, q) == 1)
        n, size, width = p * q, -(-bits // 64), -(-2 * bits // 64)
        bases = [b % n for b in data.draw(st.lists(naturals(2 * bits), max_size=11))]
        e_p, e_q = data.draw(naturals(64 * size)), data.draw(naturals(64 * size + 64))
        got = _core.prime_pair_powers(
            words(p, size),
            words(q, size),
            words(pow(q, -1, p), size),
            rows(bases, width),
            words(e_p, size),
            words(e_q, size + 1),
            1,
        )
        for row, base in zip(got, bases, strict=True):
            power = integer(row)
            assert 0 <= power < n
            assert (power % p, power % q) == (pow(base, e_p, p), pow(base, e_q, q))

    @STEADY
    @given(data=st.data(), limbs=st.integers(1, 5), weight_words=st.integers(1, 3))
    def test_weighted_sums_are_those_of_python_integers(
        self, data: Any, limbs: int, weight_words: int
    ) -> None:
        is_signed = data.draw(st.booleans())
        terms = data.draw(
            st.lists(
                st.tuples(
                    (whole if is_signed else naturals)(64 * limbs), naturals(64 * weight_words)
                ),
                max_size=9,
            )
        )
        size = data.draw(st.integers(1, 10))
        start = data.draw(whole(64 * size))
        got = _core.weighted_sum(
            words(start, size),
            rows([x for x, _ in terms], limbs),
            rows([w for _, w in terms], weight_words),
            is_signed,
        )
        expected = start + sum(x * w for x, w in terms)
        assert integer(got) == expected % (1 << 64 * size)

    @STEADY
    @given(data=st.data(), size=sizes, width=st.integers(1, 12))
    def test_centred_residues_are_those_of_python_integers(
        self, data: Any, size: int, width: int
    ) -> None:
        m = data.draw(naturals(64 * size)) | 1
        a = data.draw(st.one_of(whole(64 * width), st.sampled_from([0, -1, m, -m, m // 2])))
        assume(-(1 << 64 * width - 1) <= a < 1 << 64 * width - 1)
        got = integer(_core.centred_residue(words(a, width), words(m, size)), signed=True)
        assert (got - a) % m == 0
        assert abs(got) <= m // 2

    def test_the_longest_modulus_serves(self) -> None:
        m = (1 << 64 * 256) - 1
        bases = [m - 2, 3, (1 << 16000) + 1]
        got = _core.modular_powers(words(m, 256), rows(bases, 256), words(65537, 1), 2)
        assert [integer(row) for row in got] == [pow(base, 65537, m) for base in bases]

    def test_arrays_that_do_not_fit_are_refused(self) -> None:
        two, three = words(3, 2), words(3, 3)
        table = rows([1, 2], 2)
        for refused in (
            lambda: _core.modular_powers(words(4, 2), table, two, 1),
            lambda: _core.modular_powers(words(1, 2), table, two, 1),
            lambda: _core.modular_powers(three, table, two, 1),
            lambda: _core.modular_powers(two, two, two, 1),
            lambda: _core.modular_powers(two, table, table, 1),
            lambda: _core.modular_powers(two, table, two[:0], 1),
            lambda: _core.modular_powers(rows([1] * 257, 1)[:, 0], rows([1], 257), two, 1),
            lambda: _core.prime_pair_powers(words(4, 2), two, two, table, two, two, 1),
            lambda: _core.prime_pair_powers(two, words(4, 2), two, table, two, two, 1),
            lambda: _core.prime_pair_powers(two, three, two, table, two, two, 1),
            lambda: _core.prime_pair_powers(two, two, three, table, two, two, 1),
            lambda: _core.prime_pair_powers(two, two, two, rows([1], 1), two, two, 1),
            lambda: _core.prime_pair_powers(two, two, two, rows([1], 5), two, two, 1),
            lambda: _core.prime_pair_powers(two, two, two, table, two[:0], two, 1),
            lambda: _core.prime_pair_powers(two, two, two, table, two, two[:0], 1),
            lambda: _core.weighted_sum(table, table, table, True),
            lambda: _core.weighted_sum(two, table, rows([1], 2), True),
            lambda: _core.weighted_sum(two, table[:, :0], table, True),
            lambda: _core.weighted_sum(two, table, table[:, :0], True),
            lambda: _core.centred_residue(two, words(4, 2)),
            lambda: _core.centred_residue(two[:0], two),
        ):
            with pytest.raises(ValueError, match=r"must|at most|from 1 to"):
                refused()


@pytest.fixture(scope="module")
def keys() -> Keys:
    return paillier.keygen(256, insecure=True)


@pytest.fixture(scope="module")
def proven(keys: Keys) -> tuple[CipherArray, PlaintextProof]:
    # Made once: the bytes that are damaged below must not change between examples.
    return encrypt_with_proof(keys[0], [1, -2], context=b"context")


class TestProofs:
    @STEADY
    @given(
        values=st.lists(st.integers(-(2**53), 2**53), max_size=40),
        context=st.binary(max_size=40),
        other=st.binary(max_size=40),
    )
    def test_a_proof_holds_for_its_array_and_context_alone(
        self, keys: Keys, values: list[int], context: bytes, other: bytes
    ) -> None:
        pub, priv = keys
        array = np.array(values, np.int64)
        ciphertexts, proof = encrypt_with_proof(pub, array, context=context)
        proof.verify(ciphertexts, context=context)
        assert priv.decrypt(ciphertexts).tolist() == values
        if other != context and values:
            with pytest.raises(ProtocolError):
                proof.verify(ciphertexts, context=other)
        for changed in (ciphertexts[1:], -ciphertexts, ciphertexts.rerandomize()):
            if values:
                with pytest.raises(ProtocolError):
                    proof.verify(changed, context=context)

    @STEADY
    @given(data=st.data())
    def test_any_flipped_bit_of_any_part_is_refused(
        self, keys: Keys, proven: tuple[CipherArray, PlaintextProof], data: Any
    ) -> None:
        pub, _ = keys
        ciphertexts, proof = proven
        parts = [bytearray(ciphertexts.to_bytes()), bytearray(proof.to_bytes())]
        changed = data.draw(st.sampled_from(parts))
        bit = data.draw(st.integers(0, 8 * len(changed) - 1))
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((ProtocolError, ValueError)):
            PlaintextProof.from_bytes(bytes(parts[1])).verify(
                CipherArray.from_bytes(bytes(parts[0]), pub), context=b"context"
            )


def damaged(data: Any, good: bytes) -> bytes:
    """Bytes replaced, left out and put in at a few places."""
    hostile = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.one_of(st.integers(0, len(hostile)), st.integers(0, 80)))
        cut = data.draw(st.integers(0, 9))
        hostile[at : at + cut] = data.draw(
            st.one_of(st.binary(min_size=cut, max_size=cut), st.binary(max_size=9))
        )
    return bytes(hostile)


class TestHostileBytes:
    @STEADY
    @given(data=st.data())
    def test_a_proof_is_read_or_refused_and_has_one_encoding(
        self, proven: tuple[CipherArray, PlaintextProof], data: Any
    ) -> None:
        ciphertexts, proof = proven
        given_bytes = damaged(data, proof.to_bytes())
        try:
            read = PlaintextProof.from_bytes(given_bytes)
        except DeserializationError:
            return
        assert read.to_bytes() == given_bytes
        if read != proof:
            with pytest.raises(ProtocolError):
                read.verify(ciphertexts, context=b"context")

    @STEADY
    @given(data=st.data())
    def test_a_certificate_is_read_or_refused_and_has_one_encoding(
        self, keys: Keys, data: Any
    ) -> None:
        certificate = certify(keys[1])
        given_bytes = damaged(data, certificate.to_bytes())
        try:
            read = KeyCertificate.from_bytes(given_bytes)
        except DeserializationError:
            return
        assert read.to_bytes() == given_bytes
        if read != certificate:
            with pytest.raises(InvalidKey):
                read.verify(keys[0])
