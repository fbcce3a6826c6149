"""Arithmetic on arrays modulo a prime.

`PrimeField` works on arrays of uint64 residues. Signed integers enter through `PrimeField.residues`
and leave through `PrimeField.centre`. Two fields are ready: `P50` for vectors and `GOLDILOCKS` for
wider payloads; both have a radix-2 number-theoretic transform (2-adicity 24 and 32).
"""

from veilsum.field.prime import GOLDILOCKS, P50, PrimeField, kernel_info

__all__ = ["GOLDILOCKS", "P50", "PrimeField", "kernel_info"]
