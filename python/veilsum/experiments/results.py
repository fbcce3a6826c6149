"""What a comparison measured: frozen records that turn into the versioned ``results.json``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from veilsum.experiments.environment import Environment
from veilsum.experiments.options import ENCRYPTED, require_protocols, within
from veilsum.experiments.output import to_json

SCHEMA = "veilsum.compare/3"
"""Name and version of the layout of ``results.json``; the number grows when a field changes."""

PAPER = ("plain", "paillier", "sharing")
"""The protocols that the paper compares."""

USUAL = (*PAPER, "masking")
"""What is compared unless it is said otherwise: threshold Paillier takes its time."""

ATTACKS = ("label flip", "sign flip", "scaled", "random")
MISSING = "missing"
UNCHECKED = "altered, first K opened"
CHECKED = "altered, all checked"
CORRECTED = "altered, decoded"
INTERLEAVED = "altered, decoded together"
WANDERING = "altered, liars drawn anew"
FAULTS = (MISSING, UNCHECKED, CHECKED, CORRECTED, INTERLEAVED)
SIGNED = "altered, signed by the dealer"
"""Stands beside the faults: rows of one dealing, which alone is signed, and not of a sum."""
RIGHT, WRONG, REFUSED = "right", "wrong", "refused"
BEFORE_SENDING, AFTER_SENDING = "before sending", "after sending"
PARTIES = ("client", "server")
PHASES = ("train", "protect", "combine", "open")
REFERENCE = "reference"
"""Stands for plain averaging with so many fraction bits that rounding cannot be seen."""
LOCAL, FLOWER = "local", "flower"
ENGINES = (LOCAL, FLOWER)
"""Where clients train: in this process, or as nodes of Flower's simulation."""
FLOAT32_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that a comparison may be told; the defaults finish in about two minutes.

    Parameters
    ----------
    dataset : str
        Name of a shipped data set, or path of a CSV file.
    target : str or None
        Column to predict; needed for a CSV file, refused for a shipped data set.
    protocols : tuple of str
        Which of `options.PROTOCOLS` to run.
    clients : int
        Clients of the large federation, at least 3; the small one always has 2.
    key_bits : int
        Length of the Paillier modulus: 1024 (insecure, warns), 2048 or 3072.
    threshold : int or None
        Shares needed to reconstruct, 1 to ``clients``; ``None`` means a majority.
    malicious : int or None
        Most malicious clients tried, 0 to ``clients - 1``; ``None`` means as
        many as leave a majority honest.
    iterations : int
        Federated rounds of a run, at least 4.
    precision : int
        Decimal digits kept of every coefficient, 1 to 9.
    seed : int
        Seed of the split, the partition, the batches and the attacks; never of a secret.
    seeds : int
        Repetitions wherever runs are compared with each other, at least 2.
    threads : int or None
        Threads of the C++ core; ``None`` means all cores.
    features : int
        Random Fourier features that replace the columns; 0 keeps the columns.
    engine : {"local", "flower"}
        Where the trainings of ``convergence`` run; all others run in this process.
    """

    dataset: str = "concrete"
    target: str | None = None
    protocols: tuple[str, ...] = USUAL
    clients: int = 8
    key_bits: int = 2048
    threshold: int | None = None
    malicious: int | None = None
    iterations: int = 16
    precision: int = 6
    seed: int = 1
    seeds: int = 20
    threads: int | None = None
    features: int = 0
    engine: str = LOCAL

    def __post_init__(self) -> None:
        """Refuse a setting outside its range with a message that names the option."""
        require_protocols(self.protocols, key_bits=self.key_bits)
        within("clients", self.clients, 3, 64)
        if self.threshold is not None:
            within("threshold", self.threshold, 1, self.clients)
        if self.malicious is not None:
            within("malicious", self.malicious, 0, self.clients - 1)
        within("iterations", self.iterations, 4, 10_000)
        within("precision", self.precision, 1, 9)
        within("seed", self.seed, 0, 2**32 - 1)
        within("seeds", self.seeds, 2, 1000)
        within("features", self.features, 0, 10_000)
        if self.threads is not None:
            within("threads", self.threads, 1, 1024)
        if self.engine not in ENGINES:
            raise ValueError(f"engine: got {self.engine}; allowed are {', '.join(ENGINES)}")

    @property
    def insecure(self) -> bool:
        """Whether there is a key, and one so short that it is for trying things out only."""
        return not set(ENCRYPTED).isdisjoint(self.protocols) and self.key_bits < 2048

    @property
    def shares_needed(self) -> int:
        """The threshold in force: what was asked for, else a majority of the clients."""
        return self.clients // 2 + 1 if self.threshold is None else self.threshold

    @property
    def most_malicious(self) -> int:
        """The largest number of malicious clients tried."""
        return (self.clients - 1) // 2 if self.malicious is None else self.malicious


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The regression problem, and what models that need no federation reach on it.

    ``rmse_mean`` is the error of always answering the mean, ``rmse_central`` that of least
    squares on all training rows in one place; both in units of the target, on the test rows.
    """

    dataset: str
    target: str
    licence: str
    rows_train: int
    rows_test: int
    columns: int
    coefficients: int
    rmse_mean: float
    rmse_central: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds that one party spent in one phase, iteration by iteration (mean over clients)."""

    party: str
    phase: str
    seconds: tuple[float, ...]

    @property
    def typical(self) -> float:
        """Median seconds of an iteration, which a busy machine disturbs least."""
        return median(self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What is varied: who trains, under which protocol, and what goes wrong.

    `attack` is one of ``none`` and `ATTACKS`, done by `malicious` clients; `fault` is one of the
    faults below, done by `faulty` holders. `digits` are the decimals kept of a coefficient.
    """

    protocol: str
    clients: int
    shares: int
    threshold: int
    digits: int
    attack: str = "none"
    malicious: int = 0
    fault: str = "none"
    faulty: int = 0

    @property
    def clients_hold(self) -> bool:
        """Whether the clients hold the shares themselves, as in the paper."""
        return self.shares == self.clients and self.fault != WANDERING

    @property
    def correctable(self) -> int:
        """How many altered shares are corrected before a sum is opened, at most."""
        spare = self.shares - self.threshold
        return {CORRECTED: spare // 2, INTERLEAVED: max(spare - 1, 0)}.get(self.fault, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Conditions):
    """One federated training from the first model to the last.

    ``rmse`` has ``iterations + 1`` entries in units of the target, the first before training.
    ``aborted`` counts rounds whose sum was refused, so that the model stayed as it was.
    ``deviation`` holds, iteration by iteration, the largest distance between an opened average
    coefficient and the same average of the unrounded updates; ``deviation_bound`` is what rounding
    alone can cause.
    ``integers`` is a SHA-256 over the opened integer sums of all rounds: equal digests mean that
    two protocols opened the same integers in every round.
    ``sent`` counts bytes that one client sends an iteration, ``carried`` those of all links.
    ``engine`` says where the clients trained: one of `ENGINES`.
    """

    rmse: tuple[float, ...]
    aborted: int
    deviation: tuple[float, ...]
    deviation_bound: float
    integers: str
    sent: float
    carried: float
    costs: tuple[Cost, ...]
    engine: str = LOCAL

    @property
    def final(self) -> float:
        """RMSE after the last iteration."""
        return self.rmse[-1]

    @property
    def protocol_seconds(self) -> float:
        """Typical seconds of an iteration without the training: what the protocol costs."""
        return self.seconds() - self.seconds(phase="train")

    def series(self, party: str | None = None, *, training: bool = True) -> tuple[float, ...]:
        """Seconds iteration by iteration, summed over the parties and phases that match."""
        chosen = [
            cost.seconds
            for cost in self.costs
            if party in (None, cost.party) and (training or cost.phase != "train")
        ]
        return tuple(map(sum, zip(*chosen, strict=True)))

    def seconds(self, party: str | None = None, phase: str | None = None) -> float:
        """Typical seconds of an iteration, summed over the parties and phases that match."""
        return sum(
            cost.typical
            for cost in self.costs
            if party in (None, cost.party) and phase in (None, cost.phase)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble(Conditions):
    """The same experiment under many seeds: one entry a seed in each tuple."""

    final: tuple[float, ...]
    roughness: tuple[float, ...]
    slope: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace(Conditions):
    """Seconds of single rounds without training, each measured in turn with the others'."""

    seconds: tuple[float, ...]


Some = TypeVar("Some", bound=Conditions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropout:
    """What one protocol made of clients that vanished.

    ``counted`` lists the clients whose updates entered the average; ``error`` is the largest
    distance of a coefficient from the average of exactly those, or ``None`` when the round failed
    for the stated ``reason``.
    """

    protocol: str
    moment: str
    lost: int
    counted: tuple[int, ...] = ()
    error: float | None = None
    reason: str = ""

    @property
    def finished(self) -> bool:
        """Whether there was a sum."""
        return self.error is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedDealing(Conditions):
    """One client's dealing, signed, of which `faulty` rows were altered afterwards.

    ``outcome`` is what opening the rows whose signature fits gave: `RIGHT`, `WRONG`, or `REFUSED`
    when too few were left.
    """

    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Textbook:
    """The (2, 4) sharing of 65 with slope 15, and what each pair of holders rebuilds."""

    shares: tuple[tuple[int, int], ...]
    rebuilt: tuple[tuple[int, int, str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All that ``results.json`` holds.

    ``convergence`` and ``convergence_seeds`` feed Figures 6, 7, 13 and 14; ``attacks`` and
    ``attack_seeds`` Figures 8, 10 and 12; ``precision`` and ``precision_pace`` Figure 9;
    ``faults``, ``fault_seeds`` and ``signed`` Figure 10; ``holders`` and ``holder_seeds``
    Figure 11; ``dropouts`` and ``textbook`` two tables.
    """

    settings: Settings
    environment: Environment
    task: Task
    setup_seconds: tuple[tuple[str, float], ...]
    convergence: tuple[Run, ...]
    convergence_seeds: tuple[Ensemble, ...]
    attacks: tuple[Run, ...]
    attack_seeds: tuple[Ensemble, ...]
    precision: tuple[Run, ...]
    precision_pace: tuple[Pace, ...]
    faults: tuple[Run, ...]
    fault_seeds: tuple[Ensemble, ...]
    signed: tuple[SignedDealing, ...]
    holders: tuple[Run, ...]
    holder_seeds: tuple[Ensemble, ...]
    dropouts: tuple[Dropout, ...]
    textbook: Textbook

    def to_json(self) -> str:
        """Return the document of ``results.json``, with its schema first."""
        return to_json(SCHEMA, self)


def matching(runs: Sequence[Some], **wanted: object) -> Iterator[Some]:
    """Yield the runs whose attributes have the wanted values, in order."""
    return (run for run in runs if all(getattr(run, key) == wanted[key] for key in wanted))


def first(runs: Sequence[Some], **wanted: object) -> Some | None:
    """Return the first run whose attributes have the wanted values, or ``None``."""
    return next(matching(runs, **wanted), None)


def survivals(results: Results) -> dict[str, dict[int, str]]:
    """Return, by kind and number of faulty shares, what opening them gave.

    A run is `RIGHT` when it opened the integers of the run without faults in every round,
    `REFUSED` when it opened none in any, else `WRONG`.
    """
    found: dict[str, dict[int, str]] = {}
    for fault in FAULTS:
        calm, *faulty = escalating(results.faults, fault=fault)
        found[fault] = {run.faulty: _survival(run, calm) for run in faulty}
    found[SIGNED] = {dealing.faulty: dealing.outcome for dealing in results.signed}
    return found


def _survival(run: Run, calm: Run) -> str:
    if run.integers == calm.integers:
        return RIGHT
    return REFUSED if run.aborted == len(run.rmse) - 1 else WRONG


def escalating(runs: Sequence[Some], **wanted: object) -> list[Some]:
    """Return the first run in which nothing goes wrong, and then those that match."""
    calm = first(runs, attack="none", fault="none")
    return ([] if calm is None else [calm]) + list(matching(runs, **wanted))


def roughness(rmse: Sequence[float]) -> float:
    """Return the standard deviation of first differences over the last half of a curve.

    Examples
    --------
    >>> roughness([9.0, 5.0, 4.0, 3.0, 2.0])
    0.0
    >>> roughness([9.0, 5.0, 4.0, 5.0, 4.0, 5.0]) > 1.0
    True
    """
    return stdev(np.diff(_last_half(rmse)).tolist())


def slope(rmse: Sequence[float]) -> float:
    """Return the least-squares slope of the last half of a curve, per iteration.

    Examples
    --------
    >>> slope([9.0, 7.0, 3.0, 2.5, 2.0, 1.5])
    -0.5
    """
    half = _last_half(rmse)
    steps = np.arange(len(half)) - (len(half) - 1) / 2
    return float(steps @ half / (steps @ steps))


def _last_half(rmse: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray(rmse[(len(rmse) - 1) // 2 :], dtype=np.float64)


def interval(values: Sequence[float], *, resamples: int = 2000) -> tuple[float, float, float]:
    """Return the mean of `values` and its 95 % bootstrap interval.

    Parameters
    ----------
    values : sequence of float
        One figure a seed.
    resamples : int
        Bootstrap resamples; their generator has a fixed seed, so the answer is repeatable.

    Examples
    --------
    >>> interval([2.0, 2.0, 2.0])
    (2.0, 2.0, 2.0)
    """
    data = np.asarray(values, dtype=np.float64)
    draws = np.random.default_rng(0).choice(data, size=(resamples, len(data)))
    low, high = np.quantile(draws.mean(axis=1), (0.025, 0.975))
    return fmean(values), float(low), float(high)


def median_interval(
    values: Sequence[float], *, resamples: int = 2000
) -> tuple[float, float, float]:
    """Return the median of `values` and its 95 % bootstrap interval.

    Examples
    --------
    >>> median_interval([1.0, 1.0, 1.0])
    (1.0, 1.0, 1.0)
    """
    return _medians([values], resamples, lambda medians: medians[0])


def ratio_interval(
    over: Sequence[float], under: Sequence[float], *, resamples: int = 2000
) -> tuple[float, float, float]:
    """Return the ratio of two medians and its 95 % bootstrap interval.

    Examples
    --------
    >>> ratio_interval([4.0, 4.0], [2.0, 2.0])
    (2.0, 2.0, 2.0)
    """
    return _medians([over, under], resamples, lambda medians: medians[0] / medians[1])


def _medians(
    samples: Sequence[Sequence[float]],
    resamples: int,
    statistic: Callable[[list[NDArray[np.float64]]], NDArray[np.float64]],
) -> tuple[float, float, float]:
    generator = np.random.default_rng(0)
    data = [np.asarray(sample, dtype=np.float64) for sample in samples]
    draws = [generator.choice(one, size=(resamples, len(one))) for one in data]
    whole = statistic([np.median(one, keepdims=True) for one in data])
    low, high = np.quantile(statistic([np.median(d, axis=1) for d in draws]), (0.025, 0.975))
    return float(whole[0]), float(low), float(high)
