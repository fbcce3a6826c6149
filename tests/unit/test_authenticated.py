"""Signed shares: who altered one, replayed one or signed twice is found, and every error."""

import copy
import hashlib
import pickle
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from veilsum import shamir
from veilsum.errors import (
    DeserializationError,
    InconsistentShares,
    InsufficientShares,
    InvalidShare,
)
from veilsum.shamir import Shares, authenticated
from veilsum.shamir.authenticated import SignedShare, authentic, sign
from veilsum.wire import Kind, Writer

DEALER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = DEALER.public_key()
CONTEXT = b"dealer 1, session 7, round 2"
SECRET = np.array([[1, -2, 3], [4, 5, -6]])


def dealt(secret: Any = SECRET, shares: int = 5, threshold: int = 3) -> Shares:
    return shamir.split(secret, shares=shares, threshold=threshold)


def signed(shares: Shares | None = None, *, context: bytes = CONTEXT) -> list[SignedShare]:
    return list(sign(dealt() if shares is None else shares, DEALER, context=context))


def altered(share: SignedShare, offset: int = 1) -> SignedShare:
    row = share.share
    return replace(share, share=row.with_values(row.field.add(row.values, np.uint64(offset))))


def flipped(data: bytes, at: int = 0) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


class TestSigned:
    @pytest.mark.parametrize("holders", [1, 2, 3, 4, 5, 6, 7, 8, 9, 33])
    def test_every_holder_verifies_its_own_share(self, holders: int) -> None:
        for share in signed(dealt(shares=holders, threshold=1)):
            share.verify(PUBLIC, context=CONTEXT)

    @pytest.mark.parametrize("shape", [(), (0,), (2, 0), (1,), (8192,), (8193,), (3, 10_000)])
    def test_every_shape_is_signed(self, shape: tuple[int, ...]) -> None:
        secret = np.ones(shape, int)
        good, dropped = authentic(signed(dealt(secret)), PUBLIC, context=CONTEXT)
        np.testing.assert_array_equal(shamir.reconstruct(good), secret)
        assert dropped == ()

    def test_a_selection_of_holders_can_be_signed(self) -> None:
        shares = dealt()[[4, 0, 2]]
        good, _ = authentic(signed(shares), PUBLIC, context=CONTEXT)
        assert good.points.tolist() == [5, 1, 3]
        np.testing.assert_array_equal(shamir.reconstruct(good), SECRET)

    def test_bytes_come_back(self) -> None:
        for share in signed():
            read = SignedShare.from_bytes(share.to_bytes())
            read.verify(PUBLIC, context=CONTEXT)
            assert read.to_bytes() == share.to_bytes()

    def test_the_root_is_that_of_rfc_6962(self) -> None:
        def inner(left: bytes, right: bytes) -> bytes:
            return hashlib.sha256(b"\x01" + left + right).digest()

        def leaf(share: SignedShare) -> bytes:
            point = int(share.share.points[0]).to_bytes(8, "little")
            row = share.share.values.astype("<u8").tobytes()
            return hashlib.sha256(b"\x00" + share.salt + point + bytes(8) + row).digest()

        shares = signed()
        a, b, c, d, e = map(leaf, shares)
        assert {share.root for share in shares} == {inner(inner(inner(a, b), inner(c, d)), e)}
        assert shares[4].siblings == (inner(inner(a, b), inner(c, d)),)

    def test_a_row_is_hashed_in_chunks(self) -> None:
        def leaf(share: SignedShare, chunk: int) -> bytes:
            point = int(share.share.points[0]).to_bytes(8, "little")
            row = share.share.values.astype("<u8").tobytes()[chunk << 16 : chunk + 1 << 16]
            chunk_bytes = chunk.to_bytes(8, "little")
            return hashlib.sha256(b"\x00" + share.salt + point + chunk_bytes + row).digest()

        (share,) = signed(dealt(np.arange(20_000), shares=1, threshold=1))
        left = hashlib.sha256(b"\x01" + leaf(share, 0) + leaf(share, 1)).digest()
        assert share.root == hashlib.sha256(b"\x01" + left + leaf(share, 2)).digest()

    def test_a_row_is_verified_without_a_copy(self) -> None:
        share = signed(dealt(np.zeros(1 << 19, int), shares=2, threshold=1))[1]
        tracemalloc.start()
        share.verify(PUBLIC, context=CONTEXT)
        assert tracemalloc.get_traced_memory()[1] < share.share.values.nbytes / 8
        tracemalloc.stop()


class TestHiding:
    def equal_rows(self) -> list[SignedShare]:
        return signed(dealt(shares=2, threshold=1))

    def test_equal_rows_hash_differently(self) -> None:
        one, two = self.equal_rows()
        np.testing.assert_array_equal(one.share.values, two.share.values)
        assert one.salt != two.salt
        assert one.siblings != two.siblings

    def test_two_signings_of_one_dealing_share_no_hash(self) -> None:
        shares = dealt()
        nodes = [{h for share in signed(shares) for h in share.siblings} for _ in range(2)]
        assert nodes[0].isdisjoint(nodes[1])

    def test_a_guess_of_a_row_is_confirmed_by_its_salt_alone(self) -> None:
        one, two = self.equal_rows()
        (hash_of_two,) = one.siblings
        guess = two.share
        assert authenticated._row_root(two.salt, guess) == hash_of_two
        for salt in (one.salt, bytes(32)):
            assert authenticated._row_root(salt, guess) != hash_of_two

    def test_nothing_secret_is_shown_or_pickled(self) -> None:
        share = signed()[0]
        assert "values=<redacted>" in repr(share)
        assert "salt=<redacted>" in repr(share)
        assert share.salt.hex() not in repr(share)
        for export in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError, match="export them by to_bytes"):
                export(share)


class TestAltered:
    ALTERATIONS: tuple[Callable[[SignedShare], SignedShare], ...] = (
        altered,
        lambda s: replace(s, salt=flipped(s.salt, 31)),
        lambda s: replace(s, root=flipped(s.root)),
        lambda s: replace(s, signature=flipped(s.signature, 63)),
        lambda s: replace(s, siblings=(flipped(s.siblings[0]), *s.siblings[1:])),
        lambda s: replace(s, siblings=s.siblings[:-1]),
        lambda s: replace(s, siblings=(*s.siblings, bytes(32))),
        lambda s: replace(s, points=s.points[::-1]),
        lambda s: replace(s, points=s.points[:-1]),
        lambda s: replace(s, share=replace(s.share, points=s.points[1:2])),
        lambda s: replace(s, share=replace(s.share, bound=s.share.bound - 1)),
        lambda s: replace(s, share=replace(s.share, threshold=2)),
        lambda s: replace(s, share=replace(s.share, dealing=s.share.dealing ^ 1)),
        lambda s: replace(s, share=replace(s.share, dtype=np.dtype(np.int32))),
        lambda s: replace(
            s, share=replace(s.share, values=s.share.values.reshape(1, 3, 2), shape=(3, 2))
        ),
    )

    @pytest.mark.parametrize("alter", ALTERATIONS)
    def test_any_alteration_is_refused_and_dropped(
        self, alter: Callable[[SignedShare], SignedShare]
    ) -> None:
        shares = signed()
        shares[0] = alter(shares[0])
        with pytest.raises(InvalidShare, match="share: the "):
            shares[0].verify(PUBLIC, context=CONTEXT)
        good, dropped = authentic(shares, PUBLIC, context=CONTEXT)
        assert (good.points.tolist(), dropped) == ([2, 3, 4, 5], (0,))

    @pytest.mark.parametrize("liars", [[], [0], [4], [0, 3], [1, 2]])
    def test_as_many_as_are_not_needed_are_survived_and_named(self, liars: list[int]) -> None:
        shares = [altered(s) if at in liars else s for at, s in enumerate(signed())]
        good, dropped = authentic(shares, PUBLIC, context=CONTEXT)
        assert dropped == tuple(liars)
        np.testing.assert_array_equal(shamir.reconstruct(good), SECRET, strict=True)

    def test_liars_who_agree_on_another_secret_are_survived(self) -> None:
        shares, lie = signed(), dealt(SECRET + 1)
        for at in (0, 1):
            shares[at] = replace(shares[at], share=shares[at].share.with_values(lie[at].values))
        good, dropped = authentic(shares, PUBLIC, context=CONTEXT)
        assert dropped == (0, 1)
        np.testing.assert_array_equal(shamir.reconstruct(good), SECRET)

    def test_one_more_is_an_error_that_names_them(self) -> None:
        shares = [altered(s) if at in (0, 1, 3) else s for at, s in enumerate(signed())]
        with pytest.raises(
            InsufficientShares, match=r"2 of 5 are authentic.*threshold 3.*\[0, 1, 3\] were dropped"
        ):
            authentic(shares, PUBLIC, context=CONTEXT)

    def test_no_authentic_share_is_an_error(self) -> None:
        with pytest.raises(InsufficientShares, match=r"0 of 0 are authentic, .* at least one"):
            authentic([], PUBLIC, context=CONTEXT)

    def test_a_single_bit_far_back_is_noticed(self) -> None:
        shares = dealt(np.zeros(100_000, int), shares=2, threshold=1)
        share = signed(shares)[1]
        values = share.share.values.copy()
        values[0, -1] ^= np.uint64(1)
        with pytest.raises(InvalidShare, match="the row at 2 is not the one"):
            replace(share, share=share.share.with_values(values)).verify(PUBLIC, context=CONTEXT)


class TestReplayed:
    def test_a_share_of_another_context_is_dropped(self) -> None:
        shares = dealt()
        now, before = signed(shares), signed(shares, context=b"round 1")
        now[2] = before[2]
        with pytest.raises(InvalidShare, match="another dealer, session or round"):
            now[2].verify(PUBLIC, context=CONTEXT)
        assert authentic(now, PUBLIC, context=CONTEXT)[1] == (2,)

    def test_a_share_of_another_dealing_is_dropped(self) -> None:
        now, before = signed(), signed(context=b"round 1")
        now[0], now[1] = before[0], replace(now[1], share=before[1].share, salt=before[1].salt)
        assert authentic(now, PUBLIC, context=CONTEXT)[1] == (0, 1)

    def test_a_share_of_another_dealer_is_dropped(self) -> None:
        now, other = signed(), sign(dealt(), STRANGER, context=CONTEXT)
        assert authentic([*now[:4], other[4]], PUBLIC, context=CONTEXT)[1] == (4,)

    def test_the_share_of_one_holder_counts_once(self) -> None:
        a, b, c, *_ = signed()
        good, dropped = authentic([a, b, a, c], PUBLIC, context=CONTEXT)
        assert (good.points.tolist(), dropped) == ([1, 2, 3], (2,))
        with pytest.raises(InsufficientShares, match="2 of 3 are authentic"):
            authentic([a, b, a], PUBLIC, context=CONTEXT)

    def test_contexts_and_headers_do_not_run_into_each_other(self) -> None:
        share = signed(context=b"ab")[0]
        for context in (b"", b"a", b"abc", b"ab\0"):
            with pytest.raises(InvalidShare):
                share.verify(PUBLIC, context=context)


class TestEquivocation:
    def test_two_dealings_signed_for_one_context_are_the_dealers_fault(self) -> None:
        one, two = signed(), signed()
        with pytest.raises(InconsistentShares, match="signed 2 dealings for one context"):
            authentic([*one[:3], *two[3:]], PUBLIC, context=CONTEXT)

    def test_a_second_signature_counts_even_on_an_altered_row(self) -> None:
        one, two = signed(), signed()
        with pytest.raises(InconsistentShares):
            authentic([*one[:4], altered(two[4])], PUBLIC, context=CONTEXT)

    def test_two_signings_of_one_dealing_count_as_two(self) -> None:
        shares = dealt()
        with pytest.raises(InconsistentShares):
            authentic([*signed(shares)[:3], signed(shares)[3]], PUBLIC, context=CONTEXT)

    def test_a_row_signed_for_one_holder_serves_no_other(self) -> None:
        first, second = signed(dealt(shares=2, threshold=1))
        swapped = replace(
            first, share=replace(second.share, points=first.share.points), salt=second.salt
        )
        with pytest.raises(InvalidShare, match="the row at 1"):
            swapped.verify(PUBLIC, context=CONTEXT)


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"share": b"row"}, TypeError, "share: got bytes, expected Shares"),
            ({"share": dealt()[:2]}, ValueError, "share: got 2 rows"),
            ({"points": [1, 2]}, TypeError, "points: got list, expected ndarray"),
            ({"points": np.arange(1, 6)}, ValueError, "points: expected an array of uint64"),
            ({"points": np.ones((5, 1), np.uint64)}, ValueError, "with one axis"),
            ({"points": np.array([1, 1], np.uint64)}, ValueError, "points: two are equal"),
            ({"points": np.array([7, 8], np.uint64)}, ValueError, "of the share, 1, is missing"),
            ({"salt": bytes(31)}, ValueError, "salt: got 31 bytes, expected 32"),
            ({"salt": "salt"}, TypeError, "salt: got str, expected bytes"),
            ({"root": bytes(33)}, ValueError, "root, siblings: got 33 bytes, expected 32"),
            ({"siblings": (bytes(3),)}, ValueError, "root, siblings: got 3 bytes"),
            ({"siblings": (bytes(32),) * 65}, ValueError, "siblings: got 65, expected at most 64"),
            ({"signature": bytes(63)}, ValueError, "signature: got 63 bytes, expected 64"),
        ],
    )
    def test_a_part_of_the_wrong_type_or_length(
        self, change: dict[str, Any], error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            replace(signed()[0], **change)

    def test_arguments_of_the_wrong_type(self) -> None:
        shares, other_key = dealt(), X25519PrivateKey.generate()
        calls: list[tuple[Callable[[], Any], str]] = [
            (lambda: sign(shares.values, DEALER, context=CONTEXT), "shares: got ndarray"),  # type: ignore[arg-type]
            (lambda: sign(shares, other_key, context=CONTEXT), "private_key: got"),  # type: ignore[arg-type]
            (lambda: sign(shares, DEALER, context="7"), "context: got str"),  # type: ignore[arg-type]
            (lambda: signed()[0].verify(DEALER, context=CONTEXT), "public_key: got"),  # type: ignore[arg-type]
            (lambda: signed()[0].verify(PUBLIC, context="7"), "context: got str"),  # type: ignore[arg-type]
            (lambda: authentic([shares], PUBLIC, context=CONTEXT), "signed_shares: got Shares"),  # type: ignore[list-item]
        ]
        for call, message in calls:
            with pytest.raises(TypeError, match=message):
                call()

    def test_nothing_to_sign(self) -> None:
        with pytest.raises(InsufficientShares, match="shares: got none"):
            sign(dealt()[:0], DEALER, context=CONTEXT)

    def test_bytes_of_shares_of_two_holders(self) -> None:
        share = signed()[0]
        writer = Writer(Kind.SIGNED_SHARE)
        writer.blob(dealt()[:2].to_bytes())
        writer.blob(share.salt)
        writer.array(share.points)
        writer.blob(b"".join(share.siblings))
        writer.blob(share.root)
        writer.blob(share.signature)
        with pytest.raises(DeserializationError, match="signed share: share: got 2 rows"):
            SignedShare.from_bytes(writer.finish())
