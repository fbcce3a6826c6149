"""Every element and every pair of elements of tiny fields."""

import numpy as np
import pytest

from veilsum.field import PrimeField

PRIMES = (3, 5, 7, 11, 13)


@pytest.mark.parametrize("p", PRIMES)
def test_every_sum_difference_and_product(p: int) -> None:
    field = PrimeField(p)
    a, b = np.arange(p)[:, np.newaxis], np.arange(p)
    np.testing.assert_array_equal(field.add(a, b), (a + b) % p)
    np.testing.assert_array_equal(field.sub(a, b), (a - b) % p)
    np.testing.assert_array_equal(field.mul(a, b), (a * b) % p)


@pytest.mark.parametrize("p", PRIMES)
def test_every_power_and_inverse(p: int) -> None:
    field = PrimeField(p)
    a = np.arange(p)
    for exponent in range(2 * p):
        np.testing.assert_array_equal(
            field.power(a, exponent), [pow(n, exponent, p) for n in range(p)]
        )
    np.testing.assert_array_equal(field.mul(field.inverse(a[1:]), a[1:]), np.ones(p - 1))
    np.testing.assert_array_equal(field.neg(a), -a % p)


@pytest.mark.parametrize("p", PRIMES)
def test_every_signed_integer(p: int) -> None:
    field = PrimeField(p)
    integers = np.arange(-field.limit, field.limit + 1)
    np.testing.assert_array_equal(field.residues(integers), integers % p)
    np.testing.assert_array_equal(field.centre(integers % p), integers)


@pytest.mark.parametrize("p", [3, 5])
def test_every_two_by_two_product(p: int) -> None:
    field = PrimeField(p)
    every = np.stack(np.meshgrid(*[np.arange(p)] * 4, indexing="ij"), axis=-1).reshape(-1, 2, 2)
    columns = np.moveaxis(every, 0, -1)
    for weights in every:
        expected = np.einsum("ij,jkm->ikm", weights, columns) % p
        np.testing.assert_array_equal(field.matmul(weights, columns), expected)
