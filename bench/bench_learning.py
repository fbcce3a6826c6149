"""Time what learning costs: convolutions, meta-learning, and the part of protection in a round.

Everything runs on one core with one thread of BLAS. A peer named "veilsum" is another of our own
ways to the same answer: its ratio says what the first one saves.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from typing import Any

import numpy as np
from harness import Bench, Side, arguments, in_new_process, use_cores
from learning_peers import torch_networks
from numpy.typing import NDArray

from veilsum.learning import FederatedMetaLearner, omniglot, partition
from veilsum.learning.adaptation import FineTuning
from veilsum.learning.federated import MAX_ROWS, UPDATE_ENCODING
from veilsum.learning.meta import figures
from veilsum.learning.network import Adam, CrossEntropy, Network, conv4
from veilsum.learning.network.convolutions import Convolution, WinogradConvolution
from veilsum.learning.reptile import Reptile
from veilsum.learning.sources import ImageTasks
from veilsum.paillier import keygen
from veilsum.protocols import Masking, Paillier, Sharing, WeightedMean, average

BATCH = 10
TOLERANCE = 1e-4

SEED = 1
TRAINING_CLASSES = 1200
TRAINING_SECONDS = 99.0
WARMING_ROUNDS = 20
EPISODES, QUERIES = 40, 3
CHANCE = 80.0  # per cent of wrong answers, of five classes

CLIENTS = 4
EPISODES_OF_A_ROUND = 1000
KEY_BITS = 3072

Gradient = NDArray[np.floating[Any]]


# ---- Convolutions


def bench_conv4(bench: Bench) -> None:
    """Time forward and backward passes of the Omniglot network, on images that decide no tie."""
    generator = np.random.default_rng(20240917)
    images = generator.random((BATCH, 28, 28, 1), dtype=np.float32)
    labels = generator.integers(0, 5, size=BATCH)
    parameters = conv4(outputs=5).initial(seed=1)
    exact = gradient(conv4(outputs=5, dtype=np.float64), parameters, images, labels)

    def is_right(found: Gradient) -> bool:
        return bool(np.linalg.norm(found - exact) < TOLERANCE * np.linalg.norm(exact))

    # One thread's seconds of the processor: others who use the machine do not count.
    side: Callable[..., Side[Any]] = partial(
        Side, items=BATCH, calls=5 if bench.quick else 40, clock=time.process_time
    )
    mine = partial(gradient, conv4(outputs=5), parameters, images, labels)
    ours = side(name="veilsum", run=mine, verify=is_right)
    plain = partial(gradient, without_winograd(conv4(outputs=5)), parameters, images, labels)
    peers = [side(name="veilsum, without Winograd", run=plain, verify=is_right)]
    for network in torch_networks(bench.threads):
        passes = network.gradient(parameters, images, labels)
        peers.append(side(name=network.name, run=passes, verify=lambda read: is_right(read())))
    for peer in peers:
        bench.time(f"conv4 forward and backward, batch {BATCH}, an image", ours, peer, unit="ms")


def gradient(
    network: Network, parameters: Gradient, images: Gradient, labels: NDArray[np.int64]
) -> Gradient:
    """Return the gradient of one task."""
    one = np.newaxis
    _, found = network.gradient(parameters[one], images[one], labels[one], CrossEntropy())
    return np.asarray(found[0])


def without_winograd(network: Network) -> Network:
    """Return the same network with plain convolutions."""
    layers = [
        Convolution(**{field.name: getattr(layer, field.name) for field in fields(layer)})
        if isinstance(layer, WinogradConvolution)
        else layer
        for layer in network.layers
    ]
    return replace(network, layers=tuple(layers))


# ---- Meta-learning on Omniglot


def bench_omniglot(bench: Bench) -> None:
    """Meta-learn by Reptile for so many seconds of the processor; count wrong answers."""
    budget = 1.0 if bench.quick else TRAINING_SECONDS
    episodes = 2 if bench.quick else EPISODES
    known, unknown = omniglot.load().split(TRAINING_CLASSES, seed=SEED)
    source, held_out = ImageTasks(classes=known, rotations=True), ImageTasks(classes=unknown)
    rule = Adam(3e-3, beta1=0.0)
    algorithm = Reptile(
        network=conv4(outputs=5),
        tasks=5,
        iterations=1,
        inner=FineTuning(optimizer=rule, steps=5),
        final=FineTuning(optimizer=rule, steps=50),
    )
    start = time.process_time()
    warming = 2 if bench.quick else WARMING_ROUNDS
    reptile(algorithm, rounds=warming).fit([source])
    pace = (time.process_time() - start) / warming
    start = time.process_time()
    trained = reptile(algorithm, rounds=max(int(budget / pace), 1)).fit([source]).parameters_
    spent = time.process_time() - start

    def wrong(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        judged = figures(
            algorithm, parameters, held_out, episodes=episodes, shots=5, queries=QUERIES, seed=SEED
        )
        return 100 * (1 - judged["accuracy"])

    ours, untrained = wrong(trained), wrong(algorithm.initial(seed=SEED))
    asked = episodes * QUERIES * 5
    # A ratio needs a wrong answer: none counts as one.
    bench.record(
        f"wrong answers of {asked}, 5-way 5-shot, {spent:.0f} s of Reptile on {len(known)} classes",
        "%",
        max(float(ours.mean()), 100 / asked),
        "untrained",
        float(untrained.mean()),
        verified=len(ours) == len(untrained) == episodes and bool(ours.mean() < CHANCE),
    )


def reptile(algorithm: Reptile, *, rounds: int) -> FederatedMetaLearner:
    """Return one client's meta-learning, whose steps fall evenly to nothing."""
    return FederatedMetaLearner(algorithm, "plain", rounds=rounds, pace="linear", random_state=SEED)


# ---- The part of protection in a round


def bench_protection(bench: Bench) -> None:
    """Let clients train for one round, and sum what they learnt under each protocol."""
    known, _ = omniglot.load().split(TRAINING_CLASSES, seed=SEED)
    parts = partition.iid(len(known), CLIENTS, seed=SEED)
    clients = [ImageTasks(classes=known.take(part), rotations=True) for part in parts]
    episodes = 5 if bench.quick else EPISODES_OF_A_ROUND
    algorithm = Reptile(network=conv4(outputs=5), tasks=5, iterations=episodes // 5, rate=0.1)
    initial = algorithm.initial(seed=SEED)
    start = time.process_time()
    updates = [
        algorithm.train(initial, tasks, np.random.default_rng(index)) - initial
        for index, tasks in enumerate(clients)
    ]
    training = time.process_time() - start
    mean = WeightedMean(encoding=UPDATE_ENCODING, max_weight=MAX_ROWS)
    weights = [tasks.rows for tasks in clients]
    exact = np.average(updates, axis=0, weights=weights)
    keys = keygen(bits=KEY_BITS)
    for aggregator in (Masking(), Sharing(), Paillier(keys=keys)):
        start = time.process_time()
        opened = average(updates, weights, aggregator=aggregator, mean=mean)
        protection = time.process_time() - start
        bench.record(
            f"a round of {CLIENTS} clients x {episodes} episodes, {algorithm.size} parameters, "
            f"{type(aggregator).__name__}",
            "s",
            protection,
            "its training",
            training,
            verified=bool(np.abs(opened.mean - exact).max() <= 0.501 / UPDATE_ENCODING.scale),
        )


# ---- All of them


def run(options: argparse.Namespace) -> None:
    """Answer the questions one by one."""
    use_cores(options.threads)
    bench = Bench(options, peers=("torch",))
    questions = (bench_conv4, bench_omniglot, bench_protection)
    for question in questions:
        question(bench)
    bench.finish()


def main() -> None:
    """Run the bench where BLAS has been told its threads before NumPy loads it."""
    options = arguments(__doc__)
    in_new_process({"OPENBLAS_NUM_THREADS": str(options.threads)}, run, options)


if __name__ == "__main__":
    main()
