"""Time whole rounds of secure aggregation, and count their bytes.

Against `plain`, which protects nothing, a ratio below 1 is the price of protection; all protocols
open the same integers there. Against a round of phe, which has one ciphertext a coordinate where
ours share them, one of Shamir sharing in plain Python, and one of Flower's SecAgg+, it is what
veilsum gains. Setting up keys that outlive a round is left out on both sides.

All parties of a round run in turn in this process. Protocols that spread the work differently over
their parties are compared by the processor's seconds of all parties together.
"""

from __future__ import annotations

import importlib
import secrets
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import phe
from harness import Bench, Side, arguments
from numpy.typing import NDArray
from shamir_peers import python_open, python_split

from veilsum.encoding import FixedPoint
from veilsum.field import P50
from veilsum.protocols import (
    Aggregate,
    Aggregator,
    InMemoryTransport,
    Masking,
    Paillier,
    Plain,
    Sharing,
    ThresholdPaillier,
)
from veilsum.protocols.seeds import rebuild_seeds, share_seeds

ENCODING = FixedPoint.binary(24, bound=8.0)
KEY_BITS = 2048
SHORT_KEY_BITS = 1024  # protects nothing, and spares a quick run most of its time

SERVER = "server"

# What Flower takes by default: 2^22 steps from -8 to 8.
FLOWER_ENCODING = FixedPoint.binary(18, bound=8.0)

Reals = NDArray[np.floating[Any]]


def random_updates(clients: int, length: int) -> NDArray[np.float64]:
    """Return one update a client, as small as gradients are."""
    return np.random.default_rng(20240917).normal(scale=0.1, size=(clients, length))


def exact_sum(updates: Reals, encoding: FixedPoint = ENCODING) -> NDArray[np.int64]:
    """Return what every protocol must open: the sum of the quantised updates."""
    total = np.zeros(updates.shape[1], dtype=np.int64)
    for update in updates:
        total += encoding.quantise(update)
    return total


def opens(expected: NDArray[np.int64]) -> Callable[[Aggregate], bool]:
    """Return the judge of a round."""
    return lambda result: np.array_equal(result.integers, expected)


def round_of(
    aggregator: Aggregator, updates: NDArray[np.float64], encoding: FixedPoint = ENCODING
) -> Callable[[], Aggregate]:
    """Return a function that runs one round."""
    return lambda: aggregator.aggregate(list(updates), encoding=encoding)


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


def most_sent(result: Aggregate) -> int:
    """Return the bytes of the client that sent the most."""
    sent: Counter[str] = Counter()
    for (sender, _, _), count in result.bytes.items():
        sent[sender] += count
    return max(count for name, count in sent.items() if name != SERVER)


def server_seconds(results: Iterable[Aggregate]) -> float:
    """Return what the server spends: the median over rounds."""
    return statistics.median(
        sum(seconds for (party, _), seconds in result.seconds.items() if party == SERVER)
        for result in results
    )


def protections(bench: Bench) -> dict[str, Aggregator]:
    """Return every protection by its name in the rows."""
    threads = bench.threads
    bits = SHORT_KEY_BITS if bench.quick else KEY_BITS
    return {
        "paillier": Paillier(key_bits=bits, insecure=bench.quick, threads=threads),
        "threshold paillier, 5 of 9": ThresholdPaillier(
            holders=9, threshold=5, key_bits=bits, insecure=bench.quick, threads=threads
        ),
        "sharing, clients hold": Sharing(threads=threads),
        "sharing, 3 holders": Sharing(holders=3, threads=threads),
        "sharing, 10 holders": packed_sharing(threads),
        "masking": Masking(threads=threads),
    }


def packed_sharing(threads: int) -> Sharing:
    """Return sharing among ten, of whom three together are as blind as three under masking."""
    return Sharing(holders=10, threshold=8, packed=5, threads=threads)


def bench_against_plain(
    bench: Bench, protected: dict[str, Aggregator], updates: NDArray[np.float64]
) -> None:
    """Weigh every protection against none, on one size."""
    clients, length = updates.shape
    expected = exact_sum(updates)
    size = f"{clients} clients x {length}"
    plain = Side(name="plain", run=round_of(Plain(), updates), verify=opens(expected))
    for name, aggregator in protected.items():
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
        verify=opens(expected),
        items=updates.size,
    )
    theirs = Side(
        name=peer,
        run=run,
        verify=lambda opened: opened == expected[:few].tolist(),
        items=len(updates) * few,
    )
    bench.time(f"{aggregator.name}: round, a client's coordinate", ours, theirs)


def bench_key_shares_against_flower(bench: Bench, shares: int, threshold: int) -> None:
    """Time sharing a key of 32 bytes, and recovering it from as many shares as are needed."""
    flower = importlib.import_module("flower_peer")
    key = secrets.token_bytes(32)
    create = partial(share_seeds, [key], shares=shares, threshold=threshold)
    flower_create = partial(flower.create_shares, key, threshold, shares)
    few, flower_few = create()[:threshold], flower_create()[:threshold]

    def recover(rows: NDArray[np.uint64]) -> bytes | None:
        (seed,) = rebuild_seeds(
            rows, positions=range(threshold), shares=shares, threshold=threshold
        )
        return seed

    def side(name: str, run: Callable[[], Any], opened: Callable[[Any], Any]) -> Side[Any]:
        return Side(
            name=name, run=run, verify=lambda answer: opened(answer) == key, clock=time.process_time
        )

    work = f"a key's shares, {threshold} of {shares}"
    bench.time(
        f"{work}: creation",
        side("veilsum", create, lambda dealt: recover(dealt[:threshold])),
        side("Flower", flower_create, lambda dealt: flower.combine_shares(dealt[:threshold])),
    )
    bench.time(
        f"{work}: recovery",
        side("veilsum", partial(recover, few), lambda seed: seed),
        side("Flower", partial(flower.combine_shares, flower_few), lambda seed: seed),
    )


def masking_and_flower(
    bench: Bench, clients: int, length: int, *, degree: int | None = None, lost: int = 0
) -> tuple[Side[Aggregate], Side[Any]]:
    """Return a round of masking and one of SecAgg+, in the processor's seconds a client.

    Both quantise alike and restore a key from as many shares; who is lost has shared its keys.
    Without a degree all clients are neighbours.
    """
    flower = importlib.import_module("flower_peer")
    updates = random_updates(clients, length).astype(np.float32)
    expected = exact_sum(updates[lost:], FLOWER_ENCODING)
    mean = updates[lost:].mean(axis=0, dtype=np.float64)
    masking = Masking(degree=degree, threads=bench.threads)
    shares = clients if degree is None else degree + 1
    threshold = masking.threshold_for(range(clients))
    gone = {f"client-{client}" for client in range(lost)}

    def masked() -> Aggregate:
        transport = InMemoryTransport(
            drop=lambda message: message.label == "masking/relayed" and message.recipient in gone
        )
        return masking.aggregate(list(updates), encoding=FLOWER_ENCODING, transport=transport)

    return (
        Side(
            name="masking",
            run=masked,
            verify=opens(expected),
            items=clients,
            clock=time.process_time,
        ),
        Side(
            name="Flower",
            run=partial(
                flower.aggregate,
                list(updates),
                shares=shares,
                threshold=threshold,
                lost=range(lost),
            ),
            verify=lambda result: bool(np.abs(result.mean - mean).max() < flower.STEP),
            items=clients,
            clock=time.process_time,
        ),
    )


def bench_masking_against_flower(bench: Bench) -> None:
    """Time rounds without and with dropouts, and one of a sparse graph."""
    clients, length = (5, 1_000) if bench.quick else (10, 1_000_000)
    many, degree = (8, 4) if bench.quick else (100, 50)
    ours, theirs = masking_and_flower(bench, clients, length)
    size = f"{clients} clients x {length}"
    bench.time(f"masking: all parties, a client, {size}", ours, theirs, unit="ms")
    mine, others = ours.run(), theirs.run()
    bench.record(
        f"masking: a client sends, {size}",
        "bytes",
        most_sent(mine),
        "Flower",
        max(others.sent),
        verified=ours.verify(mine) and theirs.verify(others),
    )
    lost = clients // 3
    pair = masking_and_flower(bench, clients, length, lost=lost)
    bench.time(f"masking: all parties, a client, {size}, {lost} lost", *pair, unit="ms")
    pair = masking_and_flower(bench, many, length, degree=degree)
    size = f"{many} clients x {length}, degree {degree}"
    bench.time(f"masking: all parties, a client, {size}", *pair, unit="ms", most=1)


# ---- Protocols among each other


def bench_among_each_other(
    bench: Bench,
    protected: dict[str, Aggregator],
    ours: str,
    theirs: str,
    updates: NDArray[np.float64],
    *,
    encoding: FixedPoint = ENCODING,
    most: int | None = None,
) -> None:
    """Weigh one protection against another, by the seconds and the bytes of all parties."""
    clients, length = updates.shape
    verify = opens(exact_sum(updates, encoding))
    mine, others = (
        Side(
            name=name,
            run=round_of(protected[name], updates, encoding),
            verify=verify,
            clock=time.process_time,
        )
        for name in (ours, theirs)
    )
    size = f"{clients} clients x {length}"
    bench.time(f"{ours}: all parties, {size}", mine, others, unit="s", most=most)
    results = mine.run(), others.run()
    sent, others_sent = (carried_bytes(result) / clients for result in results)
    bench.record(
        f"{ours}: all links, a client, {size}",
        "bytes",
        sent,
        theirs,
        others_sent,
        verified=all(map(verify, results)),
    )


def bench_lost_clients(bench: Bench, updates: NDArray[np.float64], lost: int) -> None:
    """Weigh the work of sharing's server when clients are lost against that when all stay."""
    clients, length = updates.shape
    sharing = packed_sharing(bench.threads)

    def run(gone: range) -> Aggregate:
        return sharing.aggregate(list(updates), encoding=FLOWER_ENCODING, dropped=gone)

    some, everyone = zip(
        *((run(range(lost)), run(range(0))) for _ in range(3)),
        strict=True,
    )
    verified = all(map(opens(exact_sum(updates[lost:], FLOWER_ENCODING)), some))
    bench.record(
        f"sharing, 10 holders: the server, {clients} clients x {length}, {lost} lost",
        "ms",
        1e3 * server_seconds(some),
        "none lost",
        1e3 * server_seconds(everyone),
        verified=verified and all(map(opens(exact_sum(updates, FLOWER_ENCODING)), everyone)),
    )


def main() -> None:
    """Run the bench."""
    bench = Bench(arguments(__doc__), peers=("phe", "flwr"))
    protected = protections(bench)
    for length in (100,) if bench.quick else (100, 2_000):
        bench_against_plain(bench, protected, random_updates(8, length))
    bench_paillier_against_phe(bench, *((100, 1) if bench.quick else (1_000, 4)))
    bench_sharing_against_python(bench, *((10_000, 10) if bench.quick else (100_000, 100)))
    updates = random_updates(10, 1_000 if bench.quick else 1_000_000)
    bench_among_each_other(
        bench, protected, "sharing, 10 holders", "masking", updates, encoding=FLOWER_ENCODING
    )
    bench_lost_clients(bench, updates, lost=3)
    few = updates[:, : 100 if bench.quick else 100_000]
    bench_among_each_other(bench, protected, "threshold paillier, 5 of 9", "paillier", few, most=1)
    if find_spec("flwr") is not None:
        bench_masking_against_flower(bench)
        bench_key_shares_against_flower(bench, 64, 33)
    bench.finish()


if __name__ == "__main__":
    main()
