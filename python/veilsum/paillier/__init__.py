"""Paillier encryption of whole arrays: keys, and ciphertexts that behave like NumPy arrays.

Examples
--------
>>> import numpy as np
>>> from veilsum import paillier
>>> pub, priv = paillier.keygen(bits=2048)
>>> x = pub.encrypt(np.array([[0.5, -1.25], [3.0, 2.0]]))
>>> y = 3 * (x + x) - np.ones((2, 2))
>>> priv.decrypt(y)
array([[ 2. , -8.5],
       [17. , 11. ]])
"""

from veilsum.paillier.arrays import CipherArray
from veilsum.paillier.keys import PrivateKey, PublicKey, keygen
from veilsum.paillier.packing import PackedArray, aggregate
from veilsum.paillier.precomputed import RandomnessPool
from veilsum.paillier.proofs import (
    KeyCertificate,
    PlaintextProof,
    certify,
    encrypt_packed_with_proof,
    encrypt_with_proof,
    proof_context,
)
from veilsum.paillier.threshold import DecryptionShare, KeyShare, ThresholdKey, deal_key

__all__ = [
    "CipherArray",
    "DecryptionShare",
    "KeyCertificate",
    "KeyShare",
    "PackedArray",
    "PlaintextProof",
    "PrivateKey",
    "PublicKey",
    "RandomnessPool",
    "ThresholdKey",
    "aggregate",
    "certify",
    "deal_key",
    "encrypt_packed_with_proof",
    "encrypt_with_proof",
    "keygen",
    "proof_context",
]
