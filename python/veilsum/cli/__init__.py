"""The command ``veilsum``: a thin face over the floors below."""

import sys

__all__ = ["main"]

_LAB = frozenset({"typer", "rich", "matplotlib", "jinja2"})


def main() -> None:
    """Run the command line, or say what to install when the ``lab`` extra is missing."""
    try:
        from veilsum.cli.commands import app
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] not in _LAB:
            raise
        print(
            f"veilsum: the command line needs {missing.name}, which is not installed; "
            "run: pip install 'veilsum[lab]'",
            file=sys.stderr,
        )
        sys.exit(1)
    app(prog_name="veilsum")
