"""The comparison's settings, data, attacks, lies and measurements, on tiny federations."""

import importlib.util
import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from veilsum import field, shamir
from veilsum.errors import ProtocolError
from veilsum.experiments import compare
from veilsum.experiments.lab import PACES, Lab, Problem, costs, prepare
from veilsum.experiments.results import (
    AFTER_SENDING,
    ATTACKS,
    BEFORE_SENDING,
    CHECKED,
    CORRECTED,
    FAULTS,
    INTERLEAVED,
    MISSING,
    REFERENCE,
    REFUSED,
    RIGHT,
    SIGNED,
    UNCHECKED,
    USUAL,
    WANDERING,
    WRONG,
    Conditions,
    Cost,
    Results,
    Run,
    Settings,
    escalating,
    first,
    interval,
    roughness,
    slope,
    survivals,
)
from veilsum.learning.engines import LocalEngine
from veilsum.learning.federated import Round

TINY = Settings(
    dataset="diabetes", clients=4, threshold=2, malicious=1, iterations=4, seeds=2, key_bits=1024
)


@pytest.fixture(scope="module")
def results() -> Results:
    return compare.run(prepare(TINY))


@pytest.fixture(scope="module")
def lab() -> Lab:
    return Lab(prepare(TINY))


def csv(folder: Path, text: str) -> Settings:
    path = folder / "table.csv"
    path.write_text(text)
    return replace(TINY, dataset=str(path), target="y")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"protocols": ()}, "protocol: got none"),
        ({"protocols": ("plain", "plain")}, "protocol: got plain, plain"),
        ({"protocols": ("rot13",)}, "protocol: got rot13; allowed are plain, paillier"),
        ({"clients": 2}, "clients: got 2; allowed are 3 to 64"),
        ({"key_bits": 512}, "key-bits: got 512"),
        ({"threshold": 5}, "threshold: got 5; allowed are 1 to 4"),
        ({"malicious": 4}, "malicious: got 4; allowed are 0 to 3"),
        ({"iterations": 3}, "iterations: got 3"),
        ({"precision": 0}, "precision: got 0; allowed are 1 to 9"),
        ({"precision": 10}, "precision: got 10; allowed are 1 to 9"),
        ({"seed": -1}, "seed: got -1"),
        ({"seeds": 1}, "seeds: got 1"),
        ({"features": -1}, "features: got -1"),
        ({"threads": 0}, "threads: got 0"),
        ({"engine": "spark"}, "engine: got spark; allowed are local, flower"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_its_name(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TINY, **wrong)


def test_by_default_a_majority_opens_sums_and_the_largest_minority_is_malicious() -> None:
    settings = Settings(clients=8)
    assert (settings.shares_needed, settings.most_malicious) == (5, 3)


def test_roughness_ignores_the_first_half_and_a_steady_fall() -> None:
    assert roughness([99.0, 5.0, 4.0, 3.0, 2.0]) == 0.0
    assert roughness([5.0, 5.0, 5.0, 6.0, 5.0, 6.0]) > 1.0


def test_slope_is_that_of_the_last_half() -> None:
    assert slope([100.0, 50.0, 3.0, 2.0, 1.0]) == pytest.approx(-1.0)


def test_an_interval_holds_the_mean_and_is_repeatable() -> None:
    values = [1.0, 2.0, 4.0, 8.0]
    mean, low, high = interval(values)
    assert low < mean == 3.75 < high
    assert interval(values) == (mean, low, high)


def test_training_data_is_standardised_and_disjoint_from_the_test_rows() -> None:
    problem = prepare(TINY)
    assert problem.X.mean(axis=0) == pytest.approx(0, abs=1e-12)
    assert problem.X.std(axis=0) == pytest.approx(1)
    assert len(problem.y) + len(problem.y_test) == len(problem.table.y)
    assert not {*map(tuple, problem.X)} & {*map(tuple, problem.X_test)}


def test_features_set_the_size_of_the_model() -> None:
    problem = prepare(replace(TINY, features=33))
    assert problem.coefficients == 34
    assert np.square(problem.X).sum(axis=1).mean() == pytest.approx(1, rel=0.2)


def test_features_learn_what_columns_learn() -> None:
    runs = [Lab(prepare(replace(TINY, features=features, iterations=12))) for features in (0, 200)]
    columns, lifted = (lab.train(lab.conditions("plain")) for lab in runs)
    assert columns.final < 0.8 * columns.rmse[0]
    assert lifted.final < 0.8 * lifted.rmse[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("x,y\n1,2\n3\n", "line 3"),
        ("x,y\n1,two\n", "'two' is not a number"),
        ("x,y\n1,nan\n", "not a finite number"),
        ("x,z\n1,2\n", "no column 'y'"),
        ("x,y\n1,2\n2,3\n3,5\n", "clients: got 4, but table has 3 rows, of which 2 are left"),
        ("x,y\n" + "1,0.1\n" * 9, "target: y is the same in all training rows"),
        ("x,y\n" + "".join(f"{n}e308,{n}\n" for n in range(2)) * 9, "too large to standardise"),
    ],
)
def test_a_table_that_cannot_be_compared_on_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        prepare(csv(tmp_path, text))


def test_a_csv_file_needs_a_target_and_a_shipped_table_refuses_one() -> None:
    with pytest.raises(ValueError, match="target: a CSV file needs one"):
        prepare(replace(TINY, dataset="table.csv"))
    with pytest.raises(ValueError, match="target: a shipped data set has its own"):
        prepare(replace(TINY, target="progression"))
    with pytest.raises(ValueError, match="is not a shipped table"):
        prepare(replace(TINY, dataset="nothing"))


def test_a_constant_column_does_no_harm(tmp_path: Path) -> None:
    rows = "".join(f"0.1,{n},{2 * n + 1}\n" for n in range(20))
    problem = prepare(csv(tmp_path, "c,x,y\n" + rows))
    lab = Lab(problem)
    run = lab.train(lab.conditions("plain"))
    assert run.final < run.rmse[0]


def test_all_protocols_open_the_same_integers_in_every_round(results: Results) -> None:
    for clients in (2, TINY.clients):
        runs = [first(results.convergence, protocol=p, clients=clients) for p in USUAL]
        assert len({run.integers for run in runs if run}) == 1
        assert len({run.rmse for run in runs if run}) == 1


def test_attacked_protocols_open_the_same_integers_too(results: Results) -> None:
    by_attack: dict[tuple[str, int], set[str]] = {}
    for run in results.attacks:
        by_attack.setdefault((run.attack, run.malicious), set()).add(run.integers)
    assert set(by_attack) == {("none", 0), *((attack, 1) for attack in ATTACKS)}
    assert all(len(digests) == 1 for digests in by_attack.values())
    assert len(set.union(*by_attack.values())) == len(by_attack)


def test_no_iteration_leaves_the_rounding_bound(results: Results) -> None:
    for run in [*results.convergence, *results.precision, *results.attacks]:
        assert max(run.deviation) <= run.deviation_bound * (1 + 1e-6) + 1e-12
        assert len(run.deviation) == TINY.iterations


def test_the_reference_cannot_be_told_from_finer_rounding(results: Results) -> None:
    reference = first(results.convergence, protocol=REFERENCE, clients=TINY.clients)
    finest = results.precision[-1]
    assert reference is not None
    assert finest.digits == 9
    assert finest.final == pytest.approx(reference.final, rel=1e-7)


def test_coarser_digits_end_further_away(results: Results) -> None:
    reference = first(results.convergence, protocol=REFERENCE, clients=TINY.clients)
    assert reference is not None
    miss = [abs(run.final - reference.final) for run in results.precision]
    assert miss[0] > miss[3] > miss[8]


def test_missing_shares_change_nothing_until_too_few_are_left(results: Results) -> None:
    calm, *missing = escalating(results.faults, fault=MISSING)
    assert [run.faulty for run in missing] == [1, 2, 3]
    assert [run.integers == calm.integers for run in missing] == [True, True, False]
    assert [run.aborted for run in missing] == [0, 0, TINY.iterations]


def test_a_refused_round_keeps_the_model(results: Results) -> None:
    checked = escalating(results.faults, fault=CHECKED)[1:]
    assert [run.aborted for run in checked] == [TINY.iterations] * 2
    assert all(len(set(run.rmse)) == 1 for run in checked)


def test_altered_shares_opened_unchecked_spoil_the_model_silently(results: Results) -> None:
    calm, *altered = escalating(results.faults, fault=UNCHECKED)
    assert [run.faulty for run in altered] == [1, 2]
    assert all(run.aborted == 0 for run in altered)
    assert all(run.integers != calm.integers for run in altered)


def test_decoding_opens_what_was_dealt_up_to_its_bound_and_refuses_more(results: Results) -> None:
    calm, *decoded = escalating(results.faults, fault=CORRECTED)
    assert [run.faulty for run in decoded] == [1, 2]
    assert [run.correctable for run in decoded] == [1, 1]
    assert [run.integers == calm.integers for run in decoded] == [True, False]
    assert [run.aborted for run in decoded] == [0, TINY.iterations]
    assert decoded[0].rmse == calm.rmse
    assert decoded[0].sent == calm.sent > 0


def test_every_way_of_opening_shares_survives_as_many_faults_as_theory_says() -> None:
    lab = Lab(prepare(replace(TINY, clients=8, protocols=("sharing",))))
    found = {
        fault: [lab.train(lab.conditions("sharing", fault=fault, faulty=n)) for n in range(1, 7)]
        for fault in (UNCHECKED, CHECKED, CORRECTED, INTERLEAVED)
    }
    calm = lab.train(lab.conditions("sharing"))
    unchanged = {
        fault: [run.faulty for run in runs if run.integers == calm.integers]
        for fault, runs in found.items()
    }
    assert unchanged == {
        UNCHECKED: [],
        CHECKED: [],
        CORRECTED: [1, 2, 3],
        INTERLEAVED: [1, 2, 3, 4, 5],
    }
    assert [run.aborted for run in found[CORRECTED][3:]] == [TINY.iterations] * 3
    assert found[INTERLEAVED][5].aborted == TINY.iterations


@pytest.mark.parametrize(
    ("fault", "spare", "correctable"),
    [
        (CORRECTED, 0, 0),
        (CORRECTED, 1, 0),
        (CORRECTED, 5, 2),
        (INTERLEAVED, 0, 0),
        (INTERLEAVED, 1, 0),
        (INTERLEAVED, 5, 4),
        (CHECKED, 5, 0),
        (MISSING, 5, 0),
    ],
)
def test_two_spare_shares_correct_one_or_together_all_but_one(
    fault: str, spare: int, correctable: int
) -> None:
    conditions = Conditions(
        protocol="sharing", clients=9, shares=3 + spare, threshold=3, digits=6, fault=fault
    )
    assert conditions.correctable == correctable


def test_a_signed_dealing_is_opened_exactly_while_enough_rows_are_left(results: Results) -> None:
    assert [dealing.faulty for dealing in results.signed] == [1, 2, 3]
    assert [dealing.outcome for dealing in results.signed] == [RIGHT, RIGHT, REFUSED]


def test_a_signed_dealing_that_opens_to_something_else_is_called_wrong(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shamir.reconstruct
    monkeypatch.setattr(shamir, "reconstruct", lambda shares: real(shares) + 1)
    conditions = lab.conditions("sharing", fault=SIGNED, faulty=1)
    assert lab.open_signed(conditions).outcome == WRONG


def test_survivals_say_what_became_of_the_sums(results: Results) -> None:
    assert survivals(results) == {
        MISSING: {1: RIGHT, 2: RIGHT, 3: REFUSED},
        UNCHECKED: {1: WRONG, 2: WRONG},
        CHECKED: {1: REFUSED, 2: REFUSED},
        CORRECTED: {1: RIGHT, 2: REFUSED},
        INTERLEAVED: {1: RIGHT, 2: REFUSED},
        SIGNED: {1: RIGHT, 2: RIGHT, 3: REFUSED},
    }
    partly = tuple(replace(run, aborted=min(run.aborted, 1)) for run in results.faults)
    assert survivals(replace(results, faults=partly))[CHECKED] == {1: WRONG, 2: WRONG}
    assert set(survivals(results)) == {*FAULTS, SIGNED}


@pytest.mark.parametrize("faulty", [1, 2])
def test_arithmetic_decodes_what_the_protocol_decodes(lab: Lab, faulty: int) -> None:
    conditions = lab.conditions("sharing", fault=CORRECTED, faulty=faulty)
    (ensemble,) = lab.repeat_all("", [conditions])
    assert ensemble.final[0] == lab.train(conditions).final


@pytest.mark.parametrize("digits", [3, 9])
@pytest.mark.parametrize("shares", [4, 7])
def test_arithmetic_opens_what_lying_holders_make_the_protocol_open(
    digits: int, shares: int
) -> None:
    lab = Lab(prepare(replace(TINY, precision=digits)))
    conditions = lab.conditions("sharing", shares=shares, threshold=2, fault=WANDERING, faulty=2)
    (ensemble,) = lab.repeat_all("", [conditions])
    run = lab.train(conditions)
    calm = lab.train(lab.conditions("sharing", shares=shares, threshold=2))
    assert run.final == ensemble.final[0]
    assert run.final != calm.final


def test_arithmetic_opens_what_lying_clients_make_the_protocol_open(results: Results) -> None:
    for ensemble in results.fault_seeds:
        run = first(results.faults, fault=ensemble.fault, faulty=ensemble.faulty)
        assert run is not None
        assert run.final == ensemble.final[0]


def test_each_liar_tells_its_own_lies_and_another_every_round(lab: Lab) -> None:
    conditions = lab.conditions("sharing", shares=4, threshold=2, fault=UNCHECKED, faulty=2)
    liars = lab._liars(conditions, 1)
    honest = shamir.split([0] * (lab.problem.coefficients + 1), shares=4, threshold=2)
    altered, later = (liars.altered(honest, index, [0, 1], [0, 1]).values for index in (0, 1))
    lies = field.P50.sub(altered, honest.values)
    assert len(set(lies[:2, :-1].ravel().tolist())) == 2 * lab.problem.coefficients
    assert not lies[2:].any()
    assert not lies[:, -1].any()
    assert (altered[:2, :-1] != later[:2, :-1]).all()


def test_rounds_of_all_digits_are_timed_in_turn(results: Results) -> None:
    assert [pace.digits for pace in results.precision_pace] == list(range(1, 10))
    assert {len(pace.seconds) for pace in results.precision_pace} == {PACES}
    assert all(seconds > 0 for pace in results.precision_pace for seconds in pace.seconds)


def test_every_number_of_malicious_clients_is_measured_over_the_seeds() -> None:
    lab = Lab(prepare(replace(TINY, malicious=3, protocols=("plain", "paillier"))))
    counts = [e.malicious for e in compare.attack_seeds(lab) if e.attack == "random"]
    assert counts == [1, 2, 3]
    runs = compare.attacks(lab)
    by_protocol = {
        name: [r.malicious for r in runs if (r.protocol, r.attack) == (name, "random")]
        for name in ("plain", "paillier")
    }
    assert by_protocol == {"plain": [1, 2, 3], "paillier": [3]}


def test_arithmetic_opens_what_the_protocols_open(lab: Lab) -> None:
    conditions = lab.conditions("plain", attack="random", malicious=1)
    (ensemble,) = lab.repeat_all("", [conditions])
    assert lab.train(conditions).final == ensemble.final[0]
    assert ensemble.final[0] != ensemble.final[1]


def test_scaled_and_random_updates_hurt(lab: Lab) -> None:
    calm = lab.train(lab.conditions("plain"))
    for attack in ("scaled", "random"):
        assert lab.train(lab.conditions("plain", attack=attack, malicious=3)).final > calm.final


def test_flips_turn_the_model_round_when_all_but_one_are_malicious(lab: Lab) -> None:
    calm = lab.train(lab.conditions("plain"))
    for attack in ("label flip", "sign flip"):
        run = lab.train(lab.conditions("plain", attack=attack, malicious=3))
        assert run.final > run.rmse[0] > calm.final


def test_costs_have_one_entry_an_iteration_and_only_the_protocols_phases(results: Results) -> None:
    run = first(results.convergence, protocol="paillier", clients=TINY.clients)
    assert run is not None
    assert all(len(cost.seconds) == TINY.iterations for cost in run.costs)
    assert {(cost.party, cost.phase) for cost in run.costs} == {
        ("client", "train"),
        ("client", "protect"),
        ("server", "combine"),
        ("server", "open"),
    }
    assert run.seconds() == pytest.approx(run.seconds("client") + run.seconds("server"))
    assert run.protocol_seconds == pytest.approx(run.seconds() - run.seconds(phase="train"))


def test_clients_seconds_are_averaged_and_servers_seconds_added() -> None:
    seconds = [
        {("client-0", "train"): 1.0, ("client-1", "train"): 3.0, ("server", "open"): 5.0},
        {("client-0", "train"): 2.0, ("holder-1", "open"): 1.0, ("holder-2", "open"): 2.0},
    ]
    rounds = [
        Round(
            index=index,
            weights=np.zeros(1),
            rmse=None,
            selected=(0, 1),
            survivors=(0, 1),
            rows=2,
            integers=np.array([0, 2]),
            seconds=spent,
            bytes={},
        )
        for index, spent in enumerate(seconds)
    ]
    assert costs(rounds, 2) == (
        Cost(party="client", phase="train", seconds=(2.0, 1.0)),
        Cost(party="server", phase="open", seconds=(5.0, 3.0)),
    )


def test_a_paillier_client_sends_one_ciphertext_for_a_small_model(results: Results) -> None:
    run = first(results.convergence, protocol="paillier", clients=TINY.clients)
    assert run is not None
    ciphertext = 2 * TINY.key_bits // 8
    around = 320  # the message's header, and its signature
    assert ciphertext < run.sent < ciphertext + around
    assert run.carried > TINY.clients * run.sent


def test_every_protocol_stops_when_too_few_clients_are_left(results: Results) -> None:
    early = [d for d in results.dropouts if d.moment == BEFORE_SENDING]
    stopped = {(d.protocol, d.lost) for d in early if not d.finished}
    assert stopped == {*((p, 3) for p in USUAL), ("masking", 2)}
    assert all(d.reason for d in results.dropouts if not d.finished)
    assert all(d.counted == tuple(range(4 - d.lost)) for d in early if d.finished)


def test_updates_of_clients_lost_after_sending_still_count(results: Results) -> None:
    late = [d for d in results.dropouts if d.moment == AFTER_SENDING and d.finished]
    assert {d.protocol for d in late} == set(USUAL)
    assert all(d.counted == (0, 1, 2, 3) for d in late)


def test_finished_rounds_average_exactly_the_clients_that_count(results: Results) -> None:
    assert all(d.error is not None and d.error <= 5e-7 for d in results.dropouts if d.finished)


def test_the_worked_example_comes_out(results: Results) -> None:
    assert results.textbook.shares == ((1, 80), (2, 95), (3, 110), (4, 125))
    assert len(results.textbook.rebuilt) == 12
    assert {secret for *_, secret in results.textbook.rebuilt} == {65}


def test_the_task_says_what_needs_no_federation(results: Results) -> None:
    assert results.task.rmse_central < results.task.rmse_mean
    assert results.convergence[0].rmse[0] == results.task.rmse_mean


def test_the_same_settings_give_the_same_curves(lab: Lab, results: Results) -> None:
    again: Run = lab.train(lab.conditions("sharing"))
    once = first(results.convergence, protocol="sharing", clients=TINY.clients)
    assert once is not None
    assert (again.rmse, again.integers) == (once.rmse, once.integers)
    other = Lab(prepare(replace(TINY, seed=2)))
    assert other.train(other.conditions("sharing")).rmse != once.rmse


class Elsewhere:
    """Stands in for Flower: clients are shipped as bytes, and what is opened may be wrong."""

    wrong = 0

    def __init__(self, directory: Path) -> None:
        assert directory.name == "engine"

    @contextmanager
    def started(self, *, nodes: int) -> Iterator[Self]:
        assert nodes >= TINY.clients
        yield self

    def run(self, clients: Any, aggregator: Any, body: Callable[[Any], Any]) -> Any:
        shipped = pickle.loads(pickle.dumps(clients))  # noqa: S301
        return LocalEngine().run(shipped, aggregator, lambda rounds: body(Skewed(rounds, self)))


class Skewed:
    def __init__(self, rounds: Any, engine: Elsewhere) -> None:
        self._rounds, self._engine = rounds, engine

    def run(self, *args: Any, **options: Any) -> Any:
        aggregate, training = self._rounds.run(*args, **options)
        integers = aggregate.integers.copy()
        integers[0] += self._engine.wrong
        return replace(aggregate, integers=integers), training


@pytest.fixture
def on_flower(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], Lab]:
    monkeypatch.setattr("veilsum.experiments.lab.FlowerEngine", Elsewhere)
    monkeypatch.setattr("veilsum.experiments.lab.require_simulation", lambda: None)
    return lambda: Lab(prepare(replace(TINY, engine="flower")), files=tmp_path / "engine")


def test_only_convergence_trains_elsewhere_and_learns_the_same(
    on_flower: Callable[[], Lab], results: Results
) -> None:
    elsewhere = on_flower()
    runs = compare.convergence(elsewhere)
    assert {run.engine for run in runs} == {"flower"}
    assert {run.engine for run in results.convergence} == {"local"}
    here = [replace(run, costs=(), engine="flower") for run in results.convergence]
    assert [replace(run, costs=()) for run in runs] == here
    assert all(run.seconds("client", "train") for run in runs)
    assert {run.engine for run in compare.precision(elsewhere)} == {"local"}


def test_an_engine_that_opens_other_sums_is_refused(
    on_flower: Callable[[], Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Elsewhere, "wrong", 1)
    with pytest.raises(ProtocolError, match="reference: the engine flower opened other sums"):
        compare.convergence(on_flower())


def test_an_engine_that_is_not_installed_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"^engine: FlowerEngine needs Flower .*pip install"):
        prepare(replace(TINY, engine="flower"))


def test_progress_counts_up_to_the_whole() -> None:
    seen: list[tuple[str, int, int]] = []
    problem: Problem = prepare(replace(TINY, protocols=("plain",)))
    lab = Lab(problem, lambda *report: seen.append(report))
    compare.convergence(lab)
    assert seen == [("Convergence", done, 4) for done in range(5)]


def test_the_document_is_versioned_and_holds_every_figure(results: Results) -> None:
    document = json.loads(results.to_json())
    assert document["schema"] == "veilsum.compare/3"
    assert set(document) == {"schema", *(field.name for field in fields(Results))}
    assert document["settings"]["seed"] == TINY.seed
    assert document["environment"]["kernel"] in ("portable", "avx512ifma")
    assert document["convergence"][0]["rmse"] == list(results.convergence[0].rmse)


def test_without_sharing_or_malice_there_is_less_to_measure() -> None:
    results = compare.run(prepare(replace(TINY, protocols=("plain",), malicious=0)))
    assert (
        results.precision
        == results.faults
        == results.signed
        == results.holders
        == results.holder_seeds
        == ()
    )
    assert [run.attack for run in results.attacks] == ["none"]
