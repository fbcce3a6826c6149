"""Writes the test vectors from an oracle on plain Python integers; it shares no code with veilsum.

    python tests/vectors/generate.py [DIRECTORY]

writes the files of `FILES` (by default into ``v1`` beside this file), always the same bytes.
Sources: field arithmetic by Python's own ``%`` and ``pow``; Shamir, "How to share a
secret" (1979), by Lagrange's formula, and several secrets a polynomial, Franklin and Yung,
"Communication complexity of secure computation" (1992), likewise; Paillier, "Public-key
cryptosystems based on composite degree residuosity classes" (1999), with the randomness of Damgard,
Jurik and Nielsen (2010), by Python's ``pow``; keys under a password by ``hashlib.scrypt`` and, on
integers, AES of FIPS 197 and GCM of NIST SP 800-38D; the wire format by its published layout.
Integers are plain JSON numbers and can exceed 2**53.
"""

import hashlib
import itertools
import json
import math
import random
import re
import struct
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

SEED = 20250101
P50 = 1125899437080577
GOLDILOCKS = 2**64 - 2**32 + 1
P257 = 2**256 + 297
MODULI = (3, 13, 65537, P50, 2**61 - 1, 2**63 - 25, GOLDILOCKS)

PUBLIC_KEY_KIND = 1
PRIVATE_KEY_KIND = 2
CIPHER_ARRAY_KIND = 3
SHARES_KIND = 4
MESSAGE_KIND = 5
PACKED_ARRAY_KIND = 6
KEY_CERTIFICATE_KIND = 7
PLAINTEXT_PROOF_KIND = 8
SEALED_KEY_KIND = 9
THRESHOLD_KEY_KIND = 17
KEY_SHARE_KIND = 18
DECRYPTION_SHARE_KIND = 19
DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
LAYOUTS = ("integers", "roots", "additive")


# Fields


def field_vectors(rng: random.Random) -> dict[str, Any]:
    return {
        "origin": "Python integers",
        "fields": [field_vector(rng, p) for p in MODULI],
        "bad_moduli": [
            {"name": "one", "modulus": 1},
            {"name": "the even prime", "modulus": 2},
            {"name": "even", "modulus": 2**50},
            {"name": "negative", "modulus": -13},
            {"name": "odd and composite", "modulus": 3 * 5},
            {"name": "Carmichael number", "modulus": 561},
            {"name": "strong pseudoprime to bases 2, 3, 5 and 7", "modulus": 3215031751},
            {"name": "square of a prime", "modulus": 65537**2},
            {"name": "prime, above 2**63", "modulus": 2**63 + 29},
            {"name": "prime, above 2**64", "modulus": 2**64 + 13},
        ],
        "bad_elements": [
            {"modulus": p, "element": element}
            for p in MODULI
            for element in (-1, p, p + 1, 2**64 - 1)
            if element < 2**64
        ],
        "bad_integers": [
            {"modulus": p, "integer": sign * ((p - 1) // 2 + 1)} for p in MODULI for sign in (1, -1)
        ],
        "transforms": [
            transform_vector(rng, p, 2**order)
            for p in (*MODULI, P257)
            for order in range(6)
            if (p - 1) % 2**order == 0
        ],
        "polynomials": [
            textbook_polynomial(),
            *(
                polynomial_vector(rng, p, terms)
                for p in (*MODULI, P257)
                for terms in (1, 2, 3, 10)
                if terms <= p
            ),
        ],
    }


def field_vector(rng: random.Random, p: int) -> dict[str, Any]:
    half = (p - 1) // 2
    edges = sorted({0, 1, half, half + 1, p - 2, p - 1})
    elements = sorted({*edges, *(rng.randrange(p) for _ in range(4))})
    pairs = list(itertools.product(elements, repeat=2))
    exponents = [0, 1, 2, 3, p - 2, 2**64 - 1, rng.getrandbits(64)]
    integers = sorted({-half, -1, 0, 1, half, *(rng.randint(-half, half) for _ in range(4))})
    return {
        "modulus": p,
        "add": [[a, b, (a + b) % p] for a, b in pairs],
        "sub": [[a, b, (a - b) % p] for a, b in pairs],
        "mul": [[a, b, a * b % p] for a, b in pairs],
        "neg": [[a, -a % p] for a in elements],
        "power": [[a, e, pow(a, e, p)] for a in elements for e in exponents],
        "inverse": [[a, pow(a, -1, p)] for a in elements if a],
        "residues": [[i, i % p] for i in integers],
        "matmul": [matmul_vector(rng, p, *sizes) for sizes in ((1, 1, 1), (2, 3, 4), (5, 40, 9))],
    }


def matmul_vector(
    rng: random.Random, p: int, rows: int, terms: int, columns: int
) -> dict[str, Any]:
    # The largest residues come first: there sums overflow if they can.
    weights = [
        [p - 1 if not row else rng.randrange(p) for _ in range(terms)] for row in range(rows)
    ]
    values = [
        [p - 1 if not column else rng.randrange(p) for column in range(columns)]
        for _ in range(terms)
    ]
    product = [
        [
            sum(w * v for w, v in zip(row, column, strict=True)) % p
            for column in zip(*values, strict=True)
        ]
        for row in weights
    ]
    return {"weights": weights, "values": values, "product": product}


def transform_vector(rng: random.Random, p: int, length: int) -> dict[str, Any]:
    root = root_of_unity(p, length)
    coefficients = [p - 1, *(rng.randrange(p) for _ in range(length - 1))]
    values = [evaluate(coefficients, pow(root, i, p), p) for i in range(length)]
    return {"modulus": p, "root": root, "coefficients": coefficients, "values": values}


def root_of_unity(p: int, order: int) -> int:
    """The power of the smallest quadratic non-residue that has this order."""
    non_residue = next(h for h in range(2, p) if pow(h, (p - 1) // 2, p) == p - 1)
    root = pow(non_residue, (p - 1) // order, p)
    assert order == 1 or pow(root, order // 2, p) == p - 1
    return root


def polynomial_vector(rng: random.Random, p: int, terms: int) -> dict[str, Any]:
    points = rng.sample(range(p), terms) if p < 2**63 else [rng.randrange(p) for _ in range(terms)]
    coefficients = [p - 1, *(rng.randrange(p) for _ in range(terms - 1))]
    values = [evaluate(coefficients, x, p) for x in points]
    assert [interpolate(points, values, x, p) for x in range(3)] == [
        evaluate(coefficients, x, p) for x in range(3)
    ]
    return {"modulus": p, "points": points, "coefficients": coefficients, "values": values}


def textbook_polynomial() -> dict[str, Any]:
    """Three secrets and four random numbers at the eighth roots of unity modulo 433."""
    p, root = 433, 354
    points = [pow(root, i, p) for i in range(8)]
    coefficients = [113, 51, 261, 267, 108, 432, 388, 112]
    values = [evaluate(coefficients, x, p) for x in points]
    assert values == [0, 1, 2, 3, 8, 8, 8, 8]
    return {"modulus": p, "points": points, "coefficients": coefficients, "values": values}


def evaluate(coefficients: list[int], x: int, p: int) -> int:
    return sum(c * pow(x, power, p) for power, c in enumerate(coefficients)) % p


def interpolate(points: list[int], values: list[int], x: int, p: int) -> int:
    """The value at x of the polynomial through these points, by Lagrange's formula."""
    total = 0
    for here, value in zip(points, values, strict=True):
        others = [point for point in points if point != here]
        above = math.prod(x - other for other in others)
        below = math.prod(here - other for other in others)
        total += value * above * pow(below, -1, p)
    return total % p


# Shamir


def shamir_vectors(rng: random.Random) -> dict[str, Any]:
    textbook = sharing(
        "the textbook case: a line through 65 with slope 15",
        2**31 - 1, 2, 4, [65], dtype="int64", draws=[[80]],
    )  # fmt: skip
    assert textbook["values"] == [[80], [95], [110], [125]]
    wide = [0, 2**63 - 2**31]
    good = [
        textbook,
        drawn(rng, "threshold 1: every share is the secret", 13, 1, 3, [-6, 0, 6], dtype="int8"),
        sharing(
            "all coefficients zero", P50, 3, 4, [5, -5], dtype="int64", draws=[[5, P50 - 5]] * 2
        ),
        drawn(rng, "signs", P50, 3, 5, [-(2**32), -1, 0, 1, 2**32], dtype="int64"),
        drawn(rng, "booleans", P50, 2, 3, [0, 1, 1, 0], dtype="bool"),
        drawn(rng, "wide unsigned integers", GOLDILOCKS, 4, 6, wide, dtype="uint64"),
        drawn(rng, "all holders are needed", 2**61 - 1, 4, 4, [7, -8, 9], dtype="int16"),
        drawn(rng, "every point of the smallest field", 3, 2, 2, [-1, 0, 1], dtype="int8"),
        drawn(rng, "a modulus just below 2**63", 2**63 - 25, 9, 12, [2**31, -(2**31)]),
        drawn(rng, "a scalar", P50, 2, 3, [-7], extents=[]),
        drawn(rng, "an empty secret", P50, 2, 3, [], extents=[2, 0]),
        drawn(rng, "two axes", P50, 2, 3, [1, -2, 3, -4, 5, -6], extents=[2, 3]),
        drawn(rng, "packed", P50, 5, 8, [1, -2, 3, -4, 5, -6], packed=3, extents=[2, 3]),
        drawn(rng, "packed, the last column filled up", 65537, 4, 6, [1, 2, 3, 4, 5], packed=3),
        drawn(rng, "one draw for two secrets", 13, 3, 4, [1, -2, 3], packed=2),
        drawn(rng, "packed, every point of a field", 13, 5, 9, [6, -6, 5, -5], packed=4),
        drawn(rng, "all roots of unity of a field", 13, 3, 4, [-6, 0, 6], layout="roots"),
        drawn(rng, "a power of two of roots", P50, 5, 8, [2**32, -(2**32)], layout="roots"),
        drawn(rng, "roots, some without a holder", P50, 3, 5, [1, -2, 3], layout="roots"),
        drawn(rng, "roots in a wide field", GOLDILOCKS, 9, 17, [2**62, -(2**62)], layout="roots"),
        drawn(rng, "roots, one holder", P50, 1, 1, [1, -1], dtype="int32", layout="roots"),
        drawn(rng, "two square roots of one", 2**61 - 1, 2, 2, [8, -9], layout="roots"),
        drawn(rng, "packed at roots", P50, 6, 7, [1, -2, 3, -4, 5, -6], packed=3, layout="roots"),
        drawn(
            rng, "packed at roots, the last column filled up",
            65537, 5, 16, [1, 2, 3, 4, 5, 6, 7], packed=4, layout="roots",
        ),
        drawn(rng, "packed at roots of a small field", 13, 3, 3, [1, 2], packed=2, layout="roots"),
        drawn(rng, "summands", P50, 4, 4, [-(2**32), 0, 2**32], layout="additive"),
        drawn(rng, "one summand", 13, 1, 1, [6, -6], dtype="int8", layout="additive"),
        drawn(rng, "summands in a wide field", GOLDILOCKS, 3, 3, wide, layout="additive"),
    ]  # fmt: skip
    return {
        "origin": "Shamir 1979, Franklin and Yung 1992, by Lagrange's formula on Python integers",
        "good": good,
        "bad_shares": bad_shares(),
        "bad_bytes": bad_shares_bytes(good),
    }


def drawn(
    rng: random.Random,
    name: str,
    p: int,
    threshold: int,
    shares: int,
    secret: list[int],
    *,
    packed: int = 1,
    **how: Any,
) -> dict[str, Any]:
    columns = -(-len(secret) // packed)
    draws = [[rng.randrange(p) for _ in range(columns)] for _ in range(threshold - packed)]
    return sharing(name, p, threshold, shares, secret, packed=packed, draws=draws, **how)


def sharing(
    name: str,
    p: int,
    threshold: int,
    shares: int,
    secret: list[int],
    *,
    draws: list[list[int]],
    layout: str = "integers",
    packed: int = 1,
    extents: list[int] | None = None,
    dtype: str = "int64",
) -> dict[str, Any]:
    """One dealing; what was drawn stands in rows, one column a polynomial."""
    extents = [len(secret)] if extents is None else extents
    columns = -(-len(secret) // packed)
    padded = [*secret, *[0] * (packed * columns - len(secret))]
    deal = {"integers": at_integers, "roots": at_roots, "additive": as_summands}[layout]
    values = [
        deal(p, shares, padded[column::columns], [row[column] for row in draws])
        for column in range(columns)
    ]
    case: dict[str, Any] = {
        "name": name,
        "modulus": p,
        "threshold": threshold,
        "shares": shares,
        "layout": layout,
        "packed": packed,
        "dtype": dtype,
        "bound": max(map(abs, secret), default=0),
        "dealing": sum(map(ord, name)) << 100 | 1,
        "extents": extents,
        "secret": secret,
        "draws": draws,
        "points": share_roots(p, shares) if layout == "roots" else list(range(1, shares + 1)),
        "row_extents": extents if packed == 1 else [columns],
        "values": [[column[holder] for column in values] for holder in range(shares)],
    }
    case["bytes"] = shares_bytes(**case).hex()
    return case


def at_integers(p: int, shares: int, secrets: list[int], draws: list[int]) -> list[int]:
    """Secrets at 0, -1, -2, ...; the first shares are drawn, the polynomial goes through both."""
    known = [-place for place in range(len(secrets))] + [x + 1 for x in range(len(draws))]
    return [interpolate(known, secrets + draws, x, p) for x in range(1, shares + 1)]


def at_roots(p: int, shares: int, secrets: list[int], draws: list[int]) -> list[int]:
    """The upper coefficients are drawn; the secrets determine the rest of the polynomial."""
    upper = [0] * len(secrets) + draws
    at = secret_roots(p, shares, len(secrets))
    rest = [s - evaluate(upper, x, p) for s, x in zip(secrets, at, strict=True)]
    return [
        (interpolate(at, rest, x, p) + evaluate(upper, x, p)) % p for x in share_roots(p, shares)
    ]


def as_summands(p: int, _shares: int, secrets: list[int], draws: list[int]) -> list[int]:
    """All summands but the last one are drawn."""
    return [*draws, (secrets[0] - sum(draws)) % p]


def share_roots(p: int, shares: int) -> list[int]:
    root = root_of_unity(p, enough_roots(shares))
    return [pow(root, i, p) for i in range(shares)]


def secret_roots(p: int, shares: int, packed: int) -> list[int]:
    """0, and a coset of the roots: no root is in it."""
    order = enough_roots(shares)
    root = root_of_unity(p, order)
    offset = next(c for c in range(2, p) if pow(c, order, p) != 1) if packed > 1 else 0
    return [0, *(offset * pow(root, i, p) % p for i in range(packed - 1))]


def enough_roots(shares: int) -> int:
    """The smallest power of two that is no less."""
    order = 1
    while order < shares:
        order *= 2
    return order


def shares_bytes(
    *,
    modulus: int,
    threshold: int,
    shares: int,
    layout: str,
    packed: int,
    dtype: str,
    bound: int,
    dealing: int,
    extents: list[int],
    points: list[int],
    row_extents: list[int],
    values: list[list[int]],
    word: str | None = None,
    **_: Any,
) -> bytes:
    body = u64(modulus) + u64(threshold) + u64(shares) + u8(LAYOUTS.index(layout)) + u64(packed)
    body += u8(DTYPES.index(dtype)) + integer(bound) + blob(dealing.to_bytes(16, "little"))
    body += shape(extents)
    body += array("uint64", [len(points)], points)
    word = word or ("uint32" if modulus < 2**32 else "uint64")
    body += array(word, [len(values), *row_extents], list(itertools.chain(*values)))
    return message(SHARES_KIND, body)


def bad_shares() -> list[dict[str, Any]]:
    """Changes to two shares of a dealing of five over GF(13), with the error each must raise.

    The roots of unity of order 4 are 1, 8, 12, 5.
    """
    base = {
        "modulus": 13, "threshold": 2, "shares": 5, "layout": "integers", "packed": 1,
        "points": [1, 2], "extents": [1], "values": [[3], [4]],
    }  # fmt: skip
    roots = {"layout": "roots", "shares": 3, "points": [1, 8]}
    packed = {"threshold": 3, "packed": 2, "extents": [2]}
    changes: list[tuple[str, str, dict[str, Any]]] = [
        ("point zero", "InvalidShare", {"points": [0, 2]}),
        ("point equal to the modulus", "InvalidShare", {"points": [13, 2]}),
        ("point twice the modulus", "InvalidShare", {"points": [1, 26]}),
        ("point beyond the shares dealt", "InvalidShare", {"points": [1, 6]}),
        ("value equal to the modulus", "InvalidShare", {"values": [[3], [13]]}),
        ("value of all ones", "InvalidShare", {"values": [[2**64 - 1], [4]]}),
        ("the same point twice", "DuplicateShare", {"points": [2, 2]}),
        ("points equal modulo the modulus", "DuplicateShare", {"points": [1, 14]}),
        ("fewer shares than the threshold", "InsufficientShares", {"threshold": 3}),
        ("no shares at all", "InsufficientShares", {"points": [], "values": []}),
        ("bound beyond the field", "BudgetExceeded", {"bound": 7}),
        (
            "one altered share among three",
            "DecodingError",
            {"points": [1, 2, 3], "values": [[3], [4], [6]]},
        ),
        (
            "three altered shares among five",
            "DecodingError",
            {"points": [1, 2, 3, 4, 5], "values": [[3], [4], [6], [7], [8]]},
        ),
        ("a result beyond the bound", "DecodingError", {"values": [[3], [0]]}),
        (
            "one altered share of two secrets",
            "DecodingError",
            packed | {"points": [1, 2, 3, 4], "values": [[3], [4], [6], [7]]},
        ),
        (
            "the second secret beyond the bound",
            "DecodingError",
            packed | {"points": [1, 2, 3], "values": [[2], [1], [0]]},
        ),
        ("a point that is no root of unity", "InvalidShare", roots | {"points": [1, 2]}),
        ("a point that is no root of this order", "InvalidShare", roots | {"points": [1, 3]}),
        ("a root beyond the shares dealt", "InvalidShare", roots | {"points": [1, 5]}),
        ("a root plus the modulus", "InvalidShare", roots | {"points": [1, 21]}),
        ("roots equal modulo the modulus", "DuplicateShare", roots | {"points": [8, 21]}),
        (
            "one altered share at a root of unity",
            "DecodingError",
            roots | {"points": [1, 8, 12], "values": [[3], [4], [5]]},
        ),
        (
            "one summand too few",
            "InsufficientShares",
            {"layout": "additive", "shares": 3, "threshold": 3},
        ),
        (
            "summands whose sum is beyond the bound",
            "DecodingError",
            {"layout": "additive", "shares": 2},
        ),
    ]
    return [{"name": name, "error": error, **base, "bound": 3, **c} for name, error, c in changes]


def bad_shares_bytes(good: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Encodings that a reader of shares must refuse."""
    named = {case["name"]: case for case in good}
    plain, roots, packed = good[0], named["a power of two of roots"], named["packed"]
    full = named["packed, every point of a field"]
    changes: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
        ("composite modulus", "DeserializationError", plain, {"modulus": 2**31 - 3}),
        ("threshold zero", "DeserializationError", plain, {"threshold": 0}),
        ("threshold above the shares", "DeserializationError", plain, {"threshold": 5}),
        ("negative bound", "DeserializationError", plain, {"bound": -1}),
        ("bound beyond the field", "DeserializationError", plain, {"bound": 2**30}),
        ("one point too few", "DeserializationError", plain, {"points": [1, 2, 3]}),
        ("point zero", "InvalidShare", plain, {"points": [0, 2, 3, 4]}),
        (
            "value equal to the modulus",
            "InvalidShare",
            plain,
            {"values": [[2**31 - 1], [1], [2], [3]]},
        ),
        ("the same point twice", "DuplicateShare", plain, {"points": [1, 2, 2, 4]}),
        ("long words for a short modulus", "DeserializationError", plain, {"word": "uint64"}),
        ("no secret a polynomial", "DeserializationError", plain, {"packed": 0}),
        ("packed above the threshold", "DeserializationError", plain, {"packed": 3}),
        ("as many secrets as the threshold", "DeserializationError", plain, {"packed": 2}),
        ("packed of 2**64 - 1", "DeserializationError", plain, {"packed": 2**64 - 1}),
        ("no room for the secrets", "DeserializationError", full, {"shares": 10}),
        ("roots beyond the field", "DeserializationError", plain, {"layout": "roots"}),
        ("roots of 2**50 shares", "DeserializationError", roots, {"shares": 2**50}),
        ("no room beside the roots", "DeserializationError", roots, {"modulus": 17, "shares": 16,
            "packed": 2, "bound": 8, "row_extents": [1], "values": [[1]] * 8}),
        ("integers for roots", "InvalidShare", roots, {"points": list(range(1, 9))}),
        ("roots for integers", "InvalidShare", roots, {"layout": "integers"}),
        ("a summand may be missing", "DeserializationError", plain, {"layout": "additive"}),
        (
            "packed summands",
            "DeserializationError",
            packed,
            {"layout": "additive", "threshold": 8},
        ),
        ("a shape longer than the values", "DeserializationError", plain, {"extents": [2]}),
        ("a shape with another axis", "DeserializationError", plain, {"extents": [1, 1]}),
        ("no shape", "DeserializationError", plain, {"extents": []}),
        ("a shape of another packing", "DeserializationError", packed, {"extents": [7]}),
        ("columns of another packing", "DeserializationError", packed, {"packed": 2}),
    ]  # fmt: skip
    data = bytes.fromhex(plain["bytes"])
    layout_at, dtype_at = 14 + 3 * 8, 14 + 3 * 8 + 1 + 8
    raw = [
        ("unknown layout", data[:layout_at] + u8(len(LAYOUTS)) + data[layout_at + 1 :]),
        ("unknown dtype", data[:dtype_at] + u8(len(DTYPES)) + data[dtype_at + 1 :]),
        ("the wire format without layouts", bytes_without_layout(**plain)),
        ("another kind", message(MESSAGE_KIND, data[14:])),
        ("one byte too many", message(SHARES_KIND, data[14:] + b"\0")),
    ]
    return [
        *(
            {"name": name, "error": error, "bytes": shares_bytes(**case | change).hex()}
            for name, error, case, change in changes
        ),
        *({"name": n, "error": "DeserializationError", "bytes": b.hex()} for n, b in raw),
    ]


def bytes_without_layout(
    *,
    modulus: int,
    threshold: int,
    shares: int,
    dtype: str,
    bound: int,
    dealing: int,
    points: list[int],
    values: list[list[int]],
    **_: Any,
) -> bytes:
    """What shares were before they had a layout: no longer read."""
    body = u64(modulus) + u64(threshold) + u64(shares) + u8(DTYPES.index(dtype))
    body += integer(bound) + blob(dealing.to_bytes(16, "little"))
    body += array("uint64", [len(points)], points)
    body += array("uint64", [len(values), len(values[0])], list(itertools.chain(*values)))
    return message(SHARES_KIND, body)


# Paillier


def digits_of_root(k: int, bits: int) -> int:
    """The leading binary digits of the square root of k: numbers with nothing up their sleeve."""
    root = math.isqrt(k << 2 * bits)
    return root >> (root.bit_length() - bits)


# The first primes that fit a key after the digits of sqrt(3) and sqrt(14), by length.
PRIMES = {
    bits: (digits_of_root(3, bits) + first, digits_of_root(14, bits) + second)
    for bits, first, second in (
        (256, 278, 968),
        (512, 122, 58),
        (1024, 911, 315),
        (1536, 324, 15872),
    )
}


def paillier_vectors(rng: random.Random) -> dict[str, Any]:
    small, large = (paillier_key(rng, *PRIMES[bits // 2]) for bits in (1024, 2048))
    return {
        "origin": "Paillier 1999 and Damgard, Jurik, Nielsen 2010 on Python integers",
        "keys": [
            small
            | {
                "arrays": [
                    encryptions(rng, small, "signed edges", 1, 2**62, [-(2**62), -1, 0, 1, 2**62]),
                    encryptions(rng, small, "fixed point", 2**32, 2**52, [2**31, -5 * 2**30, 1]),
                    encryptions(rng, small, "wide", 1, 2**999, [2**999, -(2**999), 2**64, -1]),
                    encryptions(rng, small, "empty", 1, 2**62, []),
                ]
            },
            large
            | {"arrays": [encryptions(rng, large, "2048 bits", 1, 2**62, [2**40 + 1, -7, 2**62])]},
        ],
        "bad_public_keys": bad_public_keys(small),
        "bad_private_keys": bad_private_keys(small),
        "bad_public_bytes": bad_key_bytes(PUBLIC_KEY_KIND, [small["n"], small["h"]]),
        "bad_private_bytes": bad_key_bytes(PRIVATE_KEY_KIND, [small["p"], small["q"], small["h"]]),
        "bad_arrays": bad_arrays(rng, small),
    }


def paillier_key(rng: random.Random, p: int, q: int) -> dict[str, Any]:
    assert all(pow(a, r - 1, r) == 1 and r % 4 == 3 for r in (p, q) for a in (2, 3, 5))
    assert math.gcd(p - 1, q - 1) == 2
    n = p * q
    h = -(rng.randrange(n) ** 2) % n
    return {
        "bits": n.bit_length(),
        "p": p,
        "q": q,
        "n": n,
        "h": h,
        "h_s": pow(h, n, n**2),
        "fingerprint": fingerprint(n, h).hex(),
        "public_bytes": message(PUBLIC_KEY_KIND, integer(n) + integer(h)).hex(),
        "private_bytes": message(PRIVATE_KEY_KIND, integer(p) + integer(q) + integer(h)).hex(),
    }


def fingerprint(n: int, h: int) -> bytes:
    numbers = (i.to_bytes((i.bit_length() + 7) // 8, "little") for i in (n, h))
    parts = (b"veilsum/v1 paillier public key", *numbers)
    return hashlib.sha256(b"".join(map(blob, parts))).digest()


def encryptions(
    rng: random.Random, key: dict[str, Any], name: str, scale: int, limit: int, messages: list[int]
) -> dict[str, Any]:
    """Ciphertexts, and what sums and products make of them."""
    n, h_s = key["n"], key["h_s"]
    square = n**2
    half = (key["bits"] + 1) // 2
    exponents = [2**half - 1, 0, *(rng.getrandbits(half) for _ in messages)][: len(messages)]
    c = [
        (1 + m * n) * pow(h_s, r, square) % square for m, r in zip(messages, exponents, strict=True)
    ]
    pairs = list(itertools.combinations_with_replacement(range(len(c)), 2))
    addends = [0, 1, -1, limit // scale]
    factors = [0, 1, -1, 2, -15, 16, 2**19 - 1]
    return {
        "name": name,
        "scale": scale,
        "limit": limit,
        "messages": messages,
        "exponents": exponents,
        "ciphertexts": c,
        "bytes": array_bytes(key, scale=scale, limit=limit, ciphertexts=c).hex(),
        "negations": [pow(a, -1, square) for a in c],
        "sums": [[i, j, c[i] * c[j] % square] for i, j in pairs],
        "plain_sums": [[k, [a * (1 + k * scale * n) % square for a in c]] for k in addends],
        "products": [[k, [pow(a, k, square) for a in c]] for k in factors],
    }


def array_bytes(
    key: dict[str, Any], *, ciphertexts: list[int], scale: int = 1, limit: int = 1, **changes: Any
) -> bytes:
    return message(CIPHER_ARRAY_KIND, array_body(key, ciphertexts, scale, limit, **changes))


def array_body(
    key: dict[str, Any],
    ciphertexts: list[int],
    scale: int,
    limit: int,
    *,
    extents: Sequence[int] | None = None,
    rows: Sequence[int] | None = None,
    digest: bytes | None = None,
    scale_bytes: bytes | None = None,
    limit_bytes: bytes | None = None,
    dtype: str = "uint64",
) -> bytes:
    width = 2 * key["bits"] // 64
    words = [c >> 64 * i & (2**64 - 1) for c in ciphertexts for i in range(width)]
    return b"".join(
        [
            blob(bytes.fromhex(key["fingerprint"]) if digest is None else digest),
            shape([len(ciphertexts)] if extents is None else extents),
            integer(scale) if scale_bytes is None else scale_bytes,
            integer(limit) if limit_bytes is None else limit_bytes,
            array(dtype, [len(ciphertexts), width] if rows is None else rows, words),
        ]
    )


def bad_public_keys(key: dict[str, Any]) -> list[dict[str, Any]]:
    """Numbers that are no public key, with words of the error that must say why."""
    n, h, p, q = key["n"], key["h"], key["p"], key["q"]
    cube = digits_of_root(14, 64) + 7
    no_residue = next(a for a in range(2, n) if jacobi(a, n) == -1)
    one_modulo_q = (-h * q * pow(q, -1, p) + p * pow(p, -1, q)) % n  # and -h modulo p
    assert jacobi(one_modulo_q, n) == 1
    moduli = [
        ("even", n - 1, "even"),
        ("prime", digits_of_root(2, 1024) + 37, "prime"),
        ("square of a prime", p**2, "perfect power"),
        ("cube of a prime", cube**3, "perfect power"),
        ("divisible by 3", 3 * (digits_of_root(2, 1022) | 1), "factor below"),
        ("divisible by the largest prime below 2**20", 1048573 * (1 << 1004 | 1), "factor below"),
        ("one bit too long", n << 1 | 1, "got 1025 bits"),
        ("one byte too short", n >> 8 | 1, "got 1016 bits"),
        ("one word only", 2**64 - 59, "got 64 bits"),
        ("beyond the longest key", (1 << 8255) + 1, "got 8256 bits"),
        ("zero", 0, "not positive"),
        ("one", 1, "got 1 bits"),
        ("negative", -n, "not positive"),
    ]
    bases = [
        ("zero", 0),
        ("one", 1),
        ("minus one", n - 1),
        ("minus one, not reduced", -1),
        ("not reduced", h + n),
        ("negative", h - n),
        ("the modulus", n),
        ("not a unit", p),
        ("Jacobi symbol -1", no_residue),
        ("one modulo q", one_modulo_q),
    ]
    return [
        *({"name": f"n: {name}", "n": bad, "h": h, "says": says} for name, bad, says in moduli),
        *({"name": f"h: {name}", "n": n, "h": bad, "says": "h: "} for name, bad in bases),
    ]


def bad_private_keys(key: dict[str, Any]) -> list[dict[str, Any]]:
    """Numbers that are no private key, with words of the error that must say why."""
    h, p, q = key["h"], key["p"], key["q"]
    first, second = PRIMES[256]
    germain = digits_of_root(5, 256) + 29969
    close, shared = digits_of_root(3, 512) + 1370, digits_of_root(14, 512) + 858
    short, one_modulo_four = digits_of_root(14, 448) + 60, digits_of_root(3, 512) + 1356
    assert math.gcd(p - 1, shared - 1) > 2
    assert (2 * germain + 1 - 1) % germain == 0
    cases = [
        ("equal", p, p, h, "equal"),
        ("different lengths", p, short, h, "different lengths"),
        ("p divides q - 1", germain, 2 * germain + 1, h, "different lengths"),
        ("composite p", first * second, q, h, "not prime"),
        ("composite q", p, first * second, h, "not prime"),
        ("p is 1 modulo 4", one_modulo_four, q, h, "3 modulo 4"),
        ("q is 1 modulo 4", q, one_modulo_four, h, "3 modulo 4"),
        ("too close", p, close, h, "close"),
        ("3 divides p - 1 and q - 1", p, shared, h, "share a factor"),
        ("even p", p - 1, q, h, "not prime"),
        ("one", 1, first * second, h, "different lengths"),
        ("zero", 0, q, h, "not positive"),
        ("one is negative", -p, q, h, "not positive"),
        ("both are negative", -p, -q, h, "p, q: "),
        ("product of another length", p, first, h, "different lengths"),
        ("product too long for any key", 1 << 4127, (1 << 4127) + 1, h, "got 8255 bits"),
        ("h is one", p, q, 1, "h: "),
        ("h is minus one", p, q, p * q - 1, "h: "),
        ("h of another key", p, q, h + p * q, "h: "),
    ]
    return [{"name": n, "p": a, "q": b, "h": c, "says": says} for n, a, b, c, says in cases]


def jacobi(a: int, n: int) -> int:
    """Cohen, "A course in computational algebraic number theory" (1993), algorithm 1.4.10."""
    sign = 1
    a %= n
    while a:
        while a % 2 == 0:
            a //= 2
            sign = -sign if n % 8 in (3, 5) else sign
        a, n = n, a
        sign = -sign if a % 4 == n % 4 == 3 else sign
        a %= n
    return sign if n == 1 else 0


def bad_key_bytes(kind: int, numbers: list[int], *, cap: int = 8 * 1024) -> list[dict[str, str]]:
    """Encodings that a reader of integers, as keys and proofs are, must refuse."""
    body = b"".join(map(integer, numbers))
    good = message(kind, body)
    first, rest = integer(numbers[0]), b"".join(map(integer, numbers[1:]))
    padded = first[:1] + u32(len(first) - 5 + 1) + first[5:] + b"\0"
    cases = [
        ("no bytes", b""),
        ("truncated header", good[:13]),
        ("truncated", good[:-1]),
        ("truncated, with the length to match", message(kind, body[:-1])),
        ("the last number is missing", message(kind, b"".join(map(integer, numbers[:-1])))),
        ("trailing byte", good + b"\0"),
        ("trailing byte inside the body", message(kind, body + b"\0")),
        ("one number more", message(kind, body + integer(1))),
        ("unknown version", good[:4] + b"\2" + good[5:]),
        ("another magic", b"VSUN" + good[4:]),
        ("another kind", message(MESSAGE_KIND, body)),
        ("non-minimal integer", message(kind, padded + rest)),
        ("negative zero", message(kind, u8(1) + u32(0) + rest)),
        ("unknown sign", message(kind, u8(2) + first[1:] + rest)),
        ("integer above its cap", message(kind, integer(1 << cap) + rest)),
        ("integer of 4 GiB", message(kind, u8(0) + u32(2**32 - 1) + rest)),
        ("body length above its cap", good[:6] + u64(2**63) + good[14:]),
    ]
    return [{"name": name, "bytes": data.hex()} for name, data in cases]


def bad_arrays(rng: random.Random, key: dict[str, Any]) -> list[dict[str, str]]:
    """Encodings that a reader of ciphertexts must refuse."""
    n, p, q = key["n"], key["p"], key["q"]
    square = n**2
    width = 2 * key["bits"] // 64
    c = [pow(rng.randrange(n), n, square) for _ in range(2)]
    ciphertexts = [
        ("zero", 0),
        ("n squared", square),
        ("n squared and one", square + 1),
        ("all ones", (1 << 64 * width) - 1),
        ("n", n),
        ("a multiple of p", p * rng.randrange(n)),
        ("a multiple of q", q * rng.randrange(n)),
        ("the largest multiple of n", square - n),
    ]
    others: list[tuple[str, str, dict[str, Any]]] = [
        ("wrong fingerprint", "KeyMismatch", {"digest": bytes(32)}),
        ("empty fingerprint", "KeyMismatch", {"digest": b""}),
        ("fingerprint above its cap", "DeserializationError", {"digest": bytes(33)}),
        ("scale zero", "InvalidCiphertext", {"scale": 0}),
        ("negative scale", "InvalidCiphertext", {"scale": -1}),
        ("scale above its cap", "DeserializationError", {"scale": 1 << 1000}),
        ("non-minimal scale", "DeserializationError", {"scale_bytes": u8(0) + u32(2) + b"\1\0"}),
        ("negative limit", "InvalidCiphertext", {"limit": -1}),
        ("limit beyond the key", "BudgetExceeded", {"limit": (n - 1) // 2 + 1}),
        ("limit above its cap", "DeserializationError", {"limit": 1 << key["bits"]}),
        ("non-minimal limit", "DeserializationError", {"limit_bytes": u8(0) + u32(1) + b"\0"}),
        ("shape for more ciphertexts", "InvalidCiphertext", {"extents": [3]}),
        ("shape for fewer ciphertexts", "DeserializationError", {"extents": [1]}),
        ("shape for no ciphertexts", "DeserializationError", {"extents": [0]}),
        ("too many axes", "DeserializationError", {"extents": [1] * 33}),
        ("shape above its cap", "DeserializationError", {"extents": [2**20, 2**20]}),
        ("rows of another width", "InvalidCiphertext", {"rows": [1, 2 * width]}),
        ("rows with one axis", "InvalidCiphertext", {"rows": [2 * width]}),
        ("rows with three axes", "DeserializationError", {"rows": [1, 2, width]}),
        ("more rows than bytes", "DeserializationError", {"rows": [2, width + 1]}),
        ("rows of 2**60 elements", "DeserializationError", {"rows": [2**60, width]}),
    ]
    body = array_body(key, c, 1, 1)
    dtype_at = len(body) - len(array("uint64", [2, width], [0] * 2 * width))
    raw = [
        *broken(CIPHER_ARRAY_KIND, body),
        (
            "signed words",
            message(CIPHER_ARRAY_KIND, body[:dtype_at] + u8(3) + body[dtype_at + 1 :]),
        ),
        ("fingerprint of 2**64 - 1 bytes", message(CIPHER_ARRAY_KIND, u64(2**64 - 1) + body[8:])),
    ]
    changed = [(n, e, array_bytes(key, ciphertexts=c, **change)) for n, e, change in others]
    return [
        *(
            {
                "name": f"{place} ciphertext: {name}",
                "error": "InvalidCiphertext",
                "bytes": array_bytes(key, ciphertexts=pair).hex(),
            }
            for name, bad in ciphertexts
            for place, pair in (("first", [bad, c[0]]), ("second", [c[0], bad]))
        ),
        *({"name": n, "error": e, "bytes": b.hex()} for n, e, b in changed),
        *({"name": n, "error": "DeserializationError", "bytes": b.hex()} for n, b in raw),
    ]


def broken(kind: int, body: bytes) -> list[tuple[str, bytes]]:
    """Damages that no message survives."""
    good = message(kind, body)
    return [
        ("no bytes", b""),
        ("truncated header", good[:13]),
        ("truncated", good[:-1]),
        ("truncated, with the length to match", message(kind, body[:-1])),
        ("trailing byte", good + b"\0"),
        ("trailing byte inside the body", message(kind, body + b"\0")),
        ("unknown version", good[:4] + b"\0" + good[5:]),
        ("another magic", b"VSUN" + good[4:]),
        ("another kind", message(SHARES_KIND, body)),
        ("body length above its cap", good[:6] + u64(2**63) + good[14:]),
    ]


# Paillier: products and weighted sums of fixed ciphertexts


def product_vectors(rng: random.Random) -> dict[str, Any]:
    keys = [paillier_key(rng, *PRIMES[bits // 2]) for bits in (512, 2048, 3072)]
    return {
        "origin": "Paillier 1999 and Damgard, Jurik, Nielsen 2010 on Python integers",
        "keys": [products(rng, key, number) for key, number in zip(keys, (8, 4, 4), strict=True)],
        "bad_integers": bad_integers(rng, keys[0]),
    }


def products(rng: random.Random, key: dict[str, Any], number: int) -> dict[str, Any]:
    """Ciphertexts of a key, and what weights of 8, 32 and 64 bits make of them."""
    messages = [-(2**62), 2**62, -1, 0, *(rng.randint(-(2**62), 2**62) for _ in range(number))]
    messages = messages[:number]
    exponents, c = encrypted(rng, key, messages)
    factors = sorted({s * k for s in (1, -1) for bits in (8, 32, 64) for k in edges(bits)})
    square = key["n"] ** 2
    return key | {
        "messages": messages,
        "exponents": exponents,
        "ciphertexts": c,
        "total": math.prod(c) % square,
        "powers": [[k, pow(c[0], k, square)] for k in factors],
        "weighted": [
            weighted(rng, key, c, messages, *layout)
            for layout in itertools.product((8, 32, 64), (number, 2 * number + 1), (False, True))
        ]
        + [weighted(rng, key, c, messages, 32, 300, signed) for signed in (False, True)],
        "matrix": matrix_products(rng, key, c),
    }


def edges(bits: int) -> list[int]:
    return [2 ** (bits - 1) - 1, 2 ** (bits - 1), 2**bits - 1]


def encrypted(
    rng: random.Random, key: dict[str, Any], messages: list[int]
) -> tuple[list[int], list[int]]:
    """Exponents, the longest and the shortest among them, and the ciphertexts that they give."""
    half, n = key["bits"] // 2, key["n"]
    exponents = [2**half - 1, 0, *(rng.getrandbits(half) for _ in messages)][: len(messages)]
    c = [
        (1 + m * n) * pow(key["h_s"], r, n**2) % n**2
        for m, r in zip(messages, exponents, strict=True)
    ]
    return exponents, c


def weighted(
    rng: random.Random,
    key: dict[str, Any],
    c: list[int],
    messages: list[int],
    bits: int,
    terms: int,
    signed: bool,
) -> dict[str, Any]:
    """A sum of terms under weights; term i is the ciphertext i modulo their number."""
    drawn = [2**bits - 1, 0, 1, *(rng.getrandbits(bits) for _ in range(terms))][:terms]
    weights = [-w if signed and i % 2 == 0 else w for i, w in enumerate(drawn)]
    square = key["n"] ** 2
    folded = [sum(weights[i :: len(c)]) for i in range(len(c))]
    return {
        "name": f"{terms} {'signed ' if signed else ''}weights of {bits} bits",
        "weights": weights,
        "ciphertext": math.prod(map(pow, c, folded, [square] * len(c))) % square,
        "plaintext": sum(map(math.prod, zip(folded, messages, strict=True))),
    }


def matrix_products(rng: random.Random, key: dict[str, Any], c: list[int]) -> dict[str, Any]:
    """Weights @ the ciphertexts as a matrix of two columns, the same weights.T the other way."""
    square = key["n"] ** 2
    columns = [c[0::2], c[1::2]]
    weights = [[rng.randint(-(2**31), 2**31) for _ in columns[0]] for _ in range(3)]
    return {
        "weights": weights,
        "product": [
            [math.prod(map(pow, column, row, [square] * len(row))) % square for column in columns]
            for row in weights
        ],
    }


def bad_integers(rng: random.Random, key: dict[str, Any]) -> list[dict[str, Any]]:
    """Integers that are no ciphertexts, and what else an array of them must not state."""
    n, p, q = key["n"], key["p"], key["q"]
    numbers = [
        ("zero", 0),
        ("negative", -1),
        ("n squared", n**2),
        ("n squared and one", n**2 + 1),
        ("not reduced", n**2 + 4),
        ("n", n),
        ("a multiple of p", p * rng.randrange(n)),
        ("a multiple of q", q * rng.randrange(n)),
    ]
    return [
        *(
            {"name": name, "error": "InvalidCiphertext", "integers": [4, bad], "limit": 1}
            for name, bad in numbers
        ),
        {
            "name": "limit beyond the key",
            "error": "BudgetExceeded",
            "integers": [4],
            "limit": (n - 1) // 2 + 1,
        },
    ]


# Paillier: packed arrays


def packing_vectors(rng: random.Random) -> dict[str, Any]:
    small, middle, large = (paillier_key(rng, *PRIMES[b // 2]) for b in (512, 2048, 3072))
    tiny, huge = 2.0**-900, 2.0**900
    good = [
        packed(rng, small, "signed edges", [3, 4], 8, 1.0, 5, at_edges(1.0, 8, 12)),
        packed(
            rng, small, "a bound that is no power of two", [5], 20, 0.3, 7, at_edges(0.3, 20, 5)
        ),
        packed(rng, small, "one bit", [2, 2], 1, 4.0, 3, [4.0, -4.0, 1.0, -3.0]),
        packed(rng, small, "the widest slot", [9], 53, 1.0, 511, at_edges(1.0, 53, 9)),
        packed(rng, small, "the smallest bound", [3], 10, tiny, 4, [tiny, -tiny, tiny / 2048]),
        packed(rng, small, "the largest bound", [3], 10, huge, 4, [-huge, huge / 3, -huge / 2048]),
        packed(
            rng, small, "every slot of two ciphertexts", [48], 16, 2.0, 9, at_edges(2.0, 16, 48)
        ),
        packed(rng, small, "no axes", [], 24, 8.0, 100, [-2.7182818]),
        packed(rng, small, "empty", [0, 3], 24, 8.0, 100, []),
        packed(rng, small, "integers", [2, 5], 0, 1000.9, 3, [1000, -1000, 0, 1, -1, *range(5)]),
        packed(rng, small, "wide integers", [4], 0, 2.0**60, 3, [2**60, -(2**60), 2**53 + 1, -1]),
        packed(rng, middle, "2048 bits", [65], 24, 8.0, 100, at_edges(8.0, 24, 65)),
        packed(rng, large, "3072 bits", [96], 24, 1.0, 100, at_edges(1.0, 24, 96)),
    ]
    assert [good[i]["slots"] for i in (3, 6, 11, 12)] == [8, 24, 63, 95]
    keys = {str(key["bits"]): key for key in (small, middle, large)}
    return {
        "origin": "Paillier 1999 on Python integers, packed by fractions",
        "keys": keys,
        "good": good,
        "bad_values": bad_values(),
        "bad_operands": bad_operands(rng, small, good[0]),
        "bad_plaintexts": bad_plaintexts(rng, small),
        "bad_bytes": bad_packed_bytes(rng, small),
    }


def at_edges(bound: float, bits: int, count: int) -> list[float]:
    """The bound, halves of units that are rounded to even, and what lies between."""
    unit = float(unit_of(bound, bits))
    halves = [0.5, 1.5, -0.5, -2.5] if bits < 53 else [1.0, -1.0, 2.0, -3.0]
    steps = [bound * (i / count) * (-1) ** i for i in range(count)]
    return [bound, -bound, -0.0, *(h * unit for h in halves), *steps][:count]


def unit_of(bound: float, bits: int) -> Fraction:
    """The part 2**-bits of the least power of two from the bound on; 1 for integers, of 0 bits."""
    if bits == 0:
        return Fraction(1)
    numerator, denominator = bound.as_integer_ratio()
    whole = Fraction(2) ** ((numerator - 1).bit_length() - (denominator.bit_length() - 1))
    assert whole / 2 < Fraction(bound) <= whole
    return whole / (1 << bits)


def layout(key: dict[str, Any], bits: int, bound: float, additions: int) -> tuple[int, int, int]:
    """The largest magnitude of a value in units, the bits of a slot, and slots of a ciphertext."""
    limit = round(Fraction(bound) / unit_of(bound, bits)) if bits else math.floor(bound)
    slot_bits = (limit * additions).bit_length() + 1
    return limit, slot_bits, (key["bits"] - 1) // slot_bits


def packed(
    rng: random.Random,
    key: dict[str, Any],
    name: str,
    extents: list[int],
    bits: int,
    bound: float,
    additions: int,
    values: Sequence[float],
) -> dict[str, Any]:
    """An array of packed values, and its multiples; integers have 0 bits."""
    assert len(values) == math.prod(extents)
    unit = unit_of(bound, bits)
    _, slot_bits, slots = layout(key, bits, bound, additions)
    integers = [round(Fraction(value) / unit) for value in values]
    plaintexts = [
        sum(i << slot_bits * at for at, i in enumerate(integers[start : start + slots]))
        for start in range(0, len(integers), slots)
    ]
    exponents, c = encrypted(rng, key, plaintexts)
    stated = {"extents": extents, "bits": bits, "bound": bound, "additions": additions}
    square = key["n"] ** 2
    factors = sorted({0, 1, -1, min(2, additions), additions, -additions})
    return {
        "name": name,
        "key": str(key["bits"]),
        **stated,
        "slot_bits": slot_bits,
        "slots": slots,
        "values": values,
        "integers": integers,
        "plaintexts": plaintexts,
        "exponents": exponents,
        "ciphertexts": c,
        "bytes": packed_bytes(key, c, **stated).hex(),
        "multiples": [
            {
                "factor": k,
                "values": [float(k * i * unit) if bits else k * i for i in integers],
                "ciphertexts": [pow(a, k, square) for a in c],
            }
            for k in factors
        ],
    }


def packed_bytes(key: dict[str, Any], ciphertexts: list[int], **changes: Any) -> bytes:
    return message(PACKED_ARRAY_KIND, packed_body(key, ciphertexts, **changes))


def packed_body(
    key: dict[str, Any],
    ciphertexts: list[int],
    *,
    extents: Sequence[int],
    bits: int = 8,
    bound: float = 1.0,
    additions: int = 5,
    used: int = 1,
    rows: Sequence[int] | None = None,
    digest: bytes | None = None,
    dtype: str = "uint64",
) -> bytes:
    width = 2 * key["bits"] // 64
    words = [c >> 64 * i & (2**64 - 1) for c in ciphertexts for i in range(width)]
    return b"".join(
        [
            blob(bytes.fromhex(key["fingerprint"]) if digest is None else digest),
            shape(extents),
            u8(bits),
            struct.pack("<d", bound),
            u64(additions),
            u64(used),
            array(dtype, [len(ciphertexts), width] if rows is None else rows, words),
        ]
    )


def bad_values() -> list[dict[str, Any]]:
    """Values (floats in Python's words) and packings that encryption must refuse."""
    good = {"values": ["1.0"], "bits": 8, "bound": 1.0, "additions": 5}
    cases: list[tuple[str, str, dict[str, Any]]] = [
        ("NaN", "BudgetExceeded", {"values": ["0.0", "nan"]}),
        ("infinity", "BudgetExceeded", {"values": ["inf", "0.0"]}),
        ("negative infinity", "BudgetExceeded", {"values": ["-inf"]}),
        ("the next float above the bound", "BudgetExceeded", {"values": ["1.0000000000000002"]}),
        ("the next below its negative", "BudgetExceeded", {"values": ["-1.0000000000000002"]}),
        ("a slot of 64 bits", "BudgetExceeded", {"bits": 53, "additions": 1024}),
        ("no bits", "ValueError", {"bits": 0}),
        ("more bits than a float has", "ValueError", {"bits": 54, "additions": 1}),
        ("no additions", "ValueError", {"additions": 0}),
        ("bound zero", "ValueError", {"values": ["0.0"], "bound": 0.0}),
        ("negative bound", "ValueError", {"bound": -1.0}),
        ("bound too small", "ValueError", {"values": ["0.0"], "bound": 2.0**-901}),
        ("bound too large", "ValueError", {"bound": 2.0**901}),
        ("an integer above the bound", "BudgetExceeded", {"values": [2, 3], "bound": 2.9}),
        ("an integer below its negative", "BudgetExceeded", {"values": [-3], "bound": 2.9}),
        ("an integer beyond 64 bits", "BudgetExceeded", {"values": [2**64], "bound": 2.0**50}),
        (
            "integers in 64 bits",
            "BudgetExceeded",
            {"values": [1], "bound": 2.0**62, "additions": 1},
        ),
        ("a bound below 1 for integers", "ValueError", {"values": [0], "bound": 0.5}),
    ]
    return [{"name": name, "error": error, **good, **change} for name, error, change in cases]


def bad_operands(
    rng: random.Random, key: dict[str, Any], good: dict[str, Any]
) -> list[dict[str, Any]]:
    """Arrays that do not add to the first good one."""
    other = paillier_key(rng, key["p"], key["q"])
    assert other["n"] == key["n"]
    assert other["h"] != key["h"]
    stated = {name: good[name] for name in ("extents", "bits", "bound", "additions")}
    cases: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
        ("another base under the same n", "KeyMismatch", other, {}),
        ("another shape of the same size", "ScaleMismatch", key, {"extents": [4, 3]}),
        ("fewer bits", "ScaleMismatch", key, {"bits": 7}),
        ("integers", "ScaleMismatch", key, {"bits": 0, "bound": 256.0}),
        ("another bound", "ScaleMismatch", key, {"bound": 0.99}),
        ("twice the bound", "ScaleMismatch", key, {"bound": 2.0}),
        ("other additions", "ScaleMismatch", key, {"additions": 6}),
        ("all additions used", "BudgetExceeded", key, {"used": 5}),
    ]
    return [
        {
            "name": name,
            "error": error,
            "public_bytes": under["public_bytes"],
            "bytes": packed_bytes(under, good["ciphertexts"], **stated | change).hex(),
        }
        for name, error, under, change in cases
    ]


def bad_plaintexts(rng: random.Random, key: dict[str, Any]) -> list[dict[str, Any]]:
    """Encryptions of what no array that states their packing holds: decryption must refuse."""
    limit, slot_bits, slots = layout(key, 8, 1.0, 5)
    full = {"extents": [slots]}
    part = {"extents": [slots - 1]}
    top = slot_bits * (slots - 1)
    cases: list[tuple[str, int, dict[str, Any]]] = [
        ("the first slot beyond its limit", limit + 1, full),
        ("the first slot below its limit", -limit - 1, full),
        ("the last slot beyond its limit", limit + 1 << top, full),
        ("the last slot below its limit", -limit - 1 << top, full),
        ("the largest number of a slot", (1 << slot_bits - 1) - 1, full),
        ("the least number of a slot", -1 << slot_bits - 1, full),
        ("a carry into the next slot", (1 << slot_bits) + limit + 1, full),
        ("a value after the last", 1 << top, part),
        ("a negative value after the last", -1 << top, part),
        ("the largest plaintext", (key["n"] - 1) // 2, full),
        ("the least plaintext", -(key["n"] - 1) // 2, full),
        ("two arrays' sum that states one", 2 * limit, full),
        ("six arrays' sum that states five", 6 * limit, full | {"used": 5}),
        ("a sum that states none", 1, full | {"used": 0}),
    ]
    return [
        {
            "name": name,
            "plaintext": m,
            "bytes": packed_bytes(key, encrypted(rng, key, [m])[1], **stated).hex(),
        }
        for name, m, stated in cases
    ]


def bad_packed_bytes(rng: random.Random, key: dict[str, Any]) -> list[dict[str, str]]:
    """Encodings that a reader of packed arrays must refuse."""
    n, square = key["n"], key["n"] ** 2
    slots = layout(key, 8, 1.0, 5)[2]
    width = 2 * key["bits"] // 64
    _, c = encrypted(rng, key, [1, -1])
    two = [2 * slots]
    others: list[tuple[str, str, dict[str, Any]]] = [
        ("wrong fingerprint", "KeyMismatch", {"digest": bytes(32)}),
        ("empty fingerprint", "KeyMismatch", {"digest": b""}),
        ("fingerprint above its cap", "DeserializationError", {"digest": bytes(33)}),
        ("shape for more ciphertexts", "InvalidCiphertext", {"extents": [2 * slots + 1]}),
        ("shape for fewer ciphertexts", "DeserializationError", {"extents": [slots]}),
        ("shape for no ciphertexts", "DeserializationError", {"extents": [0]}),
        ("too many axes", "DeserializationError", {"extents": [1] * 33}),
        ("shape above its cap", "DeserializationError", {"extents": [2**20, 2**20]}),
        ("a bound below 1 for integers", "InvalidCiphertext", {"bits": 0, "bound": 0.5}),
        ("integers beyond a slot", "InvalidCiphertext", {"bits": 0, "bound": 2.0**62}),
        ("integers in fewer slots", "InvalidCiphertext", {"bits": 0, "bound": 2.0**30}),
        ("more bits than a float has", "InvalidCiphertext", {"bits": 54, "additions": 1}),
        ("bound zero", "InvalidCiphertext", {"bound": 0.0}),
        ("negative bound", "InvalidCiphertext", {"bound": -1.0}),
        ("bound too small", "InvalidCiphertext", {"bound": 2.0**-901}),
        ("bound too large", "InvalidCiphertext", {"bound": 2.0**901}),
        ("bound infinite", "DeserializationError", {"bound": math.inf}),
        ("bound NaN", "DeserializationError", {"bound": math.nan}),
        ("no additions", "InvalidCiphertext", {"additions": 0}),
        ("additions beyond a slot", "InvalidCiphertext", {"additions": 2**54}),
        ("additions of 2**64 - 1", "InvalidCiphertext", {"additions": 2**64 - 1}),
        ("additions for another number of slots", "InvalidCiphertext", {"additions": 1000}),
        ("more used than the additions", "BudgetExceeded", {"used": 6}),
        ("used 2**64 - 1 times", "BudgetExceeded", {"used": 2**64 - 1}),
        ("rows of another width", "InvalidCiphertext", {"rows": [1, 2 * width]}),
        ("rows with one axis", "InvalidCiphertext", {"rows": [2 * width]}),
        ("rows with three axes", "DeserializationError", {"rows": [1, 2, width]}),
        ("more rows than bytes", "DeserializationError", {"rows": [2, width + 1]}),
        ("rows of 2**60 elements", "DeserializationError", {"rows": [2**60, width]}),
        ("signed words", "DeserializationError", {"dtype": "int64", "ciphertexts": [1, 1]}),
    ]
    numbers = [
        ("zero", 0),
        ("n squared", square),
        ("all ones", (1 << 64 * width) - 1),
        ("n", n),
        ("a multiple of p", key["p"] * rng.randrange(n)),
        ("a multiple of q", key["q"] * rng.randrange(n)),
    ]
    changes = [
        *(
            (name, error, {"ciphertexts": c, "extents": two} | change)
            for name, error, change in others
        ),
        *(
            (
                f"{place} ciphertext: {name}",
                "InvalidCiphertext",
                {"ciphertexts": pair, "extents": two},
            )
            for name, bad in numbers
            for place, pair in (("first", [bad, c[0]]), ("second", [c[0], bad]))
        ),
    ]
    raw = broken(PACKED_ARRAY_KIND, packed_body(key, c, extents=two))
    return [
        *({"name": n, "error": e, "bytes": packed_bytes(key, **c).hex()} for n, e, c in changes),
        *({"name": n, "error": "DeserializationError", "bytes": b.hex()} for n, b in raw),
    ]


# Textbook Paillier


def classic_vectors(rng: random.Random) -> dict[str, Any]:
    primes = [(5, 7), (293, 433), *(PRIMES[bits // 2] for bits in (512, 2048, 3072))]
    p, q = primes[1]
    return {
        "origin": "Paillier 1999, scheme 1, on Python integers",
        "keys": [textbook(rng, *pair) for pair in primes],
        "bad_moduli": [4, 1, 0, -15, 2**64],
        "bad_primes": [[7, 7], [2, 7], [7, 2], [1, 7], [9, 7], [7, 561], [-5, 7]],
        "bad_units": [[p * q, r] for r in (0, p, q, p * q, p * (q - 1))],
        "bad_ciphertexts": [[p, q, c] for c in (0, -1, p, q, p * q, p**2, (p * q) ** 2)],
        "outside": [[p, q, c] for c in (0, -1, (p * q) ** 2, (p * q) ** 2 + 1)],
    }


def textbook(rng: random.Random, p: int, q: int) -> dict[str, Any]:
    n = p * q
    square = n**2
    half = n // 2
    messages = [0, 1, n - 1, half, half + 1, -1, n, rng.randrange(n)]
    units = [
        1,
        n - 1,
        *(r for r in (rng.randrange(1, n) for _ in range(60)) if math.gcd(r, n) == 1),
    ]
    count = len(messages) if n.bit_length() < 2048 else 4
    pairs = list(zip(messages, units[1:], strict=False))[:count]
    c = [(1 + m * n) * pow(r, n, square) % square for m, r in pairs]
    factors = [0, 1, -1, 2**8 - 1, -(2**31), 2**64 - 1, -(2**64) + 1]
    return {
        "p": p,
        "q": q,
        "encryptions": [[m, r, e] for (m, r), e in zip(pairs, c, strict=True)],
        "with_r_1": 1 + messages[3] * n,
        "sums": [[a, b, a * b % square] for a, b in itertools.pairwise(c)],
        "plain_sums": [[c[0], m, c[0] * (1 + m * n) % square] for m in (-1, half, n + 1)],
        "products": [[c[1], k, pow(c[1], k, square)] for k in factors],
    }


# Private keys under a password


def sealed_vectors(rng: random.Random) -> dict[str, Any]:
    small, large = (paillier_key(rng, *PRIMES[bits // 2]) for bits in (512, 3072))
    good = [
        sealed(rng, small, b"correct horse battery staple"),
        sealed(rng, large, bytes(range(256))),
    ]
    return {
        "origin": "hashlib.scrypt, and AES-256-GCM on Python integers",
        "good": good,
        "bad": bad_sealed(rng, small, good[0]),
    }


def sealed(rng: random.Random, key: dict[str, Any], password: bytes) -> dict[str, Any]:
    salt, nonce = rng.randbytes(16), rng.randbytes(12)
    plain = bytes.fromhex(key["private_bytes"])
    return {
        "bits": key["bits"],
        "private_bytes": key["private_bytes"],
        "password": password.hex(),
        "salt": salt.hex(),
        "nonce": nonce.hex(),
        "bytes": seal(plain, password, salt, nonce).hex(),
    }


def seal(plain: bytes, password: bytes, salt: bytes, nonce: bytes) -> bytes:
    key = hashlib.scrypt(password, salt=salt, n=2**17, r=8, p=1, dklen=32, maxmem=2**28)
    header = sealed_bytes(salt, nonce, bytes(len(plain) + 16))[: -len(plain) - 16]
    return header + gcm_encrypt(key, nonce, plain, header)


def sealed_bytes(salt: bytes, nonce: bytes, ciphertext: bytes, *, cost: int = 17) -> bytes:
    return message(SEALED_KEY_KIND, u8(cost) + blob(salt) + blob(nonce) + blob(ciphertext))


def bad_sealed(
    rng: random.Random, key: dict[str, Any], good: dict[str, Any]
) -> list[dict[str, str]]:
    """Bytes that, with the password given, must not be read as a key."""
    data, password = bytes.fromhex(good["bytes"]), bytes.fromhex(good["password"])
    salt, nonce = rng.randbytes(16), rng.randbytes(12)
    public = bytes.fromhex(key["public_bytes"])
    equal = message(PRIVATE_KEY_KIND, 2 * integer(key["p"]) + integer(key["h"]))
    malformed = [
        *broken(SEALED_KEY_KIND, data[14:]),
        ("a cost below the least", sealed_bytes(salt, nonce, bytes(99), cost=16)),
        ("a cost above the cap", sealed_bytes(salt, nonce, bytes(99), cost=21)),
        ("a cost of 2**255", sealed_bytes(salt, nonce, bytes(99), cost=255)),
        ("a salt too short", sealed_bytes(salt[:15], nonce, bytes(99))),
        ("a salt too long", sealed_bytes(salt + b"\0", nonce, bytes(99))),
        ("no salt", sealed_bytes(b"", nonce, bytes(99))),
        ("a nonce too short", sealed_bytes(salt, nonce[:11], bytes(99))),
        ("a nonce too long", sealed_bytes(salt, nonce + b"\0", bytes(99))),
        ("a key above the cap", sealed_bytes(salt, nonce, bytes(4097))),
        ("a key that is not encrypted", bytes.fromhex(key["private_bytes"])),
    ]
    opened = [
        ("an altered salt", "DeserializationError", flipped(data, 23)),
        ("an altered nonce", "DeserializationError", flipped(data, 47)),
        ("an altered key", "DeserializationError", flipped(data, 67)),
        ("an altered tag", "DeserializationError", flipped(data, len(data) - 1)),
        ("a public key inside", "DeserializationError", seal(public, password, salt, nonce)),
        ("equal primes inside", "InvalidKey", seal(equal, password, salt, nonce)),
    ]
    return [
        *(
            {"name": name, "error": "DeserializationError", "password": good["password"]}
            | {"bytes": bad.hex()}
            for name, bad in malformed
        ),
        *(
            {"name": name, "error": error, "password": good["password"], "bytes": bad.hex()}
            for name, error, bad in opened
        ),
        {
            "name": "another password",
            "error": "DeserializationError",
            "password": b"Correct horse battery staple".hex(),
            "bytes": good["bytes"],
        },
    ]


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def gcm_encrypt(key: bytes, nonce: bytes, plain: bytes, header: bytes) -> bytes:
    """NIST SP 800-38D, section 7.1, for nonces of 12 bytes: the ciphertext and its tag."""
    blocks = -(-len(plain) // 16)
    stream = b"".join(aes_encrypt(key, nonce + (2 + i).to_bytes(4, "big")) for i in range(blocks))
    ciphertext = bytes(a ^ b for a, b in zip(plain, stream, strict=False))
    h = int.from_bytes(aes_encrypt(key, bytes(16)), "big")
    padded = b"".join(part + bytes(-len(part) % 16) for part in (header, ciphertext))
    padded += (8 * len(header)).to_bytes(8, "big") + (8 * len(ciphertext)).to_bytes(8, "big")
    y = 0
    for at in range(0, len(padded), 16):
        y = gcm_multiply(y ^ int.from_bytes(padded[at : at + 16], "big"), h)
    tag = y ^ int.from_bytes(aes_encrypt(key, nonce + (1).to_bytes(4, "big")), "big")
    return ciphertext + tag.to_bytes(16, "big")


def gcm_multiply(x: int, y: int) -> int:
    """SP 800-38D, algorithm 1; the leftmost bit is the constant term."""
    z = 0
    for i in range(127, -1, -1):
        z ^= y * (x >> i & 1)
        y = y >> 1 ^ 0xE1 << 120 if y & 1 else y >> 1
    return z


def aes_encrypt(key: bytes, block: bytes) -> bytes:
    """FIPS 197, section 5.1, for keys of 32 bytes; byte 4 c + r is row r of column c."""
    round_keys = aes_round_keys(key)
    state = xored(block, round_keys[0])
    for number, round_key in enumerate(round_keys[1:], start=1):
        state = bytes(AES_BOX[state[(at + 4 * (at % 4)) % 16]] for at in range(16))
        if number < 14:
            state = b"".join(aes_mixed(state[at : at + 4]) for at in range(0, 16, 4))
        state = xored(state, round_key)
    return state


def aes_round_keys(key: bytes) -> list[bytes]:
    words = [key[at : at + 4] for at in range(0, 32, 4)]
    constant = 1
    for i in range(8, 60):
        word = words[-1]
        if i % 4 == 0:
            word = bytes(AES_BOX[b] for b in (word[1:] + word[:1] if i % 8 == 0 else word))
        if i % 8 == 0:
            word = xored(word, bytes([constant, 0, 0, 0]))
            constant = aes_product(constant, 2)
        words.append(xored(words[-8], word))
    return [b"".join(words[i : i + 4]) for i in range(0, 60, 4)]


def aes_mixed(column: bytes) -> bytes:
    return bytes(
        aes_product(column[r], 2)
        ^ aes_product(column[(r + 1) % 4], 3)
        ^ column[(r + 2) % 4]
        ^ column[(r + 3) % 4]
        for r in range(4)
    )


def aes_product(a: int, b: int) -> int:
    """Polynomials over GF(2) modulo x**8 + x**4 + x**3 + x + 1."""
    product = 0
    for i in range(8):
        product ^= (a << i) * (b >> i & 1)
    for i in range(14, 7, -1):
        product ^= (0x11B << i - 8) * (product >> i & 1)
    return product


def aes_substitute(a: int) -> int:
    inverse = next((b for b in range(256) if aes_product(a, b) == 1), 0)
    rotations = [(inverse << i | inverse >> 8 - i) & 255 for i in range(5)]
    return rotations[0] ^ rotations[1] ^ rotations[2] ^ rotations[3] ^ rotations[4] ^ 0x63


def xored(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


AES_BOX = [aes_substitute(a) for a in range(256)]


# Certificates of keys, proofs of plaintext knowledge


def proof_vectors(rng: random.Random) -> dict[str, Any]:
    small, large = (paillier_key(rng, *PRIMES[bits // 2]) for bits in (512, 2048))
    named = [
        (small, "signed edges", 1, 2**62, [-(2**62), -1, 0, 1, 2**62]),
        (small, "fixed point", 2**32, 2**52, [2**31, -5 * 2**30, 1]),
        (small, "wide", 1, 2**499, [2**499, -(2**499), 2**64, -1]),
        (small, "empty", 1, 2**62, []),
        (large, "2048 bits", 1, 2**62, [2**40 + 1, -7, 2**62]),
    ]
    proofs = [proof(rng, *case) for case in named]
    return {
        "origin": "Goldberg et al. 2019, Canetti et al. 2020 and Schnorr 1989, on Python integers",
        "certificates": [
            certificate(small, b""),
            certificate(small, b"hospital A"),
            certificate(large, b"2048 bits"),
        ],
        "bad_keys": bad_certified_keys(),
        "bad_certificates": bad_certificates(small),
        "bad_certificate_bytes": bad_key_bytes(KEY_CERTIFICATE_KIND, [1] * 135)
        + beyond(KEY_CERTIFICATE_KIND, [1] * 135, [0, -1]),
        "proofs": proofs,
        "bad_proofs": bad_proofs(small, proofs[0]),
        "bad_proof_bytes": bad_key_bytes(PLAINTEXT_PROOF_KIND, [1] * 3, cap=2 * 8 * 1024)
        + beyond(PLAINTEXT_PROOF_KIND, [1] * 3, [-1]),
    }


def certificate(key: dict[str, Any], context: bytes) -> dict[str, Any]:
    n, p, q = key["n"], key["p"], key["q"]
    order = (p - 1) * (q - 1)
    nth = [pow(y, pow(n, -1, order), n) for y in points(n, key["h"], b"n-th roots", 7, context)]
    fourth = [fourth_root(y, p, q) for y in blum_points(n, key["h"], context)]
    return {
        "bits": key["bits"],
        "context": context.hex(),
        "public_bytes": key["public_bytes"],
        "private_bytes": key["private_bytes"],
        "bytes": certificate_bytes([*nth, *fourth]),
    }


def certificate_bytes(roots: list[int]) -> str:
    return message(KEY_CERTIFICATE_KIND, b"".join(map(integer, roots))).hex()


def points(n: int, h: int, purpose: bytes, number: int, context: bytes) -> list[int]:
    public_bytes = message(PUBLIC_KEY_KIND, integer(n) + integer(h))
    parts = (b"veilsum/v1 key certificate", purpose, public_bytes, context)
    width = n.bit_length() // 8 + 16
    stream = hashlib.shake_256(b"".join(map(blob, parts))).digest(number * width)
    return [
        int.from_bytes(stream[i * width : (i + 1) * width], "little") % n for i in range(number)
    ]


def blum_points(n: int, h: int, context: bytes) -> list[int]:
    w = next(w for w in itertools.count(2) if jacobi(w, n) == -1)
    drawn = points(n, h, b"fourth roots", 128, context)
    return [y if jacobi(y, n) == 1 else w * y % n for y in drawn]


def fourth_root(y: int, p: int, q: int) -> int:
    """The fourth root that is a square modulo both primes, of y or of -y."""
    square = y if pow(y, (p - 1) // 2, p) == 1 else -y
    x_p, x_q = (pow(pow(square, (r + 1) // 4, r), (r + 1) // 4, r) for r in (p, q))
    assert all(pow(x, 4, r) == square % r for x, r in ((x_p, p), (x_q, q)))
    return (x_p * q * pow(q, -1, p) + x_q * p * pow(p, -1, q)) % (p * q)


def bad_certified_keys() -> list[dict[str, Any]]:
    """Moduli that are no keys, with every root that exists, and 1 in place of the others."""
    blum = [prime_from(7 << 61 | digits_of_root(k, 61), 4, 3) for k in (2, 3, 5, 6)]
    other = [prime_from(7 << 61 | digits_of_root(k, 61), 8, 5) for k in (7, 10)]
    short = prime_from(2**20, 4, 3)
    multiple = next(r for r in itertools.count(2**107 // short * short + 1, short) if is_prime(r))
    cases = [
        ("p**2 q", [(blum[0], 2), (blum[1], 1)], "n-th roots"),
        ("p**2 q**2 r", [(blum[0], 2), (blum[1], 2), (blum[2], 1)], "n-th roots"),
        ("p divides q - 1", [(short, 1), (multiple, 1)], "n-th roots"),
        ("three primes", [(r, 1) for r in blum[:3]], "fourth roots"),
        ("four primes", [(r, 1) for r in blum], "fourth roots"),
        ("p is 1 modulo 4", [(other[0], 1), (blum[0], 1)], "fourth roots"),
        ("p and q are 1 modulo 4", [(other[0], 1), (other[1], 1)], "fourth roots"),
    ]
    return [{"name": name, "says": s, **lying_certificate(parts)} for name, parts, s in cases]


def lying_certificate(factors: list[tuple[int, int]]) -> dict[str, Any]:
    n, h, context = math.prod(r**e for r, e in factors), 4, b"liar"
    nth = [root(y, n, factors) for y in points(n, h, b"n-th roots", 7, context)]
    fourth = [root(y, 4, factors) or root(n - y, 4, factors) for y in blum_points(n, h, context)]
    return {
        "n": n,
        "h": h,
        "context": context.hex(),
        "found": [sum(x is not None for x in roots) for roots in (nth, fourth)],
        "bytes": certificate_bytes([x or 1 for x in (*nth, *fourth)]),
    }


def root(y: int, exponent: int, factors: list[tuple[int, int]]) -> int | None:
    """A root modulo a product of prime powers, where there is one."""
    x, modulus = 0, 1
    for r, e in factors:
        power, order = r**e, r ** (e - 1) * (r - 1)
        part = order // math.gcd(order, exponent)
        if pow(y, part, power) != 1:
            return None
        remainder = pow(y, pow(exponent, -1, part), power)
        x += modulus * ((remainder - x) * pow(modulus, -1, power) % power)
        modulus *= power
    assert (pow(x, exponent, modulus) - y) % modulus == 0
    return x


def prime_from(start: int, modulus: int, residue: int) -> int:
    """The first prime of that residue from there on."""
    return next(r for r in itertools.count(start) if r % modulus == residue and is_prime(r))


def is_prime(r: int) -> bool:
    return all(pow(a, r - 1, r) == 1 for a in (2, 3, 5, 7))


def bad_certificates(key: dict[str, Any]) -> dict[str, Any]:
    """A good certificate, and numbers to put in the place of one of its roots."""
    good = certificate(key, b"")
    n, data = key["n"], bytes.fromhex(good["bytes"])
    roots = integers_of(data)
    assert certificate_bytes(roots) == good["bytes"]
    changes = [
        (f"{name} of {place}", at, number)
        for place, at in (
            ("the first", 0),
            ("the last n-th", 6),
            ("a fourth", 7),
            ("the last", 134),
        )
        for name, number in (
            ("the successor", roots[at] + 1),
            ("twice the root", 2 * roots[at] % n),
            ("the root plus n", roots[at] + n),
            ("n", n),
            ("1", 1),
            ("another root", roots[at - 1]),
        )
    ]
    changes.append(("the negative of an n-th root", 3, n - roots[3]))
    return good | {"changes": [{"name": a, "at": b, "number": c} for a, b, c in changes]}


def integers_of(data: bytes) -> list[int]:
    """The positive integers that fill the body of a message."""
    numbers, at = [], 14
    while at < len(data):
        end = at + 5 + int.from_bytes(data[at + 1 : at + 5], "little")
        numbers.append(int.from_bytes(data[at + 5 : end], "little"))
        at = end
    return numbers


def proof(
    rng: random.Random, key: dict[str, Any], name: str, scale: int, limit: int, messages: list[int]
) -> dict[str, Any]:
    """Ciphertexts and the proof of their plaintexts, from drawn exponents and masks."""
    half = key["bits"] // 2
    exponents = [2**half - 1, 0, *(rng.getrandbits(half) for _ in messages)][: len(messages)]
    a, y = rng.getrandbits(key["bits"] + 128), rng.getrandbits(half + 320)
    context = name.encode()
    n, h_s, square = key["n"], key["h_s"], key["n"] ** 2
    c = [
        (1 + m * n) * pow(h_s, x, square) % square for m, x in zip(messages, exponents, strict=True)
    ]
    array = array_bytes(key, scale=scale, limit=limit, ciphertexts=c)
    u = (1 + a % n * n) * pow(h_s, y, square) % square
    e = challenges(key, array, u, context, len(c))
    z_m = (a + sum(map(math.prod, zip(e, messages, strict=True)))) % n
    z_x = y + sum(map(math.prod, zip(e, exponents, strict=True)))
    powers = math.prod(pow(b, f, square) for b, f in zip(c, e, strict=True))
    assert (1 + z_m * n) * pow(h_s, z_x, square) % square == u * powers % square
    return {
        "name": name,
        "bits": key["bits"],
        "public_bytes": key["public_bytes"],
        "scale": scale,
        "limit": limit,
        "messages": messages,
        "exponents": exponents,
        "ciphertexts": c,
        "a": a,
        "y": y,
        "context": context.hex(),
        "array": array.hex(),
        "numbers": [u, z_m, z_x],
        "bytes": proof_bytes([u, z_m, z_x]),
    }


def challenges(key: dict[str, Any], array: bytes, u: int, context: bytes, number: int) -> list[int]:
    parts = (
        b"veilsum/v1 plaintext proof",
        bytes.fromhex(key["public_bytes"]),
        array,
        u.to_bytes(key["bits"] // 4, "little"),
        context,
    )
    stream = hashlib.shake_256(b"".join(map(blob, parts))).digest(16 * number)
    return [int.from_bytes(stream[16 * i : 16 * i + 16], "little") for i in range(number)]


def proof_bytes(numbers: list[int]) -> str:
    return message(PLAINTEXT_PROOF_KIND, b"".join(map(integer, numbers))).hex()


def bad_proofs(key: dict[str, Any], good: dict[str, Any]) -> list[dict[str, Any]]:
    """What does not belong to the first proof: contexts, arrays, and numbers in its place."""
    (u, z_m, z_x), n, square = good["numbers"], key["n"], key["n"] ** 2
    order = math.lcm(key["p"] - 1, key["q"] - 1)
    assert pow(key["h_s"], order, square) == 1
    c = good["ciphertexts"]
    numbers = [
        ("u is 0", [0, z_m, z_x]),
        ("u is 1", [1, z_m, z_x]),
        ("u is n squared", [square, z_m, z_x]),
        ("u is not reduced", [u + square, z_m, z_x]),
        ("u is not a unit", [key["p"], z_m, z_x]),
        ("u is the negative", [square - u, z_m, z_x]),
        ("z_m is not reduced", [u, z_m + n, z_x]),
        ("z_m is n", [u, n, z_x]),
        ("z_m is another", [u, z_m ^ 1, z_x]),
        ("z_x is another", [u, z_m, z_x ^ 1]),
        ("z_x is too long", [u, z_m, z_x + (order << key["bits"])]),
        ("all are 0", [0, 0, 0]),
        ("all are 1", [1, 1, 1]),
        ("u encrypts z_m", [(1 + z_m * n) * pow(key["h_s"], z_x, square) % square, z_m, z_x]),
    ]
    others = [
        ("one ciphertext less", {"ciphertexts": c[:-1]}),
        ("one ciphertext more", {"ciphertexts": [*c, c[0]]}),
        ("no ciphertext", {"ciphertexts": []}),
        ("two swapped", {"ciphertexts": [c[1], c[0], *c[2:]]}),
        ("one raised by 1", {"ciphertexts": [c[0] * (1 + n) % square, *c[1:]]}),
        ("one randomized anew", {"ciphertexts": [c[0] * key["h_s"] % square, *c[1:]]}),
        ("another scale", {"ciphertexts": c, "scale": 2}),
        ("another limit", {"ciphertexts": c, "limit": good["limit"] + 1}),
        ("another shape", {"ciphertexts": c, "extents": [len(c), 1]}),
    ]
    kept = {"scale": good["scale"], "limit": good["limit"]}
    same = {"array": good["array"], "context": good["context"], "bytes": good["bytes"]}
    return [
        {"name": "another context", **same, "context": b"signed edge".hex()},
        {"name": "no context", **same, "context": ""},
        *({"name": name, **same, "bytes": proof_bytes(changed)} for name, changed in numbers),
        *(
            {"name": name, **same, "array": array_bytes(key, **kept | changed).hex()}
            for name, changed in others
        ),
    ]


def beyond(kind: int, numbers: list[int], refused: list[int]) -> list[dict[str, str]]:
    """Numbers that no place of such a message takes."""
    return [
        {
            "name": f"{number} in place {at}",
            "bytes": message(
                kind, b"".join(map(integer, [*numbers[:at], number, *numbers[at + 1 :]]))
            ).hex(),
        }
        for number in refused
        for at in (0, len(numbers) - 1)
    ]


# Shared keys

# Both safe, just below a power of two and seven eighths of it.
SAFE_PRIMES = {256: (2**256 - 36113, 7 * 2**253 - 48021), 128: (2**128 - 15449, 7 * 2**125 - 3741)}


def threshold_vectors(rng: random.Random) -> dict[str, Any]:
    small, large = (paillier_key(rng, *SAFE_PRIMES[bits]) for bits in (128, 256))
    return {
        "origin": "Damgard, Jurik 2001, section 4.1, and Chaum, Pedersen 1992, on Python integers",
        "keys": [
            threshold_case(rng, small, 1, 1, [5, -7]),
            threshold_case(rng, small, 5, 3, [-(2**62), -1, 0, 1, 2**62]),
            threshold_case(rng, large, 3, 2, [2**40 + 1, -7, 2**62]),
            threshold_case(rng, large, 2, 2, []),
        ],
    }


def threshold_case(
    rng: random.Random, key: dict[str, Any], holders: int, threshold: int, messages: list[int]
) -> dict[str, Any]:
    """A key that is dealt by a drawn polynomial, and what its holders answer."""
    n, square = key["n"], key["n"] ** 2
    order = (key["p"] // 2) * (key["q"] // 2)
    group = n * order
    polynomial = [order * pow(order, -1, n), *(rng.randrange(group) for _ in range(threshold - 1))]
    delta = math.factorial(holders)
    exponents = [delta * evaluate(polynomial, i, group) % group for i in range(1, holders + 1)]
    v = pow(rng.randrange(square), 2, square)
    powers = [pow(v, e, square) for e in exponents]
    public = bytes.fromhex(key["public_bytes"])
    numbers = b"".join(map(integer, powers))
    written = message(
        THRESHOLD_KEY_KIND,
        blob(public) + u32(threshold) + integer(v) + u32(holders) + numbers,
    )
    digest = hashlib.sha256(blob(b"veilsum/v1 threshold key") + blob(written)).digest()
    c = [(1 + m * n) * pow(key["h_s"], rng.getrandbits(64), square) % square for m in messages]
    asked = array_bytes(key, limit=2**62, ciphertexts=c)
    shared = {"digest": digest, "v": v, "powers": powers}
    return {
        "bits": key["bits"],
        "bytes": written.hex(),
        "fingerprint": digest.hex(),
        "threshold": threshold,
        "exponents": exponents,
        "key_shares": [
            message(KEY_SHARE_KIND, blob(digest) + u32(i) + integer(e)).hex()
            for i, e in enumerate(exponents, 1)
        ],
        "messages": messages,
        "array": asked.hex(),
        "context": b"session 7".hex(),
        "answers": [
            decryption_share(rng, key, shared, i, e, c, asked) for i, e in enumerate(exponents, 1)
        ],
    }


def decryption_share(
    rng: random.Random,
    key: dict[str, Any],
    shared: dict[str, Any],
    holder: int,
    exponent: int,
    c: list[int],
    asked: bytes,
) -> dict[str, Any]:
    """One holder's answer, from a drawn mask."""
    square, width = key["n"] ** 2, key["bits"] // 4
    s = [pow(x, 2 * exponent, square) for x in c]
    y = rng.getrandbits(2 * key["bits"] + 256)
    stored = b"".join(x.to_bytes(width, "little") for x in s)
    parts = (
        b"veilsum/v1 decryption share",
        shared["digest"],
        holder.to_bytes(4, "little"),
        b"session 7",
        asked,
        stored,
    )
    digest = hashlib.shake_256(b"".join(map(blob, parts))).digest(64)
    stream = hashlib.shake_256(blob(b"weights") + blob(digest)).digest(16 * len(c))
    weights = [int.from_bytes(stream[i : i + 16], "little") for i in range(0, len(stream), 16)]
    base = math.prod(pow(x, 4 * r, square) for x, r in zip(c, weights, strict=True)) % square
    power = math.prod(pow(x, 2 * r, square) for x, r in zip(s, weights, strict=True)) % square
    assert power == pow(base, exponent, square)
    commitments = [pow(x, y, square).to_bytes(width, "little") for x in (shared["v"], base)]
    hashed = b"".join(map(blob, (b"challenge", digest, *commitments)))
    e = int.from_bytes(hashlib.shake_256(hashed).digest(16), "little")
    z = y + e * exponent
    words = [x >> 64 * i & (2**64 - 1) for x in s for i in range(width // 8)]
    rows = array("uint64", [len(s), width // 8], words)
    body = blob(shared["digest"]) + u32(holder) + rows + integer(e) + integer(z)
    return {"y": y, "shares": s, "bytes": message(DECRYPTION_SHARE_KIND, body).hex()}


# Wire


def wire_vectors(_: random.Random) -> dict[str, Any]:
    good = [wire_vector(kind, fields) for kind, fields in WIRE_MESSAGES]
    return {
        "origin": "the layout in the docstring of veilsum.wire",
        "good": good,
        "bad": bad_wire(),
    }


Fields = list[tuple[str, Any]]

WIRE_MESSAGES: list[tuple[int, Fields]] = [
    (1, []),
    (2, [("u8", 0), ("u8", 255), ("u32", 2**32 - 1), ("u64", 2**64 - 1)]),
    (3, [("i64", -(2**63)), ("i64", -1), ("i64", 2**63 - 1)]),
    (3, [("float64", 0.1), ("float64", -0.0), ("float64", 5e-324), ("float64", 2.0**1023)]),
    (4, [("integer", n) for n in (0, 1, -1, 255, 256, -256, 2**64, -(2**3072) + 1)]),
    (5, [("blob", ""), ("blob", "00ff00"), ("text", ""), ("text", "holder-2 \u2260 \U0001f511")]),
    (5, [("shape", []), ("shape", [0]), ("shape", [2, 0, 3]), ("shape", [1] * 32)]),
    (5, [("array", ["uint8", [3], [0, 7, 255]]), ("array", ["uint64", [2, 1], [0, 2**64 - 1]])]),
    (5, [("array", ["int64", [], [-(2**63)]]), ("array", ["int64", [0, 5], []])]),
]


def wire_vector(kind: int, fields: Fields) -> dict[str, Any]:
    body = b"".join(encode(name, value) for name, value in fields)
    return {"kind": kind, "fields": fields, "bytes": message(kind, body).hex()}


def encode(name: str, value: Any) -> bytes:
    encoders: dict[str, Callable[[Any], bytes]] = {
        "u8": u8,
        "u32": u32,
        "u64": u64,
        "i64": lambda n: struct.pack("<q", n),
        "float64": lambda x: struct.pack("<d", x),
        "integer": integer,
        "blob": lambda digits: blob(bytes.fromhex(digits)),
        "text": lambda text: blob(text.encode()),
        "shape": shape,
        "array": lambda parts: array(*parts),
    }
    return encoders[name](value)


def bad_wire() -> list[dict[str, Any]]:
    """Messages of kind 5 in which the named field, read with those caps, must be refused."""
    good = message(5, u8(7))
    headers = [
        ("no bytes", b""),
        ("a truncated header", good[:13]),
        ("a truncated body", good[:-1]),
        ("another magic", b"VSUN" + good[4:]),
        ("magic in lower case", b"vsum" + good[4:]),
        ("version 0", good[:4] + b"\x00" + good[5:]),
        ("version 2", good[:4] + b"\x02" + good[5:]),
        ("another kind", message(4, u8(7))),
        ("an unknown kind", message(0, u8(7))),
        ("a length one too small", good[:6] + u64(0) + good[14:]),
        ("a length one too large", good[:6] + u64(2) + good[14:]),
        ("a length above its cap", good[:6] + u64(2**64 - 1) + good[14:]),
        ("bytes after the message", good + b"\x00"),
    ]
    bodies: list[tuple[str, str, bytes, dict[str, int]]] = [
        ("bytes after the last field", "u8", u8(1) + u8(2), {}),
        ("a field after the end", "u8", b"", {}),
        ("a truncated u32", "u32", b"\x01\x02\x03", {}),
        ("a truncated u64", "u64", b"\x01" * 7, {}),
        ("a truncated i64", "i64", b"\x01" * 7, {}),
        ("u8 above its cap", "u8", u8(5), {"max_value": 4}),
        ("u64 above its cap", "u64", u64(2**40), {"max_value": 2**40 - 1}),
        ("not a number", "float64", struct.pack("<d", float("nan")), {}),
        ("an infinity", "float64", struct.pack("<d", float("-inf")), {}),
        ("an integer with a leading zero byte", "integer", u8(0) + u32(2) + b"\x01\x00", {}),
        ("a zero of one byte", "integer", u8(0) + u32(1) + b"\x00", {}),
        ("a negative zero", "integer", u8(1) + u32(0), {}),
        ("an unknown sign", "integer", u8(2) + u32(1) + b"\x01", {}),
        ("a truncated integer", "integer", u8(0) + u32(2) + b"\x01", {}),
        ("an integer above its cap", "integer", integer(2**64), {"max_bytes": 8}),
        ("an integer of 4 GiB", "integer", u8(0) + u32(2**32 - 1), {}),
        ("a truncated blob", "blob", u64(3) + b"ab", {}),
        ("a blob above its cap", "blob", blob(b"abc"), {"max_bytes": 2}),
        ("a blob of 2**64 - 1 bytes", "blob", u64(2**64 - 1), {}),
        ("text that is not UTF-8", "text", blob(b"\xff"), {}),
        ("text with an overlong zero", "text", blob(b"\xc0\x80"), {}),
        ("text with a surrogate", "text", blob(b"\xed\xa0\x80"), {}),
        ("too many axes", "shape", shape([1] * 33), {}),
        ("axes above their cap", "shape", shape([1, 1]), {"max_axes": 1}),
        ("too many elements", "shape", shape([2, 3]), {"max_size": 5}),
        ("a product that wraps at 2**64", "shape", shape([2**32, 2**32]), {}),
        ("a wide axis beside an empty one", "shape", shape([0, 2**63]), {}),
        ("a truncated shape", "shape", u8(2) + u64(1), {}),
        ("an unknown dtype", "array", u8(9) + shape([1]) + u64(1), {}),
        ("another dtype", "array", array("int64", [1], [1]), {}),
        ("a truncated array", "array", array("uint64", [2], [1, 2])[:-1], {}),
        ("an array above its cap", "array", array("uint64", [3], [1, 2, 3]), {"max_size": 2}),
        ("an array of 2**60 elements", "array", u8(2) + shape([2**60]), {}),
    ]
    return [
        *({"name": n, "field": "u8", "caps": {}, "bytes": b.hex()} for n, b in headers),
        *(
            {"name": n, "field": f, "caps": c, "bytes": message(5, b).hex()}
            for n, f, b, c in bodies
        ),
    ]


def message(kind: int, body: bytes) -> bytes:
    return b"VSUM" + bytes([1, kind]) + u64(len(body)) + body


def u8(n: int) -> bytes:
    return struct.pack("<B", n)


def u32(n: int) -> bytes:
    return struct.pack("<I", n)


def u64(n: int) -> bytes:
    return struct.pack("<Q", n)


def integer(n: int) -> bytes:
    magnitude = b""
    rest = abs(n)
    while rest:
        magnitude += bytes([rest % 256])
        rest //= 256
    return u8(1 if n < 0 else 0) + u32(len(magnitude)) + magnitude


def blob(data: bytes) -> bytes:
    return u64(len(data)) + data


def shape(extents: Sequence[int]) -> bytes:
    return u8(len(extents)) + b"".join(map(u64, extents))


def array(dtype: str, extents: Sequence[int], elements: Sequence[int]) -> bytes:
    code, letter = {
        "uint8": (1, "B"),
        "uint32": (4, "I"),
        "uint64": (2, "Q"),
        "int64": (3, "q"),
    }[dtype]
    return u8(code) + shape(extents) + struct.pack(f"<{len(elements)}{letter}", *elements)


FILES = {
    "classic.json": classic_vectors,
    "field.json": field_vectors,
    "packing.json": packing_vectors,
    "paillier.json": paillier_vectors,
    "products.json": product_vectors,
    "proofs.json": proof_vectors,
    "sealed_keys.json": sealed_vectors,
    "shamir.json": shamir_vectors,
    "threshold.json": threshold_vectors,
    "wire.json": wire_vectors,
}


def generate(directory: Path) -> None:
    """Write every file of vectors into a directory."""
    for name, vectors in FILES.items():
        content = {"version": 1, **vectors(random.Random(SEED))}
        (directory / name).write_text(laid_out(content) + "\n", encoding="ascii")


def laid_out(content: dict[str, Any]) -> str:
    """JSON with each innermost list on one line."""
    text = json.dumps(content, indent=1)
    text = re.sub(r"\[([^][{}]*)\]", lambda found: f"[{' '.join(found[1].split())}]", text)
    assert json.loads(text) == json.loads(json.dumps(content))
    return text


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "v1")
