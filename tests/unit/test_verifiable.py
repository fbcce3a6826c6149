"""Verifiable shares: who is believed, who is blamed, and every error."""

import copy
import dataclasses
import functools
import hashlib
import hmac
import importlib
import itertools
import pickle
import random
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from veilsum import randomness
from veilsum.errors import (
    DecodingError,
    DeserializationError,
    InconsistentShares,
    InsufficientShares,
    InvalidShare,
)
from veilsum.shamir import verifiable
from veilsum.shamir.verifiable import (
    Commitment,
    VerifiableShare,
    blame,
    deal,
    derive_key,
    random_secret,
    reconstruct,
)
from veilsum.wire import Kind, Writer

ORDER = 2**252 + 27742317777372353535851937790883648493
SECRETS: dict[str, Any] = {"feldman": 7**80, "pedersen": bytes(range(40))}
SCHEMES = list(SECRETS)


@pytest.fixture(autouse=True)
def steady() -> Iterator[None]:
    """The same draws in every run."""
    with randomness._test_source(random.Random(1).randbytes):
        yield


# ---- The curve on Python integers (RFC 8032, section 5.1), as an oracle

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]
IDENTITY: Point = (0, 1)


def plus(a: Point, b: Point) -> Point:
    (x, y), (u, v) = a, b
    product = D * x * y * u * v
    return (
        (x * v + y * u) * pow(1 + product, -1, P) % P,
        (y * v + x * u) * pow(1 - product, -1, P) % P,
    )


def times(scalar: int, a: Point) -> Point:
    result = IDENTITY
    while scalar:
        result = plus(result, a) if scalar & 1 else result
        a, scalar = plus(a, a), scalar >> 1
    return result


def on_curve(a: Point) -> bool:
    x, y = a
    return (y * y - x * x - 1 - D * x * x * y * y) % P == 0


def decode(data: bytes) -> Point:
    """Raises ValueError where no point is encoded."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    candidates = [x for r in (root, root * pow(2, (P - 1) // 4, P) % P) for x in (r, P - r)]
    for x in candidates:
        if y < P and x % P & 1 == sign and on_curve((x % P, y)):
            return x % P, y
    raise ValueError("no point")


def encode(a: Point) -> bytes:
    x, y = a
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE = decode(b"\x58" + b"\x66" * 31)


@functools.cache
def second_generator() -> Point:
    for counter in itertools.count():
        text = f"veilsum: second generator of Pedersen's commitments, {counter}"
        try:
            point = decode(hashlib.sha256(text.encode()).digest())
        except ValueError:
            continue
        if point != IDENTITY and times(ORDER, point) == IDENTITY:
            return point
    raise AssertionError


def committed(*scalars: int) -> bytes:
    """With one scalar as Feldman, with two as Pedersen."""
    generators = (BASE, second_generator())[: len(scalars)]
    return encode(functools.reduce(plus, map(times, scalars, generators)))


def scalars_of(share: VerifiableShare) -> list[list[int]]:
    """For each scalar of the secret the value, and the blinding if there is one."""
    rows = share.values.astype("<u8").view("u1").reshape(*share.values.shape[:2], 32)
    return [[int.from_bytes(cell.tobytes(), "little") for cell in row] for row in rows]


def share_of(index: int, *scalars: int) -> VerifiableShare:
    data = b"".join(scalar.to_bytes(32, "little") for scalar in scalars)
    values = np.frombuffer(data, "<u8").astype(np.uint64).reshape(1, len(scalars), 4)
    return VerifiableShare(index=index, values=values)


def altered(share: VerifiableShare, place: tuple[int, int]) -> VerifiableShare:
    values = share.values.copy()
    values[place] = verifiable._SCALARS.add(values[place], [1, 0, 0, 0])
    return dataclasses.replace(share, values=values)


def test_the_oracle_knows_the_group() -> None:
    assert on_curve(BASE)
    assert times(ORDER, BASE) == IDENTITY
    assert decode(encode(times(5, BASE))) == times(5, BASE)


def test_nobody_chose_the_second_generator() -> None:
    expected = "86645787f71fce2fc7fe55c8c67a7f91fef1785c4442a96bd2c61576f979cc81"
    assert encode(second_generator()).hex() == expected
    assert verifiable._second_generator().hex() == expected


class TestDealing:
    @pytest.mark.parametrize("scheme", SCHEMES)
    @pytest.mark.parametrize("threshold", [1, 2, 3, 4])
    def test_every_large_subset_rebuilds_and_no_small_one(
        self, scheme: Any, threshold: int
    ) -> None:
        secret = SECRETS[scheme]
        commitment, shares = deal(secret, shares=4, threshold=threshold, scheme=scheme)
        assert (commitment.threshold, commitment.shares) == (threshold, 4)
        for size in range(5):
            for subset in itertools.permutations(shares, size):
                if size >= threshold:
                    if subset[0].index < 3:  # half of the orders
                        assert reconstruct(subset, commitment) == secret
                else:
                    with pytest.raises(InsufficientShares, match=f"got {size} that fit"):
                        reconstruct(subset, commitment)

    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_shares_and_commitments_satisfy_the_equation_of_the_paper(self, scheme: Any) -> None:
        commitment, shares = deal(SECRETS[scheme], shares=3, threshold=3, scheme=scheme)
        for row, points in enumerate(commitment.points):
            for share in shares[1:]:
                powers = [times(share.index**j, decode(point)) for j, point in enumerate(points)]
                expected = encode(functools.reduce(plus, powers))
                assert committed(*scalars_of(share)[row]) == expected

    def test_pieces_of_bytes_are_scalars_of_31_bytes(self) -> None:
        secret = bytes(range(1, 65))
        commitment, (share,) = deal(secret, shares=1, threshold=1)
        values = [pair[0] for pair in scalars_of(share)]
        pieces = (secret[:31], secret[31:62], secret[62:])
        assert values == [int.from_bytes(piece, "little") for piece in pieces]
        assert len(commitment.points) == 3

    @pytest.mark.parametrize("length", [1, 30, 31, 32, 33, 62, 63, 4096])
    @pytest.mark.parametrize("byte", [b"\0", b"\xff"])
    def test_bytes_of_any_length_come_back(self, length: int, byte: bytes) -> None:
        commitment, shares = deal(byte * length, shares=2, threshold=1)
        assert commitment.length == length
        assert reconstruct(shares[1:], commitment) == byte * length

    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_extreme_scalars_come_back(self, scheme: Any) -> None:
        for secret in (1, ORDER - 1) + (0,) * (scheme == "pedersen"):
            commitment, shares = deal(secret, shares=3, threshold=2, scheme=scheme)
            assert commitment.length == 0
            assert blame(shares, commitment) == ()
            assert reconstruct(shares[1:], commitment) == secret

    def test_pedersen_commits_to_one_secret_in_many_ways(self) -> None:
        first, second = (deal(b"seed", shares=2, threshold=2)[0] for _ in range(2))
        assert first.points[0][0] != second.points[0][0]

    def test_feldman_publishes_the_secret_times_the_base_point(self) -> None:
        commitment, _ = deal(7**80, shares=2, threshold=2, scheme="feldman")
        assert commitment.points[0][0] == committed(7**80)

    def test_what_made_the_shares_is_wiped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wiped: list[Any] = []

        def remember(array: Any) -> None:
            assert array.any()
            randomness.wipe(array)
            wiped.append(array)

        monkeypatch.setattr(verifiable, "wipe", remember)
        deal(b"\1" * 62, shares=5, threshold=3)
        assert [array.shape for array in wiped] == [(5, 2, 2, 4), (3, 2, 2, 4), (2, 4)]
        assert not any(array.any() for array in wiped)

    @pytest.mark.parametrize("secret", [1.5, "seed", None, True, bytearray(b"seed"), [1]])
    def test_a_secret_is_bytes_or_an_integer(self, secret: Any) -> None:
        with pytest.raises(TypeError, match=r"secret: got .*, expected bytes or int"):
            deal(secret, shares=3, threshold=2)

    @pytest.mark.parametrize("secret", [-987654321, ORDER, ORDER + 987654321])
    def test_a_scalar_is_in_range_and_the_refusal_shows_it_not(self, secret: int) -> None:
        with pytest.raises(ValueError, match="secret: got an integer out of range") as caught:
            deal(secret, shares=3, threshold=2)
        assert str(secret) not in str(caught.value)

    @pytest.mark.parametrize("secret", [b"", bytes(4097)])
    def test_bytes_are_few(self, secret: bytes) -> None:
        with pytest.raises(ValueError, match=f"secret: got {len(secret)} bytes, expected 1 to"):
            deal(secret, shares=3, threshold=2)

    def test_feldman_takes_no_secret_that_could_be_guessed(self) -> None:
        with pytest.raises(ValueError, match="random_secret") as caught:
            deal(b"hunter2", shares=3, threshold=2, scheme="feldman")
        assert "hunter2" not in str(caught.value)
        with pytest.raises(ValueError, match="expected 1 to the order"):
            deal(0, shares=3, threshold=2, scheme="feldman")

    @pytest.mark.parametrize(("shares", "threshold"), [(3, 0), (3, 4), (0, 0), (2**32, 2)])
    def test_sizes_are_in_range(self, shares: int, threshold: int) -> None:
        with pytest.raises(ValueError, match="threshold, shares: got"):
            deal(b"seed", shares=shares, threshold=threshold)

    @pytest.mark.parametrize("sizes", [{"shares": 3.0}, {"threshold": True}, {"shares": "3"}])
    def test_sizes_are_integers(self, sizes: Any) -> None:
        with pytest.raises(TypeError, match=r"(shares|threshold): got"):
            deal(b"seed", **{"shares": 3, "threshold": 2, **sizes})

    def test_there_are_two_schemes(self) -> None:
        scheme: Any = "shamir"
        with pytest.raises(ValueError, match="scheme: got 'shamir', expected one of feldman, ped"):
            deal(b"seed", shares=3, threshold=2, scheme=scheme)


class TestBlame:
    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_every_altered_value_is_seen(self, scheme: Any) -> None:
        secret = SECRETS[scheme]
        commitment, shares = deal(secret, shares=4, threshold=2, scheme=scheme)
        assert blame(shares, commitment) == ()
        for place in np.ndindex(shares[2].values.shape[:2]):
            liar = altered(shares[2], place)
            present = [shares[3], liar, shares[0]]
            assert blame(present, commitment) == (3,)
            assert reconstruct(present, commitment) == secret
            with pytest.raises(InvalidShare, match="share of holder 3: it does not fit"):
                liar.verify(commitment)

    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_several_liars_are_named_in_order(self, scheme: Any) -> None:
        commitment, shares = deal(SECRETS[scheme], shares=6, threshold=3, scheme=scheme)
        lying = {1, 4, 6}
        present = [altered(s, (0, 0)) if s.index in lying else s for s in reversed(shares)]
        assert blame(present, commitment) == (1, 4, 6)
        assert reconstruct(present, commitment) == SECRETS[scheme]
        with pytest.raises(InsufficientShares, match=r"got 2 that fit .* of holders 1, 4 do not"):
            reconstruct([s for s in present if s.index not in {5, 6}], commitment)

    def test_alterations_that_cancel_are_seen(self) -> None:
        commitment, shares = deal(b"seed", shares=3, threshold=2)
        field, one = verifiable._SCALARS, [1, 0, 0, 0]
        up, down = shares[0].values.copy(), shares[1].values.copy()
        up[0, 0], down[0, 0] = field.add(up[0, 0], one), field.sub(down[0, 0], one)
        liars = [VerifiableShare(index=1, values=up), VerifiableShare(index=2, values=down)]
        assert blame([*liars, shares[2]], commitment) == (1, 2)

    def test_a_share_under_another_index_is_seen(self) -> None:
        commitment, shares = deal(b"seed", shares=4, threshold=2)
        moved = dataclasses.replace(shares[0], index=4)
        assert blame([moved, *shares[1:3]], commitment) == (4,)

    def test_a_share_of_another_form_is_blamed_and_stops_nobody(self) -> None:
        commitment, shares = deal(b"seed", shares=4, threshold=2)
        _, longer = deal(bytes(32), shares=4, threshold=2)
        _, single = deal(5, shares=4, threshold=2, scheme="feldman")
        beyond = dataclasses.replace(shares[0], index=5)
        present = [shares[3], longer[0], shares[2], single[1], beyond]
        assert blame(present, commitment) == (1, 2, 5)
        assert reconstruct(present, commitment) == b"seed"
        with pytest.raises(InsufficientShares, match=r"got 0 .* holders 1, 2, 5 do not fit"):
            reconstruct([longer[0], single[1], beyond], commitment)

    def test_a_holder_beyond_those_dealt_is_blamed_though_its_share_would_fit(self) -> None:
        commitment, shares = deal(b"seed", shares=5, threshold=2)
        smaller = dataclasses.replace(commitment, shares=4)
        assert blame(shares, smaller) == (5,)

    def test_another_commitment_blames_everybody(self) -> None:
        commitment, shares = deal(b"seed", shares=3, threshold=2)
        other, _ = deal(b"seed", shares=3, threshold=2)
        assert blame(shares, other) == (1, 2, 3)
        rows = [list(row) for row in commitment.points]
        rows[0][1] = other.points[0][1]
        tampered = dataclasses.replace(commitment, points=rows)
        assert blame(shares, tampered) == (1, 2, 3)

    def test_nobody_is_blamed_where_nobody_is(self) -> None:
        commitment, _ = deal(b"seed", shares=3, threshold=2)
        assert blame([], commitment) == ()

    def test_a_share_may_be_zero(self) -> None:
        # f(x) = 2 s - s x and g(x) = 2 r - r x vanish at 2: a dealer may choose them so.
        s, r = 7**80, 11**70
        for scheme, scalars in (("feldman", (s,)), ("pedersen", (s, r))):
            doubled = [2 * scalar % ORDER for scalar in scalars]
            negated = [-scalar % ORDER for scalar in scalars]
            commitment = Commitment(
                scheme=scheme,  # type: ignore[arg-type]
                shares=3,
                length=0,
                points=((committed(*doubled), committed(*negated)),),
            )
            shares = [share_of(1, *scalars), share_of(2, *(0 for _ in scalars))]
            assert blame(shares, commitment) == ()
            assert reconstruct(shares, commitment) == 2 * s
            assert blame([share_of(2, *scalars)], commitment) == (2,)
            assert blame([share_of(3, *(0 for _ in scalars))], commitment) == (3,)

    def test_a_share_in_the_name_of_an_honest_holder_does_not_harm_it(self) -> None:
        commitment, shares = deal(b"seed", shares=4, threshold=3)
        strange = (altered(shares[0], (0, 0)), deal(b"x" * 99, shares=4, threshold=3)[1][0])
        for false in strange:
            for order in ([false, *shares[:3]], [*shares[:3], false], [false, false, *shares]):
                assert blame(order, commitment) == ()
                assert reconstruct(order, commitment) == b"seed"
            with pytest.raises(InsufficientShares, match=r"got 2 that fit.*holders 1 do not fit"):
                reconstruct([false, *shares[1:3]], commitment)

    def test_a_share_counts_once(self) -> None:
        commitment, shares = deal(b"seed", shares=3, threshold=2)
        assert blame([shares[0]] * 3, commitment) == ()
        with pytest.raises(InsufficientShares, match="got 1 that fit"):
            reconstruct([shares[0]] * 3, commitment)
        assert reconstruct([shares[0], shares[0], shares[2]], commitment) == b"seed"

    def test_any_iterable_of_shares_will_do(self) -> None:
        commitment, shares = deal(b"seed", shares=3, threshold=2)
        false = altered(shares[0], (0, 0))
        assert blame((share for share in (false, *shares[1:])), commitment) == (1,)
        assert reconstruct(iter([false, *shares[1:]]), commitment) == b"seed"

    def test_other_objects_are_type_errors(self) -> None:
        commitment, shares = deal(b"seed", shares=3, threshold=2)
        strange: Any = commitment.to_bytes()
        with pytest.raises(TypeError, match="shares: got bytes among them"):
            blame([shares[0], strange], commitment)
        for call in (lambda: reconstruct(shares, strange), lambda: shares[0].verify(strange)):
            with pytest.raises(TypeError, match="commitment: got bytes, expected Commitment"):
                call()

    @pytest.mark.parametrize(("length", "scalar"), [(1, 256), (31, 2**248), (30, 2**240)])
    def test_a_dealer_who_shared_no_bytes_is_found_out(self, length: int, scalar: int) -> None:
        commitment, shares = deal(scalar, shares=3, threshold=2)
        claimed = dataclasses.replace(commitment, length=length)
        assert blame(shares, claimed) == ()
        with pytest.raises(DecodingError, match="are no bytes") as caught:
            reconstruct(shares, claimed)
        assert str(scalar) not in str(caught.value)


class TestSums:
    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_of_dealings_share_the_sum_of_secrets(self, scheme: Any) -> None:
        secrets = [random_secret() for _ in range(3)]
        dealings = [deal(s, shares=4, threshold=3, scheme=scheme) for s in secrets]
        commitment: Any = sum(c for c, _ in dealings)
        shares: list[Any] = [sum(own) for own in zip(*(s for _, s in dealings), strict=True)]
        assert blame(shares, commitment) == ()
        assert reconstruct(shares[1:], commitment) == sum(secrets) % ORDER
        forgot = dealings[0][1][1] + dealings[1][1][1]
        assert blame([shares[0], forgot], commitment) == (2,)

    @pytest.mark.parametrize(
        ("other", "named"),
        [
            ({"scheme": "feldman"}, "scheme: got pedersen and feldman"),
            ({"shares": 4}, "shares: got 3 and 4"),
            ({"threshold": 3}, "threshold: got 2 and 3"),
            ({"secret": b"seed"}, "length: got secrets of 0 and 4 bytes"),
        ],
    )
    def test_of_unlike_commitments_are_refused(self, other: Any, named: str) -> None:
        usual = {"secret": 5, "shares": 3, "threshold": 2, "scheme": "pedersen"}
        commitment, _ = deal(**usual)
        unlike, _ = deal(**usual | other)
        with pytest.raises(InconsistentShares, match=named):
            commitment + unlike

    def test_of_unlike_shares_are_refused(self) -> None:
        _, shares = deal(5, shares=3, threshold=2)
        _, feldman = deal(5, shares=3, threshold=2, scheme="feldman")
        with pytest.raises(InconsistentShares, match="index: got 1 and 2"):
            shares[0] + shares[1]
        with pytest.raises(InconsistentShares, match="values: got shapes"):
            shares[0] + feldman[0]

    def test_with_strangers_are_type_errors(self) -> None:
        commitment, shares = deal(5, shares=3, threshold=2)
        strange: Any = "5"
        for summand in (commitment, shares[0]):
            for add in (lambda s=summand: s + strange, lambda s=summand: s + 1):
                with pytest.raises(TypeError, match="unsupported operand"):
                    add()

    def test_of_secrets_that_cancel_are_refused(self) -> None:
        one, _ = deal(5, shares=3, threshold=2, scheme="feldman")
        other, _ = deal(ORDER - 5, shares=3, threshold=2, scheme="feldman")
        with pytest.raises(ValueError, match="cancelled one another"):
            one + other


class TestPoints:
    COMMITMENT, _ = deal(5, shares=3, threshold=1, scheme="feldman")
    HALF_TURN: Point = (0, P - 1)  # of order 2

    def with_point(self, point: Any) -> Commitment:
        return dataclasses.replace(self.COMMITMENT, points=((point,),))

    @pytest.mark.parametrize(
        "point",
        [
            encode(IDENTITY),
            encode(HALF_TURN),
            encode(plus(times(5, BASE), HALF_TURN)),
            (P + 3).to_bytes(32, "little"),  # no canonical encoding
            b"\x02" + bytes(31),  # not on the curve
            b"\xff" * 32,
            encode(BASE)[:31],
            encode(BASE) + b"\0",
            b"",
        ],
    )
    def test_others_than_those_of_prime_order_are_refused(self, point: bytes) -> None:
        assert self.with_point(encode(BASE)).threshold == 1
        with pytest.raises(ValueError, match="points: one does not encode a point of prime order"):
            self.with_point(point)

    def test_are_bytes(self) -> None:
        with pytest.raises(TypeError, match="points: got bytearray among them"):
            self.with_point(bytearray(encode(BASE)))

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"scheme": "shamir"}, "scheme: got 'shamir'"),
            ({"shares": 0}, "threshold, shares: got 1 and 0"),
            ({"length": 5}, "length: got 5, expected 0 to 0 with scheme 'feldman'"),
            ({"length": -1}, "length: got -1"),
            ({"length": 4097, "scheme": "pedersen"}, "length: got 4097, expected 0 to 4096"),
            ({"length": 32, "scheme": "pedersen"}, r"points: got 1 rows of \[1\], expected 2"),
            ({"points": ()}, "points: got 0 rows"),
            ({"points": ((),)}, "threshold, shares: got 0 and 3"),
            (
                {
                    "points": ((encode(BASE),), (encode(BASE),) * 2),
                    "length": 32,
                    "scheme": "pedersen",
                },
                r"points: got 2 rows of \[1, 2\]",
            ),
        ],
    )
    def test_are_as_many_as_the_header_says(self, changes: Any, named: str) -> None:
        with pytest.raises(ValueError, match=named):
            dataclasses.replace(self.COMMITMENT, **changes)

    def test_commitments_are_equal_when_all_they_say_is(self) -> None:
        again = self.with_point(self.COMMITMENT.points[0][0])
        assert again == self.COMMITMENT
        assert hash(again) == hash(self.COMMITMENT)
        assert self.with_point(encode(BASE)) != self.COMMITMENT


class TestShares:
    def test_show_nothing_and_do_not_pickle(self) -> None:
        _, shares = deal(b"seed", shares=3, threshold=2)
        assert repr(shares[0]) == "VerifiableShare(index=1, scalars=1, values=<redacted>)"
        for export in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="do not pickle; export them by to_bytes"):
                export(shares[0])

    def test_own_their_values(self) -> None:
        _, shares = deal(b"seed", shares=3, threshold=2)
        mine = shares[0].values.copy()
        share = VerifiableShare(index=1, values=mine)
        mine[...] = 0
        assert (share.values == shares[0].values).all()
        with pytest.raises(ValueError, match="read-only"):
            share.values[0, 0, 0] = 1

    @pytest.mark.parametrize("index", [0, -1, 2**32])
    def test_have_an_index_from_one(self, index: int) -> None:
        with pytest.raises(InvalidShare, match=f"index: got {index}"):
            share_of(index, 5)

    @pytest.mark.parametrize("index", [1.0, True, "1"])
    def test_have_an_integer_as_index(self, index: Any) -> None:
        with pytest.raises(TypeError, match="index: got"):
            share_of(index, 5)

    def test_hold_scalars(self) -> None:
        with pytest.raises(InvalidShare, match="values: 1 of 2 are not below the order"):
            share_of(1, 5, ORDER)

    @pytest.mark.parametrize("values", [[[[987, 0, 0, 0]]], np.full((1, 1, 4), 987), 987])
    def test_hold_words_and_the_refusal_shows_none(self, values: Any) -> None:
        with pytest.raises(TypeError, match=r"values: got .*, expected an array") as caught:
            VerifiableShare(index=1, values=values)
        assert "987" not in str(caught.value)

    @pytest.mark.parametrize(
        "shape",
        [(4,), (1, 4), (1, 3, 4), (1, 0, 4), (0, 1, 4), (1, 1, 5), (134, 1, 4), (1, 1, 1, 4)],
    )
    def test_have_one_or_two_scalars_of_four_words(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match="values: got shape"):
            VerifiableShare(index=1, values=np.zeros(shape, np.uint64))


class TestWire:
    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_what_was_written_is_read(self, scheme: Any) -> None:
        commitment, shares = deal(SECRETS[scheme], shares=4, threshold=2, scheme=scheme)
        read = Commitment.from_bytes(commitment.to_bytes())
        assert read == commitment
        again = [VerifiableShare.from_bytes(share.to_bytes()) for share in shares]
        assert blame(again, read) == ()
        assert reconstruct(again[2:], read) == SECRETS[scheme]

    def test_a_commitment_is_laid_out_as_documented(self) -> None:
        commitment, _ = deal(bytes(32), shares=5, threshold=2)
        points = b"".join(point for row in commitment.points for point in row)
        assert len(points) == 2 * 2 * 32
        body = b"\1\5\0\0\0\x20\0\0\0\2\0\0\0" + len(points).to_bytes(8, "little") + points
        assert commitment.to_bytes() == b"VSUM\1\x0a" + len(body).to_bytes(8, "little") + body

    def test_a_share_is_laid_out_as_documented(self) -> None:
        share = share_of(258, 5, 2**250)
        shape = b"".join(extent.to_bytes(8, "little") for extent in (1, 2, 4))
        scalars = (5).to_bytes(32, "little") + (2**250).to_bytes(32, "little")
        body = b"\2\1\0\0" + b"\2\3" + shape + scalars
        assert share.to_bytes() == b"VSUM\1\x0b" + len(body).to_bytes(8, "little") + body

    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({"scheme": 2}, "u8: got 2, expected at most 1"),
            ({"shares": 0}, "commitment: threshold, shares: got 1 and 0"),
            ({"length": 5000}, "u32: got 5000, expected at most 4096"),
            ({"length": 32}, "points: got 32 bytes, expected 64"),
            ({"scheme": 0, "length": 3}, "commitment: length: got 3"),
            ({"threshold": 0, "points": b""}, "commitment: threshold, shares: got 0 and 3"),
            ({"threshold": 2}, "points: got 32 bytes, expected 64"),
            ({"threshold": 2**32 - 1}, "points: got 32 bytes, expected"),
            ({"points": encode(BASE) * 2}, "blob length: got 64, expected at most 32"),
            ({"points": encode(IDENTITY)}, "commitment: points: one does not encode"),
        ],
    )
    def test_commitments_that_nobody_made_are_refused(self, fields: Any, named: str) -> None:
        usual = {"scheme": 1, "shares": 3, "length": 0, "threshold": 1, "points": encode(BASE)}
        said = usual | fields
        writer = Writer(Kind.VERIFIABLE_COMMITMENT)
        writer.u8(said["scheme"])
        for name in ("shares", "length", "threshold"):
            writer.u32(said[name])
        writer.blob(said["points"])
        with pytest.raises(DeserializationError, match=named):
            Commitment.from_bytes(writer.finish())

    @pytest.mark.parametrize(
        ("index", "values", "error", "named"),
        [
            (0, np.zeros((1, 1, 4), np.uint64), InvalidShare, "index: got 0"),
            (1, np.full((1, 1, 4), 2**63, np.uint64), InvalidShare, "not below the order"),
            (1, np.zeros((1, 3, 4), np.uint64), DeserializationError, "share: values: got shape"),
            (1, np.zeros((1, 4), np.uint64), DeserializationError, "share: values: got shape"),
            (1, np.zeros((1, 1, 4), np.int64), DeserializationError, "dtype code 3"),
            (1, np.zeros((134, 2, 4), np.uint64), DeserializationError, "number of elements"),
        ],
    )
    def test_shares_that_nobody_dealt_are_refused(
        self, index: int, values: Any, error: Any, named: str
    ) -> None:
        writer = Writer(Kind.VERIFIABLE_SHARE)
        writer.u32(index)
        writer.array(values)
        with pytest.raises(error, match=named):
            VerifiableShare.from_bytes(writer.finish())

    def test_one_kind_is_not_taken_for_the_other(self) -> None:
        commitment, shares = deal(b"seed", shares=3, threshold=2)
        with pytest.raises(DeserializationError, match=r"kind: got 10 \(VERIFIABLE_COMMITMENT\)"):
            VerifiableShare.from_bytes(commitment.to_bytes())
        with pytest.raises(DeserializationError, match=r"kind: got 11 \(VERIFIABLE_SHARE\)"):
            Commitment.from_bytes(shares[0].to_bytes())
        with pytest.raises(DeserializationError, match=r"after its last field|header states"):
            Commitment.from_bytes(commitment.to_bytes() + b"\0")


def hkdf(secret: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 with SHA-256 and without salt."""
    key = hmac.digest(bytes(32), secret, "sha256")
    block, out = b"", b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac.digest(key, block + info + bytes([counter]), "sha256")
        out += block
    return out[:length]


class TestKeys:
    @pytest.mark.parametrize("length", [1, 32, 33, 8160])
    def test_follow_from_scalars_by_hkdf(self, length: int) -> None:
        secret = random_secret()
        expected = hkdf(secret.to_bytes(32, "little"), b"disk", length)
        assert derive_key(secret, info=b"disk", length=length) == expected
        assert derive_key(secret, info=b"disc", length=length) != expected

    @pytest.mark.parametrize(
        ("arguments", "error", "named"),
        [
            ({"secret": 0}, ValueError, "secret: got an integer out of range"),
            ({"secret": ORDER}, ValueError, "secret: got an integer out of range"),
            ({"secret": b"x"}, TypeError, "secret: got bytes"),
            ({"info": "disk"}, TypeError, "info: got str, expected bytes"),
            ({"length": 0}, ValueError, "length: got 0, expected 1 to 8160"),
            ({"length": 8161}, ValueError, "length: got 8161"),
            ({"length": 32.0}, TypeError, "length: got float"),
        ],
    )
    def test_are_made_of_nothing_else(self, arguments: Any, error: Any, named: str) -> None:
        with pytest.raises(error, match=named):
            derive_key(**{"secret": 5, "info": b"disk"} | arguments)

    def test_random_secrets_are_never_zero(self) -> None:
        with randomness._test_source(bytes):
            assert random_secret() == 1
        drawn = [random_secret() for _ in range(100)]
        assert max(drawn) < ORDER
        assert max(drawn).bit_length() >= 252
        assert len(set(drawn)) == 100


def test_without_pynacl_the_import_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nacl", None)
    monkeypatch.delitem(sys.modules, "veilsum.shamir.verifiable")
    with pytest.raises(ImportError, match=r"pip install 'veilsum\[verifiable\]'") as caught:
        importlib.import_module("veilsum.shamir.verifiable")
    assert caught.value.name == "nacl"
