"""Time sharing and rebuilding, a secret, and the transforms, polynomials and codes behind them.

Everything runs on one core, except the rows of two. Veilsum draws, shares and checks ranges in the
time that is shown; the peers' favours are listed in shamir_peers.py. A peer named "veilsum" is
another of our own ways to the same answer: its ratio says what the first one costs or saves.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from harness import Bench, Side, arguments, given_cores, use_cores
from numpy.typing import NDArray
from shamir_peers import (
    DISTRIBUTIONS,
    FlintPolynomials,
    Galois,
    Integers,
    Sharer,
    Words,
    combined,
    galois,
    horner,
    lagrange_at_zero,
    sharers,
)

from veilsum import shamir
from veilsum.field import GOLDILOCKS, P50, PrimeField

SAMPLE = 100  # secrets, coefficients or values that plain Python verifies
FIELDS = {"P50": P50, "Goldilocks": GOLDILOCKS}

Points = Literal["integers", "roots"]


def random_secrets(count: int) -> Integers:
    """Return random integers below 2**30, which are residues of every peer's field."""
    return np.random.default_rng(20240917).integers(0, 1 << 30, count)


# ---- Dealing


def dealing(
    values: Integers, shares: int, threshold: int, *, points: Points = "integers", threads: int = 1
) -> Side[shamir.Shares]:
    """Share an array."""
    known = values[:SAMPLE].tolist()

    def is_right(dealt: shamir.Shares) -> bool:
        last = dealt[shares - threshold :]
        weights = lagrange_at_zero(last.points.tolist(), P50.modulus)
        opened = combined(weights, last.values[:, :SAMPLE].tolist(), P50.modulus)
        return opened == known and np.array_equal(shamir.reconstruct(dealt), values)

    return Side(
        name=f"veilsum, {threads} core{'s' if threads > 1 else ''}",
        run=partial(
            shamir.split, values, shares=shares, threshold=threshold, points=points, threads=threads
        ),
        verify=is_right,
        items=values.size,
    )


def peer_dealing(peer: Sharer, values: Integers, shares: int, threshold: int) -> Side[Any]:
    """Share an array by a peer."""
    last = range(shares - threshold + 1, shares + 1)
    weights = lagrange_at_zero(last, peer.modulus)
    known = values[:SAMPLE].tolist()
    return Side(
        name=peer.name,
        run=peer.dealer(values, shares, threshold),
        verify=lambda dealt: (
            combined(weights, peer.rows(dealt, last, len(known)), peer.modulus) == known
        ),
        items=values.size,
    )


def bench_split(
    bench: Bench, peers: Iterable[Sharer], shares: int, threshold: int, count: int
) -> None:
    """Time sharing, from many holders on at roots of unity too."""
    values = random_secrets(count)
    layouts: tuple[Points, ...] = ("integers", "roots") if shares >= 64 else ("integers",)
    mine = {
        points: dealing(values, shares, threshold, points=points, threads=bench.threads)
        for points in layouts
    }
    for peer in peers:
        theirs = peer_dealing(peer, some(bench, values, peer), shares, threshold)
        for points, ours in mine.items():
            label = ", roots" if points == "roots" else ""
            bench.time(f"split n={shares} k={threshold}{label}", ours, theirs, unit="ns")


def bench_cores(bench: Bench, count: int) -> None:
    """Time sharing on two cores against one, where there are two."""
    if given_cores() < 2:
        return
    use_cores(2)
    values = random_secrets(count)
    layouts: tuple[Points, ...] = ("integers", "roots")
    for points in layouts:
        one, two = (dealing(values, 64, 33, points=points, threads=cores) for cores in (1, 2))
        label = ", roots" if points == "roots" else ""
        bench.time(f"split n=64 k=33{label} on 2 cores", two, one, unit="ns")
    use_cores(bench.threads)


def some(bench: Bench, values: Integers, peer: Sharer) -> Integers:
    """Return as many of the secrets as a peer can do in good time."""
    return values[: max(1, peer.count // (10 if bench.quick else 1))]


# ---- Rebuilding


def opening(
    name: str, shares: shamir.Shares, values: Integers, bench: Bench, **options: Any
) -> Side[NDArray[Any]]:
    """Rebuild an array."""
    return Side(
        name=name,
        run=partial(shamir.reconstruct, shares, threads=bench.threads, **options),
        verify=lambda opened: np.array_equal(opened, values),
        items=values.size,
    )


def peer_opening(peer: Sharer, values: Integers, threshold: int) -> Side[Any]:
    """Rebuild an array by a peer, from shares of its own."""
    dealt = peer.dealer(values, threshold + 1, threshold)()
    return Side(
        name=peer.name,
        run=peer.opener(dealt, threshold),
        verify=lambda opened: peer.integers(opened) == values.tolist(),
        items=values.size,
    )


def bench_reconstruct(bench: Bench, peers: Iterable[Sharer], threshold: int, count: int) -> None:
    """Time rebuilding from exactly the threshold."""
    values = random_secrets(count)
    dealt = shamir.split(values, shares=threshold + 1, threshold=threshold)[:threshold]
    ours = opening("veilsum", dealt, values, bench)
    for peer in peers:
        theirs = peer_opening(peer, some(bench, values, peer), threshold)
        bench.time(f"reconstruct k={threshold}", ours, theirs, unit="ns")


def with_liars(dealt: shamir.Shares, liars: int) -> tuple[shamir.Shares, tuple[int, ...]]:
    """Replace some holders' rows by random ones; return who they are, too."""
    places = np.random.default_rng(20240917).choice(len(dealt), liars, replace=False)
    rows = dealt.values.copy()
    rows[places] = P50.random((liars, *rows.shape[1:]))
    holders = np.array(dealt.holders)[places]
    return dealt.with_values(rows), tuple(sorted(holders.tolist()))


def bench_liars(bench: Bench, count: int) -> None:
    """Time rebuilding where 15 of 64 holders lie, against where nobody does."""
    shares, threshold, lying = 64, 33, 15
    values = random_secrets(count)
    dealt = shamir.split(values, shares=shares, threshold=threshold)
    told, liars = with_liars(dealt, lying)
    work = f"n={shares} k={threshold}, {lying} liars"
    honest = opening("veilsum, no liars", dealt[:threshold], values, bench)
    ours = opening("veilsum", told, values, bench, max_errors=lying)
    bench.time(f"reconstruct {work}", ours, honest, unit="ns")
    search = naming_liars(told, liars, bench, items=count)
    bench.time(f"find liars, {work}", search, reading(told.values), unit="ns")


def reading(rows: Words) -> Side[Any]:
    """Read all words of all holders once, which nobody who looks for liars can avoid."""
    halves = int((rows >> np.uint64(32)).sum()), int((rows & np.uint64(2**32 - 1)).sum())
    total = (halves[0] << 32) + halves[1]
    return Side(
        name="NumPy, sum of the words",
        run=rows.sum,
        verify=lambda answer: int(answer) == total % 2**64,
        items=rows.shape[1],
    )


def naming_liars(
    told: shamir.Shares, liars: tuple[int, ...], bench: Bench, *, items: int
) -> Side[tuple[int, ...]]:
    """Find the liars."""
    return Side(
        name="veilsum",
        run=partial(shamir.find_liars, told, max_errors=len(liars), threads=bench.threads),
        verify=lambda found: found == liars,
        items=items,
    )


def bench_decoding(bench: Bench, peer: Galois | None) -> None:
    """Time the decoding of a single word."""
    if peer is None:
        return
    shares, threshold, errors = 64, 33, 15
    dealt = shamir.split([5], shares=shares, threshold=threshold)
    ours = naming_liars(*with_liars(dealt, errors), bench, items=1)
    code, message, word = peer.noisy_word(shares, threshold, errors)
    theirs: Side[Any] = Side(
        name=peer.name,
        run=lambda: code.decode(word, errors=True),
        verify=lambda answer: answer[1] == errors and np.array_equal(answer[0], message),
    )
    bench.time(f"decode one word, n={shares} k={threshold}, {errors} errors", ours, theirs)


def bench_methods(bench: Bench) -> None:
    """Time what `method="auto"` takes against every method, all shares at roots and checked."""
    words = 640_000 if bench.quick else 6_400_000
    geometries = [(64, 33, 64), (64, 33, 40), (256, 129, 256)]
    if not bench.quick:
        geometries += [(1024, 513, 1024), (1024, 513, 600), (1024, 900, 1024)]
    for shares, threshold, present in geometries:
        values = random_secrets(words // shares)
        dealt = shamir.split(values, shares=shares, threshold=threshold, points="roots")[:present]
        ours = opening("veilsum", dealt, values, bench)
        work = f"reconstruct n={shares} k={threshold}, {present} shares checked"
        for method in ("lagrange", "fft", "newton"):
            theirs = opening(f"veilsum, {method}", dealt, values, bench, method=method)
            bench.time(work, ours, theirs, unit="ns")


# ---- Transforms and polynomials


def is_transform(values: Sequence[int], result: Sequence[int], root: int, modulus: int) -> bool:
    """Compare some values with Horner's rule."""
    indices = [0, 1, len(values) // 2 + 1]
    return all(int(result[i]) == horner(values, pow(root, i, modulus), modulus) for i in indices)


def transforming(field: PrimeField, batch: int, length: int, bench: Bench) -> Side[Words]:
    """Transform a batch."""
    values, root = field.random((batch, length)), field.root(length)
    return Side(
        name="veilsum",
        run=partial(field.ntt, values, threads=bench.threads),
        verify=lambda result: all(
            is_transform(row.tolist(), answer, root, field.modulus)
            for row, answer in zip(values, result, strict=True)
        ),
        items=batch,
    )


def peer_transforming(peer: Galois, batch: int, length: int) -> Side[Any]:
    """Transform a batch by galois."""
    values = np.random.default_rng(20240917).integers(0, peer.modulus, (batch, length))
    arrays, root = list(map(peer.array, values)), peer.root(length)
    return Side(
        name=peer.name,
        run=lambda: list(map(peer.transform, arrays)),
        verify=lambda result: all(
            is_transform(row.tolist(), answer, root, peer.modulus)
            for row, answer in zip(values, result, strict=True)
        ),
        items=batch,
    )


def bench_transforms(bench: Bench, peer: Galois | None, sizes: Sequence[tuple[int, int]]) -> None:
    """Time transforms of some batches and logarithmic lengths."""
    if peer is None:
        return
    for batch, log in sizes:
        theirs = peer_transforming(peer, batch, 1 << log)
        for name, field in FIELDS.items():
            ours = transforming(field, batch, 1 << log, bench)
            bench.time(f"NTT 2^{log}, {batch} at a time, {name}", ours, theirs)


def bench_multiplication(bench: Bench, log: int) -> None:
    """Time a product of polynomials of 2**log coefficients each: three transforms of twice that."""
    if not find_spec("flint"):
        return
    for name, field in FIELDS.items():
        a, b = field.random((2, 1 << log))
        sides = multiplying(field, a, b, bench), flint_multiplying(field, a, b)
        bench.time(f"multiply polynomials of 2^{log} coefficients, {name}", *sides, unit="ms")


def multiplying(field: PrimeField, a: Words, b: Words, bench: Bench) -> Side[Words]:
    """Multiply two polynomials."""
    point, value = value_of_product(field, a, b)
    return Side(
        name="veilsum",
        run=partial(product, field, a, b, bench.threads),
        verify=lambda answer: horner(answer.tolist(), point, field.modulus) == value,
    )


def flint_multiplying(field: PrimeField, a: Words, b: Words) -> Side[Any]:
    """Multiply two polynomials by FLINT."""
    flint = importlib.import_module("flint")
    left, right = (flint.nmod_poly(side.tolist(), field.modulus) for side in (a, b))
    point, value = value_of_product(field, a, b)
    return Side(
        name="FLINT",
        run=lambda: left * right,
        verify=lambda answer: int(answer(point)) == value,
    )


def value_of_product(field: PrimeField, a: Words, b: Words) -> tuple[int, int]:
    """Return a random point, and the value there: two different products agree nowhere likely."""
    point = int(field.random(1)[0])
    left, right = (horner(side.tolist(), point, field.modulus) for side in (a, b))
    return point, left * right % field.modulus


def product(field: PrimeField, a: Words, b: Words, threads: int) -> Words:
    """Multiply two polynomials of the same length."""
    padded = np.zeros((2, 2 * a.size), np.uint64)
    padded[0, : a.size], padded[1, : b.size] = a, b
    left, right = field.ntt(padded, threads=threads)
    return field.intt(field.mul(left, right), threads=threads)


def bench_points(bench: Bench, sizes: Iterable[int]) -> None:
    """Time interpolation and evaluation at arbitrary points."""
    library = FlintPolynomials.library()
    if library is None:
        print("python-flint brings no library of its own: no rows of points", file=sys.stderr)
        return
    for size in sizes:
        points = distinct(size)
        values = P50.random(size)
        peer = FlintPolynomials(library, P50.modulus, size)
        bench_interpolation(bench, peer, points, values)
        bench_evaluation(bench, peer, points, values)


def bench_interpolation(bench: Bench, peer: FlintPolynomials, points: Words, values: Words) -> None:
    """Time the polynomial through some points."""

    def is_right(coefficients: Sequence[int]) -> bool:
        pairs = zip(points[:3].tolist(), values[:3].tolist(), strict=True)
        return all(horner(coefficients, x, P50.modulus) == y for x, y in pairs)

    ours = Side(
        name="veilsum",
        run=partial(P50.interpolate, points, values),
        verify=lambda coefficients: is_right(coefficients.tolist()),
    )
    theirs = Side(
        name=peer.name,
        run=partial(peer.interpolate, points, values),
        verify=lambda _: is_right(peer.coefficients()),
    )
    bench.time(f"interpolate at {points.size} arbitrary points", ours, theirs, unit="ms")


def bench_evaluation(bench: Bench, peer: FlintPolynomials, points: Words, values: Words) -> None:
    """Time the values of the polynomial that has just been interpolated."""
    coefficients = np.array(peer.coefficients(), np.uint64)
    ours = Side(
        name="veilsum",
        run=partial(P50.evaluate, coefficients, points),
        verify=lambda found: np.array_equal(found, values),
    )
    theirs = Side(
        name=peer.name,
        run=partial(peer.evaluate, points),
        verify=lambda found: np.array_equal(found, values),
    )
    bench.time(f"evaluate at {points.size} arbitrary points", ours, theirs, unit="ms")


def distinct(size: int) -> Words:
    """Return random residues, all different."""
    points = np.unique(P50.random(size + 10))
    np.random.default_rng(20240917).shuffle(points)
    return points[:size]


# ---- Bytes


def bench_bytes(bench: Bench, count: int) -> None:
    """Compare the bytes of one holder's row with eight bytes a secret."""
    for shares, threshold, packed in ((5, 3, 1), (64, 33, 8)):
        values = random_secrets(count)
        dealt = shamir.split(values, shares=shares, threshold=threshold, packed=packed)
        row = dealt[0].to_bytes()
        right = np.array_equal(shamir.Shares.from_bytes(row).values, dealt[0].values)
        label = f", {packed} secrets a polynomial" if packed > 1 else ""
        bench.record(
            f"one holder's {count} shares, a secret{label}",
            "bytes",
            len(row) / count,
            "uint64 array",
            8.0,
            verified=right and np.array_equal(shamir.reconstruct(dealt), values),
        )


def main() -> None:
    """Run the bench."""
    options = arguments(__doc__)
    use_cores(options.threads)
    bench = Bench(options, peers=DISTRIBUTIONS)
    count = 20_000 if bench.quick else 1_000_000
    peers, transforms = sharers(), galois()
    for shares, threshold in ((5, 3), (10, 6), (64, 33)):
        bench_split(bench, peers, shares, threshold, count)
        bench_reconstruct(bench, peers, threshold, count)
    bench_cores(bench, count)
    bench_liars(bench, count)
    bench_decoding(bench, transforms)
    bench_methods(bench)
    bench_transforms(bench, transforms, [(8, 10)] if bench.quick else [(8, 10), (8, 16), (1, 20)])
    bench_multiplication(bench, 14 if bench.quick else 20)
    bench_points(bench, (1024,) if bench.quick else (4096, 65536))
    bench_bytes(bench, count)
    bench.finish()


if __name__ == "__main__":
    main()
