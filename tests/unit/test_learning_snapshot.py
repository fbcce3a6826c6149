import io
import os
import zipfile

import numpy as np
import pytest

from veilsum.errors import DeserializationError
from veilsum.learning.snapshot import Snapshot


def snapshot(**changes):
    fields = {
        "round": 3,
        "weights": np.array([0.1, -0.0, 1e300]),
        "state": (np.array(7), np.array([[1.5, 2.5]])),
        "settings": {"seed": "4", "pace": "linear über 9 rounds"},
    }
    return Snapshot(**fields | changes)


def array_file(array, *, pickles=False):
    data = io.BytesIO()
    np.lib.format.write_array(data, np.asarray(array), allow_pickle=pickles)
    return data.getvalue()


def written(tmp_path, compression=zipfile.ZIP_STORED, **changes):
    """A file with some of its members replaced by other bytes, or left out."""
    snapshot().save(tmp_path / "good.npz")
    with zipfile.ZipFile(tmp_path / "good.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members |= {f"{name}.npy": data for name, data in changes.items()}
    path = tmp_path / "altered.npz"
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            if data is not None:
                archive.writestr(name, data)
    return path


@pytest.mark.parametrize("state", [(), (np.array(7), np.array([[1.5, 2.5]]))])
def test_what_is_loaded_is_what_was_saved_bit_for_bit(state, tmp_path):
    saved = snapshot(state=state)
    saved.save(tmp_path / "training.npz")
    loaded = Snapshot.load(str(tmp_path / "training.npz"))
    assert loaded.round == 3
    assert loaded.settings == saved.settings
    assert loaded.weights.tobytes() == saved.weights.tobytes()
    assert not loaded.weights.flags.writeable
    assert len(loaded.state) == len(state)
    for one, other in zip(loaded.state, state, strict=True):
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
        assert one.flags.writeable


def test_numpy_reads_the_file_without_pickles(tmp_path):
    snapshot().save(tmp_path / "training.npz")
    with np.load(tmp_path / "training.npz", allow_pickle=False) as archive:
        assert archive["weights"].tolist() == [0.1, -0.0, 1e300]


def test_the_same_snapshot_makes_the_same_bytes(tmp_path):
    snapshot().save(tmp_path / "one.npz")
    snapshot().save(tmp_path / "other.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "other.npz").read_bytes()


def test_saving_replaces_what_was_there(tmp_path):
    path = tmp_path / "training.npz"
    snapshot(round=1).save(path)
    snapshot(round=2).save(path)
    assert Snapshot.load(path).round == 2
    assert os.listdir(tmp_path) == ["training.npz"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failure_while_saving_leaves_the_old_file_and_no_other(failing, tmp_path, monkeypatch):
    path = tmp_path / "training.npz"
    snapshot(round=1).save(path)

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="no space left"):
        snapshot(round=2).save(path)
    assert Snapshot.load(path).round == 1
    assert os.listdir(tmp_path) == ["training.npz"]


def test_a_missing_file_or_directory_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        Snapshot.load(tmp_path / "none.npz")
    with pytest.raises(FileNotFoundError):
        snapshot().save(tmp_path / "none" / "training.npz")


def test_no_truncated_file_is_loaded(tmp_path):
    path = tmp_path / "training.npz"
    snapshot().save(path)
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(DeserializationError, match=r"training\.npz: no snapshot: "):
            Snapshot.load(path)


@pytest.mark.parametrize("name", ["version", "round", "weights", "settings", "state0"])
def test_a_missing_array_is_refused(name, tmp_path):
    with pytest.raises(DeserializationError):
        Snapshot.load(written(tmp_path, **{name: None}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": array_file(2)}, "version: got 2, expected 1"),
        ({"version": array_file([1])}, r"got int64 of shape \(1,\), expected one integer"),
        ({"round": array_file(0)}, "round: got 0"),
        ({"round": array_file(1.0)}, "got float64"),
        ({"weights": array_file([])}, "weights: got shape"),
        ({"weights": array_file([[1.0]])}, "weights: got shape"),
        ({"weights": array_file([1])}, "weights: got shape .* of int64"),
        ({"weights": array_file([np.nan])}, "NaN or infinity"),
        ({"weights": array_file(np.ones(2, np.float32))}, "weights: got dtype <f4"),
        ({"weights": array_file(np.ones(2, ">f8"))}, "weights: got dtype >f8"),
        ({"weights": array_file(np.array([None]), pickles=True)}, r"weights: got dtype \|O"),
        ({"weights": array_file([1.0, 2.0])[:-1]}, "buffer size"),
        ({"weights": array_file([1.0]) + bytes(8)}, "reshape"),
        ({"weights": b"not an array"}, "magic"),
        ({"weights": b"\x93NUMPY\x02\x00"}, "format 1.0"),
        ({"state0": array_file(np.array([np.inf]))}, "NaN or infinity"),
        ({"state0": array_file(np.ones(3, np.uint8))}, "state: expected arrays of float64 or"),
        ({"state1": array_file(np.asfortranarray(np.ones((2, 2))))}, "state1: got dtype"),
        ({"settings": array_file(np.frombuffer(b"[]", np.uint8))}, "texts by name"),
        ({"settings": array_file(np.frombuffer(b'{"a": 1}', np.uint8))}, "texts by name"),
        ({"settings": array_file(np.frombuffer(b'{"a": ', np.uint8))}, "Expecting value"),
        ({"settings": array_file(np.full(70_000, 32, np.uint8))}, "settings: expected up to"),
        ({"more": array_file([1.0])}, "state2"),
        ({f"state{place}": array_file([1.0]) for place in range(30)}, "got 34 arrays"),
    ],
)
def test_what_is_no_snapshot_is_refused_by_what_is_wrong(changes, message, tmp_path):
    with pytest.raises(DeserializationError, match=message):
        Snapshot.load(written(tmp_path, **changes))


def test_compressed_arrays_are_refused_before_they_are_unpacked(tmp_path):
    path = written(tmp_path, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(DeserializationError, match="not compressed"):
        Snapshot.load(path)


def test_a_header_that_promises_more_than_there_is_costs_no_memory(tmp_path):
    huge = array_file(np.zeros(2)).replace(b"(2,)", b"(9" + b"0" * 12 + b",)")
    with pytest.raises(DeserializationError):
        Snapshot.load(written(tmp_path, weights=huge))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"round": 0}, "round: got 0, expected at least 1"),
        ({"weights": np.zeros((2, 2))}, "weights: got shape"),
        ({"weights": np.zeros(2, np.float32)}, "weights: got shape .* of float32"),
        ({"weights": np.array([np.inf])}, "NaN or infinity"),
        ({"state": (np.array([np.nan]),)}, "NaN or infinity"),
        ({"state": (np.zeros(1, np.float32),)}, "state: expected arrays of float64 or int64"),
        ({"state": (np.zeros(1),) * 17}, "state: got 17 arrays"),
    ],
)
def test_a_snapshot_is_checked_when_it_is_made(changes, message):
    with pytest.raises(ValueError, match=message):
        snapshot(**changes)
