"""Laws of Paillier keys: exports, precomputed randomness, and the textbook scheme as an oracle."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veilsum import paillier
from veilsum.errors import DeserializationError, InsufficientRandomness
from veilsum.paillier import CipherArray, PrivateKey, PublicKey
from veilsum.paillier import keys as keys_module

Keys = tuple[PublicKey, PrivateKey]

STEADY = settings(deadline=None, derandomize=True)
FEW = settings(STEADY, max_examples=20)

lengths = st.sampled_from([128, 192, 256, 384])
messages = st.lists(st.integers(-(2**52), 2**52), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def keys() -> Keys:
    return paillier.keygen(512, insecure=True)


@pytest.fixture(scope="module", autouse=True)
def cheap_passwords() -> Any:
    """Let Scrypt run in a few kilobytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys_module, "_SCRYPT_COST", 4)
        yield


def textbook_decrypt(p: int, q: int, c: int) -> int:
    """Paillier 1999, scheme 1, with generator 1 + n."""
    n, order = p * q, math.lcm(p - 1, q - 1)
    m = (pow(c, order, n * n) - 1) // n * pow(order, -1, n) % n
    return m if m <= n // 2 else m - n


@FEW
@given(bits=lengths)
def test_every_key_made_is_a_key_and_survives_its_exports(bits: int) -> None:
    pub, priv = paillier.keygen(bits, insecure=True)
    assert pub.bits == bits
    assert priv._p * priv._q == pub.n
    assert math.gcd(pub.n, (priv._p - 1) * (priv._q - 1)) == 1
    for again in (
        PrivateKey(priv._p, priv._q, pub.h, insecure=True),
        PrivateKey.from_bytes(priv.to_bytes(), insecure=True),
        PrivateKey.from_bytes(priv.to_bytes(b"password"), b"password", insecure=True),
    ):
        assert again.public_key == pub
        assert again.to_bytes() == priv.to_bytes()
        assert again.decrypt(pub.encrypt([bits, -bits])).tolist() == [bits, -bits]


@STEADY
@given(password=st.binary(min_size=1, max_size=80), wrong=st.binary(min_size=1, max_size=80))
def test_a_password_opens_what_it_closed_and_no_other_does(
    keys: Keys, password: bytes, wrong: bytes
) -> None:
    _, priv = keys
    data = priv.to_bytes(password)
    again = PrivateKey.from_bytes(data, password, insecure=True)
    assert again.public_key == priv.public_key
    # HMAC, and so Scrypt, fills passwords up to 64 bytes with zeros.
    if wrong.rstrip(b"\0") != password.rstrip(b"\0"):
        with pytest.raises(DeserializationError, match="password: it is another"):
            PrivateKey.from_bytes(data, wrong, insecure=True)


@STEADY
@given(data=st.binary(max_size=300), password=st.binary(min_size=1, max_size=8))
def test_arbitrary_bytes_are_no_encrypted_key(data: bytes, password: bytes) -> None:
    header = b"VSUM\x01\x09" + len(data).to_bytes(8, "little")
    for message in (data, header + data):
        with pytest.raises(DeserializationError):
            PrivateKey.from_bytes(message, password, insecure=True)


@STEADY
@given(counts=st.lists(st.integers(0, 12), max_size=8), size=st.integers(1, 40))
def test_draws_from_a_pool_are_disjoint_and_all_of_it(
    keys: Keys, counts: list[int], size: int
) -> None:
    pub, priv = keys
    pool = pub.precompute(size, threads=1)
    used: list[int] = []
    left = size
    for count in counts:
        if count > left:
            with pytest.raises(InsufficientRandomness, match=f"{left} of the {count} needed"):
                pub.encrypt([0] * count, randomness=pool)
        else:
            c = pub.encrypt([0] * count, randomness=pool, threads=1)
            assert priv.decrypt(c).tolist() == [0] * count
            used += c.to_integers().tolist()
            left -= count
        assert len(pool) == left
    used += pub.encrypt([0] * left, randomness=pool).to_integers().tolist()
    assert len(set(used)) == len(used) == size


@FEW
@given(values=messages)
def test_all_ways_to_encrypt_decrypt_alike(keys: Keys, values: list[int]) -> None:
    pub, priv = keys
    pool = priv.precompute(2 * len(values), threads=1)
    ways = [
        pub.encrypt(values),
        priv.encrypt(values),
        pub.encrypt(values, randomness=pool),
        priv.encrypt(values, randomness=pool),
    ]
    for c in ways:
        assert priv.decrypt(c).tolist() == values
        integers = [int(i) for i in c.to_integers()]
        assert [textbook_decrypt(priv._p, priv._q, i) for i in integers] == values
    different = {i for c in ways for i in c.to_integers()}
    assert len(different) == len(ways) * len(values)


@STEADY
@given(values=messages, factor=st.integers(-(2**40), 2**40), draw=st.data())
def test_ciphertexts_of_the_textbook_are_added_multiplied_and_decrypted(
    keys: Keys, values: list[int], factor: int, draw: st.DataObject
) -> None:
    pub, priv = keys
    n, n_squared = pub.n, pub.n**2
    textbook = []
    for value in values:
        r = draw.draw(st.integers(1, n - 1).filter(lambda r: math.gcd(r, n) == 1))
        textbook.append((1 + value * n) * pow(r, n, n_squared) % n_squared)
    c = CipherArray.from_integers(pub, textbook, limit=2**52)
    assert c.to_integers().tolist() == textbook
    assert priv.decrypt(c).tolist() == values
    result = factor * c + pub.encrypt(values)
    assert priv.decrypt(result).tolist() == [(factor + 1) * value for value in values]
    for value, i in zip(values, result.to_integers(), strict=True):
        assert textbook_decrypt(priv._p, priv._q, i) == (factor + 1) * value
