"""Compare summing model updates under Paillier and by secret sharing, at equal security.

Every client has an update of real numbers, written as integers of 24 bits. Under Paillier a client
encrypts them, packed, with the public key of a key holder; an aggregator adds, the key holder
decrypts. In sharing a client deals shares to holders, each adds what it got, and an opener rebuilds
the sum: among three or five servers, or among all clients, where everybody is a holder and an
opener. Paillier with 3072 bits is 128-bit computational security; sharing is information-theoretic,
so that its channels set its limit: they have to be of 128 bits, and are left out here.

A party's seconds are those of one processor core, from the bytes that it gets to the bytes that it
sends; one party of each kind is measured. Two clients' work is measured, and the others are said to
send what these two sent: all of their messages are read and added all the same. Every sum is opened
and compared with the plain one, also with as many holders lost and as many liars named as the table
says, and as many liars as it says are noticed. With all parameters and 64 clients this takes some
4 GB of memory.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from harness import describe_environment, require_right, use_cores
from numpy.typing import NDArray

from veilsum import paillier, shamir
from veilsum.encoding import FixedPoint
from veilsum.errors import DecodingError
from veilsum.field import P50

Integers = NDArray[np.int64]

KEY_BITS = 3072
ENCODING = FixedPoint.binary(24, bound=1.0)
SECURITY = {
    "paillier": f"{KEY_BITS} bits: 128-bit computational, half-length exponents assumed",
    "sharing": "information-theoretic below the threshold, over channels of 128 bits",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one scheme takes with some clients, and what it survives.

    Seconds and bytes are those of one client, of one adder (the aggregator, or a holder), and of
    one opener; robust opening has as many liars as can be found. Under Paillier the holders are the
    aggregator and the key holder. `liars_noticed` may alter their sums, and no wrong sum comes out;
    `blind_holders` may put together what they see, and learn nothing but the sum.
    """

    scheme: str
    clients: int
    client_seconds: float
    adding_seconds: float
    opening_seconds: float
    robust_opening_seconds: float | None
    client_sends: int
    adder_receives: int
    opener_receives: int
    lost_clients: str
    lost_holders: int
    liars_named: int
    liars_noticed: int
    blind_holders: int


class Timed(NamedTuple):
    """An answer and the seconds of processor that it took."""

    answer: Any
    seconds: float


def timed(function: Callable[[], Any]) -> Timed:
    """Call once; other processes on the machine hardly count."""
    start = time.process_time()
    answer = function()
    return Timed(answer, time.process_time() - start)


def mean_seconds(calls: Sequence[Timed]) -> float:
    """Return the seconds of a call."""
    return statistics.fmean(call.seconds for call in calls)


def copies(clients: int) -> tuple[int, int]:
    """Return how many clients send what the first sent, and how many what the second sent."""
    return clients - clients // 2, clients // 2


def plain_sum(updates: Integers, clients: int) -> Integers:
    """Return what every scheme must open."""
    total: Integers = np.array(copies(clients)) @ updates
    return total


# ---- Paillier


class PaillierKeys(NamedTuple):
    """A key pair; clients and aggregator know the public half."""

    public: paillier.PublicKey
    private: paillier.PrivateKey


def encrypted(key: paillier.PublicKey, update: Integers, clients: int) -> bytes:
    """Do a client's part."""
    packed = key.encrypt_packed(update, bound=ENCODING.limit, additions=clients, threads=1)
    return packed.to_bytes()


def added_ciphertexts(key: paillier.PublicKey, messages: Sequence[bytes]) -> bytes:
    """Do the aggregator's part."""
    total = paillier.PackedArray.from_bytes(messages[0], key)
    for message in messages[1:]:
        total = total + paillier.PackedArray.from_bytes(message, key)
    return total.to_bytes()


def decrypted(keys: PaillierKeys, message: bytes) -> NDArray[Any]:
    """Do the key holder's part."""
    total = paillier.PackedArray.from_bytes(message, keys.public)
    return keys.private.decrypt(total, threads=1)


def under_paillier(keys: PaillierKeys, updates: Integers, clients: int) -> Outcome:
    """Sum under Paillier."""
    sent = [timed(partial(encrypted, keys.public, one, clients)) for one in updates]
    messages = [sent[client % 2].answer for client in range(clients)]
    added = timed(partial(added_ciphertexts, keys.public, messages))
    opened = timed(partial(decrypted, keys, added.answer))
    scheme = f"Paillier, {KEY_BITS} bits"
    require_right(
        f"{scheme}, {clients} clients", np.array_equal(opened.answer, plain_sum(updates, clients))
    )
    return Outcome(
        scheme=scheme,
        clients=clients,
        client_seconds=mean_seconds(sent),
        adding_seconds=added.seconds,
        opening_seconds=opened.seconds,
        robust_opening_seconds=None,
        client_sends=len(messages[0]),
        adder_receives=sum(map(len, messages)),
        opener_receives=len(added.answer),
        lost_clients="any",
        lost_holders=0,
        liars_named=0,
        liars_noticed=0,
        blind_holders=1,
    )


# ---- Sharing


@dataclass(frozen=True, slots=True)
class Holders:
    """Who holds shares, and how many of them rebuild."""

    name: str
    count: int
    threshold: int
    are_clients: bool = False

    @classmethod
    def servers(cls, count: int) -> Holders:
        """Return some servers, a majority of which rebuilds."""
        return cls(f"sharing, {count} servers", count, count // 2 + 1)

    @classmethod
    def clients(cls, count: int) -> Holders:
        """Return all clients, a majority of which rebuilds."""
        return cls("sharing, all clients", count, count // 2 + 1, are_clients=True)

    @property
    def redundant(self) -> int:
        """How many more there are than rebuild."""
        return self.count - self.threshold


def dealt(update: Integers, holders: Holders) -> tuple[shamir.Shares, list[bytes]]:
    """Do a client's part; the shares themselves are kept to compute other holders' sums."""
    shares = shamir.split(
        update,
        shares=holders.count,
        threshold=holders.threshold,
        bound=ENCODING.limit,
        threads=1,
    )
    return shares, [row.to_bytes() for row in shares]


def added_shares(messages: Sequence[bytes]) -> bytes:
    """Do a holder's part."""
    total = shamir.Shares.from_bytes(messages[0])
    for message in messages[1:]:
        total = total + shamir.Shares.from_bytes(message)
    return total.to_bytes()


def rebuilt(messages: Sequence[bytes], liars: int) -> NDArray[Any]:
    """Do the opener's part."""
    rows = shamir.Shares.join(list(map(shamir.Shares.from_bytes, messages)))
    return shamir.reconstruct(rows, max_errors=liars, threads=1)


def lied_about(messages: Sequence[bytes], liars: int) -> list[bytes]:
    """Replace the last holders' shares by random ones."""
    lies = []
    for message in messages[len(messages) - liars :]:
        row = shamir.Shares.from_bytes(message)
        lies.append(row.with_values(P50.random(row.values.shape)).to_bytes())
    return [*messages[: len(messages) - liars], *lies]


def require_redundancy(work: str, sums: Sequence[bytes], exact: Integers, count: int) -> None:
    """Stop unless as many holders may be lost, and as many may lie without misleading anybody."""
    if count:
        remaining = rebuilt(sums[count:], 0)
        require_right(f"{work}, {count} holders lost", np.array_equal(remaining, exact))
        require_right(f"{work}, {count} liars to notice", is_noticed(lied_about(sums, count)))


def is_noticed(messages: Sequence[bytes]) -> bool:
    """Say whether the opener refuses to rebuild."""
    try:
        rebuilt(messages, 0)
    except DecodingError:
        return True
    return False


def by_sharing(holders: Holders, updates: Integers, clients: int) -> Outcome:
    """Sum by sharing."""
    sent = [timed(partial(dealt, update, holders)) for update in updates]
    shares, messages = zip(*(call.answer for call in sent), strict=True)
    received = [messages[client % 2][0] for client in range(clients)]
    added = timed(partial(added_shares, received))
    sums = held_sums(shares, clients)
    work = f"{holders.name}, {clients} clients"
    require_right(f"{work}, a holder", sums[0] == added.answer)

    exact = plain_sum(updates, clients)
    opened = timed(partial(rebuilt, sums, 0))
    require_right(work, np.array_equal(opened.answer, exact))
    liars = holders.redundant // 2
    robust = timed(partial(rebuilt, lied_about(sums, liars), liars)) if liars else None
    require_right(f"{work}, {liars} liars", robust is None or np.array_equal(robust.answer, exact))
    require_redundancy(work, sums, exact, holders.redundant)
    # What a party sends to itself does not travel.
    own = int(holders.are_clients)
    row = len(received[0])
    return Outcome(
        scheme=holders.name,
        clients=clients,
        client_seconds=mean_seconds(sent),
        adding_seconds=added.seconds,
        opening_seconds=opened.seconds,
        robust_opening_seconds=robust.seconds if robust else None,
        client_sends=(holders.count - own) * row,
        adder_receives=(clients - own) * row,
        opener_receives=(holders.count - own) * row,
        lost_clients="any before dealing" if holders.are_clients else "any",
        lost_holders=holders.redundant,
        liars_named=liars,
        liars_noticed=holders.redundant,
        blind_holders=holders.threshold - 1,
    )


def held_sums(shares: Sequence[shamir.Shares], clients: int) -> list[bytes]:
    """Return what all holders send: the first one's is what it computed itself."""
    first, second = (one * count for one, count in zip(shares, copies(clients), strict=True))
    return [row.to_bytes() for row in first + second]


# ---- The result


def outcomes(options: argparse.Namespace) -> list[Outcome]:
    """Run every scheme with every number of clients."""
    keys = PaillierKeys(*paillier.keygen(bits=KEY_BITS))
    reals = np.random.default_rng(20240917).uniform(-1, 1, (2, options.parameters))
    updates = ENCODING.quantise(reals)
    found = []
    under_paillier(keys, updates[:, :1], 2)  # makes the keys' tables
    for clients in options.clients:
        show_progress(f"{clients} clients, Paillier")
        found.append(under_paillier(keys, updates, clients))
        for holders in (Holders.servers(3), Holders.servers(5), Holders.clients(clients)):
            show_progress(f"{clients} clients, {holders.name}")
            found.append(by_sharing(holders, updates, clients))
    show_progress("")
    return found


def show_progress(text: str) -> None:
    """Tell who watches a terminal what is going on; the next text overwrites it."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def costs(found: Iterable[Outcome]) -> list[list[str]]:
    """Lay out seconds and megabytes of a party."""
    lines = [
        [
            *("clients", "scheme", "client s", "adding s", "opening s", "with liars s"),
            *("client sends MB", "adder gets MB", "opener gets MB"),
        ]
    ]
    for one in found:
        robust = one.robust_opening_seconds
        seconds = (one.client_seconds, one.adding_seconds, one.opening_seconds)
        sizes = (one.client_sends, one.adder_receives, one.opener_receives)
        lines.append(
            [
                *(str(one.clients), one.scheme, *(f"{s:.3g}" for s in seconds)),
                "-" if robust is None else f"{robust:.3g}",
                *(f"{size / 1e6:.4g}" for size in sizes),
            ]
        )
    return lines


def survivals(found: Iterable[Outcome]) -> list[list[str]]:
    """Lay out what each scheme survives."""
    lines = [
        [
            *("clients", "scheme", "lost clients", "lost holders", "lying holders named"),
            *("lying holders noticed", "curious holders together"),
        ]
    ]
    for one in found:
        counts = (one.lost_holders, one.liars_named, one.liars_noticed, one.blind_holders)
        lines.append([str(one.clients), one.scheme, one.lost_clients, *map(str, counts)])
    return lines


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Lay out lines as plain text, the first one as the columns' titles."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    ruled = [lines[0], ["-" * width for width in widths], *lines[1:]]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in ruled)


def draw(found: Sequence[Outcome], parameters: int, path: Path) -> None:
    """Plot seconds and bytes over the number of clients."""
    figure = importlib.import_module("matplotlib.figure").Figure((10, 7), layout="constrained")
    panels: dict[str, Callable[[Outcome], float]] = {
        "a client: seconds": lambda one: one.client_seconds,
        "the aggregator, or a holder: seconds": lambda one: one.adding_seconds,
        "the opener: seconds": lambda one: one.opening_seconds,
        "a client sends: MB": lambda one: one.client_sends / 1e6,
    }
    for axes, (title, figure_of) in zip(figure.subplots(2, 2).flat, panels.items(), strict=True):
        for scheme in dict.fromkeys(one.scheme for one in found):
            points = [(one.clients, figure_of(one)) for one in found if one.scheme == scheme]
            axes.loglog(*zip(*points, strict=True), marker="o", label=scheme)
        ticks = sorted({one.clients for one in found})
        axes.set(title=title, xlabel="clients", xticks=ticks, xticklabels=ticks)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    figure.suptitle(f"Summing {parameters} parameters of 24 bits, one core a party")
    figure.savefig(path)


def at_least(least: int) -> Callable[[str], int]:
    """Return a parser of integers."""

    def parse(text: str) -> int:
        number = int(text)
        if number < least:
            raise argparse.ArgumentTypeError(f"got {number}, expected at least {least}")
        return number

    return parse


def arguments() -> argparse.Namespace:
    """Parse the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parameters", type=at_least(1), metavar="N", help="of the model")
    parser.add_argument("--clients", type=at_least(2), nargs="+", metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there as JSON")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw it there")
    parser.add_argument("--quick", action="store_true", help="2000 parameters, 2 to 8 clients")
    options = parser.parse_args()
    options.parameters = options.parameters or (2000 if options.quick else 1_000_000)
    options.clients = options.clients or ([2, 4, 8] if options.quick else [2, 4, 8, 16, 32, 64])
    if options.plot and not find_spec("matplotlib"):
        parser.error("--plot takes matplotlib; run: pip install 'veilsum[lab]'")
    return options


def main() -> None:
    """Run the comparison."""
    options = arguments()
    use_cores(1)
    found = outcomes(options)
    environment = describe_environment(threads=1, peers=())
    environment |= {"parameters": str(options.parameters)} | SECURITY
    print("\n".join(f"{name}: {value}" for name, value in environment.items()))
    for lines in (costs(found), survivals(found)):
        print(f"\n{aligned(lines)}")
    if options.json:
        document = {"environment": environment, "rows": [asdict(one) for one in found]}
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if options.plot:
        draw(found, options.parameters, options.plot)


if __name__ == "__main__":
    main()
