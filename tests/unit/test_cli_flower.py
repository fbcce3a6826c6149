"""The commands for Flower: what they write and print, and how they fail."""

import ast
import os
import signal
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from veilsum.cli import commands
from veilsum.integrations.flower import apps, folders
from veilsum.integrations.flower.folders import Folder

MODULES = {"__init__.py", "client.py", "model.py", "protection.py", "server.py"}
TOP = {".gitignore", "README.md", "keys", "pyproject.toml", "my_app"}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def flower(*arguments: str) -> Result:
    return CliRunner().invoke(commands.app, ["flower", *arguments], prog_name="veilsum")


def refused(result: Result, message: str, code: int = 2) -> None:
    assert result.exit_code == code, result.output
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.output
    assert result.stdout == ""


def names(place: Path) -> set[str]:
    return {path.name for path in place.iterdir()}


@pytest.mark.parametrize("command", ["new", "keys", "identity", "enrol"])
def test_help_is_no_error(command: str) -> None:
    result = flower(command, "--help")
    assert result.exit_code == 0
    assert f"Usage: veilsum flower {command}" in result.stdout
    assert command in flower("--help").stdout


def test_a_new_app_is_whole(tmp_path: Path) -> None:
    result = flower("new", "my-app")
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "The app: my-app, with keys for 5 SuperNodes. To simulate it:\n"
        'cd my-app && FLWR_HOME="$PWD/flwr" flwr run . --stream '
        '--federation-config "num-supernodes=5"\n'
    )
    assert names(tmp_path) == {"my-app"}
    app = tmp_path / "my-app"
    assert names(app) == TOP
    assert names(app / "my_app") == MODULES
    assert names(app / "keys") == {"server", *(f"client-{number}" for number in range(5))}
    assert stat.S_IMODE((app / "keys").stat().st_mode) == 0o700
    assert Folder.open(app / "keys" / "client-4").name == "client-4"


def test_the_settings_of_a_new_app_are_what_flower_reads(tmp_path: Path) -> None:
    place = tmp_path / 'odd "place" \\ here'
    place.mkdir()
    assert flower("new", str(place / "my-app"), "--clients", "3").exit_code == 0
    settings = tomllib.loads((place / "my-app" / "pyproject.toml").read_text())
    assert settings["project"]["name"] == "my-app"
    assert settings["project"]["dependencies"] == []
    flwr = settings["tool"]["flwr"]["app"]
    assert flwr["config"]["clients"] == 3
    assert flwr["config"]["veilsum-folders"] == str(place / "my-app" / "keys")
    for component in flwr["components"].values():
        module, _, name = component.partition(":")
        tree = ast.parse((place / "my-app" / f"{module.replace('.', '/')}.py").read_text())
        assigned = [node.targets[0] for node in tree.body if isinstance(node, ast.Assign)]
        assert name in {target.id for target in assigned if isinstance(target, ast.Name)}


def test_neither_repository_nor_bundle_get_the_keys() -> None:
    assert flower("new", "my-app").exit_code == 0
    ignored = Path("my-app/.gitignore").read_text().splitlines()
    assert {"/keys/", "/flwr/"} < set(ignored)


@pytest.mark.parametrize("protocol", ["plain", "paillier", "sharing", "masking"])
def test_every_file_of_an_app_is_filled_in(tmp_path: Path, protocol: str) -> None:
    result = flower("new", "my-app", "--protocol", protocol, "--key-bits", "2048")
    assert result.exit_code == 0, result.output
    app = tmp_path / "my-app"
    for path in (*app.glob("*.*"), *(app / "my_app").iterdir(), app / ".gitignore"):
        text = path.read_text()
        assert text.endswith("\n")
        assert max(map(len, text.splitlines())) <= 106
        if path.suffix == ".py":
            assert ast.get_docstring(ast.parse(text))
            assert "$" not in text
    tree = ast.parse((app / "my_app" / "protection.py").read_text())
    (call,) = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    arguments = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    assert arguments == {
        "protocol": protocol,
        "options": {"min_survivors": 4},
        "metrics": ("train_loss",),
    }


def test_helpers_are_supernodes_too(tmp_path: Path) -> None:
    arguments = ("--protocol", "paillier", "--key-bits", "2048", "--clients", "4")
    result = flower("new", "encrypted", *arguments)
    assert "keys for 5 SuperNodes" in result.stdout
    readme = (tmp_path / "encrypted" / "README.md").read_text()
    assert "- `partition-id=4` is the party key-holder\n" in readme
    assert "to `partition-id=4` and port 9104" in readme
    assert "num-supernodes=5" in readme
    assert "needs `keys/aggregator`" in readme
    assert apps.new_app("masked", clients=2) == ("client-0", "client-1")
    assert "Not every SuperNode" not in (tmp_path / "masked" / "README.md").read_text()


def test_the_model_of_an_app_learns(tmp_path: Path) -> None:
    assert flower("new", "my-app").exit_code == 0
    module: dict[str, object] = {}
    exec((tmp_path / "my-app" / "my_app" / "model.py").read_text(), module)  # noqa: S102
    initial, client, loss, held_out = (
        module[name] for name in ("initial", "client", "loss", "held_out_rmse")
    )
    weights = initial()
    parts = [client(number, 5) for number in range(6)]
    assert sum(part.rows for part in parts) == len(module["Y"])
    for round_number in range(10):
        trained = [
            part.train(weights, np.random.default_rng([number, round_number]))
            for number, part in enumerate(parts[:5])
        ]
        weights = np.mean(trained, axis=0)
    assert loss(weights, parts[0]) < 0.6
    assert held_out(weights, 5) < 0.75 * held_out(initial(), 5)


@pytest.mark.parametrize("name", ["my_app", "1app", "a" * 33, "my app", "-app", ".", "é"])
def test_a_name_that_flower_refuses_is_refused(tmp_path: Path, name: str) -> None:
    refused(flower("new", "--", name), "up to 32 letters, digits and hyphens, a letter first")
    assert names(tmp_path) == set()


@pytest.mark.parametrize("command", ["new", "keys", "identity"])
def test_what_is_there_is_not_replaced(tmp_path: Path, command: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis").write_text("mine")
    refused(flower(command, "mine"), "mine is not empty and is not replaced; choose another")
    assert names(tmp_path / "mine") == {"thesis"}
    (tmp_path / "file").write_text("mine")
    refused(flower(command, "file"), "file is not a directory; choose another")
    refused(flower(command, "no/where"), "is not a directory; create it first")
    refused(flower(command, " "), "got an empty name")
    assert names(tmp_path) == {"mine", "file"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("new", "a", "--clients", "0"), "clients: got 0"),
        (("new", "a", "--protocol", "magic"), "'magic' is not one of"),
        (("new", "a", "--protocol", "paillier", "--key-bits", "1024"), "bits: got 1024"),
        (("new",), "Missing argument 'DIR'"),
        (("keys", "a", "--clients", "-1"), "clients: got -1"),
        (("keys", "a", "--holders", "2"), "holders: not an option here"),
        (("keys", "a", "--threshold", "2"), "threshold: masking deals no keys by it"),
        (("identity", "a", "--key-bits", "100"), "bits: got 100"),
        (("enrol",), "Missing argument 'NAME=FILE"),
        (("enrol", "client-0"), "got 'client-0', expected such as client-0=public-identity"),
        (("enrol", "=x"), "got '=x'"),
        (("enrol", "a=x", "a=y"), "got a twice"),
        (("enrol", "a=x"), "x is missing"),
    ],
)
def test_bad_arguments_end_with_a_message(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    refused(flower(*arguments), message)
    assert names(tmp_path) == set()


def test_keys_are_dealt_as_asked(tmp_path: Path) -> None:
    arguments = ("--protocol", "sharing", "--clients", "2", "--holders", "1")
    result = flower("keys", "keys", *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "The keys: keys, secret" in result.stdout
    assert names(tmp_path / "keys") == {"server", "holder-1", "client-0", "client-1"}


def test_a_threshold_key_is_dealt_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}
    monkeypatch.setattr(folders, "deal", lambda place, **given: asked.update(given, place=place))
    arguments = ("--protocol", "threshold_paillier", "--clients", "2", "--holders", "4")
    more = ("--threshold", "3", "--key-bits", "2048")
    assert flower("keys", "keys", *arguments, *more).exit_code == 0
    assert asked == {
        "place": Path("keys"),
        "protocol": "threshold_paillier",
        "clients": 2,
        "holders": 4,
        "threshold": 3,
        "key_bits": 2048,
    }


def test_parties_enrol_without_a_dealer(tmp_path: Path) -> None:
    shown = {}
    for role in ("server", "client-0", "client-1"):
        result = flower("identity", role)
        assert result.exit_code == 0, result.output
        public, fingerprint = result.stdout.splitlines()
        assert public == f"The public file: {role}/public-identity"
        shown[role] = fingerprint.removeprefix("Its fingerprint: ")
    result = flower("enrol", *(f"{role}={role}/public-identity" for role in shown))
    assert result.exit_code == 0, result.output
    for role, fingerprint in shown.items():
        assert f"{role:<8}  {fingerprint}\n" in result.stdout
        (tmp_path / role / "directory").write_bytes((tmp_path / "directory").read_bytes())
        assert Folder.open(tmp_path / role).name == role
    again = flower("enrol", "server=server/public-identity")
    refused(again, "directory exists and is not replaced; choose another")
    named = flower("enrol", "server=server/public-identity", "--output", "other")
    assert named.stdout.endswith("The directory: other\n")


def test_a_key_holder_makes_its_own_paillier_keys(tmp_path: Path) -> None:
    assert flower("identity", "holder", "--key-bits", "2048").exit_code == 0
    assert names(tmp_path / "holder") == {
        *("identity", "public-identity", "private-key", "public-key")
    }


def test_a_full_disk_is_no_mistake_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folders.os, "fsync", full)
    for command in ("new", "keys", "identity"):
        refused(flower(command, "app"), "No space left on device", code=1)
        assert names(tmp_path) == set()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_what_is_stopped_leaves_nothing(tmp_path: Path, name: str) -> None:
    code = (
        "import os, signal; from veilsum import cli; from veilsum.integrations.flower import apps\n"
        f"apps.deal = lambda *_, **__: os.kill(os.getpid(), signal.{name})\n"
        "cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "flower", "new", "app"],
        env={**os.environ, "MPLBACKEND": "agg"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 128 + getattr(signal, name)
    assert b"Traceback" not in done.stderr
    assert names(tmp_path) == set()


def test_a_new_app_has_two_clients_at_least(tmp_path: Path) -> None:
    result = flower("new", "my-app", "--clients", "1")
    assert result.exit_code == 2
    assert "clients: got 1, expected at least 2" in result.output
    assert names(tmp_path) == set()


@pytest.mark.parametrize("name", ["numpy", "import", "veilsum", "Json"])
def test_a_new_app_takes_the_name_of_no_module(tmp_path: Path, name: str) -> None:
    result = flower("new", name)
    assert result.exit_code == 2
    assert f"directory: got the name '{name}', as a module has it" in result.output
    assert names(tmp_path) == set()


def test_the_template_ships_with_the_package() -> None:
    places = {str(place) for place, _ in apps._template()}
    assert places == (TOP - {"keys", "my_app"}) | {f"package/{name}" for name in MODULES}
