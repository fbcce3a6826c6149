import numpy as np
import pytest

from veilsum.learning.images import ImageClasses

RNG = np.random.default_rng(0)


def classes(counts=(3, 2, 4)):
    """Images filled with their number."""
    images = np.tile(np.arange(sum(counts), dtype=np.uint8)[:, None, None, None], (1, 2, 2, 1))
    return ImageClasses(
        images=images,
        counts=np.array(counts),
        names=tuple("abcdefgh"[: len(counts)]),
        groups=tuple("xyxyxyxy"[: len(counts)]),
    )


def numbers(part):
    return part.images[:, 0, 0, 0].tolist()


def test_labelled_images_are_sorted_into_classes_of_unequal_size():
    labels = np.array([7, 3, 7, 3, 7])
    images = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    sorted_ = ImageClasses.of(images, labels)
    assert sorted_.names == sorted_.groups == ("3", "7")
    assert sorted_.counts.tolist() == [2, 3]
    assert numbers(sorted_) == [1, 3, 0, 2, 4]


def test_labels_may_be_text_or_have_names():
    images = np.zeros((3, 2, 2, 3), np.uint8)
    assert ImageClasses.of(images, np.array(["owl", "cat", "owl"])).names == ("cat", "owl")
    named = ImageClasses.of(images, np.array([2, 0, 2], np.uint8), names=("cat", "dog", "owl"))
    assert named.names == ("cat", "owl")


def test_floats_become_eight_bits():
    images = np.array([0.0, 0.5, 1.0, 0.1])[:, None, None]
    assert numbers(ImageClasses.of(images, np.arange(4))) == [0, 128, 255, 26]


@pytest.mark.parametrize(
    ("images", "labels", "names", "error", "message"),
    [
        (np.zeros((2, 3, 3), int), np.arange(2), None, TypeError, "int64, expected uint8"),
        (np.full((2, 3, 3), 2.0), np.arange(2), None, ValueError, "from 0 to 1; scale"),
        (np.full((2, 3, 3), np.nan), np.arange(2), None, ValueError, "from 0 to 1"),
        (np.zeros((2, 3, 3)), np.zeros(2), None, TypeError, "labels: got float64"),
        (np.zeros((2, 3, 3)), np.arange(3), None, ValueError, r"labels: got shape \(3,\)"),
        (np.zeros((0, 3, 3)), np.arange(0), None, ValueError, "one or more images"),
        (np.zeros((2, 3, 4)), np.arange(2), None, ValueError, r"\(images, side, side, channels\)"),
        (np.zeros((2, 9)), np.arange(2), None, ValueError, r"\(images, side, side, channels\)"),
        (np.zeros((2, 3, 3)), np.arange(2), ("a",), ValueError, r"\(1,\) for labels from 0 to 1"),
        (np.zeros((2, 3, 3)), np.arange(2) - 1, ("a", "b"), ValueError, "labels from -1"),
        (np.zeros((1, 3, 3)), np.array(["a"]), ("a",), ValueError, "for each number"),
        (np.zeros((1, 3, 3)), np.arange(1), np.array("a"), ValueError, r"names: got shape \(\)"),
    ],
)
def test_labelled_images_that_do_not_fit_are_refused(images, labels, names, error, message):
    with pytest.raises(error, match=message):
        ImageClasses.of(images, labels, names=names)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"images": np.zeros((3, 2, 2, 1))}, TypeError, "float64, expected uint8"),
        ({"images": np.zeros((3, 2, 2), np.uint8)}, ValueError, r"\(3, 2, 2\)"),
        ({"counts": np.array([2, 2])}, ValueError, "add up to 4 of 3"),
        ({"counts": np.array([3, 0])}, ValueError, "at least 1"),
        ({"counts": np.array([], int)}, ValueError, "at least 1"),
        ({"names": ("a",)}, ValueError, "names: got 1, expected 2"),
        ({"groups": ("a",) * 3}, ValueError, "groups: got 3, expected 2"),
    ],
)
def test_classes_that_do_not_fit_are_refused(changes, error, message):
    fitting = {
        "images": np.zeros((3, 2, 2, 1), np.uint8),
        "counts": np.array([1, 2]),
        "names": ("a", "b"),
        "groups": ("x", "x"),
    }
    ImageClasses(**fitting)
    with pytest.raises(error, match=message):
        ImageClasses(**fitting | changes)


def test_taken_classes_are_copies_in_the_order_asked_for():
    whole = classes()
    part = whole.take([2, 0])
    assert numbers(part) == [5, 6, 7, 8, 0, 1, 2]
    assert part.counts.tolist() == [4, 3]
    assert (part.names, part.groups) == (("c", "a"), ("x", "x"))
    assert not np.shares_memory(part.images, whole.images)


@pytest.mark.parametrize("wrong", [[], [3], [-1], [1, 1], [0.5], [[0]]])
def test_classes_that_are_not_there_cannot_be_taken(wrong):
    with pytest.raises(ValueError, match="different numbers from 0 to 2"):
        classes().take(wrong)


def test_a_split_is_random():
    halves = {classes((1,) * 8).split(4, seed=seed)[0].names for seed in range(10)}
    assert len(halves) > 5


@pytest.mark.parametrize("train", [0, -1, 3, 4])
def test_a_split_leaves_classes_on_both_sides(train):
    with pytest.raises(ValueError, match=f"train: got {train}, expected from 1 to 2"):
        classes().split(train, seed=0)


def test_held_out_images_are_some_of_every_class():
    rest, held = classes().hold_out(1, seed=0)
    assert held.counts.tolist() == [1, 1, 1]
    assert rest.counts.tolist() == [2, 1, 3]
    assert sorted(numbers(rest) + numbers(held)) == list(range(9))
    assert [np.searchsorted([3, 5], number, side="right") for number in numbers(held)] == [0, 1, 2]
    assert rest.names == held.names == classes().names


def test_held_out_images_are_drawn_at_random():
    assert len({tuple(numbers(classes().hold_out(1, seed=seed)[1])) for seed in range(10)}) > 3


def test_holding_out_leaves_every_class_an_image():
    with pytest.raises(ValueError, match="class 'b' has 2 images, but 3 are needed"):
        classes().hold_out(2, seed=0)
    with pytest.raises(ValueError, match="count: got 0"):
        classes().hold_out(0, seed=0)
