"""Every error that veilsum raises on purpose, each with its condition.

All derive from `VeilsumError`. Those caused by a bad value that the caller passed also derive from
`ValueError`. Messages name the argument, what was got, what is allowed and what to do, and never
contain a secret.
"""
# ruff: noqa: N818  (a name states the condition that it reports)

__all__ = [
    "AuthenticationError",
    "BudgetExceeded",
    "DecodingError",
    "DeserializationError",
    "DuplicateShare",
    "FaultDetected",
    "InconsistentShares",
    "InsecureKeyWarning",
    "InsufficientRandomness",
    "InsufficientShares",
    "InvalidCiphertext",
    "InvalidKey",
    "InvalidShare",
    "KeyMismatch",
    "ProtocolError",
    "ScaleMismatch",
    "VeilsumError",
]


class VeilsumError(Exception):
    """Base of every error that veilsum raises on purpose."""


class AuthenticationError(VeilsumError):
    """Raised when a signature is not its signer's, or sealed bytes do not open.

    They were altered, or made by, for or in another party, session or purpose.
    """


class InvalidKey(VeilsumError, ValueError):
    """Raised when a key is malformed or too weak to be used.

    For example a modulus that is even, prime, a perfect power, of the wrong length or with a small
    factor, or primes that are equal or do not multiply to the modulus.
    """


class InvalidCiphertext(VeilsumError, ValueError):
    """Raised when a ciphertext is outside the group that its key defines."""


class KeyMismatch(VeilsumError, ValueError):
    """Raised when operands, or a ciphertext and the key to open it, belong to different keys."""


class ScaleMismatch(VeilsumError, ValueError):
    """Raised when operands differ in scale, packing, slot count or party count."""


class BudgetExceeded(VeilsumError, ValueError):
    """Raised when values could leave the range that was fixed for them in advance.

    NaN, infinities and inputs beyond their bound raise it; so does an operation whose result could
    exceed the budget. The check runs before the operation and looks at public bounds alone.
    """


class InvalidShare(VeilsumError, ValueError):
    """Raised when a share cannot have come from a dealing.

    Its point is zero modulo the field's modulus or beyond the number of shares dealt, or a value
    is not below the modulus.
    """


class DuplicateShare(VeilsumError, ValueError):
    """Raised when two shares have the same point modulo the field's modulus."""


class InsufficientShares(VeilsumError, ValueError):
    """Raised when there are fewer shares than the threshold they carry."""


class InsufficientRandomness(VeilsumError, ValueError):
    """Raised when fewer precomputed elements are left to this process than it needs."""


class FaultDetected(VeilsumError):
    """Raised when a computation with a secret key went wrong, before anything of it is released.

    The processor or the memory is faulty, or somebody makes them so: an answer computed wrongly
    could give the key away.
    """


class InconsistentShares(VeilsumError, ValueError):
    """Raised when shares that do not belong together are combined.

    They differ in threshold, number of shares dealt, field, shape, dtype, bound or dealing.
    """


class DeserializationError(VeilsumError, ValueError):
    """Raised when bytes are not a well-formed message of the expected kind and version.

    Truncation, trailing bytes, non-minimal integers, an unknown version and a length above its cap
    are refused; caps are checked before anything is allocated. A password that does not open an
    encrypted key raises it as well.
    """


class DecodingError(VeilsumError):
    """Raised when what came in holds more errors than can be corrected.

    Shares that disagree raise it: the decoder never guesses.
    """


class ProtocolError(VeilsumError):
    """Raised when a party receives what its protocol does not allow at that moment.

    For example a message of a wrong round or a foreign session, a replay, a sender outside the
    roster, or fewer survivors than the threshold.
    """


class InsecureKeyWarning(UserWarning):
    """Issued when a key is too short to protect anything; such keys serve tests alone."""
