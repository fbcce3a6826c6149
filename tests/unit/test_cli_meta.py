"""The command `veilsum meta`: what it prints and writes, how it fails, and how it goes on."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from veilsum.cli import commands
from veilsum.experiments.meta import figures, report, run
from veilsum.experiments.meta.results import Results

SMALL = (
    *("meta", "--clients", "3", "--per-round", "3", "--rounds", "4", "--meta-batch", "2"),
    *("--shots", "4", "--episodes", "40", "--processes", "1"),
    *("--protocol", "plain", "--protocol", "masking"),
)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(figures, "draw", lambda *where: where[-1].write_bytes(b"PNG"))


def veil(*arguments: str) -> Result:
    return CliRunner().invoke(commands.app, [*arguments], prog_name="veilsum")


def refused(result: Result, message: str) -> None:
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.output
    assert result.stdout == ""


def interrupting(monkeypatch: pytest.MonkeyPatch, *, at: int) -> None:
    """Let somebody press Ctrl-C in this round of the federated training."""
    usual = run.run

    def stopping(problem: Any, **how: Any) -> Results:
        def progress(work: str, done: int, _: int) -> None:
            if work == "Training, federated" and done == at:
                raise KeyboardInterrupt

        return usual(problem, **(how | {"progress": progress}))

    monkeypatch.setattr(run, "run", stopping)


def test_it_prints_tables_and_writes_everything(tmp_path: Path) -> None:
    result = veil(*SMALL)
    assert result.exit_code == 0, result.output
    for words in ("federated", "centralised", "untrained", "same sums", "C6", "The report: "):
        assert words in result.stdout
    assert result.stderr == ""
    assert {path.name for path in (tmp_path / "veilsum-meta").iterdir()} == {
        *("report.html", "results.json", figures.CURVES, figures.PROTECTION)
    }


def test_help_lists_every_option_and_what_is_usual() -> None:
    text = veil("meta", "--help").stdout
    for option in (
        *("tasks", "algorithm", "protocol", "clients", "per-round", "wait-for", "split", "alpha"),
        *("rounds", "iterations", "meta-batch", "ways", "shots", "episodes", "key-bits", "seed"),
        *("processes", "threads", "resume", "output"),
    ):
        assert f"--{option} " in text
    assert "all that are asked" in text


def test_every_option_reaches_the_run(tmp_path: Path) -> None:
    result = veil(
        *("meta", "--tasks", "omniglot", "--algorithm", "prototypes", "--protocol", "plain"),
        *("--clients", "4", "--per-round", "3", "--wait-for", "2", "--split", "dirichlet"),
        *("--alpha", "0.7", "--rounds", "1", "--iterations", "1", "--meta-batch", "1"),
        *("--ways", "2", "--shots", "1", "--episodes", "3", "--key-bits", "3072", "--seed", "9"),
        *("--processes", "1", "--threads", "1", "--output", "here"),
    )
    assert result.exit_code == 0, result.output
    assert result.stderr == "veilsum: warning: 3 episodes say little; use --episodes 40 or more\n"
    document = json.loads((tmp_path / "here" / "results.json").read_text())
    assert document["settings"] == {
        "tasks": "omniglot",
        "algorithm": "prototypes",
        "protocols": ["plain"],
        "clients": 4,
        "per_round": 3,
        "wait_for": 2,
        "split": "dirichlet",
        "alpha": 0.7,
        "rounds": 1,
        "iterations": 1,
        "meta_batch": 1,
        "ways": 2,
        "shots": 1,
        "episodes": 3,
        "key_bits": 3072,
        "seed": 9,
        "processes": 1,
        "threads": 1,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--tasks", "omniglott"), "did you mean omniglot?"),
        (("--tasks", "nothing.npz"), "there is no file or folder /"),
        (("--algorithm", "sgd"), "Invalid value for '--algorithm'"),
        (("--protocol", "rot13"), "Invalid value for '--protocol'"),
        (("--split", "alphabet"), "split: got alphabet; for sinusoids there are"),
        (("--tasks", "omniglot", "--ways", "500"), "ways: got 500 of 423 classes"),
        (("--per-round", "9"), "per-round: got 9; allowed are 2 to 8"),
        (("--wait-for", "5"), "wait-for: got 5; allowed are 1 to 4"),
        (("--wait-for", "2"), "opens no sum of so few"),
        (("--output", ""), "output: got an empty name"),
        (("--output", "."), "output: . is the working directory"),
        (("--resume",), "resume: veilsum-meta holds no unfinished work; leave --resume out"),
    ],
)
def test_a_bad_option_is_a_clear_message_and_exit_code_2(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    refused(veil("meta", *arguments), message)
    assert list(tmp_path.iterdir()) == []


def test_an_insecure_key_is_a_warning() -> None:
    result = veil(*SMALL, "--protocol", "paillier", "--key-bits", "1024", "--rounds", "1")
    assert result.exit_code == 0, result.output
    assert result.stderr == (
        "veilsum: warning: 1024-bit Paillier keys are insecure; only try things out so\n"
    )


def test_interrupted_work_says_how_to_go_on_and_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupting(patch, at=2)
        result = veil(*SMALL, "--output", "my work")
    assert result.exit_code == 130
    assert result.stderr == (
        "veilsum: error: interrupted; go on with it by: veilsum meta --resume --output 'my work'\n"
    )
    assert [path.name for path in (tmp_path / "my work").iterdir()] == ["unfinished"]
    refused(veil(*SMALL, "--output", "my work"), "delete my work/unfinished to begin anew")
    refused(
        veil("meta", "--resume", "--output", "my work", "--protocol", "plain"),
        "resume: goes on with the settings in my work; leave --protocol out",
    )
    result = veil("meta", "--resume", "--output", "my work", "--threads", "1")
    assert result.exit_code == 0, result.output
    assert veil(*SMALL, "--output", "at once").exit_code == 0
    assert not (tmp_path / "my work" / "unfinished").exists()
    ours, theirs = (
        json.loads((tmp_path / name / "results.json").read_text())
        for name in ("my work", "at once")
    )
    assert ours["evaluations"] == theirs["evaluations"]
    assert [curve["points"] for curve in ours["curves"]] == [
        curve["points"] for curve in theirs["curves"]
    ]


def test_interrupted_before_anything_was_saved_it_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_nothing(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run", run_nothing)
    result = veil(*SMALL)
    assert result.exit_code == 130
    assert result.stderr == "veilsum: error: interrupted; nothing was written\n"
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_run_stays_until_the_next_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert veil(*SMALL).exit_code == 0
    before = (tmp_path / "veilsum-meta" / "results.json").read_text()
    with monkeypatch.context() as patch:
        interrupting(patch, at=3)
        assert veil(*SMALL, "--seed", "5").exit_code == 130
    assert (tmp_path / "veilsum-meta" / "results.json").read_text() == before
    assert veil("meta", "--resume").exit_code == 0
    after = json.loads((tmp_path / "veilsum-meta" / "results.json").read_text())
    assert after["settings"]["seed"] == 5
    assert not (tmp_path / "veilsum-meta" / "unfinished").exists()


def test_wrong_sums_are_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Results, "wrong", ("masking",))
    result = veil(*SMALL)
    assert result.exit_code == 1
    assert result.stderr == (
        "veilsum: error: wrong sums were opened under masking; this is a bug\n"
    )
    assert "The report: " in result.stdout
    assert report.kind().command == "meta"
