"""The command `veilsum meta`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Annotated, Any

import typer

from veilsum.cli.endings import FAILED, failures, say, stop, usage_errors
from veilsum.cli.names import Algorithm, Protocol, Split, directory
from veilsum.cli.terminal import print_tables, progress
from veilsum.errors import InsecureKeyWarning
from veilsum.experiments.meta import report, run
from veilsum.experiments.meta.problem import prepare
from veilsum.experiments.meta.settings import FREE, USUAL_PROTOCOLS, Settings
from veilsum.experiments.meta.state import saved_settings
from veilsum.experiments.options import PROTOCOLS
from veilsum.experiments.output import REPORT, Draft, reserved
from veilsum.learning import datasets

__all__ = ["meta"]

_FEW = 40
_EXAMPLES = {"sinusoids": "sinusoids", "tables": "concrete", "images": "omniglot"}
_TABLES = ", ".join(datasets.names())


def _usual(name: str) -> str:
    """Return the default of an option, for each kind of tasks where they differ."""
    values = {kind: getattr(Settings.of({"tasks": one}), name) for kind, one in _EXAMPLES.items()}
    if len(set(values.values())) == 1:
        return str(values["sinusoids"])
    return ", ".join(f"{kind} {value}" for kind, value in values.items())


def _number(text: str, *, of: str = "", usual: str = "") -> Any:
    """Return an option that takes a number; its default is that of a setting, or said in words."""
    return typer.Option(metavar="N", help=text, show_default=usual or _usual(of))


def meta(
    tasks: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FOLDER|NPZ",
            help=f"sinusoids, omniglot, {_TABLES}; or a folder of PNGs, or an .npz of images.",
            show_default="sinusoids",
        ),
    ] = None,
    algorithm: Annotated[
        Algorithm | None,
        typer.Option(
            metavar="NAME",
            help=f"{', '.join(Algorithm)}.",
            show_default="maml for regressions, reptile for images",
        ),
    ] = None,
    protocol: Annotated[
        list[Protocol] | None,
        typer.Option(
            metavar="NAME",
            help=f"{', '.join(PROTOCOLS)}; give it again for more.",
            show_default=", ".join(USUAL_PROTOCOLS),
        ),
    ] = None,
    clients: Annotated[int | None, _number("Clients there are.", of="clients")] = None,
    per_round: Annotated[
        int | None, _number("Clients asked each round, M_round.", of="per_round")
    ] = None,
    wait_for: Annotated[
        int | None,
        _number("How many of them are waited for, M_min.", usual="all that are asked"),
    ] = None,
    split: Annotated[
        Split | None,
        typer.Option(
            metavar="NAME",
            help="How tasks are dealt out. Images: class, alphabet, dirichlet; sinusoids: slices "
            "of the phases, or even; tables: groups.",
            show_default="the first of these",
        ),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Concentration of --split dirichlet; small is uneven.",
            show_default=_usual("alpha"),
        ),
    ] = None,
    rounds: Annotated[int | None, _number("Federated rounds.", of="rounds")] = None,
    iterations: Annotated[
        int | None, _number("Steps of a client in a round.", of="iterations")
    ] = None,
    meta_batch: Annotated[int | None, _number("Tasks of a step.", of="meta_batch")] = None,
    ways: Annotated[int | None, _number("Classes of a task of images.", usual="5")] = None,
    shots: Annotated[
        int | None,
        _number("Examples of a class, or of a regression, that a task is learnt from.", of="shots"),
    ] = None,
    episodes: Annotated[
        int | None, _number("Held-out tasks that models are judged by.", of="episodes")
    ] = None,
    key_bits: Annotated[
        int | None,
        _number("Paillier modulus: 2048 or 3072 (1024 is insecure and warns).", of="key_bits"),
    ] = None,
    seed: Annotated[
        int | None, _number("Seed of splits, tasks and batches, never of a secret.", of="seed")
    ] = None,
    processes: Annotated[
        int | None,
        _number("Processes in which clients train, of one thread each.", of="processes"),
    ] = None,
    threads: Annotated[int | None, _number("Threads of the C++ core.", usual="all cores")] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with unfinished work in the output directory."),
    ] = False,
    output: Annotated[
        str, typer.Option(metavar="DIR", help="Directory for the report, plots and data.")
    ] = "veilsum-meta",
) -> None:
    """Meta-learn across clients, and compare federated, centralised and untrained networks.

    The clients train once, and every protocol sums all their updates, each round: the same model,
    and what its protection took. Prints tables and writes report.html, results.json and plots to
    the output directory, at the end. What is needed to go on after an interruption is kept in its
    folder "unfinished" until then.
    """
    given = {
        "tasks": tasks,
        "algorithm": algorithm and str(algorithm),
        "protocols": tuple(map(str, protocol)) if protocol else None,
        "clients": clients,
        "per_round": per_round,
        "wait_for": wait_for,
        "split": split and str(split),
        "alpha": alpha,
        "rounds": rounds,
        "iterations": iterations,
        "meta_batch": meta_batch,
        "ways": ways,
        "shots": shots,
        "episodes": episodes,
        "key_bits": key_bits,
        "seed": seed,
        "processes": processes,
        "threads": threads,
    }
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", InsecureKeyWarning)
        draft: Draft | None = None
        stack.enter_context(failures(interrupted=lambda: _left(draft)))
        with usage_errors():
            settings = None if resume else Settings.of(given)
            draft = stack.enter_context(reserved(directory(output), report.kind(), resume=resume))
            settings = settings or _resumed(draft, given)
            problem = prepare(settings)
        for doubt in _doubts(settings):
            say(f"warning: {doubt}")
        with progress() as bars:
            results = run.run(problem, progress=bars, unfinished=draft.unfinished)
            with usage_errors():
                draft.check()
            draft.write(lambda folder: report.fill(folder, results, progress=bars))
    print_tables(report.summary(results), f"The report: {draft.output / REPORT}")
    if results.wrong:
        stop(f"wrong sums were opened under {', '.join(results.wrong)}; this is a bug", FAILED)


def _doubts(settings: Settings) -> Iterator[str]:
    if settings.insecure:
        yield f"{settings.key_bits}-bit Paillier keys are insecure; only try things out so"
    if settings.episodes < _FEW:
        yield f"{settings.episodes} episodes say little; use --episodes {_FEW} or more"


def _resumed(draft: Draft, given: dict[str, Any]) -> Settings:
    strange = [name for name, value in given.items() if value is not None and name not in FREE]
    if strange:
        option = {"protocols": "protocol"}.get(strange[0], strange[0]).replace("_", "-")
        raise ValueError(
            f"resume: goes on with the settings in {draft.output}; leave --{option} out"
        )
    return saved_settings(draft.unfinished, **{name: given[name] for name in FREE})


def _left(draft: Draft | None) -> str:
    """Say what an interrupted run leaves."""
    if draft is None or not draft.unfinished.exists:
        return "nothing was written"
    return f"go on with it by: {draft.resuming}"
