"""How many threads an operation may use.

What reaches the compiled core has to have its exact type, because the core's binding prints all
arguments of a call that it refuses, secrets included. Every ``threads=`` keyword goes through here.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import pairwise
from numbers import Integral

from veilsum import _core

__all__ = ["MAX_THREADS", "in_ranges", "thread_count"]

MAX_THREADS = 1024
_ALL_CORES = 0


def thread_count(threads: int | None) -> int:
    """Read the argument `threads` as the compiled core counts threads.

    Parameters
    ----------
    threads : int or None
        From 1 to `MAX_THREADS`; None means all cores.

    Returns
    -------
    int
        `threads`, or 0 for all cores.

    Raises
    ------
    TypeError
        If `threads` is neither an integer nor None; a bool and a whole float are not integers.
    ValueError
        If `threads` is out of range.

    Examples
    --------
    >>> thread_count(2), thread_count(None)
    (2, 0)
    """
    if threads is None:
        return _ALL_CORES
    if isinstance(threads, bool) or not isinstance(threads, Integral):
        raise TypeError(f"threads: got {type(threads).__name__}, expected int or None")
    count = int(threads)
    if not 1 <= count <= MAX_THREADS:
        raise ValueError(
            f"threads: got {count}, expected at least 1 and at most {MAX_THREADS}, "
            "or None for all cores"
        )
    return count


def in_ranges(work: Callable[[int, int], None], count: int, grain: int, threads: int) -> None:
    """Call ``work(begin, end)`` on disjoint ranges that cover ``range(count)``, one a thread.

    Parameters
    ----------
    work : callable
        Worth a thread only where it spends its time outside the interpreter's lock.
    count : int
        At least 0.
    grain : int
        Every range but the last is a multiple of it.
    threads : int
        As `thread_count` returns it.

    Examples
    --------
    >>> in_ranges(print, 100, 64, 1)
    0 100
    """
    grains = -(-count // grain)
    workers = min(_core.usable_threads(threads), grains)
    ends = [min(count, grains * i // max(workers, 1) * grain) for i in range(workers + 1)]
    if workers <= 1:
        work(0, count)
        return
    with ThreadPoolExecutor(workers) as pool:
        pending = [
            pool.submit(copy_context().run, work, begin, end) for begin, end in pairwise(ends)
        ]
        for task in pending:
            task.result()
