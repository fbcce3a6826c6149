"""The simulation: exact sizes, honest seconds, a real round, and what it writes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from veilsum.cli import commands
from veilsum.experiments import simulate
from veilsum.experiments.simulate import Results, Settings
from veilsum.protocols import Masking
from veilsum.protocols.neighbours import Density

SMALL = Settings(clients=1_000, parameters=50, real=12, seed=3)


@pytest.fixture(scope="module")
def results() -> Results:
    return simulate.run(SMALL)


def test_every_power_of_ten_and_the_largest_number_are_estimated(results: Results) -> None:
    assert [scale.clients for scale in results.scales] == [100, 1_000]
    assert Settings(clients=250_000).sizes == (100, 1_000, 10_000, 100_000, 250_000)


def test_the_graph_is_the_one_that_masking_takes(results: Results) -> None:
    for scale in results.scales:
        density = Masking().density(scale.clients)
        assert (scale.degree, scale.threshold) == (density.degree, density.threshold)
        assert scale.log2_secrecy == density.log2_secrecy <= -40
        assert scale.success == pytest.approx(1 - 2**density.log2_correctness)


def test_the_real_round_opens_the_survivors_sum(results: Results) -> None:
    real = results.real
    assert real is not None
    assert real.exact
    assert (real.clients, real.lost, real.parameters) == (12, 1, 50)
    assert real.client_seconds > 0
    assert real.server_seconds > 0
    assert real.peak > 1_000_000


def test_sizes_are_those_of_the_messages_of_a_round_without_losses() -> None:
    settings = replace(SMALL, real=9, dropout=0.0)
    real = simulate.run(settings).real
    assert real is not None
    assert real.lost == 0
    assert real.sent == real.sent_estimated


def test_bytes_of_the_server_are_those_of_all_clients(results: Results) -> None:
    for scale in results.scales:
        assert scale.server_in == scale.clients * scale.client_up
        assert scale.server_out == scale.clients * scale.client_down


def test_lost_clients_cost_the_server_more_and_clients_nothing() -> None:
    costs = simulate.measure()
    density = Density(
        degree=20, threshold=15, log2_secrecy=-40, log2_connectivity=-40, log2_correctness=-40
    )
    settings = replace(SMALL, dropout=0.2, parameters=100_000)
    scale = simulate.estimate(density, 1_000, costs, settings)
    assert scale.server_seconds_dropout > scale.server_seconds
    dense = simulate.estimate(replace(density, degree=60), 1_000, costs, settings)
    assert dense.client_seconds > scale.client_seconds
    assert dense.client_up > scale.client_up


def test_the_document_is_versioned_json_without_infinities(results: Results) -> None:
    document = json.loads(results.to_json())
    assert document["schema"] == simulate.SCHEMA
    assert document["scales"][0]["clients"] == 100
    assert document["scales"][0]["log2_secrecy"] is None  # the complete graph leaves no chance
    assert document["scales"][0]["success"] == 1.0
    assert document["scales"][1]["success"] == results.scales[1].success
    assert document["real"]["exact"] is True


def test_the_directory_holds_the_data_and_the_plot(results: Results, tmp_path: Path) -> None:
    simulate.fill(tmp_path, results)
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", simulate.PLOT}
    assert (tmp_path / simulate.PLOT).read_bytes().startswith(b"\x89PNG")


def test_without_a_real_round_there_is_one_table(results: Results) -> None:
    assert len(list(simulate.summary(results))) == 2
    assert len(list(simulate.summary(replace(results, real=None)))) == 1


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"clients": 99}, "clients: got 99; allowed are 100 to 10000000"),
        ({"parameters": 0}, "parameters: got 0"),
        ({"corrupt": 0.5}, "corrupt: got 0.5"),
        ({"dropout": -0.1}, "dropout: got -0.1"),
        ({"security_bits": 0}, "security-bits: got 0"),
        ({"real": 2}, "real: got 2; allowed are 3 to 10000"),
        ({"seed": -1}, "seed: got -1"),
        ({"threads": 0}, "threads: got 0"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(option: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **option)


def test_the_command_writes_the_directory_and_prints_both_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["simulate", "--clients", "100", "--parameters", "20", "--real", "5"]
    done = CliRunner().invoke(commands.app, arguments)
    assert done.exit_code == 0, done.output
    assert "Masking by number of clients" in done.stdout
    assert "A real round" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"veilsum-simulate"}
    names = {path.name for path in (tmp_path / "veilsum-simulate").iterdir()}
    assert names == {"results.json", simulate.PLOT}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--clients", "7"], "clients: got 7"),
        (["--corrupt", "0.4", "--dropout", "0.4"], "corrupt, dropout"),
        (["--output", " "], "output: got an empty name"),
    ],
)
def test_the_command_refuses_what_cannot_be(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(commands.app, ["simulate", *arguments])
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert not [*tmp_path.iterdir()]
