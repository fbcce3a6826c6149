"""A run made ready: who has which tasks, what is held out, and how it is meta-learnt."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from veilsum import protocols
from veilsum.experiments.meta.settings import (
    ALPHABET,
    CLASS,
    DIRICHLET,
    IMAGES,
    OMNIGLOT,
    SINUSOIDS,
    SLICES,
    TABLE,
    Settings,
)
from veilsum.experiments.side_by_side import machines
from veilsum.learning import datasets, omniglot, partition
from veilsum.learning.adaptation import Algorithm, FineTuning
from veilsum.learning.federated import Pace
from veilsum.learning.images import ImageClasses
from veilsum.learning.maml import MAML
from veilsum.learning.matching import Matching, MatchingNetwork, Prototypes
from veilsum.learning.moments import Scaling
from veilsum.learning.network import SGD, Adam, Network, Optimizer, conv4, mlp
from veilsum.learning.probabilistic import AmortisedClassifier, BayesianRegression
from veilsum.learning.reptile import Reptile
from veilsum.learning.sources import ImageTasks, Sinusoids, TableTasks
from veilsum.learning.tasks import Tasks

__all__ = ["Problem", "Recipe", "prepare"]

_OMNIGLOT_TRAIN = 1200
"""Of 1623 characters, as Santoro et al. (2016) and most since."""
_TRAIN_PART = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A way to meta-learn: the client's algorithm, and how the server follows its updates."""

    algorithm: Algorithm
    server: Optimizer = field(default_factory=lambda: SGD(1.0))
    pace: Pace = "constant"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Population:
    """Tasks: each client's own, those of all clients together, and others that none has.

    `queries` is how many examples judge a held-out task, of each class in a classification, and
    `digest` tells files apart that were read.
    """

    clients: tuple[Tasks, ...]
    everybody: Tasks
    held_out: Tasks
    queries: int
    facts: tuple[tuple[str, str], ...]
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """What a run works on.

    Attributes
    ----------
    settings : Settings
        What was asked for.
    population : Population
        The tasks.
    recipe : Recipe
        How they are learnt.
    machines : mapping of str to Aggregator
        What sums, by protocol.
    """

    settings: Settings
    population: Population
    recipe: Recipe
    machines: Mapping[str, protocols.Aggregator]

    @property
    def merit(self) -> str:
        """The figure of merit: "accuracy" of classifications, "mse" of regressions."""
        return "accuracy" if self.settings.kind == IMAGES else "mse"

    @property
    def centralised(self) -> Recipe:
        """The same work a round by one client: the tasks of all who are asked in each step."""
        algorithm: Any = self.recipe.algorithm
        tasks = self.settings.per_round * self.settings.meta_batch
        return replace(self.recipe, algorithm=replace(algorithm, tasks=tasks))


def prepare(settings: Settings) -> Problem:
    """Load the tasks, deal them out to clients and hold some out.

    Parameters
    ----------
    settings : Settings
        What to run.

    Returns
    -------
    Problem
        What :func:`veilsum.experiments.meta.run.run` works on.

    Raises
    ------
    ValueError
        When a file cannot be read, there are too few classes, images or rows for the clients, or a
        protocol opens no sum of so few clients.
    """
    population = _POPULATIONS[settings.kind](settings)
    network = _NETWORKS[settings.kind](settings, population)
    problem = Problem(
        settings=settings,
        population=population,
        recipe=_RECIPES[settings.algorithm](settings, network),
        machines=machines(
            settings.protocols,
            clients=settings.per_round,
            wait_for=settings.wait_for,
            key_bits=settings.key_bits,
            insecure=settings.insecure,
            threads=settings.threads,
        ),
    )
    _require_enough(problem)
    return problem


def _require_enough(problem: Problem) -> None:
    """Let every source draw once, so that one with too little says so before any work."""
    settings, population = problem.settings, problem.population
    algorithm: Any = problem.recipe.algorithm
    generator = np.random.default_rng(0)
    for tasks in (*population.clients, population.everybody):
        tasks.draw(generator, 1, shots=algorithm.shots, queries=getattr(algorithm, "queries", 0))
    population.held_out.draw(generator, 1, shots=settings.shots, queries=population.queries)


def _sinusoids(settings: Settings) -> Population:
    everybody = Sinusoids()
    sliced = settings.split == SLICES
    parts = everybody.slices(settings.clients) if sliced else [everybody] * settings.clients
    dealt = "each client has its own slice of the phases" if sliced else "all clients have all"
    return Population(
        clients=tuple(parts),
        everybody=everybody,
        held_out=everybody,
        queries=50,
        facts=(
            ("Tasks", "Sinusoids of amplitudes 0.1 to 5 and phases 0 to π (Finn et al. 2017)"),
            ("Dealt out", dealt),
            ("Held out", "newly drawn amplitudes and phases of all slices"),
        ),
    )


def _table(settings: Settings) -> Population:
    table = datasets.load(settings.tasks)
    groups = TableTasks.of(table)
    count = round(_TRAIN_PART * len(groups))
    shuffled = np.random.default_rng(settings.seed).permutation(len(groups))
    rows = np.concatenate([groups.groups[group] for group in shuffled[:count]])
    scaling = Scaling.of_rows(np.column_stack([table.X, table.y])[rows])
    groups = TableTasks.of(table, scaling=scaling)
    train, test = groups.take(shuffled[:count]), groups.take(shuffled[count:])
    parts = partition.iid(len(train), settings.clients, seed=settings.seed)
    least = min(map(len, groups.groups))
    return Population(
        clients=tuple(train.take(part) for part in parts),
        everybody=train,
        held_out=test,
        queries=max(min(20, least - settings.shots), 1),
        facts=(
            ("Tasks", f"groups of rows of {table.name}, predicting {table.target_name}"),
            ("Licence", table.licence or "of its owner"),
            ("Dealt out", f"{len(train)} groups"),
            ("Held out", f"{len(test)} other groups"),
            ("Scaling", "by means and deviations of the groups that are dealt out, as if public"),
        ),
    )


def _images(settings: Settings) -> Population:
    shipped = settings.tasks == OMNIGLOT
    classes = omniglot.load(None if shipped else settings.tasks)
    count = _OMNIGLOT_TRAIN if shipped else round(_TRAIN_PART * len(classes))
    train, test = classes.split(count, seed=settings.seed)

    def tasks(some: ImageClasses, *, rotations: bool = shipped) -> ImageTasks:
        return ImageTasks(classes=some, ways=settings.ways, rotations=rotations)

    parts = [train.take(part) for part in _parts(settings, train)]
    sizes = sorted(len(part) for part in parts)
    dealt = settings.split + (f" (α = {settings.alpha:g})" if settings.split == DIRICHLET else "")
    return Population(
        clients=tuple(map(tasks, parts)),
        everybody=tasks(train),
        held_out=tasks(test, rotations=False),
        queries=max(min(15, int(test.counts.min()) - settings.shots), 1),
        facts=(
            ("Tasks", f"{settings.ways} classes of {'Omniglot' if shipped else settings.tasks}"),
            ("Licence", classes.licence or "of its owner"),
            (
                "Dealt out",
                f"{len(train):,} classes{' in 4 rotations' if shipped else ''} by "
                f"{dealt}: {sizes[0]:,} to {sizes[-1]:,} a client",
            ),
            ("Held out", f"{len(test):,} other classes"),
        ),
        digest=hashlib.sha256(classes.images.tobytes() + classes.counts.tobytes()).hexdigest(),
    )


def _parts(settings: Settings, train: ImageClasses) -> list[Any]:
    clients, seed, least = settings.clients, settings.seed, settings.ways
    if settings.split == CLASS:
        return partition.iid(len(train), clients, seed=seed)
    if settings.split == ALPHABET:
        return partition.by_label(train.groups, clients, seed=seed, minimum=least)
    return partition.dirichlet(
        train.groups, clients, alpha=settings.alpha, seed=seed, bins=None, minimum=least
    )


def _perceptron(settings: Settings, population: Population) -> Network:
    inputs = population.everybody.draw(np.random.default_rng(0), 1, shots=1, queries=0).support.x
    outputs = None if settings.algorithm == "bayesian" else 1
    return mlp(inputs=inputs.shape[-1], outputs=outputs)


def _convolutions(settings: Settings, population: Population) -> Network:
    images = population.everybody.draw(np.random.default_rng(0), 1, shots=1, queries=0).support.x
    features = settings.algorithm in ("matching", "prototypes", "amortised")
    return conv4(
        outputs=None if features else settings.ways,
        side=images.shape[-2],
        channels=images.shape[-1],
    )


def _reptile(settings: Settings, network: Network) -> Recipe:
    """Nichol et al.: Adam without momentum on Omniglot, and a step that falls to nothing."""
    images = settings.kind == IMAGES
    inner = Adam(3e-3, beta1=0.0) if images else SGD(0.01)
    return Recipe(
        algorithm=Reptile(
            network=network,
            shots=2 * settings.shots if images else settings.shots,
            tasks=settings.meta_batch,
            iterations=settings.iterations,
            inner=FineTuning(optimizer=inner, steps=5 if images else 10),
            final=FineTuning(optimizer=inner, steps=50),
        ),
        pace="linear",
    )


def _maml(settings: Settings, network: Network) -> Recipe:
    """Finn et al.: a step on the whole support set, ten at the end.

    Their outer rule is Adam, which has its place at the server where a client takes one step a
    round. Images take several, of plain descent, and the server averages.
    """
    images = settings.kind == IMAGES
    inner = SGD(0.4 if images else 0.01)
    return Recipe(
        algorithm=MAML(
            network=network,
            order=2 if settings.algorithm == "maml" else 1,
            shots=settings.shots,
            queries=settings.shots,
            tasks=settings.meta_batch,
            iterations=settings.iterations,
            outer=SGD(0.1 if images else 0.01),
            inner=FineTuning(optimizer=inner, steps=1, batch=None),
            final=FineTuning(optimizer=inner, steps=10, batch=None),
        ),
        server=SGD(1.0) if images else Adam(1e-2),
    )


def _bayesian(settings: Settings, network: Network) -> Recipe:
    return Recipe(
        algorithm=BayesianRegression(
            network=network,
            shots=settings.shots,
            tasks=settings.meta_batch,
            iterations=settings.iterations,
            outer=Adam(3e-3),
        )
    )


def _amortised(settings: Settings, network: Network) -> Recipe:
    return Recipe(
        algorithm=AmortisedClassifier(
            network=network,
            shots=settings.shots,
            queries=settings.shots,
            tasks=settings.meta_batch,
            iterations=settings.iterations,
        )
    )


def _matching(settings: Settings, network: Network) -> Recipe:
    return Recipe(
        algorithm=MatchingNetwork(
            network=network,
            head=Prototypes() if settings.algorithm == "prototypes" else Matching(),
            shots=settings.shots,
            queries=settings.shots,
            tasks=settings.meta_batch,
            iterations=settings.iterations,
        )
    )


_POPULATIONS: Mapping[str, Callable[[Settings], Population]] = {
    SINUSOIDS: _sinusoids,
    TABLE: _table,
    IMAGES: _images,
}
_NETWORKS: Mapping[str, Callable[[Settings, Population], Network]] = {
    SINUSOIDS: _perceptron,
    TABLE: _perceptron,
    IMAGES: _convolutions,
}
_RECIPES: Mapping[str, Callable[[Settings, Network], Recipe]] = {
    "reptile": _reptile,
    "maml": _maml,
    "fomaml": _maml,
    "bayesian": _bayesian,
    "amortised": _amortised,
    "matching": _matching,
    "prototypes": _matching,
}
