"""What the documentation shows must run: docstring examples, the README's blocks and commands."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import veilsum

README = Path(__file__).resolve().parents[1] / "README.md"
GROUPS = {"flower"}
"""Commands that have commands of their own."""


def module_names() -> list[str]:
    """Every module of the package."""
    found = pkgutil.walk_packages(veilsum.__path__, prefix="veilsum.")
    return ["veilsum", *sorted(info.name for info in found)]


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language in a Markdown text."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def shown_commands(text: str) -> list[list[str]]:
    """The ``veilsum ...`` command lines that a Markdown text shows, comments left out."""
    lines = [
        piece.strip()
        for language in ("console", "bash", "sh", "shell")
        for block in blocks(text, language)
        for line in block.replace("\\\n", " ").splitlines()
        for piece in line.split("&&")
    ]
    words = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]
    return [line for line in words if line[:1] == ["veilsum"]]


def readme() -> str:
    if not README.exists():
        pytest.skip("no README.md beside the tests")
    return README.read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Flower's import raises some
@pytest.mark.parametrize("name", module_names())
def test_docstring_examples_of(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if str(error.name).split(".")[0] not in ("flwr", "ray"):
            raise
        pytest.skip("needs Flower: pip install 'veilsum[flower]'")
    failures, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS)  # as pytest's default
    assert failures == 0


def test_readme_python_blocks_run_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    examples = blocks(readme(), "python")
    assert examples
    names: dict[str, object] = {"__name__": "readme"}
    for number, example in enumerate(examples, start=1):
        exec(compile(example, f"README.md, python block {number}", "exec"), names)  # noqa: S102


def test_readme_commands_and_their_options_exist() -> None:
    commands = shown_commands(readme())
    assert any(line[1:2] == ["compare"] for line in commands)
    for _, *words in commands:
        depth = 2 if words[0] in GROUPS else 1
        command, arguments = words[:depth], words[depth:]
        shown = help_of(*command)
        for option in (word.partition("=")[0] for word in arguments if word.startswith("-")):
            assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", shown), (command, option)


def help_of(*command: str) -> str:
    """What the installed command line prints for ``veilsum COMMAND --help``."""
    run = "import sys; from veilsum.cli import main; sys.exit(main())"
    answer = subprocess.run(
        [sys.executable, "-c", run, *command, "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"},
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_commands_are_found_in_every_way_a_readme_writes_them() -> None:
    text = "```console\n$ veilsum compare --clients 2 \\\n    --seed 1   # short\n```\n"
    text += "```bash\npip install '.[lab]' && veilsum compare\n```\n```python\nveilsum\n```\n"
    assert shown_commands(text) == [
        ["veilsum", "compare", "--clients", "2", "--seed", "1"],
        ["veilsum", "compare"],
    ]
