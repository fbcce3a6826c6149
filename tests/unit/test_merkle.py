"""One digest for a list, and proofs of what stands where."""

import pytest

from veilsum.errors import ProtocolError
from veilsum.protocols.merkle import NODE_BYTES, MerkleTree, root_by_path

COUNTS = [*range(1, 18), 33]


def leaves(count):
    return [number.to_bytes(2, "little") for number in range(count)]


@pytest.mark.parametrize("count", COUNTS)
def test_every_leaf_leads_to_the_root_from_its_own_place_alone(count):
    items = leaves(count)
    tree = MerkleTree(items)
    for place, leaf in enumerate(items):
        path = tree.path(place)
        for claimed in range(count):
            if len(path) == len(tree.path(claimed)):
                found = root_by_path(leaf, claimed, count, path)
                assert (found == tree.root) == (claimed == place)
            else:
                with pytest.raises(ProtocolError):
                    root_by_path(leaf, claimed, count, path)


def test_other_leaves_orders_and_counts_have_other_roots():
    lists = [leaves(4), leaves(5), leaves(4)[::-1], [b"", *leaves(3)], [b"".join(leaves(4))]]
    assert len({MerkleTree(items).root for items in lists}) == len(lists)


def test_a_node_is_not_taken_for_a_leaf():
    inner = MerkleTree(leaves(2)).root
    assert MerkleTree([inner, b"x"]).root != MerkleTree([*leaves(2), b"x"]).root


@pytest.mark.parametrize(
    "cut", [lambda path: path[:-1], lambda path: path[:-NODE_BYTES], lambda path: path + path]
)
def test_a_path_of_another_length_is_refused(cut):
    tree = MerkleTree(leaves(4))
    with pytest.raises(ProtocolError, match="path"):
        root_by_path(leaves(4)[1], 1, 4, cut(tree.path(1)))
