"""Time Paillier against phe, pypaillier and HEU, and packed arrays against TenSEAL's CKKS.

Everything runs on one core, except the rows of two threads; ``--threads`` gives more cores to all
libraries alike. Every library encrypts the same signed integers under a key of its own of the same
length; scalars and weights are public, here and there. Encryption with the private key stands
against what peers do with the public one: their Paillier offers no other.
"""

from __future__ import annotations

import argparse
import importlib
import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from harness import (
    Bench,
    Row,
    Side,
    arguments,
    given_cores,
    in_new_process,
    peak_memory,
    require_right,
    use_cores,
)
from numpy.typing import NDArray
from paillier_peers import DISTRIBUTIONS, Ckks, Heu, Integers, Library, libraries

from veilsum import field, paillier

BOUND = 2.0**31
PACKING_BITS, PACKING_BOUND, PACKING_ADDITIONS = 24, 1.0, 100

Floats: TypeAlias = NDArray[np.float64]


class Keys(NamedTuple):
    """A key pair of veilsum."""

    public: paillier.PublicKey
    private: paillier.PrivateKey

    @classmethod
    def generate(cls, bits: int) -> Keys:
        """Make a pair."""
        return cls(*paillier.keygen(bits=bits))


class Veilsum(Library):
    """What is measured; it encrypts with the public key or, as `owner`, with the private one."""

    def __init__(self, keys: Keys, *, count: int, threads: int = 1, owner: bool = False) -> None:
        self.name = f"veilsum, {threads} thread{'s' if threads > 1 else ''}"
        self.count = count
        self._threads = threads
        self._private = keys.private
        self._encryptor = keys.private if owner else keys.public

    def encrypt(self, values: Integers) -> paillier.CipherArray:
        """Encrypt an array."""
        return self._encryptor.encrypt(values, bound=BOUND, threads=self._threads)

    def decrypt(self, cipher: paillier.CipherArray) -> Iterable[Any]:
        """Decrypt an array."""
        return self._private.decrypt(cipher, threads=self._threads)

    def add(self, a: paillier.CipherArray, b: paillier.CipherArray) -> paillier.CipherArray:
        """Add arrays."""
        return a + b

    def multiply(self, cipher: paillier.CipherArray, scalars: Integers) -> paillier.CipherArray:
        """Multiply arrays."""
        return cipher * scalars

    def dot(self, cipher: paillier.CipherArray, weights: Integers) -> paillier.CipherArray:
        """Return an array of one."""
        return (cipher @ weights).reshape(1)


def random_integers(count: int, *, least: int = -(2**31)) -> Integers:
    """Return random integers of 32 bits, from the least."""
    return np.random.default_rng(20240917).integers(least, least + 2**32, count, dtype=np.int64)


# ---- Operations of one library, each on as many integers as asked


def encryption(library: Library, count: int) -> Side[Any]:
    """Encrypt an array."""
    values = random_integers(count)
    return Side(
        name=library.name,
        run=lambda: library.encrypt(values),
        verify=lambda cipher: library.opened(cipher) == values.tolist(),
        items=count,
    )


def decryption(library: Library, count: int) -> Side[Any]:
    """Decrypt an array."""
    values = random_integers(count)
    cipher = library.encrypt(values)
    return Side(
        name=library.name,
        run=lambda: library.decrypt(cipher),
        verify=lambda opened: list(map(int, opened)) == values.tolist(),
        items=count,
    )


def addition(library: Library, count: int) -> Side[Any]:
    """Add an array to itself."""
    values = random_integers(count)
    cipher = library.encrypt(values)
    return Side(
        name=library.name,
        run=lambda: library.add(cipher, cipher),
        verify=lambda sums: library.opened(sums) == (2 * values).tolist(),
        items=count,
    )


def multiplication(library: Library, count: int, *, least: int = 0) -> Side[Any]:
    """Multiply an array by scalars of 32 bits, from the least."""
    values, scalars = random_integers(count), random_integers(count, least=least)
    cipher = library.encrypt(values)
    return Side(
        name=library.name,
        run=lambda: library.multiply(cipher, scalars),
        verify=lambda products: library.opened(products) == (values * scalars).tolist(),
        items=count,
    )


def dot_product(library: Library, count: int) -> Side[Any]:
    """Weigh an array by weights of 32 bits and add it up; an item is a term."""
    values, weights = random_integers(count), random_integers(count, least=0)
    cipher = library.encrypt(values)
    exact = sum(map(int.__mul__, values.tolist(), weights.tolist()))
    return Side(
        name=library.name,
        run=lambda: library.dot(cipher, weights),
        verify=lambda answer: library.opened(answer) == [exact],
        items=count,
    )


# ---- Rows about ciphertexts of one integer


def compare(
    bench: Bench,
    work: str,
    operation: Callable[[Library, int], Side[Any]],
    ours: Library,
    peers: Iterable[Library],
    *,
    count: int | None = None,
) -> None:
    """Add a row for each peer; a library handles as many as suits it, or `count`."""
    mine = operation(ours, count or ours.count)
    for peer in peers:
        bench.time(work, mine, operation(peer, count or peer.count))


def bench_batches(bench: Bench, keys: Keys, count: int, peers: Sequence[Library]) -> None:
    """Time the operations that are reported for every length of keys."""
    ours = Veilsum(keys, count=count, threads=bench.threads)
    owner = Veilsum(keys, count=count, threads=bench.threads, owner=True)
    decrypting = [peer for peer in peers if peer.decrypts]
    bits = f"{keys.public.bits} bits"
    compare(bench, f"encrypt, {bits}", encryption, ours, peers)
    compare(bench, f"encrypt with the private key, {bits}", encryption, owner, peers)
    compare(bench, f"decrypt, {bits}", decryption, ours, decrypting)
    compare(bench, f"add, {bits}", addition, ours, peers)
    compare(bench, f"multiply by 32 bits, {bits}", multiplication, ours, peers)


def bench_products(bench: Bench, keys: Keys, count: int, peers: Sequence[Library]) -> None:
    """Time products with signed scalars, and weighted sums."""
    ours = Veilsum(keys, count=count, threads=bench.threads)
    signing = [peer for peer in peers if peer.signed_scalars]
    signed = partial(multiplication, least=-(2**31))
    compare(bench, "multiply by signed 32 bits", signed, ours, signing)
    terms = 100 if bench.quick else 1000
    compare(bench, f"a term of a dot product of {terms}", dot_product, ours, peers, count=terms)


def bench_latency(bench: Bench, keys: Keys, peers: Sequence[Library]) -> None:
    """Time what a single number takes."""
    ours = Veilsum(keys, count=1, threads=bench.threads)
    owner = Veilsum(keys, count=1, threads=bench.threads, owner=True)
    compare(bench, "encrypt one", encryption, ours, peers, count=1)
    compare(bench, "encrypt one with the private key", encryption, owner, peers, count=1)
    compare(bench, "decrypt one", decryption, ours, peers, count=1)


def bench_precomputed(bench: Bench, keys: Keys, count: int, peers: Sequence[Library]) -> None:
    """Time what is left of encryption where randomness has been precomputed."""
    values = random_integers(count)
    for peer in peers:
        pool = keys.public.precompute(count * bench.runs, threads=bench.threads)
        online: Side[paillier.CipherArray] = Side(
            name="veilsum, precomputed",
            run=partial(
                keys.public.encrypt, values, bound=BOUND, randomness=pool, threads=bench.threads
            ),
            verify=lambda cipher: keys.private.decrypt(cipher).tolist() == values.tolist(),
            items=count,
            calls=1,
        )
        bench.time("encrypt, precomputed", online, encryption(peer, peer.count))


def bench_threads(bench: Bench, keys: Keys, count: int) -> None:
    """Time two threads against one, where there are two cores."""
    if given_cores() < 2:
        return
    use_cores(2)
    one, two = (Veilsum(keys, count=count, threads=threads) for threads in (1, 2))
    compare(bench, "encrypt on 2 threads", encryption, two, [one])
    compare(bench, "decrypt on 2 threads", decryption, two, [one])
    use_cores(bench.threads)


def bench_portable(
    bench: Bench, options: argparse.Namespace, bits: int, count: int, peers: Sequence[Library]
) -> None:
    """Time the portable kernel against HEU, in a process that was told to use it."""
    if any(isinstance(peer, Heu) for peer in peers):
        variables = {"VEILSUM_KERNEL": "portable"}
        bench.rows += in_new_process(variables, portable_rows, options, bits, count)


def portable_rows(options: argparse.Namespace, bits: int, count: int) -> list[tuple[Row, str]]:
    """Return the rows of the kernel that this process is forced to use."""
    require_right("forcing the portable kernel", field.kernel_info()["name"] == "portable")
    bench = Bench(options, peers=())
    ours = Veilsum(Keys.generate(bits), count=count, threads=bench.threads)
    compare(bench, "encrypt, portable kernel", encryption, ours, Heu.schemas(bits)[:1])
    return bench.rows


# ---- Rows about phe's interface


def bench_phe(bench: Bench, bits: int) -> None:
    """Time making keys, and a program written for phe, by phe and by the module in its place."""
    if not find_spec("phe"):
        return
    phe = importlib.import_module("phe")
    ours = key_generation("veilsum", partial(paillier.keygen, bits=bits), bits)
    generate = partial(phe.generate_paillier_keypair, n_length=bits)
    bench.time("generate keys", ours, key_generation("phe", generate, bits), unit="ms")
    program = phe_program("veilsum", importlib.import_module("veilsum.integrations.phe"), bits)
    bench.time("a program written for phe", program, phe_program("phe", phe, bits), unit="ms")


def key_generation(name: str, generate: Callable[[], Any], bits: int) -> Side[Any]:
    """Make some key pairs, since one may be lucky."""
    count = 5
    return Side(
        name=name,
        run=lambda: [generate() for _ in range(count)],
        verify=lambda pairs: all(public.n.bit_length() == bits for public, _ in pairs),
        items=count,
    )


def phe_program(name: str, phe: ModuleType, bits: int) -> Side[float]:
    """Average twenty floats under encryption."""
    public, private = phe.generate_paillier_keypair(n_length=bits)
    values = np.random.default_rng(20240917).normal(size=20).tolist()
    mean = statistics.fmean(values)

    def average() -> float:
        first, *others = map(public.encrypt, values)
        return float(private.decrypt(sum(others, start=first) * (1 / len(values))))

    return Side(name=name, run=average, verify=lambda answer: math.isclose(answer, mean))


# ---- Rows about packed floats


class Packing:
    """Packed arrays of veilsum, with the interface of `Ckks`."""

    name = "veilsum"

    def __init__(
        self, keys: Keys, *, threads: int, bits: int = PACKING_BITS, owner: bool = False
    ) -> None:
        self.error = PACKING_BOUND / 2 ** (bits + 1)
        self._bits = bits
        self._threads = threads
        self._private = keys.private
        self._encryptor = keys.private if owner else keys.public

    def encrypt(self, values: Floats) -> Any:
        """Encrypt a vector."""
        return self._encryptor.encrypt_packed(
            values,
            bits=self._bits,
            bound=PACKING_BOUND,
            additions=PACKING_ADDITIONS,
            threads=self._threads,
        )

    def add(self, a: Any, b: Any) -> Any:
        """Add vectors."""
        return a + b

    def decrypt(self, cipher: Any) -> Floats:
        """Decrypt a vector."""
        return self._private.decrypt(cipher, threads=self._threads)

    def bytes(self, cipher: Any) -> int:
        """Return how many bytes it takes on the wire."""
        return len(cipher.to_bytes())


Packer: TypeAlias = Packing | Ckks


def random_floats(count: int) -> Floats:
    """Return random floats within the bound of packing."""
    return np.random.default_rng(20240917).uniform(-PACKING_BOUND, PACKING_BOUND, count)


def largest_error(opened: Floats, values: Floats) -> float:
    """Return how far what was decrypted is from what was encrypted."""
    return float(np.max(np.abs(opened - values)))


def packed_encryption(packer: Packer, values: Floats) -> Side[Any]:
    """Encrypt a vector of floats."""
    return Side(
        name=packer.name,
        run=lambda: packer.encrypt(values),
        verify=lambda cipher: largest_error(packer.decrypt(cipher), values) <= packer.error,
    )


def packed_addition(packer: Packer, values: Floats) -> Side[Any]:
    """Add a vector of floats to itself."""
    cipher = packer.encrypt(values)
    return Side(
        name=packer.name,
        run=lambda: packer.add(cipher, cipher),
        verify=lambda sums: largest_error(packer.decrypt(sums), 2 * values) <= 2 * packer.error,
    )


def bench_packed(bench: Bench, keys: Keys, count: int) -> None:
    """Compare packed floats with CKKS."""
    if not find_spec("tenseal"):
        return
    values, work = random_floats(count), f"{count} packed floats"
    public, owner = (Packing(keys, threads=bench.threads, owner=owner) for owner in (False, True))
    ckks, secret = (Ckks(threads=bench.threads, secret=secret) for secret in (False, True))
    for label, ours, theirs in (
        ("encrypt", public, ckks),
        ("encrypt with the private key", owner, ckks),
        ("encrypt with the private key", owner, secret),
    ):
        sides = (packed_encryption(packer, values) for packer in (ours, theirs))
        bench.time(f"{work}: {label}", *sides, unit="ms")
    sums = (packed_addition(packer, values) for packer in (public, ckks))
    bench.time(f"{work}: add", *sums, unit="ms")
    # By one bit the error falls below that of CKKS.
    for bits in (PACKING_BITS, PACKING_BITS + 1):
        packing = Packing(keys, threads=bench.threads, bits=bits)
        record_packed(bench, f"{work} of {bits} bits", values, packing, ckks)
    record_memory(bench, work, values, keys.public.bits)


class Figures(NamedTuple):
    """What one encryption of packed floats shows."""

    megabytes: float
    largest_error: float
    decryption_ms: float


def figures(packer: Packer, values: Floats) -> Figures:
    """Encrypt and decrypt once."""
    cipher = packer.encrypt(values)
    start = time.perf_counter()
    opened = packer.decrypt(cipher)
    milliseconds = 1e3 * (time.perf_counter() - start)
    return Figures(packer.bytes(cipher) / 1e6, largest_error(opened, values), milliseconds)


def record_packed(bench: Bench, work: str, values: Floats, ours: Packing, theirs: Ckks) -> None:
    """Compare bytes, precision and decryption, each measured once."""
    mine, others = figures(ours, values), figures(theirs, values)
    right = mine.largest_error <= ours.error and others.largest_error <= theirs.error
    for label, unit, figure, other in (
        ("size", "MB", mine.megabytes, others.megabytes),
        ("largest error", "abs", mine.largest_error, others.largest_error),
        ("decrypt", "ms", mine.decryption_ms, others.decryption_ms),
    ):
        bench.record(f"{work}: {label}", unit, figure, theirs.name, other, verified=right)


def record_memory(bench: Bench, work: str, values: Floats, bits: int) -> None:
    """Compare by how much encryption raises the peak memory of a process."""
    mine, others = (
        in_new_process({}, memory_of_packing, is_ours, values, bits) for is_ours in (True, False)
    )
    megabytes = (mine[0] / 1e6, Ckks.name, others[0] / 1e6)
    bench.record(f"{work}: peak memory", "MB", *megabytes, verified=mine[1] and others[1])


def memory_of_packing(is_ours: bool, values: Floats, bits: int) -> tuple[int, bool]:
    """Return the bytes that encryption takes in this process, and whether it is right."""
    packer = Packing(Keys.generate(bits), threads=1) if is_ours else Ckks(threads=1)
    side = packed_encryption(packer, values)
    before = peak_memory()
    cipher = side.run()
    return peak_memory() - before, side.verify(cipher)


def main() -> None:
    """Run the bench."""
    options = arguments(__doc__)
    use_cores(options.threads)
    bench = Bench(options, peers=DISTRIBUTIONS)
    bits, count = 2048, 256 if bench.quick else 512
    keys, peers = Keys.generate(bits), libraries(bits)
    bench_batches(bench, keys, count, peers)
    bench_products(bench, keys, count, peers)
    bench_latency(bench, keys, peers)
    bench_precomputed(bench, keys, count, peers[:1])
    bench_threads(bench, keys, count)
    bench_portable(bench, options, bits, count, peers)
    bench_phe(bench, bits)
    bench_packed(bench, keys, 100_000 if bench.quick else 1_000_000)
    for longer in () if bench.quick else (3072, 4096):
        bench_batches(bench, Keys.generate(longer), 256, libraries(longer))
    bench.finish()


if __name__ == "__main__":
    main()
