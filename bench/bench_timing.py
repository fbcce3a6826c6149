"""Look for secrets in running times, by Welch's t on a million timings of each operation.

The method of Reparaz, Balasch and Verbauwhede, "Dude, is my code constant time?" (2017): a sample
is the time of one call of the compiled core on one number, whose secret is either 0 or random, as a
coin says; slow samples, which tell of interrupts, are cropped at several percentiles. If ``|t|`` of
the two classes' means reaches 4.5 at any of them, chance explains it less than once in ten thousand
runs. Controls, which leak on purpose, must be caught: else the bench fails.

What it can show: that one class takes longer by more than the column "detectable", on this machine,
for this kernel and these classes. What it cannot: that no secret tells in any way. Smaller
differences, secrets other than 0 that take their own time, what caches and branch predictors tell
a process beside this one, and other processors stay unseen, and a loaded machine hides more; keys
are short, so that a million calls take a minute. That no secret reaches a branch or an address is
what tests/cpp proves.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from harness import describe_environment, require_right, use_cores
from numpy.typing import NDArray

from veilsum import _core, paillier
from veilsum.errors import InsecureKeyWarning

THRESHOLD = 4.5
CROPS = (1.0, 0.99, 0.9, 0.5)
SAMPLES, QUICK_SAMPLES = 1_000_000, 20_000
CHUNK = 1000

BITS = 256
MESSAGE_BITS = 62
ONE_THREAD = 1

Words: TypeAlias = NDArray[np.uint64]
Classes: TypeAlias = NDArray[np.bool_]
Calls: TypeAlias = Sequence[Callable[[], object]]


class Rig:
    """A short key in the compiled core, and the calls that are timed on it.

    Each method takes the class of each sample, True where the secret is random and False where it
    is 0, and returns one call a sample; whatever it needs is in memory when it is called.
    """

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InsecureKeyWarning)
            public, private = paillier.keygen(BITS, insecure=True)
        self._public = public._core
        self._private = private._core_key
        self._random = np.random.default_rng(20240917)
        self._limit = np.array([2**MESSAGE_BITS], np.uint64)
        message, exponent = self._messages(1), self._exponents(1)
        self._cipher = self._public.encrypt(message, exponent, ONE_THREAD)
        again = self._private.encrypt(self._public, message, exponent, ONE_THREAD)
        ciphers = [vector.to_words(ONE_THREAD).tolist() for vector in (self._cipher, again)]
        require_right("encryption with either key", ciphers[0] == ciphers[1])
        _, opened = self._decryption(self._cipher, self._checks(1)[0])()
        require_right("decryption", opened.tolist() == message.tolist())

    def public_message(self, is_random: Classes) -> Calls:
        """Encrypt with the public key; the message is the secret."""
        return self._encryptions(self._public.encrypt, is_random, varied="message")

    def public_exponent(self, is_random: Classes) -> Calls:
        """Encrypt with the public key; the exponent of the randomness is the secret."""
        return self._encryptions(self._public.encrypt, is_random, varied="exponent")

    def private_message(self, is_random: Classes) -> Calls:
        """Encrypt with the private key; the message is the secret."""
        encrypt = partial(self._private.encrypt, self._public)
        return self._encryptions(encrypt, is_random, varied="message")

    def private_exponent(self, is_random: Classes) -> Calls:
        """Encrypt with the private key; the exponent of the randomness is the secret."""
        encrypt = partial(self._private.encrypt, self._public)
        return self._encryptions(encrypt, is_random, varied="exponent")

    def decryption(self, is_random: Classes) -> Calls:
        """Decrypt; the plaintext is the secret."""
        encryptions = self._encryptions(self._public.encrypt, is_random, varied="message")
        checks = self._checks(len(is_random))
        pairs = zip(encryptions, checks, strict=True)
        return [self._decryption(encrypt(), check) for encrypt, check in pairs]

    def scalar(self, is_random: Classes) -> Calls:
        """Multiply by a scalar of 62 bits, which is the secret."""
        scalars = self._secrets(is_random)
        return [partial(self._cipher.power, s, MESSAGE_BITS, ONE_THREAD) for s in scalars]

    def key_share(self, is_random: Classes) -> Calls:
        """Raise to an exponent as long as a share of a key, which is the secret."""
        shape = (len(is_random), 1, 2 * BITS // 64)
        exponents = self._random.integers(0, 2**64, shape, dtype=np.uint64)
        exponents[~is_random] = 0
        return [partial(self._cipher.power, e, 2 * BITS, ONE_THREAD) for e in exponents]

    def public_weight(self, is_random: Classes) -> Calls:
        """Weigh by a weight of 62 bits: a leak, since weights are public and zeros skipped."""
        weights = self._secrets(is_random)
        return [partial(self._cipher.weigh, 1, w, 1, MESSAGE_BITS, ONE_THREAD) for w in weights]

    def skipped_message(self, is_random: Classes) -> Calls:
        """Encrypt by a function that leaks: it multiplies by the message unless that is 0."""
        nothing = np.zeros((1, 1), np.uint64)

        def encrypt(message: Words, exponent: Words, threads: int) -> _core.CipherVector:
            cipher = self._public.encrypt(nothing, exponent, threads)
            if message.any():
                cipher = cipher.multiply(self._public.encode(message, threads), threads)
            return cipher

        return self._encryptions(encrypt, is_random, varied="message")

    def _messages(self, count: int) -> Words:
        limit = 2**MESSAGE_BITS
        return self._random.integers(-limit, limit, (count, 1), endpoint=True).view(np.uint64)

    def _exponents(self, count: int) -> Words:
        shape = (count, self._public.exponent_words)
        return self._random.integers(0, 2**64, shape, dtype=np.uint64)

    def _checks(self, count: int) -> Words:
        shape = (count, self._private.check_words(1))
        return self._random.integers(0, 2**64, shape, dtype=np.uint64)

    def _secrets(self, is_random: Classes) -> Words:
        shape = (len(is_random), 1, 1)
        secrets = self._random.integers(0, 2**MESSAGE_BITS, shape, dtype=np.uint64)
        secrets[~is_random] = 0
        return secrets

    def _encryptions(
        self,
        encrypt: Callable[[Words, Words, int], _core.CipherVector],
        is_random: Classes,
        *,
        varied: Literal["message", "exponent"],
    ) -> list[Callable[[], _core.CipherVector]]:
        """Prepare encryptions of random messages under random exponents, or some of them 0."""
        messages, exponents = self._messages(len(is_random)), self._exponents(len(is_random))
        (messages if varied == "message" else exponents)[~is_random] = 0
        rows = zip(messages[:, np.newaxis], exponents[:, np.newaxis], strict=True)
        return [partial(encrypt, message, exponent, ONE_THREAD) for message, exponent in rows]

    def _decryption(
        self, cipher: _core.CipherVector, check: Words
    ) -> Callable[[], tuple[str, Words]]:
        return partial(self._private.decrypt, cipher, self._limit, check, ONE_THREAD)


@dataclass(frozen=True, slots=True)
class Row:
    """What the timings of one operation show, in the schema of the JSON file."""

    work: str
    samples: int
    median_ns: float
    difference_ns: float
    detectable_ns: float
    t: float
    kept: float
    is_control: bool

    @property
    def differs(self) -> bool:
        """Whether the classes' times do, beyond chance."""
        return abs(self.t) >= THRESHOLD

    @property
    def verdict(self) -> str:
        """Say what that means."""
        if self.is_control:
            return "caught, as it must be" if self.differs else "NOT CAUGHT"
        return "LEAK?" if self.differs else "none seen"


def measure(work: str, subject: Callable[[Classes], Calls], count: int, *, control: bool) -> Row:
    """Time an operation, and compare its classes at the percentile where they differ most."""
    coins = np.random.default_rng(20240918)
    timed(subject(coins.random(CHUNK) < 0.5))  # tables are made, caches and clocks warm up
    chunks = [coins.random(CHUNK) < 0.5 for _ in range(math.ceil(count / CHUNK))]
    times = np.concatenate([timed(subject(chunk)) for chunk in chunks])
    is_random = np.concatenate(chunks)
    compared = [(*welch(times, is_random, kept), kept) for kept in CROPS]
    difference, error, kept = max(compared, key=lambda found: abs(found[0]) / found[1])
    row = Row(
        work=work,
        samples=len(times),
        median_ns=float(np.median(times)),
        difference_ns=difference,
        detectable_ns=THRESHOLD * min(error for _, error, _ in compared),
        t=difference / error,
        kept=kept,
        is_control=control,
    )
    print(f"{work}: t = {row.t:.3g}, {row.verdict}", file=sys.stderr, flush=True)
    return row


def timed(calls: Calls) -> NDArray[np.int64]:
    """Return the nanoseconds of each call."""
    clock, times = time.perf_counter_ns, np.zeros(len(calls), np.int64)
    gc.collect()
    gc.disable()
    try:
        for at, call in enumerate(calls):
            start = clock()
            call()
            times[at] = clock() - start
    finally:
        gc.enable()
    return times


def welch(times: NDArray[np.int64], is_random: Classes, kept: float) -> tuple[float, float]:
    """Return the difference of the classes' means and its standard error, of the fastest times."""
    fast = times <= np.quantile(times, kept)
    zeros, others = (times[fast & chosen] for chosen in (~is_random, is_random))
    error = math.sqrt(zeros.var(ddof=1) / len(zeros) + others.var(ddof=1) / len(others))
    return float(others.mean() - zeros.mean()), error


def rows(count: int) -> Iterator[Row]:
    """Measure the controls, then the operations."""
    rig = Rig()
    yield measure("control: a public weight", rig.public_weight, count, control=True)
    yield measure("control: skip a message of 0", rig.skipped_message, count, control=True)
    subjects = {
        "encrypt: message": rig.public_message,
        "encrypt: exponent": rig.public_exponent,
        "encrypt with the private key: message": rig.private_message,
        "encrypt with the private key: exponent": rig.private_exponent,
        "decrypt: plaintext": rig.decryption,
        "multiply: scalar": rig.scalar,
        "decryption share: exponent": rig.key_share,
    }
    for work, subject in subjects.items():
        yield measure(work, subject, count, control=False)


def table(found: list[Row]) -> str:
    """Lay rows out as plain text."""
    heads = ["secret", "samples", "median ns", "difference", "detectable", "t", "kept", "leak"]
    lines = [heads]
    for row in found:
        numbers = (row.median_ns, row.difference_ns, row.detectable_ns, row.t)
        texts = [f"{number:.4g}" for number in numbers]
        lines.append([row.work, str(row.samples), *texts, f"{row.kept:.0%}", row.verdict])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def arguments() -> argparse.Namespace:
    """Parse the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SAMPLES} samples")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as JSON")
    return parser.parse_args()


def main() -> None:
    """Run the bench."""
    options = arguments()
    use_cores(1)
    found = list(rows(QUICK_SAMPLES if options.quick else SAMPLES))
    environment: dict[str, Any] = describe_environment(threads=ONE_THREAD, peers=())
    environment["key"] = f"{BITS} bits"
    print("\n".join(f"{name}: {value}" for name, value in environment.items()), end="\n\n")
    print(table(found))
    if options.json is not None:
        document = {"environment": environment, "rows": [asdict(row) for row in found]}
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    missed = [row.work for row in found if row.is_control and not row.differs]
    if missed:
        raise SystemExit(f"{', '.join(missed)}: not caught, so the other figures mean nothing")


if __name__ == "__main__":
    main()
