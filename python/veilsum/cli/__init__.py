"""The command ``veilsum``: a thin face over the floors below."""

import os
import signal
import sys

__all__ = ["main"]

_LAB = frozenset({"typer", "rich", "matplotlib", "jinja2"})
_BLAS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Say how many threads linear algebra has, to libraries that are loaded afterwards."""


def main() -> None:
    """Run the command line; what cannot even start is one line and an exit code as well."""
    try:
        _run()
    except KeyboardInterrupt:
        _stop("interrupted; nothing was written", 130)


def _run() -> None:
    for variable in _BLAS:  # matrices are small here: clients in processes of their own gain more
        os.environ.setdefault(variable, "1")
    try:
        from veilsum.cli.commands import app
        from veilsum.cli.endings import guarded
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] not in _LAB:
            raise
        _stop(
            f"the command line needs {missing.name}, which is not installed; "
            "run: pip install 'veilsum[lab]'",
            1,
        )
    except ImportError as error:
        if "VEILSUM_KERNEL" not in str(error):
            raise
        _stop(f"error: {error}", 2)
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, lambda got, _: sys.exit(128 + got))
    with guarded():
        app(prog_name="veilsum")


def _stop(message: str, code: int) -> None:
    print(f"veilsum: {message}", file=sys.stderr)
    sys.exit(code)
