"""Sums under a challenge: liars, false dealers, chances in tiny fields, and every error."""

import copy
import hashlib
import io
import operator
import pickle
import random
import threading
import tracemalloc
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from veilsum import randomness, shamir
from veilsum.errors import (
    DeserializationError,
    InconsistentShares,
    InsufficientShares,
    InvalidShare,
    ProtocolError,
)
from veilsum.field import GOLDILOCKS, P50, PrimeField
from veilsum.shamir import Shares, challenge
from veilsum.shamir.challenge import (
    Answers,
    Challenge,
    Commitment,
    MaskedShares,
    Opening,
    check_answers,
    check_degree,
    check_sums,
    commit,
    deal_masks,
    disputed,
)
from veilsum.wire import Kind, Writer, length_prefixed

F13 = PrimeField(13)
CONTEXT = b"session 7, round 2, dealers 0 1 2"
SECRETS = np.array([[1, -2, 3, 4], [10, 20, -30, 40], [100, 0, 0, -100]])
TOTAL = SECRETS.sum(axis=0)
KINDS = {
    Commitment: Kind.SUM_COMMITMENT,
    Opening: Kind.SUM_OPENING,
    Answers: Kind.ANSWERS,
    MaskedShares: Kind.MASKED_SHARES,
}


def dealt(secret: Any, shares: int = 5, threshold: int = 3, **options: Any) -> MaskedShares:
    return deal_masks(shamir.split(secret, shares=shares, threshold=threshold, **options))


def altered(
    masked: MaskedShares, *, element: int = 0, offset: int = 1, mask: int = 0
) -> MaskedShares:
    """The same rows but for one element and one mask."""
    field = masked.shares.field
    values, masks = masked.shares.values.copy(), masked.masks.copy()
    values[0, element] = (int(values[0, element]) + offset) % field.modulus
    masks[0, 0] = (int(masks[0, 0]) + mask) % field.modulus
    return MaskedShares(shares=masked.shares.with_values(values), masks=masks)


def totals(dealers: Sequence[MaskedShares]) -> list[MaskedShares]:
    """What each holder adds up."""
    return [reduce(operator.add, (d[i] for d in dealers)) for i in range(len(dealers[0]))]


@dataclass
class Run:
    """Three dealers, five holders, any three of whom suffice."""

    dealers: list[MaskedShares]
    totals: list[MaskedShares]

    def __init__(self, secrets: Any = SECRETS, **options: Any) -> None:
        self.dealers = [dealt(secret, **options) for secret in secrets]
        self.totals = totals(self.dealers)

    def committed(self) -> tuple[Challenge, list[Opening], list[Answers]]:
        pairs = [commit(total) for total in self.totals]
        derived = Challenge.derive(
            [commitment for commitment, _ in pairs], self.totals[0].shares, context=CONTEXT
        )
        answers = [dealer.answer(derived) for dealer in self.dealers]
        return derived, [opening for _, opening in pairs], answers

    def checked(self) -> tuple[Shares, tuple[int, ...]]:
        derived, openings, answers = self.committed()
        return check_sums(openings, answers, derived)


class TestHonest:
    @pytest.mark.parametrize("field", [P50, GOLDILOCKS, F13, PrimeField(2**61 - 1)])
    def test_nobody_is_named_and_the_total_comes_out(self, field: PrimeField) -> None:
        secrets = SECRETS % 2
        honest, liars = Run(secrets, field=field, bound=1).checked()
        assert (len(honest), liars) == (5, ())
        np.testing.assert_array_equal(shamir.reconstruct(honest), secrets.sum(axis=0))

    @pytest.mark.parametrize("shape", [(), (0,), (2, 3), (1,), (3, 0)])
    def test_every_shape_is_summed(self, shape: tuple[int, ...]) -> None:
        honest, liars = Run([np.full(shape, 3), np.full(shape, -5)]).checked()
        np.testing.assert_array_equal(shamir.reconstruct(honest), np.full(shape, -2))
        assert liars == ()

    @pytest.mark.parametrize(("shares", "threshold"), [(1, 1), (2, 1), (4, 4), (12, 7)])
    def test_every_size_is_summed(self, shares: int, threshold: int) -> None:
        honest, liars = Run(shares=shares, threshold=threshold).checked()
        np.testing.assert_array_equal(shamir.reconstruct(honest), TOTAL)
        assert liars == ()

    def test_only_the_dealers_who_are_left_are_summed_and_answer(self) -> None:
        run = Run()
        run.dealers.pop(1)
        run.totals = totals(run.dealers)
        honest, liars = run.checked()
        assert liars == ()
        np.testing.assert_array_equal(shamir.reconstruct(honest), SECRETS[0] + SECRETS[2])

    def test_holders_who_vanish_are_only_missing(self) -> None:
        run = Run()
        run.totals.pop(1)
        derived, openings, answers = run.committed()
        honest, liars = check_sums(openings[1:], answers, derived)
        assert (honest.points.tolist(), liars) == ([3, 4, 5], ())
        np.testing.assert_array_equal(shamir.reconstruct(honest), TOTAL)

    def test_blocks_do_not_change_the_answers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        masked = dealt(np.arange(1000))
        pair = commit(masked[0])[0], commit(masked[1])[0], commit(masked[2])[0]
        derived = Challenge.derive(pair, masked.shares, context=b"")
        whole = challenge._combine([masked], derived)
        monkeypatch.setattr(challenge, "_BLOCK", 35)
        monkeypatch.setattr(challenge, "_STREAM_BYTES", 16)
        np.testing.assert_array_equal(challenge._combine([masked], derived), whole)

    def test_an_answer_is_the_mask_plus_the_inner_product(self) -> None:
        masked = dealt(np.arange(50), field=GOLDILOCKS)
        derived = Challenge.derive(
            [commit(row)[0] for row in map(masked.__getitem__, range(5))],
            masked.shares,
            context=b"",
        )
        (vectors,) = derived._vectors(50)
        rows = masked.shares.values.astype(object)
        expected = (masked.masks.astype(object) + rows @ vectors.T.astype(object)) % (
            GOLDILOCKS.modulus
        )
        answers = masked.answer(derived)
        np.testing.assert_array_equal(answers.values.astype(object), expected)
        np.testing.assert_array_equal(answers.points, masked.shares.points)

    def test_memory_is_bounded(self) -> None:
        masked = dealt(np.zeros(1 << 19, int), shares=3, threshold=2)
        derived = Challenge.derive(
            [commit(masked[0])[0], commit(masked[1])[0]], masked.shares, context=b""
        )
        tracemalloc.start()
        masked.answer(derived)
        assert tracemalloc.get_traced_memory()[1] < masked.shares.values.nbytes * 0.7
        tracemalloc.stop()


class TestLiars:
    @pytest.mark.parametrize("liars", [(1,), (5,), (2, 4), (1, 2)])
    @pytest.mark.parametrize("element", [0, 3])
    def test_as_many_as_are_not_needed_are_survived_and_named(
        self, liars: tuple[int, ...], element: int
    ) -> None:
        run = Run()
        for point in liars:
            run.totals[point - 1] = altered(run.totals[point - 1], element=element)
        honest, named = run.checked()
        assert named == liars
        np.testing.assert_array_equal(shamir.reconstruct(honest), TOTAL)

    def test_liars_who_agree_on_another_total_are_named(self) -> None:
        # Two of five: their rows lie on polynomials with one honest row, where decoding must fail.
        run, lie = Run(), Run(SECRETS + 1)
        run.totals[:2] = [
            replace(total, shares=total.shares.with_values(lie.totals[at].shares.values))
            for at, total in enumerate(run.totals[:2])
        ]
        honest, named = run.checked()
        assert named == (1, 2)
        np.testing.assert_array_equal(shamir.reconstruct(honest), TOTAL)

    def test_a_false_mask_alone_is_a_lie(self) -> None:
        run = Run()
        run.totals[2] = altered(run.totals[2], offset=0, mask=1)
        assert run.checked()[1] == (3,)

    def test_one_more_is_an_error_that_names_them(self) -> None:
        run = Run()
        run.totals[1:4] = map(altered, run.totals[1:4])
        with pytest.raises(InsufficientShares, match=r"2 of 5 fit.*3; .*\[2, 3, 4\] do not fit"):
            run.checked()

    def test_no_opening_is_an_error(self) -> None:
        derived, _, answers = Run().committed()
        with pytest.raises(InsufficientShares, match="0 of 0 fit"):
            check_sums([], answers, derived)

    def test_sums_over_other_dealers_are_lies(self) -> None:
        run = Run()
        run.totals[0] = run.dealers[0][0] + run.dealers[1][0]
        openings = [Opening(masked=total, salt=bytes(32)) for total in run.totals]
        derived = Challenge.derive(
            [opening.commitment for opening in openings], run.totals[1].shares, context=CONTEXT
        )
        assert check_sums(openings, [d.answer(derived) for d in run.dealers], derived)[1] == (1,)

    def adapted(self, run: Run, derived: Challenge) -> MaskedShares:
        """A false row with the mask that would make up for it, once the challenge is known."""
        lie = altered(run.totals[0])
        field, (vectors,) = lie.shares.field, derived._vectors(4)
        return replace(lie, masks=field.sub(lie.masks, vectors[:, 0]))

    def test_a_liar_who_adapts_to_the_challenge_is_caught_by_its_commitment(self) -> None:
        run = Run()
        derived, openings, answers = run.committed()
        lie = self.adapted(run, derived)
        np.testing.assert_array_equal(
            challenge._combine([lie], derived), challenge._combine([run.totals[0]], derived)
        )
        openings[0] = replace(openings[0], masked=lie)
        honest, liars = check_sums(openings, answers, derived)
        assert liars == (1,)
        np.testing.assert_array_equal(shamir.reconstruct(honest), TOTAL)

    def test_such_a_liar_would_pass_if_it_could_commit_after_the_challenge(self) -> None:
        run = Run()
        derived, openings, answers = run.committed()
        late = replace(openings[0], masked=self.adapted(run, derived))
        forged = replace(derived, commitments=(late.commitment, *derived.commitments[1:]))
        assert check_sums([late, *openings[1:]], answers, forged)[1] == ()

    def test_a_liar_who_keeps_its_row_and_adapts_its_mask_is_caught(self) -> None:
        run = Run()
        run.totals[0] = altered(run.totals[0])
        derived, openings, answers = run.committed()
        (vectors,) = derived._vectors(4)
        masks = P50.sub(run.totals[0].masks, vectors[:, 0])
        openings[0] = replace(openings[0], masked=replace(run.totals[0], masks=masks))
        assert check_sums(openings, answers, derived)[1] == (1,)

    def test_every_part_of_an_opening_is_bound(self) -> None:
        derived, openings, answers = Run().committed()
        masked = openings[0].masked
        shares = masked.shares
        digests = {openings[0].commitment.digest}
        for lie in (
            replace(openings[0], salt=bytes(32)),
            replace(openings[0], masked=altered(masked)),
            replace(openings[0], masked=altered(masked, offset=0, mask=1)),
            replace(openings[0], masked=replace(masked, shares=replace(shares, bound=9**9))),
        ):
            digests.add(lie.commitment.digest)
            assert check_sums([lie, *openings[1:]], answers, derived)[1] == (1,)
        moved = replace(shares, points=openings[1].masked.shares.points)
        digests.add(replace(openings[0], masked=replace(masked, shares=moved)).commitment.digest)
        assert len(digests) == 6

    def test_a_sum_under_another_header_is_a_lie(self) -> None:
        run = Run()
        shares = run.totals[4].shares
        run.totals[4] = replace(run.totals[4], shares=replace(shares, bound=shares.bound + 1))
        honest, liars = run.checked()
        assert (len(honest), liars) == (4, (5,))

    def test_the_commitment_of_another_holder_cannot_be_opened(self) -> None:
        run = Run()
        pairs = [commit(total) for total in run.totals]
        copied = [pairs[0][0], Commitment(2, pairs[0][0].digest), *(c for c, _ in pairs[2:])]
        derived = Challenge.derive(copied, run.totals[0].shares, context=CONTEXT)
        answers = [dealer.answer(derived) for dealer in run.dealers]
        shares = pairs[0][1].masked.shares
        moved = MaskedShares(
            shares=replace(shares, points=run.totals[1].shares.points),
            masks=pairs[0][1].masked.masks,
        )
        forged = replace(pairs[0][1], masked=moved)
        openings = [pairs[0][1], forged, *(opening for _, opening in pairs[2:])]
        assert check_sums(openings, answers, derived)[1] == (2,)

    def test_a_holder_who_did_not_commit_cannot_open(self) -> None:
        run = Run()
        missing = commit(run.totals.pop())[1]
        derived, openings, answers = run.committed()
        assert check_sums([*openings, missing], answers, derived)[1] == (5,)

    def test_an_opening_in_the_name_of_an_honest_holder_does_not_harm_it(self) -> None:
        derived, openings, answers = Run().committed()
        forged = replace(openings[3], masked=altered(openings[3].masked))
        for order in ([forged, *openings], [*openings, forged]):
            honest, liars = check_sums(order, answers, derived)
            assert (len(honest), liars) == (5, ())


class TestChance:
    """With one vector in a tiny field, a lie passes with probability 1 / 13."""

    RUNS = 1300
    SPREAD = (1300 / 13 * 12 / 13) ** 0.5  # of the number of lies that pass

    @pytest.fixture(autouse=True)
    def _one_vector(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(challenge, "_SOUNDNESS_BITS", 3)
        assert challenge._repetitions(F13) == 1

    def passed(self, rows: Sequence[MaskedShares], run: int) -> bool:
        """Whether the check of a degree holds for the rows of one dealing."""
        seed = hashlib.sha256(run.to_bytes(2, "little")).digest()
        fixed = tuple(Opening(masked=row, salt=bytes(32)).commitment for row in rows)
        derived = Challenge(seed=seed, header=rows[0].shares[:0], commitments=fixed)
        points = np.concatenate([row.shares.points for row in rows])
        return check_degree(
            Answers(points=points, values=challenge._combine(rows, derived)), derived
        )

    def tiny(self) -> MaskedShares:
        with randomness._test_source(random.Random(3).randbytes):
            return dealt([1, -2, 3], shares=3, threshold=2, field=F13)

    def test_a_lying_holder_passes_as_often_as_promised(self) -> None:
        dealer, passes = self.tiny(), 0
        rows = [dealer[0], altered(dealer[1], element=2, offset=5, mask=7), dealer[2]]
        openings = [Opening(masked=row, salt=bytes(32)) for row in rows]
        commitments = [opening.commitment for opening in openings]
        for run in range(self.RUNS):
            derived = Challenge.derive(
                commitments, dealer.shares, context=b"", coins=run.to_bytes(2, "little")
            )
            answers = challenge._combine([dealer], derived)
            own = Answers(points=dealer.shares.points, values=answers)
            passes += check_sums(openings, [own], derived)[1] == ()
        assert abs(passes - self.RUNS / 13) < 4 * self.SPREAD
        assert passes > 0

    def test_a_dealing_of_too_high_a_degree_passes_as_often_as_promised(self) -> None:
        dealer = self.tiny()
        rows = [dealer[0], altered(dealer[1], mask=3), dealer[2]]
        passes = sum(self.passed(rows, run) for run in range(self.RUNS))
        assert abs(passes - self.RUNS / 13) < 4 * self.SPREAD

    def test_an_honest_dealing_always_passes(self) -> None:
        dealer = self.tiny()
        rows = [dealer[i] for i in range(3)]
        assert all(self.passed(rows, run) for run in range(100))


class TestSoundness:
    @pytest.mark.parametrize(
        ("field", "repetitions"), [(P50, 3), (GOLDILOCKS, 3), (F13, 35), (PrimeField(3), 81)]
    )
    def test_there_are_as_few_vectors_as_give_128_bits(
        self, field: PrimeField, repetitions: int
    ) -> None:
        assert field.modulus**repetitions >= 2**128 > field.modulus ** (repetitions - 1)
        masked = dealt([0], shares=2, threshold=1, field=field)
        assert masked.masks.shape == (2, repetitions)


class TestChallenge:
    def commitments(self) -> list[Commitment]:
        return [Commitment(point, bytes([point]) * 32) for point in range(1, 6)]

    def seed(self, commitments: Any = None, shares: Any = None, **options: Any) -> bytes:
        given = self.commitments() if commitments is None else commitments
        header = self.shares if shares is None else shares
        return Challenge.derive(given, header, **{"context": CONTEXT, **options}).seed

    shares = shamir.split([1, 2], shares=5, threshold=3)

    def test_everything_that_was_fixed_changes_it(self) -> None:
        fixed = self.commitments()
        seeds = [
            self.seed(),
            self.seed(context=b"another session"),
            self.seed(coins=b"heads"),
            self.seed(fixed[1:]),
            self.seed([replace(fixed[0], digest=bytes(32)), *fixed[1:]]),
            self.seed([replace(fixed[0], point=5), *fixed[1:4]]),
            self.seed([fixed[0], *fixed[1:4]]),
            self.seed(shares=shamir.split([1, 2], shares=5, threshold=3)),
            self.seed(shares=self.shares + self.shares),
        ]
        assert len(set(seeds)) == len(seeds)

    def test_neither_order_nor_rows_change_it(self) -> None:
        assert self.seed() == self.seed(self.commitments()[::-1], self.shares[2:3])

    def test_it_is_the_hash_that_is_documented(self) -> None:
        parts = [c.point.to_bytes(8, "little") + c.digest for c in self.commitments()]
        header = self.shares[:0].to_bytes()
        statement = length_prefixed(b"veilsum/v1 challenge", CONTEXT, b"", header, *parts)
        assert self.seed() == hashlib.sha256(statement).digest()

    @pytest.mark.parametrize("modulus", [13, P50.modulus, GOLDILOCKS.modulus, 65537])
    def test_vectors_are_the_residues_of_the_stream_in_order(self, modulus: int) -> None:
        field = PrimeField(modulus)
        header = shamir.split(np.zeros(40, int), shares=2, threshold=1, field=field)[:0]
        derived = Challenge(seed=bytes(range(32)), header=header, commitments=())
        cipher = Cipher(algorithms.AES(bytes(range(32))), modes.CTR(bytes(16))).encryptor()
        stream = cipher.update(bytes(1 << 16))
        words = (int.from_bytes(stream[at : at + 8], "little") for at in range(0, 1 << 16, 8))
        residues = [word % 2 ** (modulus - 1).bit_length() for word in words]
        accepted = [residue for residue in residues if residue < modulus]
        vectors = np.concatenate(list(derived._vectors(7)), axis=1)
        assert vectors.T.ravel().tolist() == accepted[: vectors.size]

    def test_vectors_are_uniform(self) -> None:
        header = shamir.split(np.zeros(2000, int), shares=2, threshold=1, field=F13)[:0]
        derived = Challenge(seed=bytes(32), header=header, commitments=())
        counts = np.bincount(
            np.concatenate([v.ravel() for v in derived._vectors(300)]).astype(int), minlength=13
        )
        expected = counts.sum() / 13
        assert ((counts - expected) ** 2 / expected).sum() < 36.5  # 12 degrees of freedom: 3e-4
        assert counts.size == 13

    def test_too_few_commitments_or_two_of_one_holder_are_refused(self) -> None:
        with pytest.raises(InsufficientShares, match="commitments: got 2, expected at least"):
            self.seed(self.commitments()[:2])
        with pytest.raises(ProtocolError, match=r"the holders at \[3\] committed twice"):
            self.seed([*self.commitments(), Commitment(3, bytes(32))])


class TestDealings:
    def false_dealing(self, degree: int = 3) -> MaskedShares:
        """One whose polynomials have a higher degree, which its holders cannot see."""
        masked = dealt(SECRETS[0])
        field, points = masked.shares.field, masked.shares.points
        higher = field.mul(field.power(points, degree)[:, np.newaxis], [5, 0, 0, 0])
        values = field.add(masked.shares.values, higher)
        return MaskedShares(shares=masked.shares.with_values(values), masks=masked.masks)

    def answered(self, dealing: MaskedShares) -> tuple[Answers, Challenge]:
        rows = [dealing[i] for i in range(len(dealing))]
        derived = Challenge.derive(
            [commit(row)[0] for row in rows], dealing.shares, context=CONTEXT
        )
        return Answers.join([row.answer(derived) for row in rows]), derived

    def test_a_dealing_passes(self) -> None:
        assert check_degree(*self.answered(dealt(SECRETS[0])))

    @pytest.mark.parametrize("degree", [3, 4])
    def test_a_dealing_of_too_high_a_degree_is_found(self, degree: int) -> None:
        assert not check_degree(*self.answered(self.false_dealing(degree)))

    def test_masks_of_too_high_a_degree_are_found(self) -> None:
        masked = dealt(SECRETS[0])
        masks = masked.masks.copy()
        masks[4, 2] ^= np.uint64(1)
        assert not check_degree(*self.answered(replace(masked, masks=masks)))

    def test_the_order_of_holders_does_not_matter(self) -> None:
        answers, derived = self.answered(dealt(SECRETS[0]))
        order = [3, 0, 4, 2, 1]
        moved = Answers(points=answers.points[order], values=answers.values[order])
        assert check_degree(moved, derived)

    def test_too_few_answers_say_nothing(self) -> None:
        answers, derived = self.answered(self.false_dealing()[:3])
        with pytest.raises(InsufficientShares, match="answers: got 3, expected more than 3"):
            check_degree(answers, derived)

    def test_answers_of_others_than_committed_are_refused(self) -> None:
        answers, derived = self.answered(self.false_dealing())
        few = Answers(points=answers.points[:4], values=answers.values[:4])
        with pytest.raises(ProtocolError, match=r"answers: none for the holders at \[5\]"):
            check_degree(few, derived)
        fewer = replace(derived, commitments=derived.commitments[:4])
        with pytest.raises(ProtocolError, match=r"those of the holders at \[5\], who did not"):
            check_degree(answers, fewer)

    def test_every_dealer_whose_answers_have_too_high_a_degree_is_named(self) -> None:
        run = Run()
        derived, openings, answers = run.committed()
        for dealer in (0, 2):
            values = answers[dealer].values.copy()
            values[dealer, dealer] ^= np.uint64(1)
            answers[dealer] = replace(answers[dealer], values=values)
        with pytest.raises(ProtocolError, match=r"those at positions \[0, 2\] are not of a degree"):
            check_sums(openings, answers, derived)

    def test_a_dealer_whose_own_answers_have_too_high_a_degree_is_named(self) -> None:
        run = Run()
        run.dealers[1] = self.false_dealing()
        run.totals = totals(run.dealers)
        with pytest.raises(ProtocolError, match=r"those at positions \[1\] are not of a degree"):
            run.checked()

    def test_false_answers_are_refused_before_anything_is_opened(self) -> None:
        run = Run()
        derived, openings, answers = run.committed()
        check_answers(answers, derived)
        altered = answers[1].values.copy()
        altered[2, 0] ^= np.uint64(1)
        lacking = Answers(points=answers[1].points[:4], values=answers[1].values[:4])
        for false, message in (
            (replace(answers[1], values=altered), r"positions \[1\] are not of a degree below"),
            (lacking, r"answers\[1\]: none for the holders at \[5\]"),
        ):
            given = [answers[0], false, answers[2]]
            with pytest.raises(ProtocolError, match=f"{message}.*open nothing, leave these"):
                check_answers(given, derived)
            with pytest.raises(ProtocolError, match=f"{message}.*so the round ends") as late:
                check_sums(openings, given, derived)
            assert "start again" not in str(late.value)
        with pytest.raises(ProtocolError, match="answers: got none"):
            check_answers([], derived)

    @pytest.mark.parametrize("options", [{}, {"points": "roots"}, {"packed": 2}])
    def test_a_dealing_of_zeros_passes_as_such(self, options: dict[str, Any]) -> None:
        like = shamir.split([1, 2, 3], shares=5, threshold=3, **options)
        masked = deal_masks(shamir.deal_zeros(like), zeros=True)
        assert masked.masks.any()
        assert check_degree(*self.answered(masked), zeros=True)
        few = deal_masks(shamir.deal_zeros(like), zeros=True)[:3]
        assert check_degree(*self.answered(few), zeros=True)

    @pytest.mark.parametrize("options", [{}, {"points": "roots"}, {"packed": 2}])
    @pytest.mark.parametrize("element", [0, 1, 2])
    def test_a_dealing_of_something_else_is_no_dealing_of_zeros(
        self, options: dict[str, Any], element: int
    ) -> None:
        secret = np.zeros(3, int)
        secret[element] = 1
        lie = shamir.split(secret, shares=5, threshold=3, **options)
        masked = deal_masks(shamir.deal_zeros(lie), zeros=True)
        false = MaskedShares(
            shares=masked.shares.with_values(lie.values),
            masks=masked.masks,
        )
        answers, derived = self.answered(false)
        assert check_degree(answers, derived)
        assert not check_degree(answers, derived, zeros=True)

    def test_other_masks_are_no_zeros(self) -> None:
        like = shamir.split([1], shares=5, threshold=3)
        answers, derived = self.answered(deal_masks(shamir.deal_zeros(like)))
        assert check_degree(answers, derived)
        assert not check_degree(answers, derived, zeros=True)

    def test_masks_of_zeros_hide_no_other_secrets(self) -> None:
        with pytest.raises(ValueError, match="shares: got a bound of 7, expected 0"):
            deal_masks(shamir.split([0], shares=3, threshold=2, bound=7), zeros=True)

    def test_masks_of_zeros_share_zeros_and_are_random_otherwise(self) -> None:
        like = shamir.split(np.zeros(3, int), shares=3, threshold=2, field=F13, bound=0)
        first, second = (deal_masks(like, zeros=True).masks for _ in range(2))
        np.testing.assert_array_equal(first[1], F13.mul(2, first[0]))
        np.testing.assert_array_equal(first[2], F13.mul(3, first[0]))
        assert (first != second).any()
        assert np.unique(first[0]).size > 5  # of 13, in 35 columns

    def test_too_few_answers_show_no_zeros(self) -> None:
        like = shamir.split([1, 2], shares=5, threshold=3)
        masked = deal_masks(shamir.deal_zeros(like), zeros=True)[:2]
        answers = Answers(points=masked.shares.points, values=masked.masks)
        fixed = tuple(commit(masked[i])[0] for i in range(2))
        derived = Challenge(seed=bytes(32), header=like[:0], commitments=fixed)
        with pytest.raises(InsufficientShares, match="answers: got 2, expected more than 2"):
            check_degree(answers, derived, zeros=True)

    def framing(self) -> tuple[Run, list[MaskedShares], Challenge, list[Opening], list[Answers]]:
        """Dealer 1 answers for other values than it dealt: of low degree, and so unnoticed."""
        run = Run()
        rows = [run.dealers[1][i] for i in range(5)]
        derived, openings, answers = run.committed()
        lie = dealt(SECRETS[1] + 1)
        answers[1] = lie.answer(derived)
        return run, rows, derived, openings, answers

    def test_a_lying_dealer_would_frame_honest_holders(self) -> None:
        _, _, derived, openings, answers = self.framing()
        with pytest.raises(InsufficientShares, match=r"\[1, 2, 3, 4, 5\] do not fit"):
            check_sums(openings, answers, derived)

    def test_but_they_complain_of_that_dealer_alone(self) -> None:
        run, rows, derived, _, answers = self.framing()
        for row in rows:
            assert disputed(row, answers[1], derived) == (int(row.shares.points[0]),)
        for dealer in (0, 2):
            whole = MaskedShares(shares=run.dealers[dealer].shares, masks=run.dealers[dealer].masks)
            assert disputed(whole, answers[dealer], derived) == ()

    def test_a_complaint_is_believed_for_the_row_that_the_dealer_committed_to(self) -> None:
        _, rows, derived, _, answers = self.framing()
        published, complaint = commit(rows[3])
        assert complaint.commitment == published
        assert disputed(complaint.masked, answers[1], derived) == (4,)
        invented = replace(complaint, masked=altered(complaint.masked))
        assert invented.commitment != published

    def test_a_false_answer_of_low_degree_contradicts_enough_honest_holders(self) -> None:
        dealer = dealt(SECRETS[0], shares=7, threshold=3)
        rows = [dealer[i] for i in range(7)]
        derived = Challenge.derive([commit(row)[0] for row in rows], dealer.shares, context=CONTEXT)
        true = dealer.answer(derived)
        # A polynomial of degree 2 can vanish at two points of the dealer's choice only.
        field, points = P50, true.points
        error = field.mul(field.sub(points, 1), field.sub(points, np.uint64(2)))
        false = Answers(points=points, values=field.add(true.values, error[:, np.newaxis]))
        assert check_degree(false, derived)
        assert [p for row in rows for p in disputed(row, false, derived)] == [3, 4, 5, 6, 7]


class TestSecrecy:
    """GF(5), two of three holders, one value, one vector: every case is counted."""

    FIELD = PrimeField(5)

    def views(self, secret: int, seed: bytes) -> dict[tuple[int, ...], int]:
        """How often the first holder and the public see what, over all draws of the dealer."""
        counts: dict[tuple[int, ...], int] = {}
        header = shamir.split([0], shares=3, threshold=2, field=self.FIELD)[:0]
        derived = Challenge(seed=seed, header=header, commitments=())
        line = self.FIELD.residues([secret])
        for slope in range(5):
            values = [[(int(line[0]) + slope * x) % 5] for x in (1, 2, 3)]
            shares = replace(
                header,
                points=np.arange(1, 4, dtype=np.uint64),
                values=np.array(values, np.uint64),
            )
            for draws in np.ndindex(5, 5):
                with randomness._test_source(io.BytesIO(np.array(draws, "<u8").tobytes()).read):
                    masked = deal_masks(shares)
                answers = masked.answer(derived).values.ravel().tolist()
                view = (values[0][0], int(masked.masks[0, 0]), *answers)
                counts[view] = counts.get(view, 0) + 1
        return counts

    @pytest.fixture(autouse=True)
    def _one_vector(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(challenge, "_SOUNDNESS_BITS", 2)

    @pytest.mark.parametrize("byte", [0, 1])  # the vectors 4 and 2
    def test_answers_and_one_row_are_alike_for_every_secret(self, byte: int) -> None:
        seed = bytes([byte] * 32)
        worlds = [self.views(secret, seed) for secret in range(-2, 3)]
        assert all(world == worlds[0] for world in worlds)

    def test_answers_are_uniform_among_polynomials(self) -> None:
        counts: dict[tuple[int, ...], int] = {}
        for (_, _, *answers), times in self.views(1, bytes(32)).items():
            counts[tuple(answers)] = counts.get(tuple(answers), 0) + times
        assert len(counts) == 25
        assert set(counts.values()) == {5}

    def test_a_second_answer_under_one_mask_would_tell_the_secret(self) -> None:
        header = shamir.split([0], shares=3, threshold=2, field=self.FIELD)[:0]
        secret, masked = 2, dealt([2], shares=3, threshold=2, field=self.FIELD)
        first, second = (
            Challenge(seed=bytes([byte] * 32), header=header, commitments=()) for byte in (0, 1)
        )
        difference = self.FIELD.sub(
            challenge._combine([masked], first), challenge._combine([masked], second)
        )
        (r,), (t,) = (next(c._vectors(1))[0] for c in (first, second))
        assert (r, t) == (4, 2)
        at_zero = self.FIELD.sub(self.FIELD.mul(2, difference[0]), difference[1])
        assert self.FIELD.mul(at_zero, self.FIELD.inverse(self.FIELD.sub(r, t))).item() == secret

    def test_commitments_to_equal_rows_differ(self) -> None:
        masked = dealt([1])[0]
        assert commit(masked)[0] != commit(masked)[0]

    def test_a_mask_answers_once(self) -> None:
        masked = dealt(SECRETS[0])
        other = dealt(SECRETS[0])
        commitments = [commit(masked[i])[0] for i in range(5)]
        derived = Challenge.derive(commitments, masked.shares, context=b"")
        masked.answer(derived)
        another = Challenge.derive(commitments, masked.shares, context=b"again")
        spent: list[MaskedShares] = [
            masked,
            masked[0],
            masked[1:3],
            replace(masked),
            replace(masked, shares=other.shares),
            masked + other,
            other + masked,
            sum([masked, other]),  # type: ignore[list-item]
            (masked + other)[[4]],
        ]
        for rows in spent:
            for question in (derived, another):
                with pytest.raises(ProtocolError, match="they have answered a challenge"):
                    rows.answer(question)
        other.answer(another)  # what was refused spent nothing of it

    @pytest.mark.parametrize("first", [0, slice(1, 3), [4]])
    def test_what_was_selected_before_an_answer_is_spent_by_it(self, first: Any) -> None:
        masked, derived = self.asked()
        part = masked[first]
        part.answer(derived)
        for rows in (masked, part, masked[first]):
            with pytest.raises(ProtocolError, match="they have answered a challenge"):
                rows.answer(derived)

    def test_what_was_added_before_an_answer_is_spent_by_it(self) -> None:
        masked, derived = self.asked()
        other = dealt(SECRETS[1])
        total = masked + other
        total.answer(derived)
        for rows in (masked, other, other[2], total, total[3]):
            with pytest.raises(ProtocolError, match="they have answered a challenge"):
                rows.answer(derived)

    def test_rows_answer_one_by_one_the_same_challenge_alone(self) -> None:
        masked, derived = self.asked()
        rows = [masked[i] for i in range(5)]
        other = replace(derived, seed=bytes(32))
        rows[0].answer(derived)
        for row in rows[1:]:  # two halves that answered two challenges would give the secret away
            with pytest.raises(ProtocolError, match="they have answered a challenge"):
                row.answer(other)
        assert all(len(row.answer(derived).points) == 1 for row in rows[1:])

    def test_of_many_threads_one_gets_an_answer(self) -> None:
        masked, derived = self.asked()
        barrier = threading.Barrier(8)

        def ask(position: int) -> bool:
            question = replace(derived, seed=bytes([position]) * 32)
            barrier.wait()
            try:
                masked.answer(question)
            except ProtocolError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(ask, range(8))) == 1

    def test_a_forked_process_cannot_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        masked, derived = self.asked()
        with monkeypatch.context() as forked:
            forked.setattr("os.getpid", lambda: -1)
            for rows in (masked, masked[0], masked + dealt([1, 2, 3, 4])):
                with pytest.raises(ProtocolError, match="process that this one was forked from"):
                    rows.answer(derived)
        masked.answer(derived)

    def asked(self) -> tuple[MaskedShares, Challenge]:
        masked = dealt(SECRETS[0])
        fixed = [commit(masked[i])[0] for i in range(5)]
        return masked, Challenge.derive(fixed, masked.shares, context=b"")

    def test_a_refused_challenge_spends_nothing(self) -> None:
        masked = dealt(SECRETS[0])
        other = Challenge(seed=bytes(32), header=dealt([1]).shares[:0], commitments=())
        with pytest.raises(InconsistentShares):
            masked.answer(other)
        masked.answer(replace(other, header=masked.shares[:0]))

    def test_nothing_secret_is_shown_or_pickled(self) -> None:
        opening = commit(dealt([1])[0])[1]
        assert "masks=<redacted>" in repr(opening.masked)
        assert "salt=<redacted>" in repr(opening)
        assert str(opening.masked.masks[0, 0]) not in repr(opening)
        for export in (pickle.dumps, copy.copy, copy.deepcopy):
            for secret in (opening, opening.masked):
                with pytest.raises(TypeError, match="neither copy nor pickle"):
                    export(secret)


class TestMaskedShares:
    def test_masks_lie_on_polynomials_of_low_degree(self) -> None:
        masked = dealt([1], shares=6, threshold=2)
        field, masks = P50, masked.masks
        steps = field.sub(masks[1:], masks[:-1])
        assert (steps == steps[0]).all()
        assert (steps[0] != 0).all()

    def test_holders_are_selected_as_from_shares(self) -> None:
        masked = dealt([1])
        selections: list[Any] = [0, np.int64(2), slice(1, 3), [3, 1], np.array([4]), []]
        for chosen in selections:
            part = masked[chosen]
            assert part.shares.points.tolist() == masked.shares[chosen].points.tolist()
            rows = part.shares.points.astype(int) - 1
            np.testing.assert_array_equal(part.masks, masked.masks[rows])
        assert len(masked[1:]) == 4

    def test_sums_need_the_same_holders(self) -> None:
        one, two = dealt([1]), dealt([2])
        with pytest.raises(InconsistentShares, match="expected the same holders"):
            one[0] + two[1]
        with pytest.raises(TypeError):
            one + two.shares

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"shares": b""}, TypeError, "shares: got bytes, expected Shares"),
            ({"masks": np.zeros((5, 2), np.uint64)}, ValueError, r"masks: got shape \(5, 2\)"),
            ({"masks": np.zeros((4, 3), np.uint64)}, ValueError, r"expected shape \(5, 3\)"),
            ({"masks": np.full((5, 3), P50.modulus, np.uint64)}, ValueError, "15 numbers not in"),
            ({"masks": np.zeros((5, 3))}, TypeError, "expected an array of uint64"),
        ],
    )
    def test_malformed_ones_are_refused(
        self, change: dict[str, Any], error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            replace(dealt([1]), **change)

    def test_masks_cannot_be_changed_afterwards(self) -> None:
        masks = np.zeros((5, 3), np.uint64)
        masked = replace(dealt([1]), masks=masks)
        masks[0, 0] = 1
        assert not masked.masks.any()
        with pytest.raises(ValueError, match="read-only"):
            masked.masks[0, 0] = 1


class TestRefused:
    def malformed(self, answers: Answers) -> list[tuple[Answers, str]]:
        points, values = answers.points, answers.values
        twice = np.array([1, 2, 3, 4, 4], np.uint64)
        wide = np.full_like(values, P50.modulus)
        return [
            (Answers(points=points, values=values[:, :2]), r"values: got shape \(5, 2\)"),
            (Answers(points=points, values=wide), "15 numbers not in range"),
            (Answers(points=twice, values=values), "got 5 for 4 holders"),
            (
                Answers(points=np.arange(6, dtype=np.uint64), values=values[[0] * 6]),
                "got 6 for 6 holders",
            ),
            (Answers(points=points[:4], values=values[:4]), r"none for the holders at \[5\]"),
        ]

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"values": np.zeros((4, 3), np.uint64)}, ValueError, r"values: got shape \(4, 3\)"),
            ({"values": np.zeros(5, np.uint64)}, ValueError, r"values: got shape \(5,\)"),
            ({"values": np.zeros((5, 3))}, TypeError, "values: got float64, expected an array"),
            ({"values": [[1]]}, TypeError, "values: got list, expected an array of uint64"),
            ({"points": np.zeros((5, 1), np.uint64)}, ValueError, r"points: got shape \(5, 1\)"),
            ({"points": np.uint64(3)}, TypeError, "expected an array of uint64"),
            ({"points": np.array(3, np.uint64)}, ValueError, r"points: got shape \(\)"),
            ({"points": (1,)}, TypeError, "points: got tuple, expected an array of uint64"),
        ],
    )
    def test_malformed_answers_are_not_made(
        self, change: dict[str, Any], error: type[Exception], message: str
    ) -> None:
        points = np.arange(1, 6, dtype=np.uint64)
        with pytest.raises(error, match=message):
            Answers(**{"points": points, "values": np.zeros((5, 3), np.uint64), **change})

    def test_hostile_parts_are_not_joined_and_named(self) -> None:
        def part(point: int, columns: int = 3) -> Answers:
            return Answers(
                points=np.array([point], np.uint64), values=np.ones((1, columns), np.uint64)
            )

        with pytest.raises(ProtocolError, match=r"parts\[2\]: got 2 columns, expected 3"):
            Answers.join([part(1), part(2), part(3, 2)])
        with pytest.raises(ProtocolError, match=r"parts\[1\]: got the holders at \[4\] again"):
            Answers.join([part(4), part(4)])
        with pytest.raises(TypeError, match=r"parts\[1\]: got bytes, expected Answers"):
            Answers.join([part(4), b""])  # type: ignore[list-item]

    def test_malformed_answers_of_a_dealer(self) -> None:
        run = Run()
        row = run.dealers[2][4]
        derived, openings, answers = run.committed()
        for false, message in self.malformed(answers[2]):
            with pytest.raises(ProtocolError, match=rf"answers\[2\]: .*{message}"):
                check_sums(openings, [*answers[:2], false], derived)
            with pytest.raises(ProtocolError, match=message):
                disputed(row, false, derived)

    def test_answers_of_other_dealers_than_were_summed(self) -> None:
        derived, openings, answers = Run().committed()
        with pytest.raises(InsufficientShares, match=r"\[1, 2, 3, 4, 5\] do not fit"):
            check_sums(openings, answers[:2], derived)
        with pytest.raises(ProtocolError, match="answers: got none"):
            check_sums(openings, [], derived)

    def test_no_answers_to_join(self) -> None:
        with pytest.raises(InsufficientShares, match="parts: got none"):
            Answers.join([])

    def test_commitments_are_to_the_rows_of_one_holder(self) -> None:
        masked = dealt([1])
        for rows in (masked, masked[:0]):
            with pytest.raises(ValueError, match=r"masked: got \d rows, expected those of one"):
                commit(rows)
        with pytest.raises(ValueError, match="salt: got 31 bytes, expected 32"):
            Opening(masked=masked[0], salt=bytes(31))

    def test_masks_are_dealt_to_all_holders_at_once(self) -> None:
        s = shamir.split([1], shares=4, threshold=2)
        for some in (s[:0], s[1], s[:3]):
            with pytest.raises(ValueError, match=f"got the rows of {len(some)} holders, expected"):
                deal_masks(some)

    def test_additive_shares_cannot_be_challenged(self) -> None:
        with pytest.raises(ValueError, match="shares: got additive ones"):
            deal_masks(shamir.split_additive([1], shares=3))

    @pytest.mark.parametrize(
        "options",
        [
            {"shares": 6},
            {"threshold": 2},
            {"field": GOLDILOCKS},
            {"secret": [1, 2]},
            {"points": "roots"},
            {"packed": 2},
        ],
    )
    def test_a_challenge_of_other_shares(self, options: dict[str, Any]) -> None:
        masked = dealt([1])
        other = dealt(**{"secret": [1], **options})
        derived = Challenge(seed=bytes(32), header=other.shares[:0], commitments=())
        with pytest.raises(InconsistentShares, match="challenge: got one of shares with"):
            masked.answer(derived)

    def test_arguments_of_the_wrong_type(self) -> None:
        derived, openings, answers = Run().committed()
        masked = dealt(SECRETS[0])
        fixed = derived.commitments
        calls: list[tuple[Callable[[], Any], str]] = [
            (lambda: deal_masks(masked), "shares: got MaskedShares, expected Shares"),  # type: ignore[arg-type]
            (lambda: commit(masked.shares), "masked: got Shares"),  # type: ignore[arg-type]
            (lambda: masked.answer(answers[0]), "challenge: got Answers"),  # type: ignore[arg-type]
            (lambda: disputed(masked.shares, answers[0], derived), "masked: got Shares"),  # type: ignore[arg-type]
            (lambda: disputed(masked, derived, derived), "answers: got Challenge"),  # type: ignore[arg-type]
            (lambda: check_sums(fixed, answers, derived), "openings: got Commitment"),  # type: ignore[arg-type]
            (lambda: check_sums(openings, answers, b""), "challenge: got bytes"),  # type: ignore[arg-type]
            (lambda: check_sums(openings, openings, derived), r"answers\[0\]: got Opening"),  # type: ignore[arg-type]
            (lambda: check_degree(answers[0], b""), "challenge: got bytes"),  # type: ignore[arg-type]
            (lambda: check_answers(answers, b""), "challenge: got bytes"),  # type: ignore[arg-type]
            (lambda: check_answers(openings, derived), r"answers\[0\]: got Opening"),  # type: ignore[arg-type]
            (lambda: Challenge.derive(openings, masked.shares, context=b""), "commitments: got"),  # type: ignore[arg-type]
            (lambda: Challenge.derive(fixed, masked, context=b""), "shares: got Masked"),  # type: ignore[arg-type]
            (lambda: Challenge.derive(fixed, masked.shares, context=""), "context: got str"),  # type: ignore[arg-type]
            (lambda: Challenge.derive(fixed, masked.shares, context=b"", coins=7), "coins: got"),  # type: ignore[arg-type]
        ]
        for call, message in calls:
            with pytest.raises(TypeError, match=message):
                call()

    def test_a_malformed_commitment(self) -> None:
        with pytest.raises(ValueError, match="digest: got 31 bytes, expected 32"):
            Commitment(1, bytes(31))
        for point in (0, 1 << 64, -1):
            with pytest.raises(ValueError, match=r"point: got .*, expected 1 to"):
                Commitment(point, bytes(32))
        strange: list[Any] = ["1", True, 1.0]
        for one in strange:
            with pytest.raises(TypeError, match="point: got "):
                Commitment(one, bytes(32))

    @pytest.mark.parametrize("options", [{}, {"points": "roots"}])
    @pytest.mark.parametrize("point", [6, 13, P50.modulus + 1, 2**64 - 1])
    def test_a_commitment_of_nobody_is_refused(self, options: dict[str, Any], point: int) -> None:
        masked = dealt([1], **options)
        fixed = [commit(masked[i])[0] for i in range(5)]
        with pytest.raises(ProtocolError, match=rf"commitments: got those of \[{point}\], exp"):
            Challenge.derive([*fixed, Commitment(point, bytes(32))], masked.shares, context=b"")


class TestBytes:
    def opening(self) -> Opening:
        return commit(dealt(SECRETS[0])[2])[1]

    def test_what_was_written_is_read(self) -> None:
        opening = self.opening()
        again = Opening.from_bytes(opening.to_bytes())
        assert (again.salt, again.commitment) == (opening.salt, opening.commitment)
        assert Commitment.from_bytes(opening.commitment.to_bytes()) == opening.commitment
        masked = MaskedShares.from_bytes(opening.masked.to_bytes())
        np.testing.assert_array_equal(masked.masks, opening.masked.masks)
        np.testing.assert_array_equal(masked.shares.values, opening.masked.shares.values)
        answers = Answers(points=masked.shares.points, values=masked.masks)
        read = Answers.from_bytes(answers.to_bytes())
        np.testing.assert_array_equal(read.points, answers.points)
        np.testing.assert_array_equal(read.values, answers.values)

    def test_a_whole_round_runs_on_bytes(self) -> None:
        dealers = [dealt(secret) for secret in SECRETS]
        sent = [[dealer[i].to_bytes() for i in range(5)] for dealer in dealers]
        rows = [[MaskedShares.from_bytes(one) for one in held] for held in sent]
        sums = [reduce(operator.add, held) for held in zip(*rows, strict=True)]
        pairs = [commit(total) for total in sums]
        fixed = [Commitment.from_bytes(one.to_bytes()) for one, _ in pairs]
        derived = Challenge.derive(fixed, sums[0].shares, context=CONTEXT)
        answers = [Answers.from_bytes(one.answer(derived).to_bytes()) for one in dealers]
        check_answers(answers, derived)
        for held, answer in zip(rows, answers, strict=True):
            assert all(disputed(row, answer, derived) == () for row in held)
        openings = [Opening.from_bytes(one.to_bytes()) for _, one in pairs]
        honest, liars = check_sums(openings, answers, derived)
        assert liars == ()
        np.testing.assert_array_equal(shamir.reconstruct(honest), TOTAL)

    def test_every_part_is_written_as_documented(self) -> None:
        opening = self.opening()
        masked = Writer(Kind.MASKED_SHARES)
        masked.blob(opening.masked.shares.to_bytes())
        masked.array(opening.masked.masks)
        assert opening.masked.to_bytes() == masked.finish()
        whole = Writer(Kind.SUM_OPENING)
        whole.blob(masked.finish())
        whole.blob(opening.salt)
        assert opening.to_bytes() == whole.finish()
        fixed = Writer(Kind.SUM_COMMITMENT)
        fixed.u64(3)
        fixed.blob(opening.commitment.digest)
        assert opening.commitment.to_bytes() == fixed.finish()
        public = Writer(Kind.ANSWERS)
        public.array(opening.masked.shares.points)
        public.array(opening.masked.masks)
        answers = Answers(points=opening.masked.shares.points, values=opening.masked.masks)
        assert answers.to_bytes() == public.finish()

    @pytest.mark.parametrize(
        ("kind", "fields", "message"),
        [
            (Commitment, [("u64", 0), ("blob", bytes(32))], "commitment: point: got 0"),
            (Commitment, [("u64", 1), ("blob", bytes(31))], "commitment: digest: got 31"),
            (Commitment, [("u64", 1), ("blob", bytes(33))], "blob length: got 33"),
            (Answers, [("array", [1]), ("array", [1])], r"answers: values: got shape \(1,\)"),
            (Answers, [("array", [1, 2]), ("array", [[1]])], "answers: values: got shape"),
            (Answers, [("array", [[1]]), ("array", [[1]])], "number of axes: got 2"),
            (Answers, [("array", 1), ("array", [[1]])], r"answers: points: got shape \(\)"),
            (MaskedShares, [("blob", b""), ("array", [[1]])], "header: got 0 bytes"),
            (MaskedShares, ["shares", ("array", [[1, 2]])], r"masked shares: masks: got shape"),
            (MaskedShares, ["shares", ("array", [[1, 2, 2**63]])], "1 numbers not in range"),
            (MaskedShares, ["additive", ("array", [[1, 2, 3]])], "masked shares: .* additive"),
            (Opening, ["rows", ("blob", bytes(32))], "opening: masked: got 2 rows"),
            (Opening, ["row", ("blob", bytes(31))], "opening: salt: got 31 bytes"),
            (Opening, ["row", ("blob", bytes(32)), ("u8", 1)], "1 bytes after its last field"),
        ],
    )
    def test_malformed_bytes_are_refused(self, kind: Any, fields: list[Any], message: str) -> None:
        masked = dealt([1])
        made = {
            "shares": masked[0].shares.to_bytes(),
            "additive": shamir.split_additive([1], shares=3)[0].to_bytes(),
            "rows": masked[:2].to_bytes(),
            "row": masked[0].to_bytes(),
        }
        writer = Writer(KINDS[kind])
        for one in fields:
            name, value = ("blob", made[one]) if isinstance(one, str) else one
            getattr(writer, name)(np.array(value, np.uint64) if name == "array" else value)
        with pytest.raises(DeserializationError, match=message):
            kind.from_bytes(writer.finish())

    def test_shares_that_no_dealing_gives_are_refused_as_such(self) -> None:
        masked = dealt([1])[0]
        data = masked.shares.to_bytes()
        writer = Writer(Kind.MASKED_SHARES)
        writer.blob(data[:-8] + b"\xff" * 8)
        writer.array(masked.masks)
        with pytest.raises(InvalidShare, match="not below the modulus"):
            MaskedShares.from_bytes(writer.finish())
