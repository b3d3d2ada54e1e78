"""Nothing that belongs together is torn apart: groups, guard gaps, splits, and the checks on them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from leuko.data.errors import DataError
from leuko.data.splitting.groups import autocorrelation, find_groups
from leuko.data.splitting.split import LeakError, Split, class_shares_off, folds, split_rows, verify
from leuko.evaluation.shortcut_audit import shortcuts

SIZES = {"Benign": 428, "Early": 838, "Pre": 819, "Pro": 683}


def slides(count, length, period=1, seed=0, noise=0.5):
    """Colours of files of `period` origins in turn; each origin changes its slide every `length` of its files."""
    rng = np.random.default_rng(seed)
    place = np.arange(count)
    slide = place // (length * period) * period + place % period
    return rng.normal(size=(slide.max() + 1, 9))[slide] + noise * rng.normal(size=(count, 9))


def four_classes(seed=0):
    """Names of classes and colours like those of a known data set: files of 3, 2, 2 and 1 origins in turn."""
    lengths = {"Benign": (14, 3), "Early": (30, 2), "Pre": (50, 2), "Pro": (150, 1)}
    labels = np.repeat(list(SIZES), list(SIZES.values()))
    colours = [slides(SIZES[name], *lengths[name], seed=seed + i) for i, name in enumerate(SIZES)]
    return labels, np.concatenate(colours)


def parts_of(split):
    return [split.train, split.validation, split.test]


def assert_nothing_crosses(split, pictures=None):
    """Said again in other words than the module's own check."""
    parts = parts_of(split)
    assert sorted(np.concatenate([*parts, split.left_out])) == list(range(len(split.group)))
    for kind in (split.group, pictures):
        if kind is not None:
            sets = [set(kind[part]) for part in parts]
            assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])
    for series in split.groups.series:
        place = {row: i for i, row in enumerate(series.rows)}
        places = [np.array([place[row] for row in part if row in place]) for part in parts]
        for a, b in ((0, 1), (0, 2), (1, 2)):
            if len(places[a]) and len(places[b]):
                assert np.abs(places[a][:, None] - places[b]).min() > series.gap


def test_origins_that_take_turns_are_seen():
    for period in (1, 2, 3, 5):
        for seed in range(5):
            groups = find_groups([0] * 900, colours=slides(900, 20, period, seed))
            (series,) = groups.series
            assert series.period == period
            assert series.reach % period == 0
            assert 10 * period <= series.reach <= 40 * period  # slides are 20 files of an origin long


def test_the_curve_behind_the_blocks():
    curve = autocorrelation(slides(600, 30, 2))
    assert len(curve) == 300 and np.abs(curve).max() <= 1
    assert curve[1] > 0.6 and abs(curve[0]) < 0.3 and np.abs(curve[[99, 100, 119, 120]]).max() < 0.35
    direct = slides(600, 30, 2)
    direct = (direct - direct.mean(axis=0)) / direct.std(axis=0)
    assert np.isclose(curve[6], (direct[7:] * direct[:-7]).mean())
    assert (autocorrelation(np.ones((20, 9))) == 0).all()


def test_blocks_are_as_long_as_colours_stay_alike():
    short, long = (find_groups([0] * 2000, colours=slides(2000, length)) for length in (15, 120))
    assert 10 <= short.series[0].block < 40 and 80 < long.series[0].block <= 200
    assert short.series[0].count % 10 == 0
    shuffled = find_groups([0] * 2000, colours=np.random.default_rng(0).normal(size=(2000, 9)))
    assert shuffled.series[0].block == 10  # nothing lasts: the shortest
    assert "as long as colours stay alike along the file order" in long.how
    unknown = find_groups([0] * 2000)
    assert unknown.series[0].block == 200 and "not measured" in unknown.how


def test_no_group_gap_or_duplicate_crosses_in_a_hundred_seeds():
    rng = np.random.default_rng(0)
    labels, colours = four_classes()
    pictures = np.arange(len(labels))
    for row in rng.choice(len(labels), 120, replace=False):  # copies: half of them next to the first, half anywhere
        pictures[row] = pictures[row - 1] if row % 2 else pictures[rng.integers(len(labels))]
    groups = find_groups(labels, colours=colours, pictures=pictures)
    assert [s.period for s in groups.series] == [3, 2, 2, 1]
    assert 20 < groups.spare.sum() < 120
    tested = set()
    for seed in range(100):
        split = split_rows(labels, groups, seed)
        assert_nothing_crosses(split, pictures)
        verify(split, pictures)
        assert class_shares_off(split, labels) <= 2
        assert 0.7 < len(split.train) / len(labels) < 0.8 and 0.085 < len(split.test) / len(labels) < 0.115
        tested |= set(split.group[split.test])
    assert len(tested) == len(np.unique(groups.group))  # every group has its turn
    again = split_rows(labels, groups, 99)
    assert all((a == b).all() for a, b in zip(parts_of(split), parts_of(again), strict=True))
    assert not np.array_equal(split.test, split_rows(labels, groups, 98).test)


def test_patients_of_any_size_stay_whole():
    rng = np.random.default_rng(1)
    patient = rng.choice(60, 3000, p=rng.dirichlet(np.full(60, 3.0)))
    ill = rng.random(60) < 0.5
    labels = np.where(ill[patient], "all", "hem")
    mixed = rng.random(3000) < 0.1  # some patients have both kinds of images
    labels[mixed] = "hem"
    groups = find_groups(labels, given=[f"UID_{p}" for p in patient])
    assert groups.series == () and groups.how == "60 groups named by the data set"
    for seed in range(100):
        split = split_rows(labels, groups, seed)
        assert_nothing_crosses(split)
        assert not set(patient[split.train]) & set(patient[split.test])
        assert len(split.left_out) == 0
        assert class_shares_off(split, labels) <= 2


def test_named_groups_that_share_a_picture_become_one():
    labels = [0, 1] * 20
    given = [f"p{i // 4}" for i in range(40)]
    pictures = np.arange(40)
    pictures[39] = pictures[0]
    groups = find_groups(labels, given=given, pictures=pictures)
    assert groups.group[0] == groups.group[39] == groups.group[36]
    assert len(np.unique(groups.group)) == 9 and not groups.spare.any()
    assert groups.how == "9 groups named by the data set (1 joined by shared pictures)"


def test_rows_without_a_name_go_by_blocks_beside_named_ones():
    labels = np.array(["a"] * 200 + ["b"] * 200)
    given = [f"p{i // 10}" if i % 200 < 100 else "" for i in range(400)]
    pictures = np.arange(400)
    pictures[150] = pictures[3]  # a copy, in a block, of a named patient's picture
    groups = find_groups(labels, given=given, pictures=pictures)
    assert [len(s.rows) for s in groups.series] == [100, 100]
    assert groups.spare.nonzero()[0].tolist() == [150]
    for seed in range(20):
        assert_nothing_crosses(split_rows(labels, groups, seed), pictures)


def test_several_sources_have_series_of_their_own():
    labels = np.tile(np.repeat(["a", "b"], 300), 2)
    sources = np.repeat(["here", "there"], 600)
    colours = np.concatenate([slides(300, 10, period, seed=period) for period in (1, 2, 3, 1)])
    groups = find_groups(labels, colours=colours, sources=sources)
    assert [(s.source, s.label, s.period) for s in groups.series] == [
        ("here", "a", 1),
        ("here", "b", 2),
        ("there", "a", 3),
        ("there", "b", 1),
    ]
    for number in np.unique(groups.group):
        assert len(set(sources[groups.group == number])) == 1
    split = split_rows(labels, groups, 0)
    assert_nothing_crosses(split)
    assert class_shares_off(split, labels) <= 2


def test_folds_test_everything_once():
    labels, colours = four_classes()
    groups = find_groups(labels, colours=colours)
    every = list(folds(labels, groups, count=5, repeats=2, seed=1))
    assert len(every) == 10
    for split in every:
        assert_nothing_crosses(split)
        assert len(split.validation) == 0 and class_shares_off(split, labels) <= 2
    for repeat in (every[:5], every[5:]):
        assert sorted(np.concatenate([split.test for split in repeat])) == list(range(len(labels)))
    assert not np.array_equal(every[0].test, every[5].test)


def test_a_saved_split_is_the_same_for_rows_in_another_order(tmp_path):
    labels, colours = four_classes()
    pictures = np.arange(len(labels))
    pictures[700] = pictures[10]
    files = np.array([f"{label}/ü {i}.jpg" for i, label in enumerate(labels)])
    split = split_rows(labels, find_groups(labels, colours=colours, pictures=pictures), 4)
    split.save(tmp_path / "split.json", files.tolist())
    order = np.random.default_rng(0).permutation(len(files))
    loaded = Split.load(tmp_path / "split.json", files[order].tolist())
    for name in ("train", "validation", "test", "left_out"):
        assert set(files[order][getattr(loaded, name)]) == set(files[getattr(split, name)])
    assert loaded.how == split.how and loaded.seed == 4
    assert (loaded.group == split.group[order]).all() and (loaded.groups.spare == split.groups.spare[order]).all()
    for mine, theirs in zip(split.groups.series, loaded.groups.series, strict=True):
        assert (files[mine.rows] == files[order][theirs.rows]).all() and mine.gap == theirs.gap
        assert np.allclose(mine.autocorrelation, theirs.autocorrelation, atol=1e-4)


def test_a_saved_split_refuses_other_files_and_nonsense(tmp_path):
    labels = ["a"] * 30 + ["b"] * 30
    files = [f"{i}.png" for i in range(60)]
    saved = tmp_path / "split.json"
    split_rows(labels, find_groups(labels), 0).save(saved, files)
    with pytest.raises(DataError, match=r"made for other files: 2 of its 60 are missing, 1 are new"):
        Split.load(saved, [*files[2:], "new.png"])
    with pytest.raises(DataError, match="does not hold a split"):
        Split.load(tmp_path / "none.json", files)
    (tmp_path / "list.json").write_text("[1, 2]")
    with pytest.raises(DataError, match="does not hold a split"):
        Split.load(tmp_path / "list.json", files)
    changed = json.loads(saved.read_text())
    changed["files"][next(f for f, (part, _) in changed["files"].items() if part == "test")][0] = "train"
    saved.write_text(json.dumps(changed))
    with pytest.raises(LeakError):
        Split.load(saved, files)


def test_planted_leaks_are_found():
    labels, colours = four_classes()
    split = split_rows(labels, find_groups(labels, colours=colours), 0)
    pictures = np.arange(len(labels))
    verify(split, pictures)

    pictures[split.train[5]] = pictures[split.test[5]]
    with pytest.raises(LeakError, match="1 picture is in two parts"):
        verify(split, pictures)
    with pytest.raises(LeakError, match="1 group is in two parts"):
        verify(replace(split, train=split.train[split.train != 0], test=np.union1d(split.test, [0])))
    with pytest.raises(LeakError, match="a row twice"):
        verify(replace(split, train=np.union1d(split.train, split.test[:1])))
    with pytest.raises(LeakError, match="not at all"):
        verify(replace(split, train=split.train[1:]))
    gap = split.left_out[0]  # put back into the part its block belongs to
    part = next(name for name in ("train", "validation") if split.group[gap] in split.group[getattr(split, name)])
    back = {part: np.union1d(getattr(split, part), [gap]), "left_out": split.left_out[1:]}
    with pytest.raises(LeakError, match="nearer than the guard gap"):
        verify(replace(split, **back))


def test_tiny_data_sets_say_what_they_lack():
    with pytest.raises(DataError, match=r"Too few groups of class rare: 2; at least 3 are needed"):
        split_rows(["often"] * 50 + ["rare"] * 2, find_groups(["often"] * 50 + ["rare"] * 2), 0)
    labels = ["a", "b"] * 30
    with pytest.raises(DataError, match=r"Too few groups of class a: 2; at least 3"):
        split_rows(labels, find_groups(labels, given=[f"p{i % 4}" for i in range(60)]), 0)
    with pytest.raises(DataError, match=r"Too few groups of class a: 4; at least 5"):
        list(folds(labels, find_groups(labels, given=[f"p{i % 8}" for i in range(60)]), count=5))
    for size in (3, 4, 7, 10, 19, 20, 25, 99, 101):
        labels = np.repeat([0, 1], size)
        for seed in range(5):
            split = split_rows(labels, find_groups(labels), seed)
            assert_nothing_crosses(split)
            assert all(set(labels[part]) == {0, 1} for part in parts_of(split))
            assert len(split.train) >= len(split.test)


def test_shortcuts_show_what_colours_alone_give():
    labels = np.repeat([0, 1, 2], 200)
    rng = np.random.default_rng(0)
    views = {"stain": rng.normal(size=(600, 3)) + 4 * labels[:, None], "noise": rng.normal(size=(600, 3))}
    found = shortcuts(views, labels, [split_rows(labels, find_groups(labels), seed) for seed in range(6)])
    assert found["stain"]["accuracy"]["value"] > 0.95 and found["stain"]["f1"]["low"] > 0.9
    assert found["noise"]["accuracy"]["low"] < 1 / 3 < found["noise"]["accuracy"]["high"]
    assert found["majority"]["accuracy"]["value"] < 0.4 and found["majority"]["f1"]["value"] < 0.25
