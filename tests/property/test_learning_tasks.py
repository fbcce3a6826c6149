import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from veilsum.learning import partition
from veilsum.learning.images import ImageClasses
from veilsum.learning.sources import ImageTasks, TableTasks

SEEDS = st.integers(0, 2**32)


@st.composite
def collections(draw):
    """Classes of 2 x 2 images whose first pixels tell their number and their class."""
    counts = np.array(draw(st.lists(st.integers(1, 12), min_size=2, max_size=12)))
    owner = np.repeat(np.arange(len(counts)), counts)
    images = np.zeros((len(owner), 2, 2, 2), np.uint8)
    images[:, 0, 0, 0] = np.arange(len(owner))
    images[:, 0, 0, 1] = 1 + owner
    return ImageClasses(
        images=images,
        counts=counts,
        names=tuple(map(str, range(len(counts)))),
        groups=tuple(draw(st.sampled_from("xyz")) for _ in counts),
    )


def marks(classes):
    """Number and class of each image."""
    return {(int(number), int(owner)) for number, owner in classes.images[:, 0, 0]}


@given(collections(), st.data(), SEEDS)
def test_an_episode_has_distinct_classes_and_no_image_twice(classes, data, seed):
    rotations = data.draw(st.booleans())
    ways = data.draw(st.integers(2, len(classes) * (4 if rotations else 1)))
    most = int(classes.counts.min())
    shots = data.draw(st.integers(1, most))
    queries = data.draw(st.integers(0, most - shots))
    tasks = ImageTasks(classes=classes, ways=ways, rotations=rotations)
    drawn = tasks.draw(np.random.default_rng(seed), 3, shots=shots, queries=queries)
    for part, count in ((drawn.support, shots), (drawn.query, queries)):
        assert part.x.shape == (3, ways * count, 2, 2, 2)
        for labels in part.y:
            assert np.bincount(labels, minlength=ways).tolist() == [count] * ways
    pixels = np.rint(np.concatenate([drawn.support.x, drawn.query.x], axis=1) * 255).astype(int)
    labels = np.concatenate([drawn.support.y, drawn.query.y], axis=1)
    corners = pixels[..., 1].reshape(3, -1, 4)
    turn, owner = corners.argmax(axis=2), corners.max(axis=2) - 1
    number = pixels[..., 0].reshape(3, -1, 4).max(axis=2)
    for task in range(3):
        of_label = {label: set() for label in range(ways)}
        for label, *class_ in zip(labels[task], owner[task], turn[task], strict=True):
            of_label[int(label)].add(tuple(class_))
        assert all(len(found) == 1 for found in of_label.values())
        assert len(set.union(*of_label.values())) == ways
        shown = set(zip(number[task].tolist(), turn[task].tolist(), strict=True))
        assert len(shown) == ways * (shots + queries)


@given(collections(), st.data(), SEEDS)
def test_a_split_is_disjoint_and_complete_and_the_seeds_own(classes, data, seed):
    train = data.draw(st.integers(1, len(classes) - 1))
    first, second = classes.split(train, seed=seed)
    assert (len(first), len(second)) == (train, len(classes) - train)
    assert set(first.names).isdisjoint(second.names)
    assert marks(first) | marks(second) == marks(classes)
    assert classes.split(train, seed=seed)[0].names == first.names


@given(collections(), st.data(), SEEDS)
def test_held_out_images_are_disjoint_and_complete_and_the_seeds_own(classes, data, seed):
    assume(classes.counts.min() > 1)
    count = data.draw(st.integers(1, int(classes.counts.min()) - 1))
    rest, held = classes.hold_out(count, seed=seed)
    assert marks(rest).isdisjoint(marks(held))
    assert marks(rest) | marks(held) == marks(classes)
    assert (held.counts == count).all()
    assert marks(classes.hold_out(count, seed=seed)[1]) == marks(held)


@given(collections(), st.data(), SEEDS)
def test_every_image_and_all_its_turns_are_with_one_client(classes, data, seed):
    clients = data.draw(st.integers(1, len(set(classes.groups))))
    alpha = data.draw(st.floats(0.01, 100))
    for parts in (
        partition.iid(len(classes), clients, seed=seed),
        partition.by_label(classes.groups, clients, seed=seed),
        partition.dirichlet(classes.groups, clients, alpha=alpha, seed=seed, bins=None),
    ):
        shares = [marks(classes.take(part)) for part in parts]
        assert sum(map(len, shares)) == len(set.union(*shares)) == len(classes.images)


@given(st.lists(st.integers(2, 9), min_size=1, max_size=6), st.integers(1, 5), st.data(), SEEDS)
def test_a_task_of_a_table_has_distinct_rows_of_one_group(sizes, tasks, data, seed):
    shots = data.draw(st.integers(1, min(sizes)))
    queries = data.draw(st.integers(0, min(sizes) - shots))
    rows = np.random.default_rng(seed).permutation(sum(sizes))
    groups = np.split(rows, np.cumsum(sizes)[:-1])
    owner = partition.owners(groups)
    source = TableTasks(x=np.arange(len(rows))[:, np.newaxis] * 1.0, y=owner * 1.0, groups=groups)
    drawn = source.draw(np.random.default_rng(seed), tasks, shots=shots, queries=queries)
    assert drawn.support.x.shape == (tasks, shots, 1)
    assert drawn.query.x.shape == (tasks, queries, 1)
    shown = np.concatenate([drawn.support.x, drawn.query.x], axis=1)[..., 0].astype(int)
    targets = np.concatenate([drawn.support.y, drawn.query.y], axis=1)[..., 0]
    assert np.array_equal(targets, owner[shown])
    for numbers, labels in zip(shown, targets, strict=True):
        assert len(np.unique(numbers)) == shots + queries
        assert len(np.unique(labels)) == 1
