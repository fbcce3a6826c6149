"""Laws of verifiable shares: honest ones fit and rebuild, others are blamed."""

import random
from typing import Any, NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from veilsum import randomness
from veilsum.shamir.verifiable import (
    Commitment,
    VerifiableShare,
    blame,
    deal,
    reconstruct,
)
from veilsum.testing import strategies

STEADY = settings(deadline=None, derandomize=True, max_examples=50)
ORDER = 2**252 + 27742317777372353535851937790883648493

scalars = st.integers(1, ORDER - 1)
schemes = st.sampled_from(["feldman", "pedersen"])
sizes = st.tuples(st.integers(1, 5), st.integers(1, 5)).map(sorted)


class Dealing(NamedTuple):
    secret: bytes | int
    commitment: Commitment
    shares: tuple[VerifiableShare, ...]


def dealt(secret: bytes | int, scheme: Any, size: list[int], seed: int) -> Dealing:
    threshold, shares = size
    with randomness._test_source(random.Random(seed).randbytes):
        made = deal(secret, shares=shares, threshold=threshold, scheme=scheme)
    return Dealing(secret, *made)


@st.composite
def dealings(draw: st.DrawFn) -> Dealing:
    scheme = draw(schemes)
    secret = draw(scalars if scheme == "feldman" else scalars | st.binary(min_size=1, max_size=70))
    return dealt(secret, scheme, draw(sizes), draw(st.integers(0, 2**32 - 1)))


@STEADY
@given(dealings(), st.data())
def test_enough_holders_in_any_order_rebuild_the_secret(dealing: Dealing, data: Any) -> None:
    secret, commitment, shares = dealing
    chosen = data.draw(strategies.holders(len(shares), least=commitment.threshold))
    assert reconstruct([shares[i] for i in chosen], commitment) == secret


@STEADY
@given(dealings(), st.data())
def test_exactly_those_who_alter_their_share_are_blamed(dealing: Dealing, data: Any) -> None:
    secret, commitment, shares = dealing
    liars = data.draw(strategies.holders(len(shares)))
    present = list(shares)
    for liar in liars:
        values = shares[liar].values.copy()
        place = tuple(data.draw(st.integers(0, extent - 1)) for extent in values.shape[:2])
        values[place] = data.draw(other_scalars(values[place]))
        present[liar] = VerifiableShare(index=liar + 1, values=values)
    assert blame(present, commitment) == tuple(sorted(liar + 1 for liar in liars))
    if len(shares) - len(liars) >= commitment.threshold:
        assert reconstruct(present, commitment) == secret


def other_scalars(words: Any) -> st.SearchStrategy[Any]:
    value = int.from_bytes(words.astype("<u8").tobytes(), "little")
    return (
        st.integers(1, ORDER - 1)
        .map(lambda offset: ((value + offset) % ORDER).to_bytes(32, "little"))
        .map(lambda data: np.frombuffer(data, "<u8").astype(np.uint64))
    )


@STEADY
@given(st.lists(scalars, min_size=2, max_size=3), schemes, sizes, st.integers(0, 2**32 - 1))
def test_sums_of_dealings_are_dealings_of_sums(
    secrets: list[int], scheme: str, size: list[int], seed: int
) -> None:
    many = [dealt(secret, scheme, size, seed + place) for place, secret in enumerate(secrets)]
    commitment: Any = sum(dealing.commitment for dealing in many)
    rows = zip(*(dealing.shares for dealing in many), strict=True)
    shares: list[Any] = [sum(row) for row in rows]
    assert blame(shares, commitment) == ()
    assert reconstruct(shares, commitment) == sum(secrets) % ORDER


@STEADY
@given(dealings())
def test_what_was_written_is_read(dealing: Dealing) -> None:
    _, commitment, shares = dealing
    assert Commitment.from_bytes(commitment.to_bytes()) == commitment
    for share in shares:
        again = VerifiableShare.from_bytes(share.to_bytes())
        assert again.index == share.index
        assert (again.values == share.values).all()
