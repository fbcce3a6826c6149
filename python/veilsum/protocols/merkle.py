"""One digest for a list, and short proofs of what stands where in it.

Source: Merkle, "A digital signature based on a conventional encryption function", CRYPTO 1987;
leaves and nodes are hashed apart, and a node without a partner rises as it is, as in RFC 6962,
section 2.1.
"""

import hashlib
from collections.abc import Sequence

from veilsum.errors import ProtocolError

__all__ = ["NODE_BYTES", "MerkleTree", "root_by_path"]

NODE_BYTES = 32


class MerkleTree:
    """The hashes over a list.

    Parameters
    ----------
    leaves : sequence of bytes
        At least one.

    Attributes
    ----------
    root : bytes
        32 bytes that determine the list, if its length is known.

    Examples
    --------
    >>> leaves = [b"a", b"b", b"c"]
    >>> tree = MerkleTree(leaves)
    >>> root_by_path(b"c", 2, 3, tree.path(2)) == tree.root
    True
    """

    def __init__(self, leaves: Sequence[bytes]) -> None:
        level = [_leaf(leaf) for leaf in leaves]
        self._levels = [level]
        while len(level) > 1:
            pairs = zip(level[::2], level[1::2], strict=False)
            level = [_node(*pair) for pair in pairs] + level[len(level) & ~1 :]
            self._levels.append(level)
        (self.root,) = level

    def path(self, place: int) -> bytes:
        """Return the partners on the way from a leaf to the root, one after the other."""
        partners = []
        for level in self._levels[:-1]:
            if place ^ 1 < len(level):
                partners.append(level[place ^ 1])
            place //= 2
        return b"".join(partners)


def root_by_path(leaf: bytes, place: int, count: int, path: bytes) -> bytes:
    """Return the root of the list of that length that has the leaf at that place.

    Raises
    ------
    ProtocolError
        When the path has not the length that it has in such a list.
    """
    partners = [path[at : at + NODE_BYTES] for at in range(0, len(path), NODE_BYTES)]
    node = _leaf(leaf)
    while count > 1:
        if place ^ 1 < count:
            if not partners or len(partners[0]) != NODE_BYTES:
                raise ProtocolError("a Merkle path is too short")
            partner = partners.pop(0)
            node = _node(partner, node) if place & 1 else _node(node, partner)
        place, count = place // 2, (count + 1) // 2
    if partners:
        raise ProtocolError("a Merkle path is too long")
    return node


def _leaf(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\0" + leaf).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
