"""Secret sharing of whole arrays: sums on shares, lost shares, and shares that lie.

Source: Shamir, "How to share a secret", Communications of the ACM 22(11), 1979. The elements of the
secret are values of polynomials of degree below the threshold that are uniform otherwise; every
holder gets the polynomials' values at its own point. Any ``threshold`` holders rebuild the secret,
fewer (with several secrets a polynomial: ``threshold - packed``) learn nothing about it, in the
information-theoretic sense.

Beside what is listed here: `veilsum.shamir.authenticated` (shares that their dealer signed),
`veilsum.shamir.challenge` (checks of sums of shares and of dealings) and
`veilsum.shamir.verifiable` (keys and seeds, of which every holder checks its share).
"""

from veilsum.shamir.newton import NewtonReconstruction
from veilsum.shamir.reconstruction import find_liars, reconstruct
from veilsum.shamir.shares import Shares
from veilsum.shamir.sharing import (
    deal_zeros,
    join_reshared,
    refresh,
    reshare,
    split,
    split_additive,
)

__all__ = [
    "NewtonReconstruction",
    "Shares",
    "deal_zeros",
    "find_liars",
    "join_reshared",
    "reconstruct",
    "refresh",
    "reshare",
    "split",
    "split_additive",
]
