import hashlib
import io
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from veilsum.learning import omniglot

SIDE = 28


@pytest.fixture(scope="module")
def characters():
    return omniglot.load()


def save(path, pixels, mode="1"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path)


def ink(drawing):
    """A drawing as Omniglot's PNGs are: black ink on white."""
    return 255 - drawing[..., 0]


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def layout(**changes):
    """Two characters of one alphabet, with three drawings each, as the shipped file has them."""
    arrays = {
        "images_packed": np.arange(6 * 98, dtype=np.uint8).reshape(2, 3, 98),
        "alphabet": np.array([0, 0], np.uint8),
        "alphabets": np.array(["Runic"]),
        "character": np.array(["character01", "character02"]),
    }
    return {name: array for name, array in (arrays | changes).items() if array is not None}


def test_the_shipped_drawings_are_those_of_the_data_set(characters):
    bits = np.packbits((characters.images == 255).reshape(1623, 20, -1), axis=-1)
    digest = "ef63796bdf3ac5fba63289977d0f1093ee454580e263138bfb8f0c07377ac679"
    assert hashlib.sha256(bits.tobytes()).hexdigest() == digest
    assert characters.images.shape == (32_460, SIDE, SIDE, 1)
    assert np.unique(characters.images[:100]).tolist() == [0, 255]
    assert (characters.counts == 20).all()
    assert len(set(characters.names)) == 1623
    assert len(set(characters.groups)) == 50
    assert characters.groups.count("Latin") == 26
    assert characters.licence == "MIT"
    assert "Lake" in characters.citation


def test_the_shipped_file_is_read_from_anywhere(tmp_path):
    path = npz(tmp_path / "some.npz", **layout())
    read = omniglot.load(path)
    assert read.names == ("Runic/character01", "Runic/character02")
    assert read.groups == ("Runic", "Runic")
    assert read.counts.tolist() == [3, 3]
    assert np.packbits(read.images[4] == 255).tolist() == [n % 256 for n in range(392, 490)]
    assert read.licence is None


@pytest.mark.parametrize("parts", [("",), ("images_background", "images_evaluation")])
def test_a_folder_of_drawings_gives_them_back(tmp_path, characters, parts):
    chosen = [(0, 3), (1, 2), (1600, 4)]  # a class may have fewer drawings than another
    for number, count in chosen:
        part = parts[number > 1000] if len(parts) > 1 else ""
        for drawer in range(count):
            drawing = characters.images[20 * number + drawer]
            file = tmp_path / part / characters.names[number] / f"{drawer:02}.png"
            save(file, ink(drawing))
    (tmp_path / parts[0] / ".hidden").mkdir()
    (tmp_path / parts[0] / "readme.txt").write_text("by hand")
    read = omniglot.load(tmp_path)
    assert read.names == tuple(characters.names[number] for number, _ in chosen)
    assert read.groups == tuple(characters.groups[number] for number, _ in chosen)
    assert read.counts.tolist() == [count for _, count in chosen]
    whole = characters.take([number for number, _ in chosen])
    for start, first, count in zip(whole.starts, read.starts, read.counts, strict=True):
        assert np.array_equal(
            read.images[first : first + count], whole.images[start : start + count]
        )


def test_large_drawings_are_shrunk_to_the_pixels_that_are_a_quarter_ink(tmp_path):
    pixels = np.random.default_rng(0).random((105, 105)) < np.linspace(0, 0.5, 105)
    save(tmp_path / "Runic" / "character01" / "0001_01.png", 255 * (1 - pixels).astype(np.uint8))
    # the mean of the small pixels whose centres lie in the large one, or on its far edge
    box = np.ceil((np.arange(105) + 0.5) * SIDE / 105) - 1 == np.arange(SIDE)[:, np.newaxis]
    weights = box / box.sum(axis=1, keepdims=True)
    share = weights @ pixels @ weights.T
    read = omniglot.load(tmp_path).images[0, :, :, 0]
    clear = np.abs(share - 0.25) > 0.01  # the filter rounds to 8 bits in between
    assert clear.mean() > 0.8
    assert np.array_equal(read[clear] == 255, share[clear] > 0.25)


def test_drawings_of_their_own_size_are_only_thresholded(tmp_path):
    grey = np.tile(np.arange(SIDE, dtype=np.uint8) + 178, (SIDE, 1))
    save(tmp_path / "Runic" / "character01" / "1.png", grey, mode="L")
    read = omniglot.load(tmp_path).images[0, :, :, 0]
    assert np.array_equal(read == 255, 255 - grey >= 64)


def test_a_png_that_cannot_be_read_is_named(tmp_path):
    folder = tmp_path / "Runic" / "character01"
    save(folder / "1.png", np.zeros((105, 105), np.uint8))
    whole = (folder / "1.png").read_bytes()
    for damaged in (b"", b"no picture", whole[: len(whole) // 2], whole[:30] + b"\0" * 40):
        (folder / "2.png").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"2\.png: cannot be read as a drawing"):
            omniglot.load(tmp_path)


@pytest.mark.parametrize("shape", [(105, 104), (27, 27), (2049, 2049)])
def test_a_png_of_another_shape_is_refused(tmp_path, shape):
    save(tmp_path / "Runic" / "character01" / "1.png", np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match=rf"1\.png: .*{shape[1]} x {shape[0]} pixels"):
        omniglot.load(tmp_path)


def test_a_picture_that_only_claims_to_be_a_png_is_refused(tmp_path):
    file = tmp_path / "Runic" / "character01" / "1.png"
    file.parent.mkdir(parents=True)
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(file, format="BMP")
    with pytest.raises(ValueError, match="cannot be read as a drawing"):
        omniglot.load(tmp_path)


def test_folders_without_drawings_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no folders alphabet/character"):
        omniglot.load(tmp_path)
    save(tmp_path / "Runic" / "1.png", np.zeros((28, 28), np.uint8))
    with pytest.raises(ValueError, match="no folders alphabet/character"):
        omniglot.load(tmp_path)
    (tmp_path / "Runic" / "character01").mkdir()
    with pytest.raises(ValueError, match=r"character01: has no \.png"):
        omniglot.load(tmp_path)


def test_without_pillow_the_error_says_what_to_install(tmp_path, monkeypatch):
    save(tmp_path / "Runic" / "character01" / "1.png", np.zeros((28, 28), np.uint8))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"pip install 'veilsum\[lab\]'"):
        omniglot.load(tmp_path)


def test_colour_images_of_unequal_classes_are_read(tmp_path):
    labels = np.array([1, 0, 1, 1])
    images = np.random.default_rng(0).integers(256, size=(4, 32, 32, 3), dtype=np.uint8)
    path = npz(tmp_path / "a.npz", images=images, labels=labels, classes=np.array(["cat", "owl"]))
    read = omniglot.load(path)
    assert read.names == ("cat", "owl")
    assert read.counts.tolist() == [1, 3]
    assert np.array_equal(read.images, images[[1, 0, 2, 3]])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "no array 'images', but nothing"),
        ({"images": np.zeros((1, 2, 2))}, "no array 'labels', but 'images'"),
        ({"images": np.zeros((1, 2, 2)), "labels": np.zeros(1)}, "labels: got float64"),
        ({"images": np.zeros((1, 2, 2)), "labels": np.array([None])}, "without pickles"),
        (layout(alphabet=None), "no array 'alphabet'"),
        (layout(images_packed=np.zeros((2, 3, 98))), "images_packed: got float64"),
        (layout(images_packed=np.zeros((2, 3, 97), np.uint8)), r"\(2, 3, 97\)"),
        (layout(images_packed=np.zeros((2, 0, 98), np.uint8)), "at least 1"),
        (layout(alphabet=np.zeros(3, int)), r"alphabet: got shape \(3,\), expected \(2,\)"),
        (layout(character=np.array("a")), r"character: got shape \(\)"),
        (layout(alphabet=np.array([0, 1])), "number of one of the alphabets"),
        (layout(alphabet=np.array([0.0, 0.0])), "number of one of the alphabets"),
        (layout(alphabets=np.array("Runic")), "number of one of the alphabets"),
    ],
)
def test_an_npz_that_does_not_fit_is_refused(tmp_path, arrays, message):
    path = npz(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=rf"a\.npz: .*{message}"):
        omniglot.load(path)


def test_a_file_that_is_no_npz_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    whole = io.BytesIO()
    np.savez_compressed(whole, images=np.arange(4096.0), labels=np.arange(1))
    single = io.BytesIO()
    np.save(single, np.zeros(3))
    for damaged in (b"", b"text", whole.getvalue()[:-50], single.getvalue()):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"a\.npz: cannot be read as an \.npz"):
            omniglot.load(path)


def test_an_npz_whose_header_claims_too_much_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 46,)}
    )
    with zipfile.ZipFile(path, "w") as members:
        members.writestr("images.npy", header.getvalue() + b"few")
    with pytest.raises(ValueError, match=r"a\.npz: cannot be read"):
        omniglot.load(path)


def test_an_npz_that_would_fill_the_memory_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(omniglot, "_MOST_BYTES", 4000)
    path = tmp_path / "a.npz"
    np.savez_compressed(path, images=np.zeros((64, 10, 10), np.uint8), labels=np.arange(64))
    with pytest.raises(ValueError, match="expected at most 4,000"):
        omniglot.load(path)
    monkeypatch.setattr(omniglot, "_MOST_BYTES", 2000)
    with pytest.raises(ValueError, match="holds 4,704 bytes"):
        omniglot._unpacked(layout())


def test_a_path_that_leads_nowhere_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no file or folder"):
        omniglot.load(tmp_path / "nothing.npz")
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.zip: expected an \.npz file, or a folder"):
        omniglot.load(tmp_path / "a.zip")
