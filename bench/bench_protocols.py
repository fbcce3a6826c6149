"""Time whole rounds of secure aggregation, and count their bytes.

Against `plain`, which protects nothing, a ratio below 1 is the price of protection. Against a round
of phe, which has one ciphertext a coordinate where ours share them, and one of Shamir sharing in
plain Python, it is what veilsum gains. Setting up keys is left out on both sides. All parties of a
round run in turn in this process.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable

import numpy as np
import phe
from harness import Bench, Side, arguments
from numpy.typing import NDArray
from shamir_peers import python_open, python_split

from veilsum.encoding import FixedPoint
from veilsum.field import P50
from veilsum.protocols import Aggregate, Aggregator, Paillier, Plain, Sharing

ENCODING = FixedPoint.binary(24, bound=8.0)
KEY_BITS = 2048


def random_updates(clients: int, length: int) -> NDArray[np.float64]:
    """Return one update a client, as small as gradients are."""
    return np.random.default_rng(20240917).normal(scale=0.1, size=(clients, length))


def exact_sum(updates: NDArray[np.float64]) -> list[int]:
    """Return what every protocol must open: the sum of the quantised updates."""
    quantised = [ENCODING.quantise(update).tolist() for update in updates]
    return [sum(column) for column in zip(*quantised, strict=True)]


def round_of(aggregator: Aggregator, updates: NDArray[np.float64]) -> Callable[[], Aggregate]:
    """Return a function that runs one round."""
    return lambda: aggregator.aggregate(list(updates), encoding=ENCODING)


def protect_seconds(results: Iterable[Aggregate]) -> float:
    """Return what a client spends on protecting its update: the median over clients and rounds."""
    return statistics.median(
        seconds
        for result in results
        for (_, phase), seconds in result.seconds.items()
        if phase == "protect"
    )


def carried_bytes(result: Aggregate) -> int:
    """Return the bytes of all links together."""
    return sum(result.bytes.values())


def bench_against_plain(bench: Bench, updates: NDArray[np.float64]) -> None:
    """Weigh every protection against none, on one size."""
    clients, length = updates.shape
    expected = exact_sum(updates)
    size = f"{clients} clients x {length}"
    plain = Side(
        name="plain",
        run=round_of(Plain(), updates),
        verify=lambda result: result.integers.tolist() == expected,
    )
    for name, aggregator in (
        ("paillier", Paillier(key_bits=KEY_BITS, threads=bench.threads)),
        ("sharing, clients hold", Sharing(threads=bench.threads)),
        ("sharing, 3 holders", Sharing(holders=3, threads=bench.threads)),
    ):
        ours = Side(name=name, run=round_of(aggregator, updates), verify=plain.verify)
        bench.time(f"{name}: round, {size}", ours, plain, unit="ms")
        mine, others = zip(*((ours.run(), plain.run()) for _ in range(3)), strict=True)
        agree = all(map(ours.verify, mine)) and all(map(plain.verify, others))
        bench.record(
            f"{name}: a client's protecting, {size}",
            "ms",
            1e3 * protect_seconds(mine),
            "plain",
            1e3 * protect_seconds(others),
            verified=agree,
        )
        bench.record(
            f"{name}: a client, {size}",
            "bytes",
            carried_bytes(mine[0]) / clients,
            "plain",
            carried_bytes(others[0]) / clients,
            verified=agree,
        )


def phe_round(
    keys: tuple[phe.PaillierPublicKey, phe.PaillierPrivateKey], updates: Iterable[list[int]]
) -> list[int]:
    """Sum integer vectors under phe: encrypt, add, decrypt."""
    public, private = keys
    encrypted = [[public.encrypt(value) for value in update] for update in updates]
    sums = [sum(column[1:], column[0]) for column in zip(*encrypted, strict=True)]
    return [int(private.decrypt(total)) for total in sums]


def python_sharing_round(updates: list[list[int]], threshold: int) -> list[int]:
    """Sum integer vectors by Shamir sharing among the clients, in plain Python."""
    modulus = P50.modulus
    residues = [[value % modulus for value in update] for update in updates]
    dealt = [python_split(update, len(updates), threshold) for update in residues]
    held = [
        [sum(column) % modulus for column in zip(*rows, strict=True)]
        for rows in zip(*dealt, strict=True)
    ]
    opened = python_open(held[:threshold])
    return [value - modulus if value > modulus // 2 else value for value in opened]


def bench_paillier_against_phe(bench: Bench, length: int, few: int) -> None:
    """Time a Paillier round, per client and coordinate: ours packs coordinates, phe cannot."""
    updates = random_updates(8, length)
    quantised = [ENCODING.quantise(update[:few]).tolist() for update in updates]
    keys = phe.generate_paillier_keypair(n_length=KEY_BITS)
    bench_against_peer(
        bench,
        Paillier(key_bits=KEY_BITS, threads=bench.threads),
        updates,
        peer="phe, unpacked",
        run=lambda: phe_round(keys, quantised),
    )


def bench_sharing_against_python(bench: Bench, length: int, few: int) -> None:
    """Time a round of sharing among the clients, per client and coordinate."""
    updates = random_updates(8, length)
    quantised = [ENCODING.quantise(update[:few]).tolist() for update in updates]
    majority = len(updates) // 2 + 1
    bench_against_peer(
        bench,
        Sharing(threshold=majority, threads=bench.threads),
        updates,
        peer="Python",
        run=lambda: python_sharing_round(quantised, majority),
    )


def bench_against_peer(
    bench: Bench,
    aggregator: Aggregator,
    updates: NDArray[np.float64],
    *,
    peer: str,
    run: Callable[[], list[int]],
) -> None:
    """Time a round against a peer's round on the first few coordinates."""
    expected = exact_sum(updates)
    few = len(run())
    ours = Side(
        name=aggregator.name,
        run=round_of(aggregator, updates),
        verify=lambda result: result.integers.tolist() == expected,
        items=updates.size,
    )
    theirs = Side(
        name=peer,
        run=run,
        verify=lambda opened: opened == expected[:few],
        items=len(updates) * few,
    )
    bench.time(f"{aggregator.name}: round, a client's coordinate", ours, theirs)


def main() -> None:
    """Run the bench."""
    bench = Bench(arguments(__doc__), peers=("phe",))
    for length in (100,) if bench.quick else (100, 2_000):
        bench_against_plain(bench, random_updates(8, length))
    bench_paillier_against_phe(bench, *((100, 1) if bench.quick else (1_000, 4)))
    bench_sharing_against_python(bench, *((10_000, 10) if bench.quick else (100_000, 100)))
    bench.finish()


if __name__ == "__main__":
    main()
