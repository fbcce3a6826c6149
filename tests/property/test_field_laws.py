"""One suite for all fields, words and wide: against Python integers, and against FLINT."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

import flint
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from veilsum.field import GOLDILOCKS, MERSENNE61, P31, P50, P257, PrimeField, WideField

Field = PrimeField | WideField

FIELDS: dict[str, Field] = {
    "P31": P31,
    "P50": P50,
    "GOLDILOCKS": GOLDILOCKS,
    "MERSENNE61": MERSENNE61,
    "P257": P257,
    "13": PrimeField(13),
    "97": PrimeField(97),
    "65537": PrimeField(65537),
}
STEADY = settings(deadline=None, derandomize=True, max_examples=30)

every_field = pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)


def edges(p: int) -> list[int]:
    """Where carries, reductions and signs change."""
    powers = [2**bits + step for bits in range(0, 257, 8) for step in (-1, 0, 1)]
    around = [-1, -2, p // 2, p // 2 + 1, 2**50, 2**52 - 1, 2**52, 2**61 - 1, 2**61, 2**63]
    return sorted({n % p for n in around} | {n for n in powers if n < p})


def residues(p: int) -> st.SearchStrategy[int]:
    return st.integers(0, p - 1) | st.sampled_from(edges(p))


def arrays(p: int, shape: tuple[int, ...]) -> st.SearchStrategy[Any]:
    """Arrays of Python integers."""
    size = int(np.prod(shape))
    flat = st.lists(residues(p), min_size=size, max_size=size)
    return flat.map(lambda integers: objects(integers).reshape(shape))


def objects(integers: Sequence[int]) -> Any:
    array = np.empty(len(integers), object)
    array[:] = integers
    return array


@st.composite
def operands(draw: st.DrawFn, p: int, count: int) -> list[Any]:
    """Arrays of Python integers whose shapes broadcast."""
    shapes = draw(hnp.mutually_broadcastable_shapes(num_shapes=count, max_dims=3, max_side=4))
    return [draw(arrays(p, shape)) for shape in shapes.input_shapes]


def random_integers(field: Field, seed: int, *shape: int) -> Any:
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 2**32, (*shape, 10)).astype(object)
    return sum(words[..., place] << 32 * place for place in range(10)) % field.modulus


def same(field: Field, got: Any, integers: Any) -> None:
    expected = np.asarray(np.asarray(integers, object) % field.modulus, object)
    assert got.dtype == np.uint64
    np.testing.assert_array_equal(field.to_integers(got), expected, strict=True)


@every_field
def test_integers_come_back(field: Field) -> None:
    everything = objects(edges(field.modulus))
    same(field, field.from_integers(everything), everything)
    same(field, field.from_integers(everything.tolist()), everything)
    assert field.from_integers([]).shape[0] == 0
    assert field.to_integers(field.from_integers(1)).shape == ()


@every_field
def test_edges_meet_edges(field: Field) -> None:
    p = field.modulus
    x, y = np.array(list(product(edges(p), repeat=2)), object).T
    a, b = field.from_integers(x), field.from_integers(y)
    same(field, field.add(a, b), x + y)
    same(field, field.sub(a, b), x - y)
    same(field, field.mul(a, b), x * y)
    units = objects(edges(p)[1:])
    same(field, field.neg(field.from_integers(units)), -units)
    inverses = [pow(int(unit), -1, p) for unit in units]
    same(field, field.inverse(field.from_integers(units)), inverses)


@every_field
@STEADY
@given(st.data())
def test_operations_agree_with_python_integers(field: Field, data: Any) -> None:
    x, y = data.draw(operands(field.modulus, 2))
    a, b = field.from_integers(x), field.from_integers(y)
    same(field, field.add(a, b), x + y)
    same(field, field.sub(a, b), x - y)
    same(field, field.mul(a, b), x * y)
    same(field, field.neg(a), -x)
    exponent = data.draw(st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2, 2**64 - 1]))
    powers = [pow(int(base), exponent, field.modulus) for base in x.flat]
    same(field, field.power(a, exponent), objects(powers).reshape(x.shape))


@every_field
@STEADY
@given(st.data())
def test_the_laws_of_a_field_hold(field: Field, data: Any) -> None:
    x, y, z = data.draw(operands(field.modulus, 3))
    a, b, c = (field.from_integers(integers) for integers in (x, y, z))
    add, sub, mul = field.add, field.sub, field.mul
    zero, one = field.from_integers(0), field.from_integers(1)
    for left, right in [
        (add(a, b), add(b, a)),
        (mul(a, b), mul(b, a)),
        (add(add(a, b), c), add(a, add(b, c))),
        (mul(mul(a, b), c), mul(a, mul(b, c))),
        (mul(a, add(b, c)), add(mul(a, b), mul(a, c))),
        (sub(a, b), add(a, field.neg(b))),
        (add(a, zero), a),
        (mul(a, one), a),
        (mul(a, zero), sub(a, a)),
    ]:
        np.testing.assert_array_equal(left, right, strict=True)
    units = field.from_integers([integer for integer in x.flat if integer])
    same(field, field.mul(units, field.inverse(units)), np.ones(len(units), object))


@every_field
@STEADY
@given(st.data(), st.integers(0, 5), st.integers(0, 40), st.integers(0, 20))
def test_products_of_matrices_agree_with_python_integers(
    field: Field, data: Any, rows: int, terms: int, columns: int
) -> None:
    seed = data.draw(st.integers(0, 2**32 - 1))
    x = random_integers(field, seed, rows, terms)
    y = random_integers(field, seed + 1, terms, columns)
    expected = np.zeros((rows, columns), object)
    for term in range(terms):
        expected += np.multiply.outer(x[:, term], y[term])
    threads = data.draw(st.sampled_from([1, 2, None]))
    weights, values = field.from_integers(x), field.from_integers(y)
    same(field, field.matmul(weights, values, threads=threads), expected)
    if rows:
        sums = (x[:1] * y.T).sum(axis=-1) if terms else np.zeros(columns, object)
        same(field, field.dot(weights[:1], field.from_integers(y.T)), sums)


@every_field
@pytest.mark.parametrize("terms", [1, 2, 7, 8, 9, 63, 64, 65, 300])
def test_sums_of_the_largest_products_do_not_overflow(field: Field, terms: int) -> None:
    minus_one = np.full((3, terms), field.modulus - 1, object)
    weights = field.from_integers(minus_one)
    same(field, field.matmul(weights, field.from_integers(minus_one.T)), np.full((3, 3), terms))
    same(field, field.dot(weights, weights), np.full(3, terms))


# Polynomials


def longest_transform(field: Field) -> int:
    return (field.modulus - 1) & (1 - field.modulus)


def root_of_unity(field: Field, order: int) -> int:
    """The power of the smallest non-residue that has this order, by Euler's criterion."""
    p = field.modulus
    generator = next(h for h in range(2, p) if pow(h, (p - 1) // 2, p) == p - 1)
    return pow(generator, (p - 1) // order, p)


def horner(coefficients: Sequence[int], x: int, p: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * x + coefficient) % p
    return value


def transforms(longest: int) -> list[Any]:
    """Every field with every length that it has, up to a longest."""
    return [
        pytest.param(field, 2**order, id=f"{name}-{2**order}")
        for name, field in FIELDS.items()
        for order in range(longest.bit_length())
        if longest_transform(field) % 2**order == 0
    ]


@pytest.mark.parametrize(("field", "length"), transforms(64))
def test_transforms_evaluate_at_all_roots_of_unity(field: Field, length: int) -> None:
    p, root = field.modulus, root_of_unity(field, length)
    x = random_integers(field, length, 2, length, 3)
    x[0, :, 0] = p - 1
    x[0, :, 1] = 0
    expected = np.empty_like(x)
    for row, place, column in np.ndindex(x.shape):
        expected[row, place, column] = horner(x[row, :, column], pow(root, place, p), p)
    a = field.from_integers(x)
    same(field, field.ntt(a, axis=1), expected)
    same(field, field.ntt(a, axis=-2, threads=1), expected)
    same(field, field.intt(field.from_integers(expected), axis=1), x)
    same(field, field.ntt(a[0, :, 2]), expected[0, :, 2])


@pytest.mark.parametrize("length", [2**12, 2**16])
@pytest.mark.parametrize("name", ["P31", "P50", "GOLDILOCKS", "65537"])
def test_long_transforms_evaluate_at_roots_of_unity(name: str, length: int) -> None:
    field = FIELDS[name]
    p, root = field.modulus, root_of_unity(field, length)
    x = random_integers(field, length, length)
    a = field.from_integers(x)
    transformed = field.ntt(a)
    places = [0, 1, 2, length // 2, length // 2 + 1, 1234, length - 1]
    expected = [horner(x, pow(root, place, p), p) for place in places]
    same(field, transformed[places], expected)
    same(field, field.intt(transformed), x)
    rows = np.stack([a, transformed, a])
    for threads in (1, 2):
        both = field.ntt(rows, threads=threads)
        np.testing.assert_array_equal(both[[0, 2]], [transformed, transformed])


@pytest.mark.parametrize(
    ("field", "root"),
    [(P31, P31.root), (P50, P50.root), (GOLDILOCKS, GOLDILOCKS.root)],
    ids=["P31", "P50", "GOLDILOCKS"],
)
def test_roots_are_the_documented_ones(field: PrimeField, root: Callable[[int], int]) -> None:
    order = 1
    while order <= longest_transform(field):
        assert root(order) == root_of_unity(field, order)
        order *= 2
    with pytest.raises(ValueError, match="order: got"):
        root(order)


@every_field
@STEADY
@given(st.data())
def test_polynomials_are_evaluated_and_found_from_their_values(field: Field, data: Any) -> None:
    p = field.modulus
    points = data.draw(st.lists(residues(p), max_size=12, unique=True))
    x = data.draw(arrays(p, (len(points),)))
    extended = data.draw(arrays(p, (data.draw(st.integers(0, 20)),)))
    at, coefficients = field.from_integers(points), field.from_integers(x)
    values = field.evaluate(coefficients, at)
    same(field, values, objects([horner(x, point, p) for point in points]))
    same(field, field.interpolate(at, values), x)
    longer = field.evaluate(field.from_integers(extended), at)
    same(field, longer, objects([horner(extended, point, p) for point in points]))
    np.testing.assert_array_equal(field.evaluate(field.interpolate(at, longer), at), longer)


# Word fields change the algorithm at some hundreds of points: see cpp/schemes/polynomial.cpp.
SIZES = {
    "P31": 1500,
    "P50": 1500,
    "GOLDILOCKS": 1500,
    "MERSENNE61": 400,
    "P257": 40,
    "97": 97,
    "65537": 1500,
}


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("share", [1, 2, 3, 5])
def test_long_polynomials_are_evaluated_and_found_from_their_values(name: str, share: int) -> None:
    field, size = FIELDS[name], SIZES[name] // share
    points = {int(point) for point in random_integers(field, size, 4 * size)}
    points = points if len(points) >= size else set(range(size))
    at = objects(sorted(points)[:size])
    x = random_integers(field, share, size)
    values = field.evaluate(field.from_integers(x), field.from_integers(at))
    places = range(0, size, max(1, size // 50))
    expected = [horner(x, at[place], field.modulus) for place in places]
    same(field, values[list(places)], expected)
    same(field, field.interpolate(field.from_integers(at), values), x)


# FLINT: another implementation of the same mathematics


def flint_polynomial(field: Field, coefficients: Any) -> Any:
    integers: list[Any] = [int(coefficient) for coefficient in coefficients]
    if isinstance(field, PrimeField):
        return flint.nmod_poly(integers, field.modulus)
    return flint.fmpz_mod_poly_ctx(flint.fmpz_mod_ctx(field.modulus))(integers)


def flint_matrix(field: Field, x: Any) -> Any:
    rows: list[list[int]] = x.tolist()
    if isinstance(field, PrimeField):
        return flint.nmod_mat(rows, field.modulus)
    return flint.fmpz_mat(rows)


@every_field
@pytest.mark.parametrize("sizes", [(1, 1, 1), (5, 17, 33), (40, 64, 9), (13, 129, 70)], ids=str)
def test_products_of_matrices_agree_with_flint(field: Field, sizes: tuple[int, int, int]) -> None:
    rows, terms, columns = sizes
    x = random_integers(field, 1, rows, terms)
    y = random_integers(field, 2, terms, columns)
    got = field.matmul(field.from_integers(x), field.from_integers(y))
    entries = (flint_matrix(field, x) * flint_matrix(field, y)).entries()
    same(field, got, objects([int(entry) for entry in entries]).reshape(rows, columns))


@pytest.mark.parametrize(("field", "length"), transforms(2048))
def test_products_of_polynomials_by_transforms_agree_with_flint(field: Field, length: int) -> None:
    short = max(1, length // 2)
    factors = [random_integers(field, seed, short) for seed in (1, 2)]
    padded = [objects([*x.tolist(), *[0] * (length - short)]) for x in factors]
    a, b = (field.ntt(field.from_integers(x)) for x in padded)
    product = flint_polynomial(field, factors[0]) * flint_polynomial(field, factors[1])
    expected = [int(coefficient) for coefficient in product.coeffs()]
    expected += [0] * (length - len(expected))
    same(field, field.intt(field.mul(a, b)), expected)


@every_field
@pytest.mark.parametrize("degree", [0, 1, 30, 999])
def test_evaluation_agrees_with_flint_at_1000_points(field: Field, degree: int) -> None:
    x, at = random_integers(field, 1, degree + 1), random_integers(field, 2, 1000)
    polynomial = flint_polynomial(field, x)
    expected = objects([int(polynomial(int(point))) for point in at])
    same(field, field.evaluate(field.from_integers(x), field.from_integers(at)), expected)


@every_field
def test_interpolation_gives_a_polynomial_that_flint_evaluates_back(field: Field) -> None:
    size = min(field.modulus, 60 if isinstance(field, WideField) else 1000)
    points, values = random_integers(field, 1, 2 * size), random_integers(field, 2, size)
    unique = list(dict.fromkeys(int(point) for point in points))[:size]
    at, taken = objects(unique), values[: len(unique)]
    found = field.interpolate(field.from_integers(at), field.from_integers(taken))
    polynomial = flint_polynomial(field, field.to_integers(found))
    assert [int(polynomial(point)) for point in unique] == taken.tolist()


# Refusals


def raw(field: Field, *integers: int) -> Any:
    """Words of integers that need not be residues."""
    if isinstance(field, PrimeField):
        return np.array(integers, np.uint64)
    words = [[n >> 64 * place & (2**64 - 1) for place in range(field.limbs)] for n in integers]
    return np.array(words, np.uint64)


def one(field: Field, *shape: int) -> Any:
    return field.from_integers(np.ones(shape, object))


CALLS: dict[str, Callable[[Field, Any], Any]] = {
    "add": lambda field, bad: field.add(bad, one(field)),
    "sub": lambda field, bad: field.sub(one(field), bad),
    "mul": lambda field, bad: field.mul(bad, one(field)),
    "neg": lambda field, bad: field.neg(bad),
    "power": lambda field, bad: field.power(bad, 2),
    "inverse": lambda field, bad: field.inverse(bad),
    "dot": lambda field, bad: field.dot(bad, one(field, 2)),
    "matmul's weights": lambda field, bad: field.matmul(bad[np.newaxis], one(field, 2)),
    "matmul's values": lambda field, bad: field.matmul(one(field, 1, 2), bad),
    "ntt": lambda field, bad: field.ntt(bad),
    "intt": lambda field, bad: field.intt(bad),
    "evaluate's coefficients": lambda field, bad: field.evaluate(bad, one(field, 1)),
    "evaluate's points": lambda field, bad: field.evaluate(one(field, 1), bad),
    "interpolate's points": lambda field, bad: field.interpolate(bad, one(field, 2)),
    "interpolate's values": lambda field, bad: field.interpolate(field.from_integers([1, 2]), bad),
    "to_integers": lambda field, bad: field.to_integers(bad),
}


@every_field
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_numbers_outside_the_field_are_refused_and_never_reduced(
    field: Field, call: Callable[[Field, Any], Any]
) -> None:
    p = field.modulus
    width = 64 * getattr(field, "limbs", 1)
    for outside in {p, p + 1, 2**width - 1}:
        if outside < 2**width:
            with pytest.raises(ValueError, match=r": 1 of 2 numbers are not in range\(") as caught:
                call(field, raw(field, 1, outside))
            assert outside == p or str(outside) not in str(caught.value)
    negative = raw(field, 1, 2).astype(np.int64)
    negative[1] *= -1
    with pytest.raises(ValueError, match=r": 1 of 2 numbers are not in range\("):
        call(field, negative)


@every_field
@pytest.mark.parametrize("beyond", [0, 1, 2**64, 2**300])
def test_integers_outside_the_field_do_not_enter(field: Field, beyond: int) -> None:
    for integer in (field.modulus + beyond, -1 - beyond):
        for integers in ([1, integer, 0], integer, objects([integer])):
            with pytest.raises(ValueError, match=r"integers: 1 of [13] numbers are not in range"):
                field.from_integers(integers)


@every_field
@pytest.mark.parametrize("integers", [1.0, [0.5], ["1"], [1, None], [2j]])
def test_what_is_no_integer_does_not_enter(field: Field, integers: Any) -> None:
    with pytest.raises(TypeError, match=r"integers: 1 of [12] objects are not integers"):
        field.from_integers(integers)


@every_field
def test_shapes_that_do_not_fit_are_refused(field: Field) -> None:
    ones = partial(one, field)
    calls: list[Callable[[], Any]] = [
        lambda: field.add(ones(2), ones(3)),
        lambda: field.dot(ones(2), ones(3)),
        lambda: field.dot(ones(), ones()),
        lambda: field.matmul(ones(2), ones(2)),
        lambda: field.matmul(ones(1, 2), ones(3)),
        lambda: field.matmul(ones(1, 1), ones()),
        lambda: field.evaluate(ones(1, 1), ones(1)),
        lambda: field.evaluate(ones(1), ones()),
        lambda: field.interpolate(ones(1, 1), ones(1, 1)),
        lambda: field.interpolate(ones(1), ones(2)),
        lambda: field.ntt(ones()),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"shape|axes|scalars|got 1 and 2|axis"):
            call()


@every_field
def test_lengths_without_a_root_of_unity_are_refused(field: Field) -> None:
    longest = longest_transform(field)
    for length in {0, 3, 6, 12, *([2 * longest] if longest <= 2**16 else [])}:
        for transform in (field.ntt, field.intt):
            with pytest.raises(ValueError, match=f"got {length} along the axis, expected a power"):
                transform(one(field, 2, length))


@every_field
@pytest.mark.parametrize("axis", [2, -3, 10**30])
def test_an_axis_out_of_range_is_refused(field: Field, axis: int) -> None:
    for transform in (field.ntt, field.intt):
        with pytest.raises(ValueError, match=f"axis: got {axis}"):
            transform(one(field, 2, 2), axis=axis)


@every_field
@pytest.mark.parametrize("axis", [0.0, "0", None, True])
def test_an_axis_that_is_no_integer_is_refused(field: Field, axis: Any) -> None:
    with pytest.raises(TypeError, match="axis: got"):
        field.ntt(one(field, 2, 2), axis=axis)


@every_field
@pytest.mark.parametrize("threads", [0, -1, 1025])
def test_a_number_of_threads_out_of_range_is_refused(field: Field, threads: int) -> None:
    for call in (field.ntt, field.intt, partial(field.matmul, one(field, 2, 2))):
        with pytest.raises(ValueError, match="threads: got"):
            call(one(field, 2), threads=threads)


@every_field
def test_equal_points_are_refused(field: Field) -> None:
    with pytest.raises(ValueError, match="points: got two that are equal"):
        field.interpolate(field.from_integers([1, 2, 1]), one(field, 3))


@every_field
def test_zero_has_no_inverse(field: Field) -> None:
    with pytest.raises(ZeroDivisionError, match="a: 2 of 3 residues are 0"):
        field.inverse(field.from_integers([0, 1, 0]))


@every_field
def test_negative_exponents_are_refused_and_show_no_residue(field: Field) -> None:
    with pytest.raises(ValueError, match="exponent: got") as caught:
        field.power(field.from_integers(7), -3)
    assert "7" not in str(caught.value)
    with pytest.raises(TypeError, match="exponent: got float"):
        field.power(one(field), 0.5)  # type: ignore[arg-type]
