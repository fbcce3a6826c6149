"""How many threads an operation may use.

What reaches the compiled core has to have its exact type, because the core's binding prints all
arguments of a call that it refuses, secrets included. Every ``threads=`` keyword goes through here.
"""

from numbers import Integral

__all__ = ["MAX_THREADS", "thread_count"]

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
