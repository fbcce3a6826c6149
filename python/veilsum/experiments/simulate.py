"""What masking costs at any number of clients: an exact graph, timed operations, one real round.

The degree of the graph, the threshold and the chances of failure come from exact tails (Bell,
Bonawitz, Gascón, Lepoint and Raykova, "Secure single-server aggregation with (poly)logarithmic
overhead", CCS 2020, section 3). Sizes are those of real messages. Seconds are counts of operations,
each of which is timed in the same run, and a real round in this process, whose clients vanish when
that costs the most, says how far the estimate can be trusted.
"""

from __future__ import annotations

import hashlib
import json
import math
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from veilsum.channel import (
    KEY_BYTES,
    SIGNATURE_BYTES,
    Identity,
    KeyPair,
    derive_key,
    seal,
    unseal,
)
from veilsum.encoding import FixedPoint
from veilsum.experiments.drawing import COLOURS, STYLE
from veilsum.experiments.environment import Environment, describe
from veilsum.experiments.grid import Grid
from veilsum.experiments.options import Progress, quiet, within
from veilsum.experiments.output import DATA, Kind, finite
from veilsum.protocols import InMemoryTransport, Masking, Message, masking
from veilsum.protocols.masks import add_masks
from veilsum.protocols.merkle import NODE_BYTES, MerkleTree, root_by_path
from veilsum.protocols.neighbours import Density, Neighbourhoods
from veilsum.protocols.seeds import LIMBS, SEED_BYTES, rebuild_seeds, share_seeds

__all__ = [
    "PLOT",
    "Costs",
    "Real",
    "Results",
    "Scale",
    "Settings",
    "fill",
    "kind",
    "require_possible",
    "run",
    "summary",
]

SCHEMA = "veilsum.simulate/1"
PLOT = "scale.png"
ENCODING = FixedPoint.binary(16, bound=8.0)
"""Sums of a million updates fit 64-bit words, of two thousand 32-bit words."""

_LEAST_SECONDS = 0.02
_REPETITIONS = 3
_WORDS = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that a simulation may be told.

    Parameters
    ----------
    clients : int
        The largest number of clients, at least 100; the powers of ten below it are estimated too.
    parameters : int
        Coordinates of an update.
    corrupt, dropout : float
        The largest shares of the clients that are corrupt, and that vanish, from 0 to below 0.5.
    security_bits : int
        Secrecy fails with a chance of at most ``2**-security_bits``.
    real : int
        Clients of the real round; 0 for none.
    seed : int
        Seed of the updates and of who vanishes, never of a secret.
    threads : int or None
        Threads for masks; None means all cores. The estimate is for one.
    """

    clients: int = 1_000_000
    parameters: int = 100_000
    corrupt: float = 0.1
    dropout: float = 0.1
    security_bits: int = 40
    real: int = 1_000
    seed: int = 1
    threads: int | None = None

    def __post_init__(self) -> None:
        """Refuse a setting outside its range with a message that names the option."""
        within("clients", self.clients, 100, 10_000_000)
        within("parameters", self.parameters, 1, 100_000_000)
        within("corrupt", self.corrupt, 0.0, 0.49)
        within("dropout", self.dropout, 0.0, 0.49)
        within("security-bits", self.security_bits, 1, 128)
        within("seed", self.seed, 0, 2**32 - 1)
        if self.real:
            within("real", self.real, 3, 10_000)
        if self.threads is not None:
            within("threads", self.threads, 1, 1024)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The powers of ten from 100 up to `clients`, and `clients`."""
        tens = (10**power for power in range(2, 8))
        return (*(ten for ten in tens if ten < self.clients), self.clients)


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Seconds of the operations that a round is made of, one thread.

    `hash_byte`, `quantise`, `mask` and `add` are for one byte or one word, `order` for one client
    of the ring, `path` for one step of a Merkle path; the others are for one call.
    """

    key_pair: float
    agree: float
    derive: float
    seal: float
    unseal: float
    sign: float
    verify: float
    path: float
    hash_byte: float
    order: float
    quantise: float
    mask: float
    add: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What a round costs with so many clients.

    `client_up` and `client_down` are bytes of one client; `server_in` and `server_out` those of the
    server. Seconds are for one thread: of one client, of the server when everybody stays, and of
    the server when the share `dropout` vanishes after it has shared its keys. The logarithms bound
    the chances that secrecy fails and that the round ends without a sum.
    """

    clients: int
    degree: int
    threshold: int
    log2_secrecy: float
    log2_connectivity: float
    log2_correctness: float
    client_up: int
    client_down: int
    client_seconds: float
    server_in: int
    server_out: int
    server_seconds: float
    server_seconds_dropout: float

    @property
    def success(self) -> float:
        """The least chance that a round with so many lost gives a sum."""
        return 1.0 - min(1.0, math.exp2(self.log2_correctness))


@dataclass(frozen=True, slots=True, kw_only=True)
class Real:
    """A round that was carried out in this process, beside what the estimate says of it.

    Seconds are wall-clock ones of one client (the mean) and of the server; `sent` are the bytes
    of one client (the mean); `peak` is the largest memory of the whole process, in bytes.
    """

    clients: int
    lost: int
    parameters: int
    degree: int
    threshold: int
    exact: bool
    client_seconds: float
    client_estimated: float
    server_seconds: float
    server_estimated: float
    sent: float
    sent_estimated: int
    seconds: float
    peak: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All that a simulation measured and estimated."""

    settings: Settings
    environment: Environment
    costs: Costs
    scales: tuple[Scale, ...]
    real: Real | None

    def to_json(self) -> str:
        """Return the content of ``results.json``; infinite logarithms are null."""
        document = {"schema": SCHEMA, **finite(asdict(self))}
        for scale, entry in zip(self.scales, document["scales"], strict=True):
            entry["success"] = scale.success
        return json.dumps(document, indent=2, allow_nan=False) + "\n"


def run(settings: Settings, *, progress: Progress = quiet) -> Results:
    """Time the operations, estimate every size, and carry out one real round.

    Parameters
    ----------
    settings : Settings
        What to simulate.
    progress : callable
        Called as ``progress(work, done, total)``.

    Returns
    -------
    Results
        What was found.

    Raises
    ------
    ValueError
        When no graph stands so many corrupt and lost clients.
    """
    begin, started = perf_counter(), datetime.now(UTC)
    aggregator = _aggregator(settings)
    costs = measure(progress=progress)
    scales = []
    for done, clients in enumerate(settings.sizes):
        progress("Graphs", done, len(settings.sizes))
        scales.append(estimate(aggregator.density(clients), clients, costs, settings))
    progress("Graphs", len(scales), len(scales))
    real = carry_out(aggregator, costs, settings, progress=progress) if settings.real else None
    return Results(
        settings=settings,
        environment=describe(started, perf_counter() - begin),
        costs=costs,
        scales=tuple(scales),
        real=real,
    )


def require_possible(settings: Settings) -> None:
    """Refuse what no graph stands, before any work is done.

    Raises
    ------
    ValueError
        When so many corrupt and lost clients are too many for some number of clients.
    """
    for clients in {*settings.sizes[:1], *([settings.real] if settings.real else [])}:
        _aggregator(settings).density(clients)


def _aggregator(settings: Settings) -> Masking:
    return Masking(
        corrupt=settings.corrupt,
        dropout=settings.dropout,
        security_bits=settings.security_bits,
        threads=settings.threads,
    )


def measure(*, progress: Progress = quiet) -> Costs:
    """Time every operation on its own, in this process and on one thread.

    Parameters
    ----------
    progress : callable
        Called as ``progress("Operations", done, total)``.

    Returns
    -------
    Costs
        Medians.
    """
    timed = _operations()
    seconds = {}
    for done, (name, (work, items)) in enumerate(timed.items()):
        progress("Operations", done, len(timed))
        seconds[name] = _seconds(work) / items
    progress("Operations", len(timed), len(timed))
    return Costs(**seconds)


def _operations() -> dict[str, tuple[Callable[[], object], int]]:
    """Return how each operation is done once, and how many items that handles."""
    identity, pair, other = Identity.generate(), KeyPair.generate(), KeyPair.generate()
    key, header = bytes(KEY_BYTES), bytes(32)
    signature, sealed = identity.sign(header), seal(key, bytes(2 * 8 * LIMBS), header=header)
    tree = MerkleTree([header] * 1024)
    path, steps = tree.path(77), 10
    words = np.zeros(_WORDS, np.uint32)
    update = np.random.default_rng(0).normal(scale=0.1, size=_WORDS)
    ends = [bytes(KEY_BYTES), b"client-1000", bytes(KEY_BYTES), b"client-1001"]
    return {
        "key_pair": (KeyPair.generate, 1),
        "agree": (lambda: pair.agree(other.public), 1),
        "derive": (
            lambda: derive_key(key, purpose="mask", session_id=header, round_number=1, keys=ends),
            1,
        ),
        "seal": (lambda: seal(key, bytes(2 * 8 * LIMBS), header=header), 1),
        "unseal": (lambda: unseal(key, sealed, header=header), 1),
        "sign": (lambda: identity.sign(header), 1),
        "verify": (lambda: identity.public.verify(signature, header), 1),
        "path": (lambda: root_by_path(header, 77, 1024, path), steps),
        "hash_byte": (lambda: hashlib.sha256(words.data).digest(), words.nbytes),
        "order": (lambda: Neighbourhoods(_WORDS, 100, key), _WORDS),
        "quantise": (lambda: ENCODING.quantise(update), _WORDS),
        "mask": (lambda: add_masks(words, added=[key] * 8, threads=1), 8 * _WORDS),
        "add": (lambda: np.add(words, words, out=words), _WORDS),
    }


def _seconds(work: Callable[[], object]) -> float:
    """Return the median seconds of a call, each repetition long enough for the clock."""
    begin = perf_counter()
    work()
    calls = max(1, math.ceil(_LEAST_SECONDS / max(perf_counter() - begin, 1e-9)))
    repetitions = []
    for _ in range(_REPETITIONS):
        begin = perf_counter()
        for _ in range(calls):
            work()
        repetitions.append((perf_counter() - begin) / calls)
    return median(repetitions)


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Bytes of a client's messages, to the server and back."""

    up: int
    down: int


def estimate(density: Density, clients: int, costs: Costs, settings: Settings) -> Scale:
    """Count what a round takes with so many clients.

    Parameters
    ----------
    density : Density
        The graph and the threshold.
    clients : int
        How many there are.
    costs : Costs
        Seconds of the operations.
    settings : Settings
        Parameters of an update, and the share that vanishes.

    Returns
    -------
    Scale
        Bytes and seconds.
    """
    sizes = _sizes(density, clients, settings.parameters)
    sharing, rebuilding = _seeds_seconds(density)
    width = settings.parameters * _words_factor(clients)
    client = _client_seconds(density, clients, width, sizes, costs) + sharing
    lost = math.floor(settings.dropout * clients)

    def server(gone: int) -> float:
        return _server_seconds(density, clients, gone, width, sizes, costs, rebuilding)

    return Scale(
        clients=clients,
        degree=density.degree,
        threshold=density.threshold,
        log2_secrecy=density.log2_secrecy,
        log2_connectivity=density.log2_connectivity,
        log2_correctness=density.log2_correctness,
        client_up=sizes.up,
        client_down=sizes.down,
        client_seconds=client,
        server_in=clients * sizes.up,
        server_out=clients * sizes.down,
        server_seconds=server(0),
        server_seconds_dropout=server(lost),
    )


def _client_seconds(
    density: Density, clients: int, width: int, sizes: _Sizes, costs: Costs
) -> float:
    """Return the seconds of a client that stays, without those of sharing its seeds."""
    degree, depth = density.degree, _depth(clients)
    handshakes = (
        2 * costs.key_pair
        + 5 * costs.sign
        + (4 + 2 * degree) * costs.verify  # the server's, the neighbours' keys and confirmations
        + degree * (3 * costs.agree + 3 * costs.derive + costs.seal + costs.unseal)
        + (degree + 1) * depth * costs.path
        + (clients * costs.order if degree < clients - 1 else 0.0)
    )
    vector = width * (costs.quantise + (degree + 1) * costs.mask)
    return handshakes + vector + (sizes.up + sizes.down) * costs.hash_byte


def _server_seconds(
    density: Density,
    clients: int,
    lost: int,
    width: int,
    sizes: _Sizes,
    costs: Costs,
    rebuilding: float,
) -> float:
    """Return the seconds of the server when so many clients vanish before they send their sums."""
    stay = clients - lost
    near = density.degree * stay / max(clients - 1, 1)  # neighbours of a vanished one that stay
    messages = (
        (2 * clients + 3 * stay) * costs.verify
        + (2 * clients + 2 * stay) * costs.sign
        + clients * (sizes.up + sizes.down) * costs.hash_byte
        + 2 * clients * costs.agree  # which refuses keys that give no secret
        + clients * costs.key_pair
        + 2 * clients * costs.path
    )
    unmasking = stay + lost * near
    recovery = lost * (rebuilding + costs.key_pair + near * (costs.agree + costs.derive))
    return messages + recovery + width * (stay * costs.add + unmasking * costs.mask)


def _seeds_seconds(density: Density) -> tuple[float, float]:
    """Return what sharing two seeds and rebuilding one of them takes in such a neighbourhood."""
    members, threshold = density.degree + 1, density.threshold
    seeds = [bytes(SEED_BYTES)] * 2
    rows = share_seeds(seeds, shares=members, threshold=threshold)[:threshold, :LIMBS]
    sharing = _seconds(lambda: share_seeds(seeds, shares=members, threshold=threshold))
    rebuilding = _seconds(
        lambda: rebuild_seeds(rows, positions=range(threshold), shares=members, threshold=threshold)
    )
    return sharing, rebuilding


def _sizes(density: Density, clients: int, parameters: int) -> _Sizes:
    """Write the messages of a client whose neighbours all stay, and measure them."""
    degree = density.degree
    dtype = np.uint32 if _words_factor(clients) == 1 else np.uint64
    flags, near = bytes(-(-clients // 8)), bytes(-(-degree // 8))
    digest, path = bytes(32), bytes(NODE_BYTES * _depth(clients))
    entry = 3 * KEY_BYTES + SIGNATURE_BYTES
    sealed = np.zeros((degree, 2 * 8 * LIMBS + 16), np.uint8)
    client, server = f"client-{clients - 1}", "server"
    to_server: dict[str, Any] = {
        "session_id": digest,
        "sender": client,
        "recipient": server,
        "signature": bytes(SIGNATURE_BYTES),
    }
    to_client = to_server | {"sender": server, "recipient": client}
    up: list[Message] = [
        masking.Advertise(**to_server, seal_key=digest, mask_key=digest, commitment=digest),
        masking.Shared(**to_server, sealed=sealed),
        masking.Confirmed(**to_server, agreed=digest),
        masking.Revealed(
            **to_server, seed=digest, whose=near, rows=np.zeros((degree, LIMBS), np.uint64)
        ),
    ]
    down: list[Message] = [
        masking.Roster(
            **to_client,
            present=flags,
            root=digest,
            entries=np.zeros((degree + 1, entry), np.uint8),
            paths=(path,) * (degree + 1),
        ),
        masking.Relayed(**to_client, whose=near, rows=sealed),
        masking.Survivors(**to_client, alive=flags),
        masking.Confirmations(
            **to_client, whose=near, rows=np.zeros((degree, SIGNATURE_BYTES), np.uint8)
        ),
    ]
    masked = masking.Masked(**to_server, words=np.zeros(1, dtype))
    vector = len(masked.to_bytes()) + (parameters - 1) * np.dtype(dtype).itemsize
    return _Sizes(vector + _total(up), _total(down))


def _total(messages: list[Message]) -> int:
    return sum(len(message.to_bytes()) for message in messages)


def _depth(clients: int) -> int:
    """Return the longest Merkle path."""
    return (clients - 1).bit_length()


def _words_factor(clients: int) -> int:
    """Return how many 32-bit words a coordinate takes."""
    return 1 if clients * ENCODING.limit < 1 << 31 else 2


def carry_out(
    aggregator: Masking, costs: Costs, settings: Settings, *, progress: Progress = quiet
) -> Real:
    """Run a whole round in this process, in which clients vanish after they have shared keys.

    All updates are windows of one vector, so that they take no memory of their own.

    Parameters
    ----------
    aggregator : Masking
        The protocol.
    costs : Costs
        For the estimate beside it.
    settings : Settings
        How many clients and parameters, and the share that vanishes.
    progress : callable
        Called as ``progress("Real round", done, total)``, by messages.

    Returns
    -------
    Real
        What it took, and whether the sum was the survivors'.
    """
    clients, length = settings.real, settings.parameters
    generator = np.random.default_rng(settings.seed)
    lost = math.floor(settings.dropout * clients)
    gone = {
        f"client-{client}" for client in generator.choice(clients, lost, replace=False).tolist()
    }
    updates = sliding_window_view(generator.normal(scale=0.1, size=length + clients - 1), length)
    total = 9 * clients - 4 * lost
    carried = 0

    def vanished(message: Message) -> bool:
        nonlocal carried
        carried += 1
        progress("Real round", min(carried, total), total)
        return isinstance(message, masking.Masked) and message.sender in gone

    begin = perf_counter()
    result = aggregator.aggregate(
        list(updates), encoding=ENCODING, transport=InMemoryTransport(drop=vanished)
    )
    seconds = perf_counter() - begin
    progress("Real round", total, total)
    density = aggregator.density(clients)
    scale = estimate(density, clients, costs, settings)
    spent = _by_kind(result.seconds)
    stayed = {f"client-{client}" for client in result.survivors}
    sent = sum(count for (sender, _, _), count in result.bytes.items() if sender in stayed)
    return Real(
        clients=clients,
        lost=lost,
        parameters=length,
        degree=density.degree,
        threshold=density.threshold,
        exact=_is_exact(result.integers, updates, result.survivors),
        client_seconds=spent["client"] / clients,
        client_estimated=scale.client_seconds,
        server_seconds=spent["server"],
        server_estimated=scale.server_seconds_dropout,
        sent=sent / len(stayed),
        sent_estimated=scale.client_up,
        seconds=seconds,
        peak=_peak_memory(),
    )


def _is_exact(
    integers: NDArray[Any], updates: NDArray[np.float64], survivors: tuple[int, ...]
) -> bool:
    expected = np.zeros(integers.size, np.int64)
    for client in survivors:
        expected += ENCODING.quantise(updates[client])
    return bool(np.array_equal(integers, expected))


def _by_kind(seconds: Mapping[tuple[str, Any], float]) -> dict[str, float]:
    spent = {"client": 0.0, "server": 0.0}
    for (name, _), took in seconds.items():
        spent["client" if name.startswith("client-") else "server"] += took
    return spent


def _peak_memory() -> int:
    """Return the largest memory of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def summary(results: Results) -> Iterator[tuple[str, Grid]]:
    """Yield titled tables: every number of clients, and the real round."""
    yield "Masking by number of clients", _scale_grid(results)
    if results.real:
        yield "A real round in this process, beside what is estimated", _real_grid(results.real)


def _scale_grid(results: Results) -> Grid:
    lost = f"{results.settings.dropout:.0%} lost"
    head = (
        *("Clients", "Degree", "Threshold", "Exposed", "No sum", "Sent MB", "Received MB"),
        *("Client s", "Server s", f"Server s, {lost}"),
    )
    rows = tuple(
        (
            f"{scale.clients:,}",
            str(scale.degree),
            str(scale.threshold),
            _chance(max(scale.log2_secrecy, scale.log2_connectivity)),
            _chance(scale.log2_correctness),
            *(f"{size / 1e6:.4g}" for size in (scale.client_up, scale.client_down)),
            *(
                f"{seconds:.3g}"
                for seconds in (
                    scale.client_seconds,
                    scale.server_seconds,
                    scale.server_seconds_dropout,
                )
            ),
        )
        for scale in results.scales
    )
    return Grid(head=head, rows=rows, numbers=frozenset(range(len(head))))


def _chance(logarithm: float) -> str:
    return "never" if math.isinf(logarithm) else f"2^{logarithm:.1f}"


def _real_grid(real: Real) -> Grid:
    rows = (
        ("Clients, of whom vanished", f"{real.clients:,}, {real.lost:,}", ""),
        ("Parameters", f"{real.parameters:,}", ""),
        ("Degree, threshold", f"{real.degree}, {real.threshold}", ""),
        ("The sum is the survivors'", "yes" if real.exact else "NO", "yes"),
        ("Seconds of a client", f"{real.client_seconds:.3g}", f"{real.client_estimated:.3g}"),
        ("Seconds of the server", f"{real.server_seconds:.3g}", f"{real.server_estimated:.3g}"),
        ("MB sent by a client", f"{real.sent / 1e6:.4g}", f"{real.sent_estimated / 1e6:.4g}"),
        ("Seconds in all", f"{real.seconds:.3g}", ""),
        ("Peak memory, MB", f"{real.peak / 1e6:.0f}", ""),
    )
    return Grid(head=("", "Measured", "Estimated"), rows=rows, numbers=frozenset({1, 2}))


def kind() -> Kind:
    """Return what a simulation leaves in its directory."""
    return Kind(schema=SCHEMA, files={PLOT})


def draw(results: Results, path: Path) -> None:
    """Plot bytes and seconds against the number of clients.

    Raises
    ------
    OSError
        When the file cannot be written.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(11.0, 3.8), layout="constrained")
        for axes, panel in zip(figure.subplots(1, 3), _panels(results), strict=True):
            _draw_panel(axes, panel)
        figure.savefig(path, dpi=150)


@dataclass(frozen=True, slots=True)
class _Panel:
    """Curves over the number of clients, and single points of the real round."""

    title: str
    unit: str
    curves: Mapping[str, list[float]]
    points: Mapping[str, float]
    clients: list[int]
    real_clients: int


def _panels(results: Results) -> list[_Panel]:
    scales, real = results.scales, results.real
    clients = [scale.clients for scale in scales]
    lost = f"{results.settings.dropout:.0%} lost"
    at = real.clients if real else 0
    points = {
        "client": real.client_seconds if real else 0.0,
        "server": real.server_seconds if real else 0.0,
    }
    return [
        _Panel(
            "A client's bytes",
            "MB",
            {
                "sent": [scale.client_up / 1e6 for scale in scales],
                "received": [scale.client_down / 1e6 for scale in scales],
            },
            {"sent, real round": real.sent / 1e6} if real else {},
            clients,
            at,
        ),
        _Panel(
            "A client's seconds",
            "s",
            {"estimated": [scale.client_seconds for scale in scales]},
            {"real round": points["client"]} if real else {},
            clients,
            at,
        ),
        _Panel(
            "The server's seconds",
            "s",
            {
                "nobody lost": [scale.server_seconds for scale in scales],
                lost: [scale.server_seconds_dropout for scale in scales],
            },
            {f"real round, {lost}": points["server"]} if real else {},
            clients,
            at,
        ),
    ]


def _draw_panel(axes: Axes, panel: _Panel) -> None:
    for colour, (name, values) in zip(COLOURS, panel.curves.items(), strict=False):
        axes.loglog(panel.clients, values, color=colour, marker="o", markersize=4, label=name)
    for name, value in panel.points.items():
        axes.loglog([panel.real_clients], [value], "k*", markersize=11, label=name, linestyle="")
    axes.set_title(panel.title)
    axes.set_xlabel("Clients")
    axes.set_ylabel(panel.unit)
    axes.legend()


def fill(folder: Path, results: Results) -> None:
    """Write ``results.json`` and the plot into a directory.

    Raises
    ------
    OSError
        When a file cannot be written.
    """
    (folder / DATA).write_text(results.to_json(), encoding="utf-8")
    draw(results, folder / PLOT)
