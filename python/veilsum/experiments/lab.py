"""How one training of a comparison runs: the problem, who attacks, who lies, and what is measured.

Everything that the protocols share is decided here once: the split of the rows, the first model,
the batches, the attacks and the quantisation.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import ArrayLike, NDArray

from veilsum import field, protocols, shamir
from veilsum.encoding import Digits, FixedPoint
from veilsum.errors import DecodingError, InsufficientShares, ProtocolError
from veilsum.experiments.options import Progress, quiet
from veilsum.experiments.results import (
    FLOWER,
    INTERLEAVED,
    MISSING,
    PARTIES,
    PHASES,
    REFERENCE,
    REFUSED,
    RIGHT,
    UNCHECKED,
    WANDERING,
    WRONG,
    Conditions,
    Cost,
    Ensemble,
    Pace,
    Run,
    Settings,
    SignedDealing,
    roughness,
    slope,
)
from veilsum.integrations.flower.engine import FlowerEngine, require_simulation
from veilsum.learning import datasets, federated, partition
from veilsum.learning.engines import Engine
from veilsum.learning.linear import LinearClient
from veilsum.protocols.serverless import Peer, Revealed
from veilsum.protocols.session import client_name
from veilsum.protocols.sharing import Summed
from veilsum.shamir.authenticated import SignedShare, authentic, sign

CLIP = 32.0
"""Largest magnitude of a coefficient's update; every client clips to it."""
BOUND = 2 * CLIP
"""The encoding's bound, which leaves room for what adding to large weights rounds."""
TEST_PART = 0.2
EPOCHS, BATCH = 1, 16
STEP = 1.0
"""Step of local descent, over the mean squared norm of a row."""
REFERENCE_BITS = 44
BOOST = 10.0
"""How many times too long a scaled update is."""
NOISE = 1.0
"""Standard deviation of a random update, in standard deviations of the target."""
LIE = 0.1
"""Standard deviation of what a lying holder adds to its share of a coefficient of the average.

Every liar, coefficient and round has a draw of its own: equal lies could cancel each other.
"""
_BELIEVED = (UNCHECKED, WANDERING)
"""Faults under which the first K shares are opened as they are."""
_HOLDERS = 5
"""Key holders of threshold Paillier."""
PACES = 15
"""How often a round is timed, in turn with the rounds that it is compared with."""

Array = NDArray[np.float64]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """A regression problem made ready: standardised and split.

    Attributes
    ----------
    settings : Settings
        What was asked for.
    table : veilsum.learning.datasets.Dataset
        The raw table.
    X, X_test : ndarray of float64, shape (rows, features)
        Standardised columns, or their random Fourier features.
    y, y_test : ndarray of float64, shape (rows,)
        The standardised target.
    spread : float
        Standard deviation of the raw target, which turns errors into its units.
    """

    settings: Settings
    table: datasets.Dataset
    X: Array
    y: Array
    X_test: Array
    y_test: Array
    spread: float

    @property
    def coefficients(self) -> int:
        """Length of a model: a weight for each feature, and the intercept."""
        return len(self.X[0]) + 1

    @property
    def learning_rate(self) -> float:
        """Step of local descent; a Fourier row has norm 1, a standardised one its length's root."""
        return STEP / (2.0 if self.settings.features else self.coefficients)

    def rmse(self, weights: Array) -> float:
        """Return a model's error on the held-out rows, in units of the target."""
        errors = self.X_test @ weights[:-1] + weights[-1] - self.y_test
        return self.spread * float(np.sqrt(np.mean(errors**2)))


def prepare(settings: Settings) -> Problem:
    """Load, standardise and split the data that the settings name.

    Parameters
    ----------
    settings : Settings
        What to compare.

    Returns
    -------
    Problem
        What :func:`veilsum.experiments.compare.run` works on.

    Raises
    ------
    ValueError
        When there is no such data set, file or column, a cell is not a finite number, a column is
        too large to standardise, the target is constant, or there are fewer training rows than
        clients, or more than two clients may own, or the engine is not installed.
    """
    _require_engine(settings.engine)
    table = _table(settings)
    order = np.random.default_rng(settings.seed).permutation(len(table.y))
    held_out = max(round(TEST_PART * len(order)), 1)
    test, train = order[:held_out], order[held_out:]
    if len(train) < settings.clients:
        raise ValueError(
            f"clients: got {settings.clients}, but {table.name} has {len(order)} rows, of which "
            f"{len(train)} are left for training; every client needs one"
        )
    if len(train) > 2 * federated.MAX_ROWS:
        raise ValueError(
            f"dataset: {table.name} has {len(order)} rows; two clients may own "
            f"{federated.MAX_ROWS} each"
        )
    if not np.ptp(table.y[train]) > 0:
        raise ValueError(f"target: {table.target_name} is the same in all training rows")
    X, X_test, _ = _standardised(table.X[train], table.X[test], "the features")
    y, y_test, spread = _standardised(table.y[train], table.y[test], table.target_name)
    if settings.features:
        X, X_test = _fourier(settings, X, X_test)
    return Problem(
        settings=settings,
        table=table,
        X=X,
        y=y,
        X_test=X_test,
        y_test=y_test,
        spread=float(spread),
    )


def _require_engine(name: str) -> None:
    if name == FLOWER:
        try:
            require_simulation()
        except ImportError as error:
            raise ValueError(f"engine: {error}") from error


def _table(settings: Settings) -> datasets.Dataset:
    if not settings.dataset.endswith((".csv", ".csv.gz")):
        if settings.target is not None:
            raise ValueError(
                "target: a shipped data set has its own; give --target with a CSV file only"
            )
        return datasets.load(settings.dataset)
    if settings.target is None:
        raise ValueError("target: a CSV file needs one; name the column to predict with --target")
    return datasets.read_csv(Path(settings.dataset), target=settings.target)


def _standardised(train: Array, test: Array, name: str) -> tuple[Array, Array, Array]:
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = train.mean(axis=0), train.std(axis=0)
    if not np.all(np.isfinite(deviation)):
        raise ValueError(f"dataset: {name} has numbers too large to standardise")
    divisor = np.where(np.ptp(train, axis=0) > 0, deviation, 1.0)
    return (train - mean) / divisor, (test - mean) / divisor, divisor


def _fourier(settings: Settings, *parts: Array) -> tuple[Array, ...]:
    """Rahimi and Recht (2007): features whose products approximate a Gaussian kernel."""
    generator = np.random.default_rng(settings.seed)
    columns = parts[0].shape[1]
    directions = generator.normal(0, columns**-0.5, (columns, settings.features))
    phases = generator.uniform(0, 2 * np.pi, settings.features)
    norm = np.sqrt(2 / settings.features)
    return tuple(norm * np.cos(part @ directions + phases) for part in parts)


class Lab:
    """The problem, the keys that outlive a training, and how to run one.

    Parameters
    ----------
    problem : Problem
        From :func:`prepare`.
    progress : callable
        Called as ``progress(work, done, total)``.
    files : Path or None
        Where an engine that needs files keeps them; they are of no use afterwards.
    """

    def __init__(
        self, problem: Problem, progress: Progress = quiet, *, files: Path | None = None
    ) -> None:
        self.problem = problem
        self.settings = problem.settings
        self._progress = progress
        self._files = files
        self._trained: dict[Conditions, Run] = {}
        self._repeated: dict[Conditions, Ensemble] = {}

    def conditions(self, protocol: str, **varied: Any) -> Conditions:
        """Return the usual conditions of a protocol with some of them varied."""
        clients = varied.get("clients", self.settings.clients)
        usual = {
            "clients": clients,
            "shares": clients,
            "threshold": min(self.settings.shares_needed, clients),
            "digits": self.settings.precision,
        }
        return Conditions(protocol=protocol, **(usual | varied))

    def train_all(self, work: str, plan: Sequence[Conditions]) -> tuple[Run, ...]:
        """Train once under each of the conditions."""
        return tuple(self.train(conditions) for conditions in self.watched(work, plan))

    def train_all_on_engine(self, work: str, plan: Sequence[Conditions]) -> tuple[Run, ...]:
        """Train once under each of the conditions, on the engine that the settings ask for."""
        if self.settings.engine != FLOWER:
            return self.train_all(work, plan)
        with self._flower() as engine:
            return tuple(self._train_on(engine, what) for what in self.watched(work, plan))

    @contextmanager
    def _flower(self) -> Iterator[Engine]:
        if self._files is None:
            raise ValueError("files: got None, expected a directory for Flower's files")
        nodes = self.settings.clients + _HOLDERS  # more than any other protocol has
        with FlowerEngine(self._files).started(nodes=nodes) as engine:
            yield engine

    def repeat_all(self, work: str, plan: Sequence[Conditions]) -> tuple[Ensemble, ...]:
        """Train under each of the conditions with every seed, in plain arithmetic."""
        return tuple(self._repeat(conditions) for conditions in self.watched(work, plan))

    def watched(self, work: str, plan: Sequence[Item]) -> Iterator[Item]:
        """Yield what is planned, reporting progress."""
        for done, item in enumerate(plan):
            self._progress(work, done, len(plan))
            yield item
        self._progress(work, len(plan), len(plan))

    def train(self, conditions: Conditions) -> Run:
        """Train once under the protocol that the conditions name; asked again, answer again."""
        if conditions not in self._trained:
            machine = self._machine(conditions)
            self._trained[conditions] = self._train(conditions, machine, self.settings.seed)
        return self._trained[conditions]

    def pace_all(self, work: str, plan: Sequence[Conditions]) -> tuple[Pace, ...]:
        """Time rounds of random updates: one under each of the conditions, then all over again."""
        updates = np.random.default_rng(self.settings.seed).normal(
            size=(self.settings.clients, self.problem.coefficients)
        )
        spent: dict[Conditions, list[float]] = {conditions: [] for conditions in plan}
        for repetition in self.watched(work, range(PACES if plan else 0)):
            for conditions in plan[:: -1 if repetition % 2 else 1]:
                aggregate = self.aggregator(conditions).aggregate(
                    list(updates), encoding=_encoding(conditions)
                )
                seconds = {(name, str(part)): s for (name, part), s in aggregate.seconds.items()}
                parts = _by_party_and_phase(seconds, conditions.clients)
                spent[conditions].append(sum(parts.values()))
        return tuple(Pace(**asdict(what), seconds=tuple(took)) for what, took in spent.items())

    def open_signed(self, conditions: Conditions) -> SignedDealing:
        """Sign one client's dealing of a random update, alter rows of it, and open the others."""
        length = self.problem.coefficients + 1
        update = np.random.default_rng(self.settings.seed).normal(size=length)
        session = self.aggregator(conditions).open_session(
            range(conditions.clients), length=length, encoding=_encoding(conditions)
        )
        secret, key = session.encode(update), Ed25519PrivateKey.generate()
        dealt = shamir.split(secret, shares=conditions.shares, threshold=conditions.threshold)
        liars = self._liars(conditions, self.settings.seed)
        places = liars.positions(0)
        rows = liars.altered(dealt, 0, places, places)
        received = [
            replace(signed, share=row)
            for signed, row in zip(sign(dealt, key, context=session.id), rows, strict=True)
        ]
        return SignedDealing(
            **asdict(conditions), outcome=_opening(received, key, session.id, secret)
        )

    def _repeat(self, conditions: Conditions) -> Ensemble:
        if conditions not in self._repeated:
            self._repeated[conditions] = self._train_with_seeds(conditions)
        return self._repeated[conditions]

    def _train_with_seeds(self, conditions: Conditions) -> Ensemble:
        seeds = range(self.settings.seed, self.settings.seed + self.settings.seeds)
        runs = [
            self._train(conditions, _Arithmetic(self._liars(conditions, seed)), seed)
            for seed in seeds
        ]
        return Ensemble(
            **asdict(conditions),
            final=tuple(run.final for run in runs),
            roughness=tuple(roughness(run.rmse) for run in runs),
            slope=tuple(slope(run.rmse) for run in runs),
        )

    def _train(self, conditions: Conditions, machine: protocols.Aggregator, seed: int) -> Run:
        problem = self.problem
        encoding = _encoding(conditions)
        recorder, watched = _Recorder(conditions), _Watched(machine)
        start = np.zeros(problem.coefficients)
        rounds = federated.federated_averaging(
            start,
            self._clients(conditions, seed),
            rounds=self.settings.iterations,
            aggregator=watched,
            seed=seed,
            encoding=encoding,
            client_hook=recorder.hook,
            transports=self._liars(conditions, seed).transport,
        )
        models = [start, *(record.weights for record in rounds)]
        return Run(
            **asdict(conditions),
            rmse=tuple(map(problem.rmse, models)),
            aborted=watched.refused,
            deviation=recorder.deviation(models),
            deviation_bound=0.5 / encoding.scale,
            integers=_digest(rounds),
            sent=_mean_bytes(rounds, "client-") / conditions.clients,
            carried=_mean_bytes(rounds, ""),
            costs=costs(rounds, conditions.clients),
        )

    def _train_on(self, engine: Engine, conditions: Conditions) -> Run:
        """Train once elsewhere, which has to give what training here gives.

        Only the clients know the unrounded updates, from which the deviation is measured. As both
        trainings open the same integers, it is the same in both.
        """
        here = self.train(conditions)
        rounds = federated.federated_averaging(
            np.zeros(self.problem.coefficients),
            self._clients(conditions, self.settings.seed),
            rounds=self.settings.iterations,
            aggregator=self.aggregator(conditions),
            seed=self.settings.seed,
            encoding=_encoding(conditions),
            client_hook=_clipping,
            engine=engine,
        )
        if _digest(rounds) != here.integers:
            raise ProtocolError(
                f"{conditions.protocol}: the engine {self.settings.engine} opened other sums than "
                "this process"
            )
        return replace(
            here,
            rmse=(here.rmse[0], *(self.problem.rmse(record.weights) for record in rounds)),
            sent=_mean_bytes(rounds, "client-") / conditions.clients,
            carried=_mean_bytes(rounds, ""),
            costs=costs(rounds, conditions.clients),
            engine=self.settings.engine,
        )

    def _liars(self, conditions: Conditions, seed: int) -> _Liars:
        scale = LIE * _encoding(conditions).scale * len(self.problem.y)
        return _Liars(
            conditions=conditions,
            coefficients=self.problem.coefficients,
            scale=scale,
            seed=seed,
        )

    def _clients(self, conditions: Conditions, seed: int) -> list[LinearClient]:
        problem = self.problem
        return [
            LinearClient(
                X=problem.X[rows],
                y=problem.y[rows],
                epochs=EPOCHS,
                batch_size=BATCH,
                learning_rate=problem.learning_rate,
            )
            for rows in partition.iid(len(problem.y), conditions.clients, seed=seed)
        ]

    def _machine(self, conditions: Conditions) -> protocols.Aggregator:
        """Return what opens the sums; no protocol decodes together, which liars could abuse."""
        if conditions.fault == INTERLEAVED:
            return _Arithmetic(self._liars(conditions, self.settings.seed))
        return self.aggregator(conditions)

    def aggregator(self, conditions: Conditions) -> protocols.Aggregator:
        """Return the aggregator that the conditions ask for; each kind of Paillier has one key."""
        if conditions.protocol == "paillier":
            return self._paillier
        if conditions.protocol == "threshold_paillier":
            return self._threshold_paillier
        if conditions.protocol == "masking":
            return protocols.Masking(threads=self.settings.threads)
        if conditions.protocol != "sharing":
            return protocols.Plain()
        options: dict[str, Any] = {
            "threshold": conditions.threshold,
            "quorum": conditions.threshold,  # as in the paper: N - K holders may vanish at any time
            "holders": "clients" if conditions.clients_hold else conditions.shares,
            "field": field.P50,  # wide enough for lies to stay plausible
            "check": conditions.fault not in _BELIEVED,
            "max_errors": conditions.correctable,
            "threads": self.settings.threads,
        }
        if conditions.fault == "none":
            return protocols.Sharing(**options)
        return _Sharing(self._liars(conditions, self.settings.seed), **options)

    @cached_property
    def _paillier(self) -> protocols.Paillier:
        return protocols.Paillier(
            key_bits=self.settings.key_bits,
            insecure=self.settings.insecure,
            threads=self.settings.threads,
        )

    @cached_property
    def _threshold_paillier(self) -> protocols.ThresholdPaillier:
        return protocols.ThresholdPaillier(
            holders=_HOLDERS,
            threshold=3,
            key_bits=self.settings.key_bits,
            insecure=self.settings.insecure,
            threads=self.settings.threads,
        )

    def setup_seconds(self) -> tuple[tuple[str, float], ...]:
        """Return what each protocol spent once, before its first round."""
        names = self.settings.protocols
        return tuple((name, self.aggregator(self.conditions(name)).setup_seconds) for name in names)


def _opening(
    received: Sequence[SignedShare],
    key: Ed25519PrivateKey,
    context: bytes,
    secret: NDArray[np.int64],
) -> str:
    try:
        good, _ = authentic(received, key.public_key(), context=context)
    except InsufficientShares:
        return REFUSED
    return RIGHT if np.array_equal(shamir.reconstruct(good), secret) else WRONG


def _encoding(conditions: Conditions) -> FixedPoint:
    if conditions.protocol == REFERENCE:
        return FixedPoint.binary(REFERENCE_BITS, bound=BOUND)
    return FixedPoint.decimal(conditions.digits, bound=BOUND)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """A client that may attack, clips what it sends, and has it recorded."""

    client: LinearClient
    attack: str
    record: Callable[[Array, int], None]

    @property
    def rows(self) -> int:
        return self.client.rows

    def train(self, weights: Array, generator: np.random.Generator) -> Array:
        update = self.client.train(weights, generator) - weights
        model = weights + np.clip(_ATTACKED[self.attack](update, generator), -CLIP, CLIP)
        self.record(model - weights, self.rows)
        return model


_ATTACKED: Mapping[str, Callable[[Array, np.random.Generator], Array]] = {
    "none": lambda update, _: update,
    "label flip": lambda update, _: update,  # its labels are flipped, not its update
    "sign flip": lambda update, _: -update,
    "scaled": lambda update, _: BOOST * update,
    "random": lambda update, generator: generator.normal(0, NOISE, update.shape),
}


def _clipping(index: int, client: federated.Client) -> _Member:  # noqa: ARG001
    """Return the honest member that a client is, which can be shipped to where it trains."""
    if not isinstance(client, LinearClient):
        raise TypeError(f"client: got {type(client).__name__}, expected LinearClient")
    return _Member(client=client, attack="none", record=_forget)


def _forget(update: Array, rows: int) -> None:
    """Record nothing."""


class _Recorder:
    """Turns some clients malicious, and keeps each round's average of the unrounded updates."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self._sums: list[Array] = []
        self._rows: list[int] = []
        self._seen = 0

    def hook(self, index: int, client: federated.Client) -> _Member:
        if not isinstance(client, LinearClient):
            raise TypeError(f"client: got {type(client).__name__}, expected LinearClient")
        attack = self._conditions.attack if index < self._conditions.malicious else "none"
        if attack == "label flip":
            client = replace(client, y=-client.y)
        return _Member(client=client, attack=attack, record=self._note)

    def _note(self, update: Array, rows: int) -> None:
        if self._seen % self._conditions.clients == 0:
            self._sums.append(np.zeros_like(update))
            self._rows.append(0)
        self._sums[-1] += rows * update
        self._rows[-1] += rows
        self._seen += 1

    def deviation(self, models: Sequence[Array]) -> tuple[float, ...]:
        """Return, round by round, how far the opened average is from the recorded one."""
        steps = np.diff(models, axis=0)
        pairs = zip(steps, self._sums, self._rows, strict=True)
        return tuple(float(np.abs(step - total / rows).max()) for step, total, rows in pairs)


class _Watched(protocols.Aggregator):
    """An aggregator whose refusals are counted, and keep the model."""

    name = "watched"
    messages = ()

    def __init__(self, machine: protocols.Aggregator) -> None:
        self._machine = machine
        self.refused = 0

    def capacity_for(self, encoding: FixedPoint, roster: Sequence[int]) -> int:
        return self._machine.capacity_for(encoding, roster)

    def threshold_for(self, roster: Sequence[int]) -> int:
        return self._machine.threshold_for(roster)

    def server(
        self, session: protocols.Session, name: str, credentials: protocols.Credentials
    ) -> protocols.Party:
        return self._machine.server(session, name, credentials)

    def client(
        self,
        session: protocols.Session,
        client: int,
        update: ArrayLike | None,
        credentials: protocols.Credentials,
    ) -> protocols.Contributor:
        return self._machine.client(session, client, update, credentials)

    def aggregate(self, updates: Any, **options: Any) -> protocols.Aggregate:
        try:
            return self._machine.aggregate(updates, **options)
        except (DecodingError, ProtocolError):
            self.refused += 1
            return _opened(_unmoved(updates), updates)


def _unmoved(updates: Mapping[int, NDArray[Any]]) -> NDArray[np.int64]:
    integers = np.zeros_like(next(iter(updates.values())))
    integers[-1] = len(updates)  # the weights, without which there is no average
    return integers


@dataclass(frozen=True, slots=True, kw_only=True)
class _Liars:
    """Which holders fail in a round, and how they alter their shares of a sum.

    A lie is small enough for the sum to stay plausible; the weights, which come last, are left
    alone.
    """

    conditions: Conditions
    coefficients: int
    scale: float
    seed: int

    def positions(self, index: int) -> list[int]:
        """Return the failing holders of a round: the first, or drawn anew every round."""
        faulty = self.conditions.faulty
        if self.conditions.fault != WANDERING:
            return list(range(faulty))
        generator = np.random.default_rng([self.seed, index])
        return sorted(generator.choice(self.conditions.shares, faulty, replace=False).tolist())

    def names(self, index: int) -> dict[str, int]:
        """Return the failing holders of a round: their positions by the names of the parties."""
        places = self.positions(index)
        if self.conditions.clients_hold:
            return {f"client-{place}": place for place in places}
        return {f"holder-{place + 1}": place for place in places}

    def altered(
        self, shares: shamir.Shares, index: int, rows: Sequence[int], places: Sequence[int]
    ) -> shamir.Shares:
        """Return the shares with lies in these rows, which belong to the holders at `places`."""
        values = shares.values.copy()
        digits = values.shape[-1] // (self.coefficients + 1)
        lied = slice(0, self.coefficients * digits, digits)  # the low digit of each coefficient
        for row, place in zip(rows, places, strict=True):
            generator = np.random.default_rng([self.seed, index, place + 1])
            lies = np.rint(generator.normal(0, self.scale, self.coefficients)).astype(np.int64)
            values[row, lied] = shares.field.add(values[row, lied], shares.field.residues(lies))
        return shares.with_values(values)

    def transport(self, index: int) -> protocols.InMemoryTransport:
        """Return the transport of a round, on which the failing holders' sums are lost or lie.

        Peers lie in a `_LyingPeer`, before they commit to their sums.
        """
        names = self.names(index)

        def fails(message: protocols.Message) -> bool:
            gone = message.sender in names or message.recipient in names
            return isinstance(message, Summed | Revealed) and gone

        def lie(message: protocols.Message) -> protocols.Message:
            if isinstance(message, Summed) and message.sender in names:
                lied = self.altered(message.shares, index, [0], [names[message.sender]])
                return replace(message, shares=lied)
            return message

        if self.conditions.fault == MISSING:
            return protocols.InMemoryTransport(drop=fails)
        return protocols.InMemoryTransport(lie=lie)


class _Sharing(protocols.Sharing):
    """Sharing in which the peers among the failing holders alter their sums."""

    def __init__(self, liars: _Liars, **options: Any) -> None:
        super().__init__(**options)
        self._failing = liars

    def client(
        self,
        session: protocols.Session,
        client: int,
        update: ArrayLike | None,
        credentials: protocols.Credentials,
    ) -> protocols.Contributor:
        lies = self._failing.conditions.fault not in ("none", MISSING)
        if not lies or client_name(client) not in self._failing.names(session.round):
            return super().client(session, client, update, credentials)
        members = self.committee(session)
        return _LyingPeer(self._failing, session, members, client, update, credentials)


class _LyingPeer(Peer):
    """A peer that commits to an altered sum, and reveals it."""

    def __init__(self, liars: _Liars, *party: Any) -> None:
        super().__init__(*party)
        self._as_liar = liars

    def total(self, survivors: Collection[int]) -> shamir.Shares:
        index = self.session.round
        place = self._as_liar.names(index)[self.name]
        return self._as_liar.altered(super().total(survivors), index, [0], [place])


class _Arithmetic(protocols.Plain):
    """Opens the integers that the conditions' protocol opens, without its messages.

    Under lying holders it shares and rebuilds the sum itself: sharing is linear, so that the sum's
    shares are what the holders' sums of shares are.
    """

    def __init__(self, liars: _Liars) -> None:
        super().__init__()
        self._liars = liars

    def aggregate(self, updates: Any, **options: Any) -> protocols.Aggregate:
        encoding: FixedPoint = options["encoding"]
        total = np.sum([encoding.quantise(update) for update in updates.values()], axis=0)
        if self._liars.conditions.fault != "none":
            total = self._rebuilt(total, encoding, len(updates), options["round"])
        return _opened(total, updates)

    def _rebuilt(
        self, total: NDArray[Any], encoding: FixedPoint, summands: int, index: int
    ) -> NDArray[Any]:
        conditions = self._liars.conditions
        limit = summands * encoding.limit
        digits = Digits.for_sum(limit=limit, summands=1, capacity=field.P50.limit)
        shares = shamir.split(
            digits.split(total).reshape(-1),
            shares=conditions.shares,
            threshold=conditions.threshold,
            bound=digits.digit_limit,
        )
        liars = self._liars.positions(index)
        sums = shamir.reconstruct(
            self._liars.altered(shares, index, liars, liars),
            max_errors=conditions.correctable,
            interleaved=conditions.fault == INTERLEAVED and conditions.correctable > 0,
            check=conditions.fault not in _BELIEVED,
        )
        places = np.array([1 << digits.width * place for place in range(digits.count)], object)
        return np.asarray((sums.reshape(-1, digits.count) * places).sum(axis=-1))


def _opened(integers: NDArray[Any], updates: Mapping[int, NDArray[Any]]) -> protocols.Aggregate:
    return protocols.Aggregate(
        sum=integers.astype(np.float64),
        integers=integers,
        survivors=tuple(sorted(updates)),
        seconds={},
        bytes={},
        session_id=b"",
    )


def _digest(rounds: Sequence[federated.Round]) -> str:
    digest = hashlib.sha256()
    for record in rounds:
        digest.update(repr(record.integers.tolist()).encode())
    return digest.hexdigest()


def _mean_bytes(rounds: Sequence[federated.Round], sender: str) -> float:
    return fmean(
        sum(count for link, count in record.bytes.items() if link[0].startswith(sender))
        for record in rounds
    )


def costs(rounds: Sequence[federated.Round], clients: int) -> tuple[Cost, ...]:
    """Return seconds by party and phase: the mean client's, and those of all servers together."""
    spent = [_by_party_and_phase(record.seconds, clients) for record in rounds]
    return tuple(
        Cost(party=party, phase=phase, seconds=tuple(one.get((party, phase), 0.0) for one in spent))
        for party in PARTIES
        for phase in PHASES
        if any((party, phase) in one for one in spent)
    )


def _by_party_and_phase(
    seconds: Mapping[tuple[str, str], float], clients: int
) -> dict[tuple[str, str], float]:
    sums: defaultdict[tuple[str, str], float] = defaultdict(float)
    for (name, phase), spent in seconds.items():
        if name.startswith("client-"):
            sums["client", phase] += spent / clients
        else:
            sums["server", phase] += spent
    return sums
