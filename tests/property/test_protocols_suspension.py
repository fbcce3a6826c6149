"""Whoever is suspended after every message, the round is the one that it would have been."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veilsum import paillier
from veilsum.encoding import FixedPoint
from veilsum.errors import VeilsumError
from veilsum.protocols import (
    Masking,
    Paillier,
    Plain,
    Sharing,
    ThresholdPaillier,
    resume,
    suspend,
)
from veilsum.protocols.base import decode

CLIENTS = 5
PAIR = paillier.keygen(bits=1024, insecure=True)
DEALT = paillier.deal_key(holders=3, threshold=2, bits=512, insecure=True)
MAKE = {
    "plain": lambda: Plain(),
    "paillier": lambda: Paillier(keys=PAIR, threads=1),
    "threshold_paillier": lambda: ThresholdPaillier(keys=DEALT, threads=1),
    "sharing": lambda: Sharing(holders=3, threads=1),
    "packed": lambda: Sharing(holders=5, threshold=3, packed=2, threads=1),
    "serverless": lambda: Sharing(threshold=2, threads=1),
    "masking": lambda: Masking(threads=1),
    "sparse": lambda: Masking(degree=4, threshold=3, corrupt=0.0, min_survivors=3, threads=1),
}
ENCODINGS = [FixedPoint.binary(8, bound=1000.0), FixedPoint.binary(70, bound=1000.0)]


class Round:
    """One round, in which some parties are suspended after everything that they do."""

    def __init__(self, name, updates, *, encoding, suspended):
        self.aggregator = MAKE[name]()
        self.session = self.aggregator.open_session(range(CLIENTS), length=2, encoding=encoding)
        self.parties = {party.name: party for party in self._made(updates)}
        self._suspended = suspended
        self._queue = deque()

    def _made(self, updates):
        return self.aggregator.parties(self.session, updates)

    def play(self, lost):
        """Play it, without the messages of some sender from some round on."""
        kinds = self.aggregator.messages
        for name in [*self.parties]:
            self._move(name, lambda party: party.start())
        while self._queue or self._waiting():
            while self._queue:
                message = decode(self._queue.popleft().to_bytes(), kinds)
                gone = kinds.index(type(message)) >= lost.get(message.sender, len(kinds))
                if not gone and message.recipient in self.parties:
                    self._move(message.recipient, lambda party, one=message: party.receive(one))
            waiting = self._waiting()
            first = min(waiting.values(), default=0)
            for name in [name for name, place in waiting.items() if place == first]:
                self._move(name, lambda party: party.deadline())
        return {name: party.outcome for name, party in self.parties.items() if party.outcome}

    def _waiting(self):
        kinds = self.aggregator.messages
        return {
            name: kinds.index(party.awaits) for name, party in self.parties.items() if party.awaits
        }

    def _move(self, name, act):
        self._queue.extend(act(self.parties[name]))
        if name in self._suspended:
            written = suspend(self.parties[name])
            fresh = self._made(dict.fromkeys(range(CLIENTS)))
            self.parties[name] = next(party for party in fresh if party.name == name)
            resume(self.parties[name], written)
            assert suspend(self.parties[name]) == written


def results(name, updates, lost, suspended, encoding):
    played = Round(name, updates, encoding=encoding, suspended=suspended)
    try:
        outcomes = played.play(lost)
    except VeilsumError as error:
        return type(error), str(error)
    return {
        who: (ended.integers.dtype, ended.integers.tolist(), ended.sum.tobytes(), ended.survivors)
        for who, ended in outcomes.items()
    }


@pytest.mark.parametrize("name", MAKE)
@given(
    values=st.lists(st.floats(-1000, 1000), min_size=2 * CLIENTS, max_size=2 * CLIENTS),
    lost=st.dictionaries(st.integers(0, CLIENTS - 1), st.integers(0, 8), max_size=2),
    encoding=st.sampled_from(ENCODINGS),
)
@settings(max_examples=8, deadline=None, derandomize=True)
def test_suspending_everybody_after_every_message_changes_nothing(name, values, lost, encoding):
    updates = dict(enumerate(np.array(values).reshape(CLIENTS, 2)))
    gone = {f"client-{client}": place for client, place in lost.items()}
    everybody = {*MAKE[name]().staff(range(CLIENTS)), *(f"client-{i}" for i in range(CLIENTS))}
    meant = results(name, updates, gone, set(), encoding)
    assert results(name, updates, gone, everybody, encoding) == meant
    if not lost:
        expected = sum(encoding.quantise(update).astype(object) for update in updates.values())
        assert all(got[1] == expected.tolist() for got in meant.values())
        assert meant


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("who", ["client-0", "client-4"])
def test_suspending_one_client_changes_nothing(name, who):
    updates = dict(enumerate(np.arange(2.0 * CLIENTS).reshape(CLIENTS, 2)))
    got = results(name, updates, {}, {who}, ENCODINGS[0])
    assert got == results(name, updates, {}, set(), ENCODINGS[0])
    assert {tuple(one[3]) for one in got.values()} == {tuple(range(CLIENTS))}
