"""Numbers as integers modulo n with a public exponent, as python-paillier encodes them."""

import math
import operator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, Self, SupportsIndex

import numpy as np

from veilsum.errors import BudgetExceeded

if TYPE_CHECKING:
    from veilsum.integrations.phe.paillier import PaillierPublicKey

__all__ = ["EncodedNumber"]

# Exponents may come from strangers: beyond these no power is computed.
_HIGHEST_EXPONENT = 1 << 16
_LOWEST_FLOAT_BIT = 1074  # of the least float above 0, 2**-1074


class EncodedNumber:
    """A number ``m * BASE**exponent``, with m held modulo n.

    From 0 to ``max_int`` m is positive, from ``n - max_int`` on negative; what lies between, about
    a third of all, is there to notice overflow. A subclass may have another `BASE` and `LOG2_BASE`.

    Parameters
    ----------
    public_key : PaillierPublicKey
        For which the number is encoded.
    encoding : int
        m modulo n.
    exponent : int
        Negative as a rule. It is never encrypted.

    Raises
    ------
    TypeError
        If `encoding` or `exponent` is not an integer.

    Examples
    --------
    >>> from veilsum.integrations.phe import generate_paillier_keypair
    >>> public_key, _ = generate_paillier_keypair(n_length=2048)
    >>> x = EncodedNumber.encode(public_key, -2.5, precision=0.1)
    >>> x.encoding == public_key.n - 40, x.exponent, x.decode()
    (True, -1, -2.5)
    """

    BASE: ClassVar[int] = 16
    LOG2_BASE: ClassVar[float] = math.log2(BASE)
    FLOAT_MANTISSA_BITS: ClassVar[int] = 53

    def __init__(
        self, public_key: "PaillierPublicKey", encoding: SupportsIndex, exponent: SupportsIndex
    ) -> None:
        self.public_key = public_key
        self.encoding = operator.index(encoding)
        self.exponent = operator.index(exponent)

    @classmethod
    def encode(
        cls,
        public_key: "PaillierPublicKey",
        scalar: Any,
        precision: float | None = None,
        max_exponent: SupportsIndex | None = None,
    ) -> Self:
        """Encode a number.

        Parameters
        ----------
        public_key : PaillierPublicKey
            For which to encode.
        scalar : int or float
            Integers get exponent 0, floats the highest exponent that keeps all their bits.
        precision : float, optional
            Choose the highest exponent instead that tells numbers apart which differ by this much,
            and round half to even. It is public, and hides the magnitude of floats.
        max_exponent : int, optional
            Lower the exponent to this if it is above.

        Raises
        ------
        BudgetExceeded
            If the integer is beyond ``public_key.max_int``, or `scalar` is NaN: a `ValueError`.
        OverflowError
            If `scalar` is infinite.
        TypeError
            If `scalar` is not an integer or a float.
        ValueError
            If `precision` is not positive and finite.
        """
        number = real_number(scalar)
        _require_finite(number)
        exponent = cls._natural_exponent(number) if precision is None else cls._coarsest(precision)
        if max_exponent is not None:
            exponent = min(exponent, operator.index(max_exponent))
        integer = cls._rounded(number, exponent, public_key.n.bit_length())
        if integer is None or abs(integer) > public_key.max_int:
            raise BudgetExceeded(
                f"scalar: at exponent {exponent} it is beyond max_int of the public key, an "
                f"integer of {public_key.max_int.bit_length()} bits; use a coarser precision, "
                "or a longer key"
            )
        return cls(public_key, integer % public_key.n, exponent)

    @classmethod
    def _rounded(cls, number: int | float, exponent: int, bits: int) -> int | None:
        """Divide by ``BASE**exponent``, rounding half to even; None if it surely has more bits."""
        if number == 0:
            return 0
        if -exponent > bits + _LOWEST_FLOAT_BIT:
            return None
        return round(Fraction(number) * Fraction(cls.BASE) ** -exponent)

    @classmethod
    def _natural_exponent(cls, number: int | float) -> int:
        """Choose the highest exponent for which every bit of the number is kept."""
        if isinstance(number, int):
            return 0
        lowest_bit = math.frexp(number)[1] - cls.FLOAT_MANTISSA_BITS
        return math.floor(lowest_bit / cls.LOG2_BASE)

    @classmethod
    def _coarsest(cls, precision: float) -> int:
        if not 0 < precision < math.inf:
            raise ValueError(f"precision: got {precision}, expected a positive, finite number")
        return math.floor(math.log(precision, cls.BASE))

    def decode(self) -> int | float:
        """Decode the number.

        Returns
        -------
        int or float
            An int if the exponent is 0 or above, else the nearest float.

        Raises
        ------
        OverflowError
            If the integer is in the range that no encoding uses, the result is beyond a float, or
            the exponent above 2**16.
        ValueError
            If the integer is not below n.
        """
        mantissa = self._signed()
        if self.exponent > _HIGHEST_EXPONENT:
            raise OverflowError(f"exponent: got {self.exponent}, expected at most 2**16")
        if self.exponent >= 0:
            return mantissa * int(self.BASE**self.exponent)
        if -self.exponent > self.public_key.n.bit_length() + _LOWEST_FLOAT_BIT:
            return math.copysign(0.0, mantissa)
        return mantissa / int(self.BASE**-self.exponent)

    def _signed(self) -> int:
        n, max_int = self.public_key.n, self.public_key.max_int
        if self.encoding >= n:
            raise ValueError("encoding: it is not below n; it was altered, or is for another key")
        if self.encoding <= max_int:
            return self.encoding
        if self.encoding >= n - max_int:
            return self.encoding - n
        raise OverflowError("encoding: a sum or product was beyond max_int; use a longer key")

    def decrease_exponent_to(self, new_exp: SupportsIndex) -> Self:
        """Encode the same number with a lower exponent; overflow may pass unnoticed.

        Parameters
        ----------
        new_exp : int
            At most the exponent.

        Raises
        ------
        ValueError
            If it is above the exponent.
        """
        n = self.public_key.n
        factor = pow(self.BASE, steps_down(self.exponent, new_exp), n)
        return type(self)(self.public_key, self.encoding * factor % n, new_exp)


def steps_down(exponent: int, new_exp: SupportsIndex) -> int:
    """Count by how much an exponent is lowered.

    Raises
    ------
    ValueError
        If the new exponent is above the old one.
    """
    lower = operator.index(new_exp)
    if lower > exponent:
        raise ValueError(f"new_exp: got {lower}, expected at most the exponent, {exponent}")
    return exponent - lower


def real_number(scalar: Any) -> int | float:
    """Read what stands for an integer or a float: mpz, bool and NumPy's scalars too.

    Raises
    ------
    TypeError
        If it does not, or not exactly.
    """
    number = scalar.item() if isinstance(scalar, np.generic) else scalar
    if isinstance(number, float):
        return number
    try:
        return operator.index(number)
    except TypeError:
        raise TypeError(f"scalar: got {type(scalar).__name__}, expected int or float") from None


def _require_finite(number: int | float) -> None:
    if isinstance(number, float) and not math.isfinite(number):
        if math.isnan(number):
            raise BudgetExceeded("scalar: got NaN, expected a finite number")
        raise OverflowError("scalar: got an infinity, expected a finite number")
