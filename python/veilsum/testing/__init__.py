"""Help for users who property-test code built on veilsum; needs hypothesis (the extra ``test``)."""

from veilsum.testing import strategies

__all__ = ["strategies"]
