"""Fixed point: how real numbers become integers that can be summed under protection.

Scale and bound are public and chosen in advance, never derived from the data, so that neither they
nor anything computed from them says something about the values. `FixedPoint` turns floats into
integers and back; `Digits` writes integers that are too wide for a field as several narrow ones.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum.errors import BudgetExceeded
from veilsum.randomness import random_bytes

__all__ = [
    "Digits",
    "FixedPoint",
    "Rounding",
    "as_integer",
    "as_integers",
    "exact_array",
    "require_within",
]

Rounding = Literal["nearest", "stochastic"]
"""How a real number becomes a whole number of units."""

_INT64_LIMIT = 1 << 62
_EXACT_FLOAT = 1 << 53
_MAX_BITS = 1000  # of scales and limits, so that they are also finite floats
_HALVES = float((1 << 27) + 1)  # splits the 53 bits of a float into two halves


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedPoint:
    """A public scale and bound for real numbers.

    Parameters
    ----------
    scale : int
        Integer units per 1.0, at least 1; ``2**fraction_bits`` or ``10**digits`` as a rule.
    bound : float
        The largest magnitude accepted, finite and above 0.

    Raises
    ------
    TypeError
        If `scale` is not an integer.
    ValueError
        If `scale` or `bound` is out of range.

    Examples
    --------
    >>> encoding = FixedPoint.binary(4, bound=8.0)
    >>> encoding.quantise([0.5, -1.25, 1 / 3])
    array([  8, -20,   5])
    >>> encoding.dequantise(np.array([8, -20, 5]))
    array([ 0.5   , -1.25  ,  0.3125])
    """

    scale: int
    bound: float

    def __post_init__(self) -> None:
        if isinstance(self.scale, bool) or not isinstance(self.scale, Integral):
            raise TypeError(f"scale: got {type(self.scale).__name__}, expected int")
        object.__setattr__(self, "scale", int(self.scale))
        if self.scale < 1 or self.scale.bit_length() > _MAX_BITS:
            raise ValueError(
                f"scale: got an integer of {self.scale.bit_length()} bits, "
                f"expected 1 to 2**{_MAX_BITS} - 1"
            )
        if not (math.isfinite(self.bound) and self.bound > 0):
            raise ValueError(f"bound: got {self.bound}, expected a finite number above 0")
        object.__setattr__(self, "bound", float(self.bound))
        if self.limit.bit_length() > _MAX_BITS:
            raise ValueError(
                f"bound: got {self.bound}, expected at most 2**{_MAX_BITS} units of 1 / scale"
            )

    @classmethod
    def binary(cls, fraction_bits: int = 32, *, bound: float = 2.0**20) -> Self:
        """Units of ``2**-fraction_bits``.

        Parameters
        ----------
        fraction_bits : int
            From 0.
        bound : float
            As for the class.

        Examples
        --------
        >>> FixedPoint.binary(10).scale
        1024
        """
        if fraction_bits < 0:
            raise ValueError(f"fraction_bits: got {fraction_bits}, expected at least 0")
        return cls(scale=1 << fraction_bits, bound=bound)

    @classmethod
    def decimal(cls, digits: int, *, bound: float = 2.0**20) -> Self:
        """Units of ``10**-digits``.

        Parameters
        ----------
        digits : int
            Decimals kept, from 0.
        bound : float
            As for the class.

        Examples
        --------
        >>> FixedPoint.decimal(3).quantise(0.0625)
        array(62)
        """
        if digits < 0:
            raise ValueError(f"digits: got {digits}, expected at least 0")
        return cls(scale=10**digits, bound=bound)

    @property
    def limit(self) -> int:
        """The largest magnitude that `quantise` returns: `bound` in units, rounded as values are.

        Examples
        --------
        >>> FixedPoint.binary(32, bound=2.0**20).limit == 2**52
        True
        """
        numerator, denominator = self.bound.as_integer_ratio()
        return _divide(numerator * self.scale, denominator)

    def quantise(
        self,
        values: ArrayLike,
        *,
        rounding: Rounding = "nearest",
        out: NDArray[np.signedinteger[Any]] | None = None,
    ) -> NDArray[Any]:
        """Round to whole units.

        Parameters
        ----------
        values : array_like
            Real numbers, of any shape, each of magnitude at most `bound`.
        rounding : {"nearest", "stochastic"}
            To the nearest unit, half to even, exactly; or to one of the two around the value,
            with probabilities that make the mean right, by the operating system's randomness.
            The probabilities are exact to one rounding of a float, and a value within a unit of
            `limit` never goes beyond it.
        out : NDArray[int32] or NDArray[int64], optional
            Where to write the integers, of the shape of `values`, with room for `limit`; it saves
            fresh memory, which costs more than the arithmetic.

        Returns
        -------
        NDArray[int64] or NDArray[object]
            Of the shape of `values`: int64 when `limit` is below 2**62, else Python integers; or
            `out`.

        Raises
        ------
        BudgetExceeded
            If a value is NaN, infinite or beyond `bound`.
        TypeError
            If `values` are not real numbers, or `out` has another dtype.
        ValueError
            If `rounding` is neither, or is stochastic and `limit` is 2**53 or more, or `out` has
            another shape or no room.

        Notes
        -----
        Which way is taken depends on dtype, scale and `limit` alone. With a `limit` below 2**62
        and a scale that is a power of two or at most 2**53, arrays of floats and of integers go
        through NumPy, in a time that depends on nothing but their size. Otherwise, and for
        objects, each value is worked on in Python: far slower, and in a time that depends on its
        magnitude.

        Examples
        --------
        >>> FixedPoint.binary(0).quantise([0.5, 1.5, 2.5])
        array([0, 2, 2])
        """
        if rounding not in get_args(Rounding):
            raise ValueError(f"rounding: got {rounding!r}, expected one of {get_args(Rounding)}")
        array = self.admit(values)
        if out is not None:
            self._require_room(out, array.shape)
            np.copyto(out, self._units(array, rounding), casting="unsafe")
            return out
        integers = self._units(array, rounding)
        return integers.astype(np.int64) if integers.dtype.kind == "f" else integers

    def _units(self, array: NDArray[Any], rounding: Rounding) -> NDArray[Any]:
        """Return whole units, as integers or as floats."""
        if rounding == "stochastic":
            return self._quantise_stochastically(array)
        if array.dtype.kind == "O":
            return self._integers(map(self._round, array.flat), array.shape)
        if array.dtype.kind == "f":
            return self._quantise_floats(array)
        return np.asarray(array.astype(object if self._wide else np.int64) * self.scale)

    def admit(self, values: ArrayLike) -> NDArray[Any]:
        """Read numbers that `quantise` takes, in passes that write nothing, and refuse all others.

        Parameters
        ----------
        values : array_like
            As for `quantise`.

        Returns
        -------
        NDArray
            The values where they are an array of at most 64 bits a number or of objects, else a
            copy.

        Raises
        ------
        BudgetExceeded, TypeError
            As for `quantise`.

        Examples
        --------
        >>> FixedPoint.binary(4, bound=8.0).admit([0.5, -1.25])
        array([ 0.5 , -1.25])
        """
        array = exact_array(values)
        if array.dtype.kind not in "biufO":
            raise TypeError(f"values: got dtype {array.dtype}, expected real numbers")
        if array.dtype.kind == "O":
            self._require_objects(array)
        elif array.dtype.kind == "f":
            if array.dtype.itemsize > np.dtype(np.float64).itemsize:
                with np.errstate(over="ignore"):
                    array = array.astype(np.float64)
            if not _spans_within(array, -self.bound, self.bound):
                bound = f"the bound {self.bound} (NaN never is)"
                _refuse("values", ~(np.abs(array.astype(np.float64)) <= self.bound), bound)
        else:
            require_within("values", array, math.floor(self.bound))
        return array

    def dequantise(
        self, integers: NDArray[Any], *, limit: int | None = None
    ) -> NDArray[np.float64]:
        """Divide by the scale, correctly rounded.

        Parameters
        ----------
        integers : NDArray
            Of an integer dtype, or of Python integers; sums may exceed the limit of one value.
        limit : int, optional
            Public bound on the magnitude of every integer, at least 0. By default that of the
            dtype, and none for Python integers.

        Returns
        -------
        NDArray[float64]
            Of the shape of `integers`.

        Raises
        ------
        BudgetExceeded
            If an integer is beyond `limit`.
        TypeError
            If `integers` are not integers, or `limit` is not one.
        ValueError
            If `limit` is negative.
        OverflowError
            If a result is beyond float64.

        Notes
        -----
        Which way is taken depends on `limit` and scale alone. With a scale that is a power of two,
        or with scale and `limit` both at most 2**53, an integer dtype goes through NumPy, in a time
        that depends on nothing but its size. Otherwise each integer is divided in Python: far
        slower, and in a time that depends on its magnitude.

        Examples
        --------
        >>> FixedPoint.decimal(2).dequantise(np.array([125, -1]))
        array([ 1.25, -0.01])
        """
        array = exact_array(integers)
        _require_integers("integers", array)
        largest = _largest(array.dtype) if limit is None else _checked_limit(limit)
        if limit is not None:
            require_within("integers", array, limit)
        if self._divides_in_floats(largest):
            return np.asarray(array.astype(np.float64) / float(self.scale))
        quotients = [int(unit) / self.scale for unit in array.flat]
        return np.array(quotients, np.float64).reshape(array.shape)

    def _quantise_floats(self, array: NDArray[np.floating[Any]]) -> NDArray[Any]:
        binary = _is_power_of_two(self.scale)
        if self._wide or not (binary or self.scale <= _EXACT_FLOAT):
            return self._integers(map(self._round, array.flat), array.shape)
        if binary:
            products = np.asarray(np.multiply(array, float(self.scale), dtype=np.float64))
            np.rint(products, out=products)
            return products
        return _rounded_products(array.astype(np.float64, copy=False), float(self.scale))

    def _quantise_stochastically(self, array: NDArray[Any]) -> NDArray[np.int64]:
        if self.limit >= _EXACT_FLOAT:
            raise ValueError(
                f"rounding: stochastic rounding needs a limit below 2**53, got one of "
                f"{self.limit.bit_length()} bits; take a smaller scale or bound"
            )
        units = np.asarray(array.astype(np.float64, copy=False) * float(self.scale))
        below = np.floor(units)
        draws = random_bytes(8 * array.size).view(np.uint64).reshape(array.shape)
        chances = (draws >> np.uint64(11)) * 2.0**-53
        steps = chances < units - below
        return np.asarray(np.clip(below + steps, -self.limit, self.limit).astype(np.int64))

    def _require_room(self, out: NDArray[np.signedinteger[Any]], shape: tuple[int, ...]) -> None:
        if not isinstance(out, np.ndarray) or out.dtype not in (np.int32, np.int64):
            got = getattr(out, "dtype", type(out).__name__)
            raise TypeError(f"out: got {got}, expected an array of int32 or int64")
        if out.shape != shape or self.limit > np.iinfo(out.dtype).max:
            raise ValueError(
                f"out: got {out.dtype} of shape {out.shape}, expected shape {shape} and room for "
                f"{self.limit.bit_length() + 1} bits"
            )

    def _require_objects(self, array: NDArray[Any]) -> None:
        strangers = sum(not isinstance(value, Real) for value in array.flat)
        if strangers:
            raise TypeError(f"values: {strangers} of {array.size} objects are not real numbers")
        inside = [bool(abs(value) <= self.bound) for value in array.flat]
        _refuse("values", ~np.array(inside, np.bool_), f"the bound {self.bound}")

    @property
    def _wide(self) -> bool:
        return self.limit >= _INT64_LIMIT

    def _integers(self, units: Iterable[int], shape: tuple[int, ...]) -> NDArray[Any]:
        return np.array(list(units), object if self._wide else np.int64).reshape(shape)

    def _round(self, value: Any) -> int:
        exact = int(value) if isinstance(value, Integral) else value
        numerator, denominator = exact.as_integer_ratio()
        return _divide(numerator * self.scale, denominator)

    def _divides_in_floats(self, largest: int | None) -> bool:
        """Whether magnitudes up to `largest` can be divided as floats with one rounding."""
        if largest is None:
            return False
        if _is_power_of_two(self.scale):
            return largest.bit_length() <= _MAX_BITS
        return max(self.scale, largest) <= _EXACT_FLOAT


@dataclass(frozen=True, slots=True, kw_only=True)
class Digits:
    """How wide integers are written as narrow digits whose sums fit a capacity.

    An integer is ``sum(digit[i] * 2**(width * i))`` with balanced digits, the least significant
    first. Vectors are added digit by digit, without carries, and joined at the end. Make one with
    `for_sum`.

    Parameters
    ----------
    limit : int
        The largest magnitude of an integer, at least 1.
    summands : int
        How many vectors will be added, at least 1.
    width : int
        Bits of a digit, at least 1; at most 62 when there is more than one digit.
    count : int
        Digits of an integer, at least 1; with 1 the integers stay as they are.

    Raises
    ------
    ValueError
        If a parameter is out of range, or `count` digits cannot hold `limit`.

    Examples
    --------
    >>> digits = Digits.for_sum(limit=1000, summands=4, capacity=100)
    >>> digits.width, digits.count, digits.digit_limit
    (5, 3, 16)
    >>> parts = digits.split(np.array([1000, -7]))
    >>> parts
    array([[ 8, -1,  1],
           [-7,  0,  0]])
    >>> digits.join(4 * parts)
    array([4000,  -28])
    """

    limit: int
    summands: int
    width: int
    count: int

    def __post_init__(self) -> None:
        for name in ("limit", "summands", "width", "count"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral):
                raise TypeError(f"{name}: got {type(value).__name__}, expected int")
            if value < 1:
                raise ValueError(f"{name}: got {value}, expected at least 1")
            object.__setattr__(self, name, int(value))
        if self.count == 1:
            return
        if self.width > 62:
            raise ValueError(f"width: got {self.width}, expected at most 62")
        if self.count != _digits_needed(self.limit, self.width):
            raise ValueError(
                f"count: got {self.count}, expected {_digits_needed(self.limit, self.width)} "
                f"digits of {self.width} bits for a limit of {self.limit.bit_length()} bits"
            )

    @classmethod
    def for_sum(cls, *, limit: int, summands: int, capacity: int) -> Self:
        """Choose the fewest digits with which a sum stays within a capacity.

        Parameters
        ----------
        limit : int
            The largest magnitude of an integer, at least 1.
        summands : int
            How many vectors will be added, at least 1.
        capacity : int
            The largest magnitude that a sum of digits may reach, such as ``PrimeField.limit``.

        Returns
        -------
        Digits
            With ``count == 1`` when ``limit * summands <= capacity``.

        Raises
        ------
        BudgetExceeded
            If `capacity` is below `summands`: not even one bit fits.
        ValueError
            If `limit` or `summands` is below 1.

        Examples
        --------
        >>> Digits.for_sum(limit=2**20, summands=8, capacity=2**49).count
        1
        """
        if limit < 1 or summands < 1:
            raise ValueError("limit, summands: got a number below 1, expected at least 1")
        if limit * summands <= capacity:
            return cls(limit=limit, summands=summands, width=limit.bit_length() + 1, count=1)
        if capacity < summands:
            raise BudgetExceeded(
                f"capacity: got {capacity}, expected at least the {summands} summands; "
                "use fewer summands or a larger field"
            )
        width = min((capacity // summands).bit_length(), 62)
        count = _digits_needed(limit, width)
        return cls(limit=limit, summands=summands, width=width, count=count)

    @property
    def digit_limit(self) -> int:
        """The largest magnitude of a digit."""
        return self.limit if self.count == 1 else 1 << (self.width - 1)

    def split(self, integers: NDArray[Any]) -> NDArray[Any]:
        """Write integers as digits.

        Parameters
        ----------
        integers : NDArray
            Of an integer dtype, or of Python integers, each of magnitude at most `limit`.

        Returns
        -------
        NDArray[int64]
            Of shape ``(*integers.shape, count)``. Python integers (dtype object) only when
            `count` is 1 and `limit` is 2**62 or more.

        Raises
        ------
        BudgetExceeded
            If an integer is beyond `limit`.
        TypeError
            If `integers` are not integers.

        Examples
        --------
        >>> Digits.for_sum(limit=9, summands=2, capacity=18).split(np.array([9, -3]))
        array([[ 9],
               [-3]])
        """
        array = exact_array(integers)
        _require_integers("integers", array)
        require_within("integers", array, self.limit)
        wide = self.limit >= _INT64_LIMIT
        rest = array.astype(object if wide else np.int64)
        if self.count == 1:
            return rest[..., np.newaxis]
        digits = np.empty((*array.shape, self.count), np.int64)
        half, mask = self.digit_limit, (1 << self.width) - 1
        for place in range(self.count - 1):
            digit = ((rest + half) & mask) - half
            digits[..., place] = digit
            rest = (rest - digit) >> self.width
        digits[..., -1] = rest
        return digits

    def join(self, digit_sums: NDArray[Any]) -> NDArray[Any]:
        """Read sums of digits as integers.

        Parameters
        ----------
        digit_sums : NDArray
            Of shape ``(*shape, count)``, integers of magnitude at most ``digit_limit * summands``.

        Returns
        -------
        NDArray[int64] or NDArray[object]
            Of shape `shape`: int64 when every such sum fits 62 bits, else Python integers.

        Raises
        ------
        BudgetExceeded
            If a sum of digits is larger than `summands` vectors can give.
        TypeError
            If `digit_sums` are not integers.
        ValueError
            If their last axis is not `count` long.

        Examples
        --------
        >>> digits = Digits.for_sum(limit=1000, summands=4, capacity=100)
        >>> digits.join(np.array([[8, -1, 1]]))
        array([1000])
        """
        array = exact_array(digit_sums)
        _require_integers("digit_sums", array)
        if array.ndim == 0 or array.shape[-1] != self.count:
            raise ValueError(
                f"digit_sums: got shape {array.shape}, expected a last axis of {self.count}"
            )
        digit_sum_limit = self.digit_limit * self.summands
        require_within("digit_sums", array, digit_sum_limit)
        largest = sum(digit_sum_limit << self.width * place for place in range(self.count))
        places = array.astype(np.int64 if largest < _INT64_LIMIT else object)
        joined = places[..., -1]
        for place in reversed(range(self.count - 1)):
            joined = (joined << self.width) + places[..., place]
        return np.asarray(joined)


def exact_array(values: ArrayLike) -> NDArray[Any]:
    """Read numbers as ``numpy.asarray`` does, but keep every integer exact.

    NumPy reads ``[1, 2**63]`` as floats, because it holds no dtype for both, and rounds.

    Parameters
    ----------
    values : array_like
        Numbers. In a list that also holds floats, integers are floats.

    Returns
    -------
    NDArray
        A list of integers that NumPy would read as floats is uint64 if that holds them all, else
        Python integers (dtype object). An array of objects that are all integers is an array of
        Python integers. All else, an empty list included, is as ``numpy.asarray`` reads it.

    Examples
    --------
    >>> exact_array([1, 2**63 + 1])
    array([                  1, 9223372036854775809], dtype=uint64)
    >>> exact_array([-1, 2**63 + 1])
    array([-1, 9223372036854775809], dtype=object)
    """
    array = np.asarray(values)
    rounded = array.dtype.kind == "f" and not isinstance(values, np.ndarray | np.generic | float)
    if not rounded and array.dtype.kind != "O":
        return array
    objects = np.asarray(values, object)
    if objects.size == 0 or not all(isinstance(value, Integral) for value in objects.flat):
        return array
    integers = [int(value) for value in objects.flat]
    fits = rounded and min(integers) >= 0 and max(integers) < 1 << 64
    return np.array(integers, np.uint64 if fits else object).reshape(objects.shape)


def as_integer(name: str, number: int) -> int:
    """Read one public integer, exactly.

    Parameters
    ----------
    name : str
        Of the argument, for the error.
    number : int
        Of Python, NumPy or gmpy2; a bool and a whole float are no integers.

    Returns
    -------
    int

    Raises
    ------
    TypeError
        If `number` is no integer.

    Examples
    --------
    >>> as_integer("threshold", np.uint8(3))
    3
    """
    if isinstance(number, bool) or not isinstance(number, Integral):
        raise TypeError(f"{name}: got {type(number).__name__}, expected int")
    return int(number)


def as_integers(name: str, values: ArrayLike) -> NDArray[Any]:
    """Read an array of integers of at most 64 bits, exactly.

    Parameters
    ----------
    name : str
        Of the argument, for the error.
    values : array_like
        Of a boolean or integer dtype, or a list of Python integers.

    Returns
    -------
    NDArray
        Of a boolean or integer dtype.

    Raises
    ------
    TypeError
        If `values` are of another dtype, or no integer dtype holds them all.

    Examples
    --------
    >>> as_integers("residues", [1, 2**63])
    array([                  1, 9223372036854775808], dtype=uint64)
    """
    array = exact_array(values)
    if array.size == 0 and not isinstance(values, np.ndarray):
        return array.astype(np.uint64)  # NumPy reads [] as floats
    if array.dtype.kind not in "biu":
        raise TypeError(
            f"{name}: got dtype {array.dtype}, expected integers of at most 64 bits; "
            "turn real numbers into integers by encoding.FixedPoint first"
        )
    return array


def require_within(name: str, integers: NDArray[Any], limit: int) -> None:
    """Refuse integers whose magnitude exceeds a public limit.

    Parameters
    ----------
    name : str
        Of the argument, for the error.
    integers : NDArray
        Of a boolean or integer dtype, or of Python integers.
    limit : int
        At least 0.

    Raises
    ------
    BudgetExceeded
        If an integer is beyond `limit`; the error says how many, not which.

    Examples
    --------
    >>> require_within("update", np.array([3, -3]), 3)
    """
    if not _spans_within(integers, -limit, limit):
        _refuse(name, _beyond(integers, limit), f"{limit} in magnitude")


def _digits_needed(limit: int, width: int) -> int:
    """Count the balanced digits of `width` bits that hold every magnitude up to `limit`."""
    half = 1 << (width - 1)
    count = 1
    while limit > half:
        limit = (limit + half) >> width
        count += 1
    return count


def _divide(numerator: int, denominator: int) -> int:
    """Divide and round half to even."""
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest + (quotient & 1) > denominator)


def _rounded_products(values: NDArray[np.float64], factor: float) -> NDArray[np.int64]:
    """Multiply and round half to even, by the exact products; they are below 2**62.

    A rounded product is on the same side of every half as the exact one, or on the half itself:
    there the sign of its error decides. From 2**53 on it is even, and its error may be whole units.
    """
    products = values * factor
    errors = _product_errors(values, factor, products)
    nearest = np.rint(products)
    rests = products - nearest
    crosses = (np.abs(rests) == 0.5) & (rests * errors > 0)
    steps = np.rint(errors) + crosses * np.sign(errors)
    return np.asarray(nearest.astype(np.int64) + steps.astype(np.int64))


def _product_errors(
    values: NDArray[np.float64], factor: float, products: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Exact products minus rounded ones (Dekker, Numerische Mathematik 18, 1971)."""
    high, low = _halves(values)
    factor_high, factor_low = _halves(np.float64(factor))
    cross = (high * factor_high - products) + high * factor_low + low * factor_high
    return np.asarray(cross + low * factor_low)


def _halves(numbers: Any) -> tuple[Any, Any]:
    """Split floats into sums of two floats of half as many bits."""
    spread = numbers * _HALVES
    high = spread - (spread - numbers)
    return high, numbers - high


def _is_power_of_two(n: int) -> bool:
    return n & (n - 1) == 0


def _largest(dtype: np.dtype[Any]) -> int | None:
    """Bound the magnitudes that an integer dtype holds; None when there is no bound."""
    if dtype.kind == "O":
        return None
    return 1 if dtype.kind == "b" else max(-int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))


def _checked_limit(limit: int) -> int:
    if isinstance(limit, bool) or not isinstance(limit, Integral):
        raise TypeError(f"limit: got {type(limit).__name__}, expected int")
    if limit < 0:
        raise ValueError(f"limit: got {limit}, expected at least 0")
    return int(limit)


def _require_integers(name: str, array: NDArray[Any]) -> None:
    if array.dtype.kind == "O":
        strangers = sum(not isinstance(value, Integral) for value in array.flat)
        if strangers:
            raise TypeError(f"{name}: {strangers} of {array.size} objects are not integers")
    elif array.dtype.kind not in "biu":
        raise TypeError(f"{name}: got dtype {array.dtype}, expected integers")


def _refuse(name: str, outside: NDArray[np.bool_], allowed: str) -> None:
    count = int(np.count_nonzero(outside))
    if count:
        raise BudgetExceeded(
            f"{name}: {count} of {outside.size} are not within {allowed}; "
            "clip them, replace NaN, or fix a larger bound in advance"
        )


def _spans_within(array: NDArray[Any], low: float, high: float) -> bool:
    """Whether all numbers lie in a range, in two passes that write nothing; NaN lies in none."""
    if not array.size:
        return True
    least, most = array.min(), array.max()
    if isinstance(least, np.generic):  # narrow dtypes would round the limits to theirs
        least, most = least.item(), most.item()
    return bool(low <= least and most <= high)


def _beyond(array: NDArray[Any], limit: int) -> NDArray[np.bool_]:
    """Where magnitudes exceed `limit`, without the wrap of ``abs`` at the edge of a dtype."""
    if array.dtype.kind == "O":
        outside = [bool(abs(value) > limit) for value in array.flat]
        return np.array(outside, np.bool_).reshape(array.shape)
    if array.dtype.kind == "b":
        return np.asarray(array & (limit < 1))
    info = np.iinfo(array.dtype)
    return np.asarray((array > min(limit, info.max)) | (array < max(-limit, info.min)))
