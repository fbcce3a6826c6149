"""Arithmetic on arrays modulo a prime.

`PrimeField` works on arrays of uint64 residues. Signed integers enter through `PrimeField.residues`
and leave through `PrimeField.centre`. Four are ready: `P50`, the fast one, for vectors; `P31` for
sums of 30 bits, whose residues travel as words of 32; `GOLDILOCKS` for wider payloads;
`MERSENNE61`, which others use. The first three have radix-2 number-theoretic transforms, of up to
2**26, 2**24 and 2**32 elements.

`WideField` works on residues of several words each, for keys and seeds; `P257` holds every string
of 32 bytes.
"""

from veilsum.field.prime import GOLDILOCKS, MERSENNE61, P31, P50, PrimeField, kernel_info
from veilsum.field.wide import P257, WideField

__all__ = [
    "GOLDILOCKS",
    "MERSENNE61",
    "P31",
    "P50",
    "P257",
    "PrimeField",
    "WideField",
    "kernel_info",
]
