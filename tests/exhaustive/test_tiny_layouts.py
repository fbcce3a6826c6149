"""Every layout and packing over GF(13) and GF(17): every draw, every secret, every subset."""

import io
import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from veilsum import randomness, shamir
from veilsum.errors import InsufficientShares
from veilsum.field import PrimeField
from veilsum.shamir import Shares


class World(NamedTuple):
    """A geometry small enough to try everything."""

    p: int
    layout: Any
    n: int
    k: int
    packed: int = 1

    @property
    def field(self) -> PrimeField:
        return PrimeField(self.p)

    @property
    def privacy(self) -> int:
        return self.k - self.packed

    def __str__(self) -> str:
        return f"{self.layout}-p{self.p}-n{self.n}-k{self.k}-packed{self.packed}"


GEOMETRIES: list[tuple[Any, ...]] = [
    ("integers", 3, 2),
    ("integers", 4, 3),
    ("integers", 4, 4),
    ("integers", 3, 3, 2),
    ("integers", 4, 3, 2),
    ("integers", 5, 4, 2),
    ("roots", 2, 2),
    ("roots", 3, 3),
    ("roots", 4, 2),
    ("roots", 4, 3),
    ("roots", 4, 4),
    ("roots", 3, 3, 2),
    ("roots", 4, 3, 2),
    ("roots", 4, 4, 2),
    ("additive", 1, 1),
    ("additive", 2, 2),
    ("additive", 3, 3),
    ("additive", 4, 4),
]
WORLDS = [World(p, *geometry) for p in (13, 17) for geometry in GEOMETRIES]

every_world = pytest.mark.parametrize("world", WORLDS, ids=str)


def everything(p: int, rows: int) -> NDArray[np.int64]:
    """Every vector of so many residues, one column each."""
    return np.indices((p,) * rows).reshape(rows, p**rows)


def deal(world: World, secret: tuple[int, ...]) -> Shares:
    """Share one vector of secrets with every possible draw, one column each."""
    draws = everything(world.p, world.privacy)
    source = io.BytesIO(draws.astype("<u8").tobytes() + bytes(16))
    values = np.repeat(world.field.centre(list(secret)), draws.shape[1])
    with randomness._test_source(source.read):
        if world.layout == "additive":
            shares = shamir.split_additive(values, shares=world.n, field=world.field, threads=1)
        else:
            shares = shamir.split(
                values,
                shares=world.n,
                threshold=world.k,
                packed=world.packed,
                points=world.layout,
                field=world.field,
                threads=1,
            )
    assert not source.read()
    return shares


def secrets(world: World) -> list[tuple[int, ...]]:
    """Every secret of one polynomial."""
    return list(itertools.product(range(world.p), repeat=world.packed))


def views(shares: Shares, holders: tuple[int, ...]) -> NDArray[np.int64]:
    """What these holders see, as one number for each draw."""
    digits = shares.rows[list(holders)].astype(np.int64)
    weights = shares.field.modulus ** np.arange(len(holders))
    numbers: NDArray[np.int64] = weights @ digits
    return numbers


@every_world
def test_holders_up_to_the_privacy_see_every_view_once_whatever_the_secret(world: World) -> None:
    uniform = np.arange(world.p**world.privacy)
    subsets = list(itertools.combinations(range(world.n), world.privacy))
    for secret in secrets(world):
        shares = deal(world, secret)
        assert shares.privacy == world.privacy
        for holders in subsets:
            np.testing.assert_array_equal(np.sort(views(shares, holders)), uniform)


@every_world
def test_one_holder_more_sees_something_of_the_secret(world: World) -> None:
    holders = tuple(range(world.privacy + 1))
    seen = {tuple(np.sort(views(deal(world, secret), holders))) for secret in secrets(world)}
    assert len(seen) > 1


@every_world
def test_every_large_enough_subset_rebuilds_every_secret(world: World) -> None:
    columns = world.p**world.privacy
    methods: list[Any] = {
        "integers": ["lagrange", "newton"],
        "roots": ["lagrange", "newton", "fft"],
        "additive": ["lagrange"],
    }[world.layout]
    subsets = [
        list(holders)
        for size in range(world.k, world.n + 1)
        for holders in itertools.combinations(range(world.n), size)
    ]
    for secret in secrets(world)[:: max(1, world.packed * 5)]:
        shares = deal(world, secret)
        expected = np.repeat(world.field.centre(list(secret)), columns)
        for holders, method in itertools.product(subsets, methods):
            rebuilt = shamir.reconstruct(shares[holders], method=method)
            np.testing.assert_array_equal(rebuilt, expected)


@every_world
def test_every_smaller_subset_is_refused(world: World) -> None:
    shares = deal(world, (0,) * world.packed)
    for size in range(world.k):
        for holders in itertools.combinations(range(world.n), size):
            with pytest.raises(InsufficientShares):
                shamir.reconstruct(shares[list(holders)])


@pytest.mark.parametrize("world", [w for w in WORLDS if w.layout != "additive"], ids=str)
def test_shares_lie_on_polynomials_below_the_threshold_through_the_secrets(world: World) -> None:
    """By Python's integers, for every draw."""
    p = world.p
    at = secret_points(world)
    for secret in secrets(world)[:: max(1, world.packed * 7)]:
        shares = deal(world, secret)
        points = [*at, *(int(point) for point in shares.points)]
        given = np.repeat(np.array(secret), shares.rows.shape[1]).reshape(world.packed, -1)
        values = np.concatenate([given, shares.rows.astype(np.int64)])
        for order in range(world.k, len(points)):
            divided = sum(
                values[i] * pow(gap_product(points[: order + 1], i), -1, p)
                for i in range(order + 1)
            )
            assert not (divided % p).any()


def secret_points(world: World) -> list[int]:
    if world.layout == "integers":
        return [-place for place in range(world.packed)]
    order = 1 << (world.n - 1).bit_length()
    coset = next(c for c in range(2, world.p) if pow(c, order, world.p) != 1)
    return [0, coset][: world.packed]


def gap_product(points: list[int], place: int) -> int:
    """The denominator of Lagrange's formula, of divided differences as well."""
    product = 1
    for other in points[:place] + points[place + 1 :]:
        product *= points[place] - other
    return product


@every_world
def test_dealings_of_zeros_are_as_uniform_as_dealings_of_a_secret(world: World) -> None:
    zero = deal(world, (0,) * world.packed)
    draws = everything(world.p, world.privacy)
    source = io.BytesIO(draws.astype("<u8").tobytes() + bytes(16))
    with randomness._test_source(source.read):
        zeros = shamir.deal_zeros(zero, threads=1)
    np.testing.assert_array_equal(zeros.values, zero.values)
