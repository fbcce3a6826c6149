"""What an engine refuses before Flower starts; that it works is in tests/integration."""

import importlib.util
import os
from copy import deepcopy

import numpy as np
import pytest

from veilsum import paillier, protocols
from veilsum.integrations.flower import FlowerEngine
from veilsum.integrations.flower.engine import require_simulation
from veilsum.integrations.flower.folders import Folder, deal_for
from veilsum.learning.engines import Engine
from veilsum.learning.moments import sum_moments

TABLES = [np.array([[1.0]]), np.array([[3.0]])]


@pytest.fixture
def without(monkeypatch):
    """Make a package one that is not installed."""

    def remove(missing):
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name == missing else object()
        )

    return remove


def add_up(engine, aggregator="plain"):
    return sum_moments(TABLES, pairs=False, aggregator=aggregator, engine=engine)


def test_it_is_an_engine_that_can_be_copied_and_shown():
    engine = FlowerEngine("trial", workers=2)
    assert isinstance(engine, Engine)
    assert deepcopy(engine) == engine
    assert repr(engine) == "FlowerEngine(directory='trial', workers=2, ahead=8, verbose=False)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, r"^workers: got 0, expected at least 1 or None"),
        ({"ahead": 0}, r"^ahead: got 0, expected 1 to 255 rounds"),
        ({"ahead": 256}, r"^ahead: got 256, expected 1 to 255 rounds"),
    ],
)
def test_an_option_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        FlowerEngine("trial", **options)


@pytest.mark.parametrize("missing", ["flwr", "ray"])
def test_without_flower_it_says_what_to_install_and_writes_nothing(without, tmp_path, missing):
    without(missing)
    with pytest.raises(ImportError, match=rf"{missing} is not installed: pip install 'veilsum\["):
        add_up(FlowerEngine(tmp_path / "trial"))
    with pytest.raises(ImportError, match=missing):
        require_simulation()
    assert not os.listdir(tmp_path)


class Homemade(protocols.Plain):
    """A protocol that nodes do not know."""


def test_an_aggregator_that_nodes_cannot_make_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^aggregator: got Homemade, which Flower's nodes do not"):
        add_up(FlowerEngine(tmp_path / "trial"), Homemade())
    assert not os.listdir(tmp_path)


@pytest.fixture(scope="module")
def pair():
    return paillier.keygen(bits=1024, insecure=True)


@pytest.fixture(scope="module")
def shared_key():
    return paillier.deal_key(holders=3, threshold=2, bits=1024, insecure=True)


def test_folders_hold_the_keys_of_the_aggregator_that_they_are_made_for(tmp_path, pair):
    aggregator = protocols.Paillier(keys=pair)
    deal_for(tmp_path / "keys", aggregator, clients=2)
    assert {path.name for path in (tmp_path / "keys").iterdir()} == {
        "aggregator",
        "key-holder",
        "client-0",
        "client-1",
    }
    for name, private in (("client-1", None), ("key-holder", pair[1])):
        folder = Folder.open(tmp_path / "keys" / name)
        public, own = folder.aggregator("paillier", insecure=True).keys
        assert public.fingerprint == pair[0].fingerprint
        assert (own is None) == (private is None)


def test_each_holder_gets_its_share_of_the_key_alone(tmp_path, shared_key):
    key, shares = shared_key
    deal_for(tmp_path / "keys", protocols.ThresholdPaillier(keys=shared_key), clients=1)
    for number in (1, 2, 3):
        folder = Folder.open(tmp_path / "keys" / f"holder-{number}")
        public, own = folder.aggregator("threshold_paillier", insecure=True).keys
        assert public.fingerprint == key.fingerprint
        assert [share.to_bytes() for share in own] == [shares[number - 1].to_bytes()]
    client = Folder.open(tmp_path / "keys" / "client-0")
    assert client.aggregator("threshold_paillier", insecure=True).keys[1] == ()


def test_a_private_key_that_is_elsewhere_lies_in_no_folder(tmp_path, pair):
    deal_for(tmp_path / "keys", protocols.Paillier(keys=(pair[0], None)), clients=1)
    assert not list(tmp_path.rglob("private-key"))
