"""Shamir secret sharing of whole arrays, with sums on shares and detection of altered ones.

Source: Shamir, "How to share a secret", Communications of the ACM 22(11), 1979. Every element of
the secret is the constant term of its own polynomial of degree below the threshold, with uniform
coefficients; holder ``i`` gets the values at point ``i``. Any ``threshold`` holders rebuild the
secret, fewer learn nothing about it, in the information-theoretic sense.
"""

from veilsum.shamir.reconstruction import reconstruct
from veilsum.shamir.sharing import Shares, split

__all__ = ["Shares", "reconstruct", "split"]
