"""Compare the committed stub of the compiled core with what the core says of itself.

With ``--write`` the stub is written instead of compared.
"""

from __future__ import annotations

import argparse
import difflib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

MODULE = "veilsum._core"
CHECKOUT = Path(__file__).resolve().parents[1]
STUB = CHECKOUT / "python" / "veilsum" / "_core.pyi"

# How pybind11 writes an integer differs between its versions, and a bare dict says too little.
REWRITES = {
    r"typing\.SupportsInt( \| typing\.SupportsIndex)?": "int",
    r"\bdict\b(?!\[)": "dict[str, typing.Any]",
}


def generated() -> str:
    """Return the stub of the importable core, formatted as the repository formats its code."""
    with tempfile.TemporaryDirectory() as folder:
        run(sys.executable, "-m", "pybind11_stubgen", MODULE, "--exit-code", "-o", folder)
        fresh = Path(folder, *MODULE.split(".")).with_suffix(".pyi")
        stub = fresh.read_text(encoding="utf-8")
    for written, meant in REWRITES.items():
        stub = re.sub(written, meant, stub)
    return formatted(stub)


def formatted(stub: str) -> str:
    """Return the stub as the linters want it."""
    ruff = (sys.executable, "-m", "ruff")
    name = f"--stdin-filename={STUB}"
    sorted_stub = run(
        *ruff, "check", "--select=I,D200", "--fix", "--unsafe-fixes", "-q", name, "-", text=stub
    )
    return run(*ruff, "format", name, "-", text=sorted_stub)


def run(*command: str, text: str | None = None) -> str:
    """Return the standard output of a command that must succeed."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=CHECKOUT)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def difference(committed: str, fresh: str) -> str:
    """Return a unified diff, empty where the two agree."""
    lines = (committed.splitlines(), fresh.splitlines())
    return "\n".join(difflib.unified_diff(*lines, "committed", "generated", lineterm=""))


def main() -> int:
    """Check or write the stub."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the stub")
    if parser.parse_args().write:
        STUB.write_text(generated(), encoding="utf-8")
        return 0
    found = difference(formatted(STUB.read_text(encoding="utf-8")), generated())
    if found:
        print(found, f"\n{STUB.name} is out of date: run python .ci/check_stub.py --write")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
