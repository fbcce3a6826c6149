"""How many threads: what is read, what is refused, and that no refusal shows a secret."""

import inspect
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from veilsum import encoding, field, randomness, shamir, wire
from veilsum.field import P50, P257
from veilsum.threads import MAX_THREADS, thread_count

SECRET = 987654321987
WIDE = P257.from_integers([SECRET])
NO_COUNTS = [1.5, 2.0, np.float64(2), "2", True, np.True_, [1], np.array([2]), 2j, {}]
OUT_OF_RANGE = [0, -1, MAX_THREADS + 1, 2**64 + 1, 2**70, -(2**70)]

Call = Callable[[Any], Any]


def dealt() -> shamir.Shares:
    return shamir.split([SECRET], shares=3, threshold=1, bound=2**40)


CALLS: dict[str, list[Call]] = {
    "PrimeField.matmul": [lambda threads: P50.matmul([[SECRET]], [SECRET], threads=threads)],
    "split": [
        lambda threads: shamir.split([SECRET], shares=3, threshold=1, bound=2**40, threads=threads),
        lambda threads: shamir.split([], shares=3, threshold=1, threads=threads),
    ],
    "PrimeField.ntt": [lambda threads: P50.ntt([SECRET, 0], threads=threads)],
    "PrimeField.intt": [lambda threads: P50.intt([SECRET, 0], threads=threads)],
    "WideField.matmul": [lambda threads: P257.matmul(WIDE[np.newaxis], WIDE, threads=threads)],
    "WideField.ntt": [lambda threads: P257.ntt(WIDE, threads=threads)],
    "WideField.intt": [lambda threads: P257.intt(WIDE, threads=threads)],
    "split_additive": [
        lambda threads: shamir.split_additive([SECRET], shares=3, bound=2**40, threads=threads)
    ],
    "deal_zeros": [lambda threads: shamir.deal_zeros(dealt(), threads=threads)],
    "reshare": [
        lambda threads: shamir.reshare(
            dealt()[0], among=(1,), shares=3, threshold=2, threads=threads
        )
    ],
    "find_liars": [lambda threads: shamir.find_liars(dealt(), max_errors=1, threads=threads)],
    "reconstruct": [
        lambda threads: shamir.reconstruct(dealt(), max_errors=1, threads=threads),
        lambda threads: shamir.reconstruct(dealt(), threads=threads),
        lambda threads: shamir.reconstruct(dealt(), method="newton", threads=threads),
    ],
}
every_call = pytest.mark.parametrize("call", [call for calls in CALLS.values() for call in calls])


def functions_with_threads() -> set[str]:
    """Public functions and methods of the floors below that take `threads`, by name."""
    found = set()
    for module in (encoding, field, randomness, shamir, wire):
        for name in module.__all__:
            public = getattr(module, name)
            members = vars(public) if inspect.isclass(public) else {}
            members = [member for member in members if not member.startswith("_")]
            named = {f"{name}.{member}": getattr(public, member) for member in members} | {
                name: public
            }
            found |= {
                label
                for label, thing in named.items()
                if inspect.isroutine(thing) and takes_threads(thing)
            }
    return found


def takes_threads(routine: Any) -> bool:
    try:
        return "threads" in inspect.signature(routine).parameters
    except ValueError:  # of a routine in C
        return False


def test_every_function_with_threads_is_tested_here() -> None:
    assert functions_with_threads() == set(CALLS)


@pytest.mark.parametrize(
    ("threads", "count"),
    [(None, 0), (1, 1), (MAX_THREADS, MAX_THREADS), (np.int64(3), 3), (np.uint8(2), 2)],
)
def test_counts_are_read_as_the_core_counts(threads: Any, count: int) -> None:
    read = thread_count(threads)
    assert read == count
    assert type(read) is int


@pytest.mark.parametrize("threads", NO_COUNTS, ids=repr)
def test_what_is_no_integer_is_a_type_error(threads: Any) -> None:
    with pytest.raises(TypeError, match=r"^threads: got \w+, expected int or None$"):
        thread_count(threads)


@pytest.mark.parametrize("threads", OUT_OF_RANGE)
def test_a_count_out_of_range_is_refused(threads: int) -> None:
    with pytest.raises(
        ValueError, match=rf"^threads: got {threads}, expected at least 1 and at most 1024, or None"
    ):
        thread_count(threads)


@every_call
@pytest.mark.parametrize("threads", NO_COUNTS + OUT_OF_RANGE, ids=repr)
def test_no_refusal_of_threads_shows_a_secret(call: Call, threads: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^threads: got") as caught:
        call(threads)
    assert str(SECRET) not in "".join(traceback.format_exception(caught.value))


@every_call
@pytest.mark.parametrize("threads", [None, 1, 2, np.int64(2), MAX_THREADS])
def test_every_allowed_count_works(call: Call, threads: Any) -> None:
    call(threads)
