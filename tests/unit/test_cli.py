"""The command line: what it prints and writes, and how it fails."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

import veilsum
from veilsum import cli
from veilsum.cli import commands, endings, terminal
from veilsum.errors import ProtocolError
from veilsum.experiments import compare, figures

SMALL = (
    *("compare", "--dataset", "diabetes", "--clients", "3", "--iterations", "4"),
    *("--seeds", "5", "--malicious", "1", "--key-bits", "1024"),
)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(number: int, results: Any, path: Path) -> None:
        path.write_bytes(f"figure {number} of {results.task.dataset}".encode())

    monkeypatch.setattr(figures, "draw", draw)


def veil(*arguments: str) -> Result:
    return CliRunner().invoke(commands.app, [*arguments], prog_name="veilsum")


def refused(result: Result, message: str) -> None:
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert isinstance(result.exception, SystemExit)


def test_the_version_is_the_packages() -> None:
    result = veil("--version")
    assert (result.exit_code, result.stdout) == (0, f"veilsum {veilsum.__version__}\n")


def test_cpu_names_the_kernel_and_the_reason() -> None:
    result = veil("cpu")
    info = veilsum.field.kernel_info()
    assert result.exit_code == 0
    assert info["name"] in result.stdout
    assert info["reason"] in result.stdout


@pytest.mark.parametrize("arguments", [("--help",), ("compare", "--help"), ("cpu", "-h")])
def test_help_is_no_error(arguments: tuple[str, ...]) -> None:
    result = veil(*arguments)
    assert result.exit_code == 0
    assert "Usage: veilsum" in result.stdout


def test_help_lists_every_option_of_compare() -> None:
    text = veil("compare", "--help").stdout
    for option in (
        *("dataset", "target", "protocol", "clients", "key-bits", "threshold", "malicious"),
        *("iterations", "precision", "features", "seed", "seeds", "threads", "output"),
    ):
        assert f"--{option} " in text
    assert "<" not in text
    assert "Sharma, Shirur, Singh and Satao (2022)" in text


@pytest.mark.usefixtures("undrawn")
def test_compare_prints_tables_and_writes_everything(tmp_path: Path) -> None:
    result = veil(*SMALL)
    assert result.exit_code == 0, result.output
    for words in ("Plain", "Paillier", "Sharing", "label flip", "A14", "The report: "):
        assert words in result.stdout
    written = {path.name for path in (tmp_path / "veilsum-compare").iterdir()}
    assert {"report.html", "results.json", "figure-06.png", "figure-14.png"} < written
    document = json.loads((tmp_path / "veilsum-compare" / "results.json").read_text())
    assert document["settings"]["clients"] == 3


@pytest.mark.usefixtures("undrawn")
def test_in_a_pipe_only_the_insecure_key_is_mentioned_beside_the_tables() -> None:
    assert veil(*SMALL).stderr == (
        "veilsum: warning: 1024-bit Paillier keys are insecure; only try things out so\n"
    )
    assert veil(*SMALL[:-2], "--protocol", "plain").stderr == ""


@pytest.mark.usefixtures("undrawn")
def test_every_option_reaches_the_comparison(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "x,z,y\n" + "".join(f"{n},{n % 3},{n % 7}\n" for n in range(40))
    )
    result = veil(
        *("compare", "--dataset", "t.csv", "--target", "y", "--protocol", "sharing"),
        *("--protocol", "plain", "--clients", "5", "--key-bits", "3072", "--threshold", "2"),
        *("--malicious", "1", "--iterations", "5", "--precision", "3", "--features", "7"),
        *("--seed", "9", "--seeds", "3", "--threads", "1", "--engine", "local"),
        *("--output", "here"),
    )
    assert result.exit_code == 0, result.output
    document = json.loads((tmp_path / "here" / "results.json").read_text())
    assert document["settings"] == {
        "dataset": "t.csv",
        "target": "y",
        "protocols": ["sharing", "plain"],
        "clients": 5,
        "key_bits": 3072,
        "threshold": 2,
        "malicious": 1,
        "iterations": 5,
        "precision": 3,
        "seed": 9,
        "seeds": 3,
        "threads": 1,
        "features": 7,
        "engine": "local",
    }
    assert document["task"]["coefficients"] == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--protocol", "rot13"), "Invalid value for '--protocol'"),
        (("--protocol", "plain", "--protocol", "plain"), "protocol: got plain, plain"),
        (("--clients", "2"), "clients: got 2; allowed are 3 to 64"),
        (("--clients", "many"), "Invalid value for '--clients'"),
        (("--key-bits", "512"), "key-bits: got 512; allowed are 1024, 2048 and 3072"),
        (("--threshold", "9"), "threshold: got 9; allowed are 1 to 8"),
        (("--malicious", "8"), "malicious: got 8; allowed are 0 to 7"),
        (("--iterations", "0"), "iterations: got 0"),
        (("--precision", "10"), "precision: got 10; allowed are 1 to 9"),
        (("--threads", "0"), "threads: got 0"),
        (("--engine", "spark"), "Invalid value for '--engine'"),
        (("--dataset", "iris"), "'iris' is not a shipped table"),
        (("--target", "y"), "target: a shipped data set has its own"),
        (("--output", "no/such/place"), "output: no/such is not a directory"),
        (("--dataset", "concretee"), "did you mean concrete?"),
        (("--dataset", ".", "--target", "y"), "dataset: . is a directory, not a CSV file"),
        (("--dataset", "t.txt", "--target", "y"), "dataset: t.txt is not a CSV file"),
        (("--dataset", "", "--target", "y"), "dataset: an empty name is"),
        (("--output", ""), "output: got an empty name"),
        (("--output", "x" * 300), "choose another --output"),
        (("--output", "."), "output: . is the working directory"),
        (("--nonsense",), "No such option: --nonsense"),
    ],
)
def test_a_bad_option_is_a_clear_message_and_exit_code_2(
    arguments: tuple[str, ...], message: str
) -> None:
    refused(veil("compare", *arguments), message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("x,y\n", "no row of numbers"),
        ("x,y\n1,2\n1,2,3\n", "line 3: 3 cells, but the header names 2 columns"),
        ("x,y\n1,red\n", "line 2, column 'y': 'red' is not a number"),
        ("x,y\n1,NaN\n", "line 2, column 'y': 'NaN' is not a finite number"),
        ("x,z\n1,2\n", "no column 'y'; its columns are x, z"),
        ("x,y\n1,2\n2,3\n3,4\n4,5\n", "clients: got 8, but t has 4 rows"),
        ("\0\0", "t.csv"),
    ],
)
def test_a_bad_table_is_a_clear_message_and_exit_code_2(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "t.csv").write_text(text)
    refused(veil("compare", "--dataset", "t.csv", "--target", "y"), message)
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_a_missing_file_or_target_is_exit_code_2(tmp_path: Path) -> None:
    refused(veil("compare", "--dataset", "t.csv", "--target", "y"), "there is no file t.csv")
    refused(veil("compare", "--dataset", "t.csv"), "target: a CSV file needs one")
    assert list(tmp_path.iterdir()) == []


def test_somebody_elses_directory_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "veilsum-compare").mkdir()
    (tmp_path / "veilsum-compare" / "thesis.tex").write_text("years of work")
    refused(veil("compare"), "holds files that veilsum did not write")
    assert (tmp_path / "veilsum-compare" / "thesis.tex").read_text() == "years of work"


def test_a_directory_that_cannot_be_created_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refuse = failing(OSError(errno.EPERM, "Operation not permitted"))
    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    monkeypatch.setattr(compare, "run", failing(AssertionError("work was begun")))
    refused(
        veil("compare", "--output", "there"),
        "output: there cannot be created (Operation not permitted); choose another --output",
    )


def test_while_it_works_only_a_hidden_directory_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def run(*_: object, **__: object) -> NoReturn:
        seen.extend(path.name for path in tmp_path.iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(compare, "run", run)
    assert veil("compare").exit_code == 130
    assert len(seen) == 1
    assert seen[0].startswith(".veilsum-")
    assert list(tmp_path.iterdir()) == []


def test_files_that_appear_while_it_works_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object, **__: object) -> None:
        (tmp_path / "veilsum-compare").mkdir()
        (tmp_path / "veilsum-compare" / "thesis.tex").write_text("years of work")

    monkeypatch.setattr(compare, "run", run)
    refused(veil("compare"), "holds files that veilsum did not write")
    assert [path.name for path in tmp_path.iterdir()] == ["veilsum-compare"]
    assert (tmp_path / "veilsum-compare" / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    ("arguments", "warning"),
    [
        (("--threshold", "1"), "with --threshold 1 every holder alone reads everything"),
        (("--seeds", "4"), "intervals over 4 seeds say little; use --seeds 5 or more"),
        (("--dataset", "t.csv", "--target", "y"), "only 3 rows are held out"),
    ],
)
def test_what_makes_a_comparison_doubtful_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], warning: str
) -> None:
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{n},{n % 7}\n" for n in range(13)))
    monkeypatch.setattr(compare, "run", failing(ProtocolError("enough")))
    lines = veil("compare", *arguments).stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"veilsum: warning: {warning}")


@pytest.mark.parametrize("columns", ["80", "60"])
@pytest.mark.usefixtures("undrawn")
def test_every_table_fits_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setattr(terminal, "PIPE_WIDTH", int(columns))
    lines = veil(*SMALL).stdout.splitlines()
    assert max(map(len, lines)) <= int(columns)
    for whole in ("Protocol ", "Paillier", "Expansion", "Client: protect"):
        assert any(whole in line for line in lines)
    assert not any("…" in line for line in lines)


def failing(error: BaseException) -> Callable[..., NoReturn]:
    def run(*_: object, **__: object) -> NoReturn:
        raise error

    return run


@pytest.mark.parametrize("error", [ProtocolError("too few are left"), OSError("disk full")])
def test_a_failure_is_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(compare, "run", failing(error))
    result = veil("compare")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"veilsum: error: {error}\n"
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_says_so_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "draw", failing(KeyboardInterrupt()))
    result = veil(*SMALL, "--protocol", "plain")
    assert result.exit_code == 130
    assert result.stderr == "veilsum: error: interrupted; nothing was written\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["typer", "rich", "matplotlib", "jinja2"])
def test_without_the_lab_extra_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: str
) -> None:
    for name in [*sys.modules]:
        if name.startswith(("veilsum.cli.", "veilsum.experiments", f"{module}.")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(sys, "argv", ["veilsum", "cpu"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "which is not installed; run: pip install 'veilsum[lab]'" in said.err


def test_another_missing_module_is_not_blamed_on_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*sys.modules]:
        if name.startswith("veilsum.cli."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "veilsum.experiments", None)
    with pytest.raises(ModuleNotFoundError, match="experiments"):
        cli.main()


def program(tmp_path: Path, *arguments: str, **how: Any) -> subprocess.CompletedProcess[bytes]:
    code = "from veilsum.cli import main; main()"
    environment = {**os.environ, **how.pop("environment", {})}
    how = {"stdout": subprocess.PIPE, **how}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        env=environment,
        check=False,
        **how,
    )


@pytest.mark.parametrize(("given", "expected"), [({}, b"1"), ({"OPENBLAS_NUM_THREADS": "2"}, b"2")])
def test_linear_algebra_has_one_thread_unless_told_otherwise(
    tmp_path: Path, given: dict[str, str], expected: bytes
) -> None:
    code = (
        "import os, sys; from veilsum import cli\n"
        "assert 'numpy' not in sys.modules\n"
        "try: cli.main()\n"
        "finally: sys.stderr.write(os.environ['OPENBLAS_NUM_THREADS'])"
    )
    environment = {name: value for name, value in os.environ.items() if "_THREADS" not in name}
    done = subprocess.run(
        [sys.executable, "-c", code, "--version"],
        cwd=tmp_path,
        capture_output=True,
        env=environment | given,
        check=False,
    )
    assert done.stderr == expected


def test_an_unknown_kernel_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = program(tmp_path, "cpu", environment={"VEILSUM_KERNEL": "foo"})
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"veilsum: error: VEILSUM_KERNEL=foo is not a kernel")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("arguments", [("cpu",), ("compare", "--help"), ("--version",)])
def test_a_full_standard_output_is_one_line_and_exit_code_1(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    with open("/dev/full", "wb") as full:
        done = program(tmp_path, *arguments, stdout=full)
    assert done.returncode == 1
    assert done.stderr == (
        b"veilsum: error: standard output cannot be written (No space left on device)\n"
    )


@pytest.mark.usefixtures("undrawn")
def test_when_the_tables_cannot_be_printed_the_files_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Console, "print", failing(OSError(errno.ENOSPC, "No space left")))
    result = veil(*SMALL, "--protocol", "plain")
    assert result.exit_code == 1
    assert result.stderr == (
        "veilsum: error: standard output cannot be written (No space left); "
        "the report: veilsum-compare/report.html\n"
    )
    assert (tmp_path / "veilsum-compare" / "report.html").is_file()


def test_what_an_encoding_lacks_is_printed_in_ascii() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        with endings.guarded():
            print("5× N − K … 日")
    assert stream.buffer.getvalue() == b"5x N - K ... ?\n"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_killed_comparison_leaves_nothing(tmp_path: Path, name: str) -> None:
    code = (
        "import os, signal; from veilsum import cli; from veilsum.experiments import compare\n"
        f"compare.run = lambda *_, **__: os.kill(os.getpid(), signal.{name})\n"
        "cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "compare"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 128 + getattr(signal, name)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_during_the_imports_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "_run", failing(KeyboardInterrupt()))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "veilsum: interrupted; nothing was written\n"


def test_the_entry_point_runs_as_a_program(tmp_path: Path) -> None:
    code = "from veilsum.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "compare", "--clients", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "veilsum: error: clients: got 1; allowed are 3 to 64\n"
