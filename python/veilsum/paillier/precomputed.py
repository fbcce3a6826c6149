"""Precomputed randomness: encryptions of zero, each of which hides one plaintext later.

Whoever knows the encryption of zero that hid a plaintext reads that plaintext. So each is handed
out once, to one caller, and forgotten here; none is written down or copied; and a process that was
forked from the one that made them is refused, since both hold the same.
"""

import os
import threading
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from veilsum import _core
from veilsum.errors import InsufficientRandomness, KeyMismatch

if TYPE_CHECKING:
    from veilsum.paillier.keys import PublicKey

__all__ = ["RandomnessPool"]


class RandomnessPool:
    """Randomness for as many encryptions as its length says; made by ``precompute`` of a key.

    Threads may share it: no two of them get the same element. It is of use in the process that made
    it only: elsewhere its length is 0. It does not pickle or copy, and is redacted in repr.

    Examples
    --------
    >>> from veilsum import paillier
    >>> pub, _ = paillier.keygen(2048)
    >>> pool = pub.precompute(3)
    >>> c = pub.encrypt([7, 8], randomness=pool)
    >>> pub.encrypt([7, 8], randomness=pool)
    Traceback (most recent call last):
    ...
    veilsum.errors.InsufficientRandomness: randomness: 1 of the 2 needed is left; ...
    """

    __slots__ = ("_lock", "_nothing", "_pieces", "_process", "_public_key")

    def __init__(self, public_key: "PublicKey", zeros: _core.CipherVector) -> None:
        self._public_key = public_key
        self._pieces = [zeros]
        self._nothing = _part(zeros, 0, 0)
        self._lock = threading.Lock()
        self._process = os.getpid()

    def __len__(self) -> int:
        # The process is looked at before the lock, which a fork may have left closed for ever.
        if self._process != os.getpid():
            return 0
        with self._lock:
            return self._left()

    def _left(self) -> int:
        return sum(map(len, self._pieces))

    def _take(self, count: int, public_key: "PublicKey") -> _core.CipherVector:
        """Remove as many encryptions of zero, for the caller alone."""
        if public_key != self._public_key:
            raise KeyMismatch("randomness: it is for another key; precompute with the same key")
        if self._process != os.getpid():
            raise InsufficientRandomness(
                "randomness: it belongs to the process that this one was forked from, "
                "which may use it; precompute again in this process"
            )
        taken = self._nothing
        with self._lock:
            left = self._left()
            if count > left:
                raise InsufficientRandomness(
                    f"randomness: {left} of the {count} needed {'is' if left == 1 else 'are'} "
                    "left; encrypt fewer, precompute more, or leave the argument out"
                )
            while len(taken) < count:
                taken = taken.append(self._pop(count - len(taken)))
        return taken

    def _pop(self, most: int) -> _core.CipherVector:
        """Remove the last piece, or `most` elements of it.

        What stays is copied, so that what leaves is not kept alive. A large piece is halved until
        the rest is small, so that many small draws together copy each element a few times only.
        """
        piece = self._pieces.pop()
        while len(piece) > most:
            cut = max(most, len(piece) // 2)
            self._pieces.append(_part(piece, cut, len(piece)))
            piece = _part(piece, 0, cut)
        return piece

    def __repr__(self) -> str:
        return f"RandomnessPool(<redacted>, {len(self)} left, for {self._public_key!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "precomputed randomness does not pickle or copy: it is used once, in one process; "
            "precompute again where it is needed"
        )


def _part(vector: _core.CipherVector, start: int, stop: int) -> _core.CipherVector:
    return vector.gather(np.arange(start, stop, dtype=np.int64))
