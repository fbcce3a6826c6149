"""A drop-in for python-paillier (``phe`` 1.5): its public names on veilsum's arithmetic.

A program written for that package runs unchanged after ``import veilsum.integrations.phe as phe``.
Keys, ciphertexts and exponents are the same integers, so both sides of a protocol need not change
at once. It is written from the documented behaviour; the command line tool is left out.

What differs, on purpose:

- A key below 2048 bits gives an `InsecureKeyWarning`.
- What would have given nonsense is refused: an even modulus or one below 3, p or q that is not
  prime, ciphertexts outside of the group (`ValueError`), exponents that are not integers
  (`TypeError`), numbers encoded for another key (`ValueError`).
- gmpy2's mpz and NumPy's scalars stand for numbers on either side of an operator; ``-x`` and the
  subtraction of an `EncodedNumber` work.
- A sum whose exponents lie so far apart that aligning them would take a factor longer than the key
  is refused (`BudgetExceeded`, a `ValueError`).
- Errors are those of `veilsum.errors` where these derive from the error that is documented, and
  their messages never show a number that was to be encrypted.

The exponents of encrypted floats are public and tell the magnitude of the numbers; the fixed point
of `veilsum.paillier` tells nothing. New programs are better served by its arrays.

Examples
--------
>>> import veilsum.integrations.phe as phe
>>> public_key, private_key = phe.generate_paillier_keypair(n_length=2048)
>>> a, b, c = [public_key.encrypt(x) for x in [3.141592653, 300, -4.6e-12]]
>>> [private_key.decrypt(x) for x in (a, b, c)]
[3.141592653, 300, -4.6e-12]
>>> private_key.decrypt((a + b) * 2 - 5)
601.283185306
"""

from veilsum.integrations.phe import encoding, paillier, util
from veilsum.integrations.phe.encoding import EncodedNumber
from veilsum.integrations.phe.paillier import (
    EncryptedNumber,
    PaillierPrivateKey,
    PaillierPrivateKeyring,
    PaillierPublicKey,
    generate_paillier_keypair,
)

__all__ = [
    "EncodedNumber",
    "EncryptedNumber",
    "PaillierPrivateKey",
    "PaillierPrivateKeyring",
    "PaillierPublicKey",
    "encoding",
    "generate_paillier_keypair",
    "paillier",
    "util",
]

__version__ = "1.5.0"  # of the interface that is offered here
