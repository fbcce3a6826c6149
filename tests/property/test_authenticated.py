"""Laws of signed shares: whatever is altered is dropped, and as much as is not needed may be."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from veilsum import shamir
from veilsum.errors import InsufficientShares, InvalidShare
from veilsum.shamir import authenticated
from veilsum.shamir.authenticated import SignedShare, authentic, sign
from veilsum.testing import strategies
from veilsum.testing.strategies import Dealing

STEADY = settings(deadline=None, derandomize=True)
DEALER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = DEALER.public_key()

contexts = st.binary(max_size=8)


@STEADY
@given(strategies.shares(), st.data(), contexts)
def test_altered_shares_are_dropped_and_the_rest_rebuild(
    dealing: Dealing, data: Any, context: bytes
) -> None:
    secret, shares = dealing
    assume(shares.values.size)
    signed = sign(shares, DEALER, context=context)
    altered = data.draw(strategies.altered(shares, most=len(shares)))
    received = [replace(one, share=lie) for one, lie in zip(signed, altered, strict=True)]
    moved = (altered.values != shares.values).reshape(len(shares), -1).any(axis=1)
    liars = tuple(np.flatnonzero(moved).tolist())
    if len(shares) - len(liars) < shares.threshold:
        with pytest.raises(InsufficientShares, match="are authentic"):
            authentic(received, PUBLIC, context=context)
        return
    good, dropped = authentic(received, PUBLIC, context=context)
    assert dropped == liars
    np.testing.assert_array_equal(shamir.reconstruct(good), secret, strict=True)


@STEADY
@given(strategies.shares(), st.data(), contexts)
def test_any_holders_in_any_order_are_authentic(
    dealing: Dealing, data: Any, context: bytes
) -> None:
    secret, shares = dealing
    chosen = data.draw(strategies.holders(len(shares), least=shares.threshold))
    signed = sign(shares, DEALER, context=context)
    received = [SignedShare.from_bytes(signed[at].to_bytes()) for at in chosen]
    good, dropped = authentic(received, PUBLIC, context=context)
    assert dropped == ()
    assert good.points.tolist() == [int(shares.points[at]) for at in chosen]
    np.testing.assert_array_equal(shamir.reconstruct(good), secret, strict=True)


@STEADY
@given(strategies.shares(), st.data(), contexts, contexts)
def test_a_share_verifies_in_its_own_context_alone(
    dealing: Dealing, data: Any, context: bytes, other: bytes
) -> None:
    signed = sign(dealing.shares, DEALER, context=context)
    share = data.draw(st.sampled_from(signed))
    share.verify(PUBLIC, context=context)
    if other != context:
        with pytest.raises(InvalidShare):
            share.verify(PUBLIC, context=other)


@STEADY
@given(strategies.shares(), st.data())
def test_altered_bytes_never_verify(dealing: Dealing, data: Any) -> None:
    share = data.draw(st.sampled_from(sign(dealing.shares, DEALER, context=b"")))
    message = bytearray(share.to_bytes())
    position = data.draw(st.integers(0, len(message) - 1))
    message[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError):
        SignedShare.from_bytes(bytes(message)).verify(PUBLIC, context=b"")


@STEADY
@given(
    st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40, unique=True), st.data()
)
def test_a_tree_is_climbed_from_every_leaf_by_its_siblings_alone(
    leaves: list[bytes], data: Any
) -> None:
    levels = authenticated._levels(leaves)
    (root,) = levels[-1]
    position = data.draw(st.integers(0, len(leaves) - 1))
    siblings = authenticated._siblings(levels, position)
    assert authenticated._climb(leaves[position], position, len(leaves), siblings) == root
    elsewhere = data.draw(st.integers(0, len(leaves) - 1))
    if elsewhere != position:
        climbed = authenticated._climb(leaves[position], elsewhere, len(leaves), siblings)
        assert climbed != root
    assert authenticated._climb(bytes(32), position, len(leaves), siblings) != root or (
        leaves[position] == bytes(32)
    )
