"""Time sharing and rebuilding, a secret, against FLINT, NumPy, gmpy2 and plain Python.

The secrets are the same for everybody. Every peer draws its own coefficients except FLINT, of which
only the matrix product is timed, in its favour. Veilsum draws, shares and checks ranges.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import flint
import gmpy2
import numpy as np
from harness import Bench, Side, arguments
from numpy.typing import NDArray

from veilsum import shamir
from veilsum.field import P50

MERSENNE31 = 2**31 - 1


def flint_matrix(rows: NDArray[np.uint64]) -> flint.nmod_mat:
    """Return a matrix modulo the prime of P50."""
    return flint.nmod_mat(rows.tolist(), P50.modulus)


def vandermonde(shares: int, threshold: int) -> NDArray[np.uint64]:
    """Return the powers of the points 1..shares, one row a point."""
    powers = [[pow(x, e, P50.modulus) for e in range(threshold)] for x in range(1, shares + 1)]
    return np.array(powers, dtype=np.uint64)


def lagrange_at_zero(points: Sequence[int], modulus: int) -> list[int]:
    """Return the weights that turn values at the points into the value at 0."""
    weights = []
    for x in points:
        top, bottom = 1, 1
        for other in points:
            if other != x:
                top = top * other % modulus
                bottom = bottom * (other - x) % modulus
        weights.append(top * pow(bottom, -1, modulus) % modulus)
    return weights


def python_split(values: list[int], shares: int, threshold: int) -> list[list[int]]:
    """Share by Horner's rule on Python integers."""
    dealt: list[list[int]] = [[] for _ in range(shares)]
    for value in values:
        tail = [secrets.randbelow(P50.modulus) for _ in range(threshold - 1)]
        for x, row in enumerate(dealt, start=1):
            y = 0
            for coefficient in tail:
                y = (y + coefficient) * x % P50.modulus
            row.append((y + value) % P50.modulus)
    return dealt


def gmpy2_split(values: list[int], shares: int, threshold: int) -> list[list[gmpy2.mpz]]:
    """Share by Horner's rule on GMP integers."""
    modulus = gmpy2.mpz(P50.modulus)
    dealt: list[list[gmpy2.mpz]] = [[] for _ in range(shares)]
    for value in map(gmpy2.mpz, values):
        tail = [gmpy2.mpz(secrets.randbelow(P50.modulus)) for _ in range(threshold - 1)]
        for x, row in enumerate(dealt, start=1):
            y = gmpy2.mpz(0)
            for coefficient in tail:
                y = (y + coefficient) * x % modulus
            row.append((y + value) % modulus)
    return dealt


def python_open(rows: Sequence[Sequence[int]], modulus: int = P50.modulus) -> list[int]:
    """Rebuild from the first rows by Lagrange interpolation, weights computed once."""
    weights = lagrange_at_zero(range(1, len(rows) + 1), modulus)
    columns = zip(*rows, strict=True)
    return [sum(map(int.__mul__, weights, map(int, column))) % modulus for column in columns]


def numpy_split(values: NDArray[np.uint64], shares: int, threshold: int) -> NDArray[np.uint64]:
    """Share modulo 2^31 - 1, whose products fit into 64 bits."""
    generator = np.random.Generator(np.random.PCG64(secrets.randbits(128)))
    tail = generator.integers(0, MERSENNE31, (threshold - 1, values.size), dtype=np.uint64)
    dealt = np.zeros((shares, values.size), dtype=np.uint64)
    for x, row in enumerate(dealt, start=1):
        for coefficients in tail:
            row += coefficients
            row *= np.uint64(x)
            row %= np.uint64(MERSENNE31)
        row += values
        row %= np.uint64(MERSENNE31)
    return dealt


def numpy_open(rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Rebuild modulo 2^31 - 1."""
    weights = lagrange_at_zero(range(1, len(rows) + 1), MERSENNE31)
    total = np.zeros(rows.shape[1], dtype=np.uint64)
    for weight, row in zip(weights, rows, strict=True):
        total += row * np.uint64(weight) % np.uint64(MERSENNE31)
    return total % np.uint64(MERSENNE31)


def split_peers(shares: int, threshold: int, values: NDArray[np.uint64]) -> list[Side[Any]]:
    """Return every peer's way of splitting, each on as many values as it can do in good time."""
    some = values[: max(1, values.size // 10)]
    few: list[int] = values[: max(1, values.size // 1000)].tolist()
    coefficients = P50.random((threshold, some.size))
    coefficients[0] = some
    points, tails = flint_matrix(vandermonde(shares, threshold)), flint_matrix(coefficients)

    def opens(rows: Sequence[Sequence[int]]) -> bool:
        return python_open(rows[:threshold]) == few

    return [
        Side(
            name="FLINT, product alone",
            run=lambda: points * tails,
            verify=lambda product: opens([row[: len(few)] for row in product.tolist()]),
            items=some.size,
        ),
        Side(
            name="NumPy mod 2^31-1",
            run=lambda: numpy_split(some, shares, threshold),
            verify=lambda rows: np.array_equal(numpy_open(rows[:threshold]), some),
            items=some.size,
        ),
        Side(
            name="gmpy2",
            run=lambda: gmpy2_split(few, shares, threshold),
            verify=opens,
            items=len(few),
        ),
        Side(
            name="Python",
            run=lambda: python_split(few, shares, threshold),
            verify=opens,
            items=len(few),
        ),
    ]


def bench_split(bench: Bench, shares: int, threshold: int, count: int) -> None:
    """Time splitting against every peer."""
    values = P50.random(count) % np.uint64(1 << 30)
    integers = values.astype(np.int64)
    ours = Side(
        name="veilsum",
        run=lambda: shamir.split(
            integers, shares=shares, threshold=threshold, threads=bench.threads
        ),
        verify=lambda dealt: (
            python_open(dealt.values[:threshold, :100].tolist()) == integers[:100].tolist()
            and np.array_equal(shamir.reconstruct(dealt[shares - threshold :]), integers)
        ),
        items=count,
    )
    for peer in split_peers(shares, threshold, values):
        bench.time(f"split n={shares} k={threshold}", ours, peer, unit="ns")


def reconstruct_peers(dealt: shamir.Shares, values: NDArray[np.int64]) -> list[Side[Any]]:
    """Return every peer's way of rebuilding, each on as many values as it can do in good time."""
    threshold = len(dealt)
    some, few = max(1, values.size // 10), max(1, values.size // 1000)
    weights = np.array([lagrange_at_zero(range(1, threshold + 1), P50.modulus)], dtype=np.uint64)
    left, right = flint_matrix(weights), flint_matrix(dealt.values[:, :some])
    mersenne = numpy_split(values[:some].astype(np.uint64), threshold, threshold)
    rows = dealt.values[:, :few].tolist()
    return [
        Side(
            name="FLINT, product alone",
            run=lambda: left * right,
            verify=lambda product: list(map(int, product.entries())) == values[:some].tolist(),
            items=some,
        ),
        Side(
            name="NumPy mod 2^31-1",
            run=lambda: numpy_open(mersenne),
            verify=lambda opened: np.array_equal(opened, values[:some]),
            items=some,
        ),
        Side(
            name="Python",
            run=lambda: python_open(rows),
            verify=lambda opened: opened == values[:few].tolist(),
            items=few,
        ),
    ]


def bench_reconstruct(bench: Bench, shares: int, threshold: int, count: int) -> None:
    """Time rebuilding from exactly the threshold against every peer."""
    values = (P50.random(count) % np.uint64(1 << 30)).astype(np.int64)
    dealt = shamir.split(values, shares=shares, threshold=threshold)[:threshold]
    ours = Side(
        name="veilsum",
        run=lambda: shamir.reconstruct(dealt, threads=bench.threads),
        verify=lambda opened: np.array_equal(opened, values),
        items=count,
    )
    for peer in reconstruct_peers(dealt, values):
        bench.time(f"reconstruct k={threshold}", ours, peer, unit="ns")


def bench_bytes(bench: Bench, count: int) -> None:
    """Compare the bytes of one holder's row with eight bytes a secret."""
    dealt = shamir.split(np.arange(count), shares=5, threshold=3)
    row = dealt[0].to_bytes()
    rebuilt = shamir.Shares.from_bytes(row)
    bench.record(
        f"one holder's {count} shares, a secret",
        "bytes",
        len(row) / count,
        "uint64 array",
        8.0,
        verified=np.array_equal(rebuilt.values, dealt[0].values),
    )


def main() -> None:
    """Run the bench."""
    bench = Bench(arguments(__doc__), peers=("python-flint",))
    count = 100_000 if bench.quick else 1_000_000
    for shares, threshold in ((5, 3), (10, 6), (64, 33)):
        size = count if shares < 64 else count // 10
        bench_split(bench, shares, threshold, size)
        bench_reconstruct(bench, shares, threshold, size)
    bench_bytes(bench, count)
    bench.finish()


if __name__ == "__main__":
    main()
