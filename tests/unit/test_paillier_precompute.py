"""Precomputed randomness: one multiplication, one use, one process, and every error."""

import copy
import multiprocessing
import os
import pickle
import random
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.reduction import ForkingPickler
from typing import Any

import gmpy2
import numpy as np
import pytest

from veilsum import paillier, randomness
from veilsum.errors import (
    BudgetExceeded,
    InsufficientRandomness,
    KeyMismatch,
    VeilsumError,
)
from veilsum.paillier import CipherArray, PrivateKey, PublicKey, precomputed
from veilsum.paillier.precomputed import RandomnessPool

Keys = tuple[PublicKey, PrivateKey]

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@pytest.fixture(scope="module")
def keys() -> Keys:
    return paillier.keygen(512, insecure=True)


@contextmanager
def seeded(seed: int = 1) -> Iterator[None]:
    with randomness._test_source(random.Random(seed).randbytes):
        yield


def drawn(pub: PublicKey, pool: RandomnessPool, count: int) -> list[int]:
    """What the pool hides the next plaintexts with."""
    zeros = pub.encrypt(np.zeros(count, np.int64), randomness=pool)
    return [int(c) for c in zeros.to_integers()]


def held(pub: PublicKey, pool: RandomnessPool) -> list[int]:
    """What the pool still holds."""
    pieces = [
        CipherArray(pub, piece, shape=(len(piece),), scale=1, limit=0) for piece in pool._pieces
    ]
    return [int(c) for piece in pieces for c in piece.to_integers()]


class TestUse:
    def test_the_plaintexts_come_back(self, keys: Keys) -> None:
        pub, priv = keys
        pool = pub.precompute(20)
        values = np.array([[0.5, -1.25], [3.0, -(2.0**20)]])
        np.testing.assert_array_equal(priv.decrypt(pub.encrypt(values, randomness=pool)), values)
        limit = pub.plaintext_limit
        edges = pub.encrypt([1, -1], randomness=pool, bound=1) * limit
        assert priv.decrypt(edges).tolist() == [limit, -limit]
        wide = pub.encrypt([2**300, -(2**300)], randomness=pool, bound=2.0**300)
        assert priv.decrypt(wide).tolist() == [2**300, -(2**300)]
        assert priv.decrypt(pub.encrypt(7, randomness=pool)) == 7
        assert len(pool) == 20 - 4 - 2 - 2 - 1

    def test_the_same_draws_give_the_same_ciphertexts_as_without(self, keys: Keys) -> None:
        pub, _ = keys
        values = [5, -6, 0, 2**40, -(2**52)]
        with seeded():
            fresh = pub.encrypt(values)
        with seeded():
            pool = pub.precompute(len(values))
        prepared = pub.encrypt(values, randomness=pool)
        assert prepared.to_bytes() == fresh.to_bytes()

    def test_encrypting_draws_nothing_and_raises_nothing_to_a_power(self, keys: Keys) -> None:
        pub, priv = keys
        pool = pub.precompute(3)

        def source(count: int) -> bytes:
            raise AssertionError(f"{count} bytes were drawn")

        with randomness._test_source(source):
            c = pub.encrypt([1, 2, 3], randomness=pool)
        assert priv.decrypt(c).tolist() == [1, 2, 3]

    def test_no_two_ciphertexts_share_randomness(self, keys: Keys) -> None:
        pub, _ = keys
        pool = pub.precompute(50)
        used = [c for count in (1, 7, 30, 12) for c in drawn(pub, pool, count)]
        assert len(set(used)) == 50
        assert len(pool) == 0

    def test_what_was_used_is_no_longer_held(self, keys: Keys) -> None:
        pub, _ = keys
        pool = pub.precompute(33)
        everything = set(held(pub, pool))
        used: set[int] = set()
        for count in (1, 1, 5, 0, 16, 2, 8):
            used |= set(drawn(pub, pool, count))
            assert not used & set(held(pub, pool))
            assert used | set(held(pub, pool)) == everything
            assert len(pool) == 33 - len(used)

    def test_many_small_draws_copy_each_element_a_few_times_only(
        self, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pub, _ = keys
        pool = pub.precompute(512)
        copied: list[int] = []
        part = precomputed._part

        def counted(vector: Any, start: int, stop: int) -> Any:
            copied.append(stop - start)
            return part(vector, start, stop)

        monkeypatch.setattr(precomputed, "_part", counted)
        for _ in range(512):
            pub.encrypt([1], randomness=pool)
        assert sum(copied) <= 512 * 10  # and 512 * 256 by cutting one after the other off

    def test_nothing_to_encrypt_takes_nothing(self, keys: Keys) -> None:
        pub, _ = keys
        pool = pub.precompute(1)
        empty = pub.encrypt(np.zeros((0, 3)), randomness=pool)
        assert empty.shape == (0, 3)
        assert len(pool) == 1
        pub.encrypt([1], randomness=pool)
        assert pub.encrypt([], randomness=pool).shape == (0,)

    def test_an_empty_pool_is_not_taken_for_no_pool(self, keys: Keys) -> None:
        pub, _ = keys
        pool = pub.precompute(1)
        pub.encrypt([1], randomness=pool)
        assert not pool
        with pytest.raises(InsufficientRandomness):
            pub.encrypt([1], randomness=pool)

    def test_either_key_prepares_for_either(self, keys: Keys) -> None:
        pub, priv = keys
        for maker in keys:
            pool = maker.precompute(4)
            both = pub.encrypt([1, 2], randomness=pool) + priv.encrypt([3, 4], randomness=pool)
            assert priv.decrypt(both).tolist() == [4, 6]
            assert len(pool) == 0

    def test_a_copy_of_the_key_is_the_same_key(self, keys: Keys) -> None:
        pub, priv = keys
        again = PublicKey.from_bytes(pub.to_bytes(), insecure=True)
        c = again.encrypt([1], randomness=pub.precompute(1))
        assert priv.decrypt(c).tolist() == [1]

    @pytest.mark.parametrize("count", [3, np.int64(3), gmpy2.mpz(3)])
    @pytest.mark.parametrize("threads", [None, 1, 2])
    def test_its_length_is_what_was_asked_for(
        self, keys: Keys, count: Any, threads: int | None
    ) -> None:
        assert len(keys[0].precompute(count, threads=threads)) == 3


class TestRefusals:
    def test_too_few_left_say_how_many_and_use_nothing(self, keys: Keys) -> None:
        pub, _ = keys
        pool = pub.precompute(3)
        says = "randomness: 3 of the 4 needed are left; encrypt fewer, precompute more, or leave"
        with pytest.raises(InsufficientRandomness, match=says):
            pub.encrypt([1, 2, 3, 4], randomness=pool)
        assert len(pool) == 3
        pub.encrypt([1, 2], randomness=pool)
        with pytest.raises(InsufficientRandomness, match="1 of the 2 needed is left"):
            pub.encrypt([1, 2], randomness=pool)
        assert issubclass(InsufficientRandomness, ValueError)
        assert issubclass(InsufficientRandomness, VeilsumError)

    def test_a_refused_encryption_uses_nothing(self, keys: Keys) -> None:
        pub, _ = keys
        pool = pub.precompute(3)
        refused: list[tuple[type[Exception], dict[str, Any]]] = [
            (BudgetExceeded, {"values": [1, 2**53 + 1]}),
            (BudgetExceeded, {"values": [1], "bound": 2.0**511}),
            (BudgetExceeded, {"values": [np.nan]}),
            (TypeError, {"values": ["1"]}),
            (ValueError, {"values": [1], "threads": 0}),
            (TypeError, {"values": [1], "threads": 1.5}),
        ]
        for error, arguments in refused:
            with pytest.raises(error):
                pub.encrypt(**arguments, randomness=pool)
        assert len(pool) == 3

    def test_another_keys_randomness_is_refused(self, keys: Keys) -> None:
        pub, priv = keys
        stranger, _ = paillier.keygen(512, insecure=True)
        same_modulus = PublicKey(pub.n, pow(pub.h, 3, pub.n), insecure=True)
        for other in (stranger, same_modulus):
            pool = other.precompute(1)
            for key in (pub, priv):
                with pytest.raises(KeyMismatch, match="randomness: it is for another key"):
                    key.encrypt([1], randomness=pool)
            assert len(pool) == 1

    @pytest.mark.parametrize("stranger", [[1, 2], 5, b"pool", object()])
    def test_other_objects_are_no_randomness(self, keys: Keys, stranger: Any) -> None:
        with pytest.raises(
            TypeError, match=r"randomness: got .*, expected what precompute\(\) returned"
        ):
            keys[0].encrypt([1], randomness=stranger)

    @pytest.mark.parametrize("count", [0, -1])
    def test_a_count_below_one_is_refused(self, keys: Keys, count: int) -> None:
        for key in keys:
            with pytest.raises(ValueError, match=f"count: got {count}, expected at least 1"):
                key.precompute(count)

    @pytest.mark.parametrize("count", [1.5, "3", None])
    def test_a_count_that_is_no_integer_is_refused(self, keys: Keys, count: Any) -> None:
        with pytest.raises(TypeError):
            keys[0].precompute(count)

    def test_wrong_threads_are_refused(self, keys: Keys) -> None:
        with pytest.raises(ValueError, match="threads: got 0"):
            keys[0].precompute(1, threads=0)

    @pytest.mark.parametrize(
        "duplicate", [copy.copy, copy.deepcopy, pickle.dumps, ForkingPickler.dumps]
    )
    def test_it_is_never_copied_or_written(
        self, keys: Keys, duplicate: Callable[[Any], Any]
    ) -> None:
        pool = keys[0].precompute(1)
        for thing in (pool, [pool]):
            if thing is not pool and duplicate is copy.copy:
                continue  # copies the list, not what it holds
            with pytest.raises(TypeError, match="does not pickle or copy: it is used once"):
                duplicate(thing)

    def test_no_text_shows_it(self, keys: Keys) -> None:
        pub, _ = keys
        pool = pub.precompute(2)
        text = f"{pool} {pool!r} {[pool]}"
        assert repr(pool) == f"RandomnessPool(<redacted>, 2 left, for {pub!r})"
        for secret in held(pub, pool):
            assert str(secret)[:12] not in text
            assert f"{secret:x}"[:12] not in text
        assert not hasattr(pool, "__dict__")


class TestThreads:
    def test_no_two_threads_get_the_same_element(self, keys: Keys) -> None:
        pub, _ = keys
        pool = pub.precompute(480)
        everything = held(pub, pool)
        used: list[list[int]] = [[] for _ in range(8)]
        together = threading.Barrier(8)

        def work(mine: list[int]) -> None:
            together.wait()
            for count in (1, 3, 1, 9, 2, 20, 1, 23):
                mine += drawn(pub, pool, count)

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            workers = [threading.Thread(target=work, args=(mine,)) for mine in used]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        finally:
            sys.setswitchinterval(interval)
        assert sorted(c for mine in used for c in mine) == sorted(everything)
        assert len(pool) == 0

    def test_threads_that_want_more_than_there_is_get_it_all_or_nothing(self, keys: Keys) -> None:
        pub, _ = keys
        pool = pub.precompute(50)
        outcomes: list[int] = []
        together = threading.Barrier(8)

        def work() -> None:
            together.wait()
            for _ in range(4):
                try:
                    outcomes.append(len(drawn(pub, pool, 7)))
                except InsufficientRandomness:
                    outcomes.append(0)

        workers = [threading.Thread(target=work) for _ in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert sorted(outcomes) == [0] * 25 + [7] * 7
        assert len(pool) == 1


@forks
class TestForks:
    def test_the_child_is_refused_and_told_what_to_do(self, keys: Keys) -> None:
        pub, _ = keys
        pool = pub.precompute(2)

        def child() -> bytes:
            try:
                pub.encrypt([1], randomness=pool)
            except InsufficientRandomness as error:
                return f"{len(pool)} {error}".encode()
            return b"encrypted"

        answer = in_a_child(child).decode()
        assert answer.startswith("0 randomness: it belongs to the process that this one was forked")
        assert answer.endswith("precompute again in this process")

    def test_the_parent_goes_on(self, keys: Keys) -> None:
        pub, priv = keys
        pool = pub.precompute(2)
        assert in_a_child(lambda: str(len(pool)).encode()) == b"0"
        assert len(pool) == 2
        c = pub.encrypt([1, -1], randomness=pool)
        assert priv.decrypt(c).tolist() == [1, -1]

    def test_the_child_can_precompute_its_own(self, keys: Keys) -> None:
        pub, priv = keys
        pool = pub.precompute(2)

        def child() -> bytes:
            own = pub.precompute(2, threads=1)
            return pub.encrypt([5, 6], randomness=own, threads=1).to_bytes()

        theirs = CipherArray.from_bytes(in_a_child(child), pub)
        ours = pub.encrypt([5, 6], randomness=pool)
        assert priv.decrypt(theirs).tolist() == [5, 6]
        assert not set(theirs.to_integers()) & set(ours.to_integers())

    def test_the_child_is_refused_even_if_the_pool_was_in_use_at_the_fork(self, keys: Keys) -> None:
        pub, _ = keys
        pool = pub.precompute(2)

        def child() -> bytes:
            with pytest.raises(InsufficientRandomness):
                pub.encrypt([1], randomness=pool)
            return repr(pool).encode()

        with pool._lock:  # which no thread of the child will ever release
            answer = in_a_child(child)
        assert b"0 left" in answer

    def test_a_child_of_multiprocessing_is_refused(self, keys: Keys) -> None:
        pub, _ = keys
        pool = pub.precompute(2)
        context = multiprocessing.get_context("fork")
        receiver, sender = context.Pipe(duplex=False)

        def child() -> None:
            try:
                pub.encrypt([1], randomness=pool)
            except InsufficientRandomness:
                sender.send("refused")
            else:
                sender.send("encrypted")

        process = context.Process(target=child)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            process.start()
        sender.close()
        assert receiver.recv() == "refused"
        process.join()
        assert process.exitcode == 0
        assert len(pool) == 2


def in_a_child(work: Callable[[], bytes]) -> bytes:
    """What a forked child computes; empty if it fails."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some versions warn of any thread, even of a joined one
        child = os.fork()
    if child == 0:
        try:
            os.write(writer, work())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        result = pipe.read()
    os.waitpid(child, 0)
    return result


def test_another_process_number_is_enough_to_refuse(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    pub, _ = keys
    pool = pub.precompute(1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        assert len(pool) == 0
        with pytest.raises(InsufficientRandomness, match="precompute again in this process"):
            pub.encrypt([1], randomness=pool)
    assert len(pool) == 1
