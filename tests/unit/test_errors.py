"""The family of errors: who derives from whom, and that each states its condition."""

import inspect
import warnings

import pytest

from veilsum import errors

CAUSED_BY_A_VALUE = {
    "InvalidKey",
    "InvalidCiphertext",
    "KeyMismatch",
    "ScaleMismatch",
    "BudgetExceeded",
    "InvalidShare",
    "DuplicateShare",
    "InsufficientRandomness",
    "InsufficientShares",
    "InconsistentShares",
    "DeserializationError",
}
CAUSED_BY_OTHERS = {"AuthenticationError", "DecodingError", "FaultDetected", "ProtocolError"}


def test_the_module_exports_the_whole_family_and_nothing_else() -> None:
    defined = {name for name, _ in inspect.getmembers(errors, inspect.isclass)}
    assert set(errors.__all__) == defined
    assert defined == {"VeilsumError", "InsecureKeyWarning"} | CAUSED_BY_A_VALUE | CAUSED_BY_OTHERS


@pytest.mark.parametrize("name", sorted(CAUSED_BY_A_VALUE))
def test_errors_caused_by_a_value_are_value_errors(name: str) -> None:
    assert issubclass(getattr(errors, name), errors.VeilsumError)
    assert issubclass(getattr(errors, name), ValueError)


@pytest.mark.parametrize("name", sorted(CAUSED_BY_OTHERS))
def test_errors_caused_by_other_parties_are_no_value_errors(name: str) -> None:
    assert issubclass(getattr(errors, name), errors.VeilsumError)
    assert not issubclass(getattr(errors, name), ValueError)


@pytest.mark.parametrize("name", sorted(CAUSED_BY_A_VALUE | CAUSED_BY_OTHERS))
def test_every_error_says_when_it_is_raised(name: str) -> None:
    assert inspect.getdoc(getattr(errors, name)).startswith("Raised when ")  # type: ignore[union-attr]


def test_the_warning_is_shown_to_users_by_default() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        warnings.warn("short key", errors.InsecureKeyWarning, stacklevel=1)
    assert [warning.category for warning in caught] == [errors.InsecureKeyWarning]
    assert not issubclass(errors.InsecureKeyWarning, DeprecationWarning)
