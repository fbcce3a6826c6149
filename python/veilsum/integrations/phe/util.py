"""Number theory on Python integers, and integers as base64 in JSON web keys."""

import base64
import math
import operator
from typing import SupportsIndex

import gmpy2
from gmpy2 import mpz

from veilsum import randomness

__all__ = [
    "HAVE_CRYPTO",
    "HAVE_GMP",
    "base64_to_int",
    "base64url_decode",
    "base64url_encode",
    "extended_euclidean_algorithm",
    "first_primes",
    "getprimeover",
    "improved_i_sqrt",
    "int_to_base64",
    "invert",
    "is_prime",
    "isqrt",
    "miller_rabin",
    "mulmod",
    "powmod",
]

HAVE_GMP = True
HAVE_CRYPTO = False
_FIRST_PRIMES = 2048


def invert(a: SupportsIndex, b: SupportsIndex) -> int:
    """Find x with ``a * x = 1`` modulo b.

    Raises
    ------
    ZeroDivisionError
        If there is none.

    Examples
    --------
    >>> invert(3, 7)
    5
    """
    return int(gmpy2.invert(operator.index(a), operator.index(b)))


def powmod(a: SupportsIndex, b: SupportsIndex, c: SupportsIndex) -> int:
    """Compute ``a**b % c``; b may be negative. The time depends on the values.

    Raises
    ------
    ValueError
        If c is 0, or b negative and a without an inverse.

    Examples
    --------
    >>> powmod(2, 10, 1000)
    24
    """
    return int(pow(mpz(operator.index(a)), operator.index(b), operator.index(c)))


def mulmod(a: SupportsIndex, b: SupportsIndex, c: SupportsIndex) -> int:
    """Compute ``a * b % c``.

    Raises
    ------
    ZeroDivisionError
        If c is 0.

    Examples
    --------
    >>> mulmod(2, 10, 7)
    6
    """
    return int(mpz(operator.index(a)) * operator.index(b) % operator.index(c))


def extended_euclidean_algorithm(a: SupportsIndex, b: SupportsIndex) -> tuple[int, int, int]:
    """Find r, s, t with ``r = s * a + t * b``, where r is the greatest common divisor.

    Examples
    --------
    >>> extended_euclidean_algorithm(240, 46)
    (2, -9, 47)
    """
    r, s, t = gmpy2.gcdext(operator.index(a), operator.index(b))
    return int(r), int(s), int(t)


def isqrt(N: SupportsIndex) -> int:
    """Compute the integer square root, rounded down.

    Raises
    ------
    ValueError
        If N is negative.

    Examples
    --------
    >>> isqrt(17)
    4
    """
    return math.isqrt(N)


def improved_i_sqrt(n: SupportsIndex) -> int:
    """Compute what `isqrt` computes, under its other name."""
    return isqrt(n)


def getprimeover(N: SupportsIndex) -> int:
    """Draw a prime of N bits from the operating system's randomness.

    Raises
    ------
    ValueError
        If N is below 2.

    Examples
    --------
    >>> getprimeover(64).bit_length()
    64
    """
    bits = operator.index(N)
    if bits < 2:
        raise ValueError(f"N: got {bits}, expected at least 2 bits")
    while True:
        start = randomness.random_bits(bits) | 1 << (bits - 1)
        prime = gmpy2.next_prime(start - 1)
        if prime.bit_length() == bits:
            return int(prime)


def is_prime(n: SupportsIndex, mr_rounds: int = 25) -> bool:
    """Tell whether n is prime; a composite passes with probability below ``4**-mr_rounds``.

    Examples
    --------
    >>> [n for n in range(20) if is_prime(n)]
    [2, 3, 5, 7, 11, 13, 17, 19]
    """
    return bool(gmpy2.is_prime(operator.index(n), mr_rounds))


def miller_rabin(n: SupportsIndex, k: int) -> bool:
    """Run the test of Miller and Rabin with k random bases: False means that n is composite.

    Raises
    ------
    ValueError
        If n is below 4.

    Examples
    --------
    >>> miller_rabin(7919, 10), miller_rabin(7921, 10)
    (True, False)
    """
    number = operator.index(n)
    if number < 4:
        raise ValueError(f"n: got {number}, expected at least 4")
    bases = (2 + randomness.random_below(number - 3) for _ in range(k))
    return all(math.gcd(a, number) == 1 and gmpy2.is_strong_prp(number, a) for a in bases)


def base64url_encode(payload: str | bytes) -> str:
    """Encode bytes, or text as UTF-8, in base64 for addresses, without padding.

    Examples
    --------
    >>> base64url_encode(bytes([255, 239]))
    '_-8'
    """
    data = payload.encode("utf-8") if isinstance(payload, str) else payload
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def base64url_decode(payload: str) -> bytes:
    """Decode what `base64url_encode` wrote.

    Raises
    ------
    ValueError
        If it is not base64.

    Examples
    --------
    >>> base64url_decode('_-8').hex()
    'ffef'
    """
    padded = payload + "=" * (-len(payload) % 4)
    return base64.b64decode(padded, altchars="-_", validate=True)


def int_to_base64(source: SupportsIndex) -> str:
    """Write an integer as the base64 of its big-endian bytes.

    Raises
    ------
    ValueError
        If it is negative.

    Examples
    --------
    >>> int_to_base64(65537)
    'AQAB'
    """
    number = operator.index(source)
    if number < 0:
        raise ValueError("source: it is negative; expected 0 or above")
    return base64url_encode(number.to_bytes(max(1, -(-number.bit_length() // 8)), "big"))


def base64_to_int(source: str) -> int:
    """Read what `int_to_base64` wrote.

    Raises
    ------
    ValueError
        If it is empty or not base64.

    Examples
    --------
    >>> base64_to_int('AQAB')
    65537
    """
    data = base64url_decode(source)
    if not data:
        raise ValueError("source: it is empty")
    return int.from_bytes(data, "big")


def _first_primes(count: int) -> tuple[int, ...]:
    found = [2]
    while len(found) < count:
        found.append(int(gmpy2.next_prime(found[-1])))
    return tuple(found)


first_primes = _first_primes(_FIRST_PRIMES)
