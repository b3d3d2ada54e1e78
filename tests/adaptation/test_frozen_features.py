"""Features of a frozen trunk, computed once, and heads fitted on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from benchmarks.feature_cache import cached, digest_of
from leuko.adaptation.frozen_features import FrozenTrunk, compute_features
from leuko.adaptation.head_fitting import fit_head
from leuko.images.stain.normalisation import StainNormaliser
from leuko.images.stain.profile import StainProfile
from leuko.networks import model_folder, runtime
from leuko.networks.model import Model
from leuko.networks.preprocessing import Preprocessing, to_input
from leuko.networks.trunk_files import TrunkFiles


@pytest.fixture(scope="module")
def model() -> Model:
    return model_folder.load()


@pytest.fixture(scope="module")
def trunk(model) -> FrozenTrunk:
    return FrozenTrunk.open(TrunkFiles.of_model(model), model.preprocessing)


def pooled(model: Model, image: np.ndarray, preprocessing: Preprocessing | None = None) -> np.ndarray:
    pixels = torch.from_numpy(to_input(image, preprocessing or model.preprocessing))[None]
    with torch.no_grad():
        return model.network.pooled(model.network.trunk(pixels))[0].numpy()


def test_the_first_view_is_the_image_as_it_is_at_any_input_size(trunk, model, smear):
    larger = replace(model.preprocessing, size=(320, 320))
    images = [smear, smear[:150, ::-1]]
    for each in (trunk, FrozenTrunk.open(trunk.files, larger)):
        (features,) = compute_features([each], images.__getitem__, 2)
        assert features.shape == (2, 1, 1280) and features.dtype == np.float32
        for number, image in enumerate(images):
            assert np.allclose(features[number, 0], pooled(model, image, each.preprocessing), atol=1e-3)


def test_several_trunks_see_the_same_views(trunk, smear):
    other = FrozenTrunk.open(trunk.files, replace(trunk.preprocessing, size=(128, 128)))
    opened = []

    def open_image(number: int) -> np.ndarray:
        opened.append(number)
        return [smear, smear[::-1].copy()][number]

    first, second, third = compute_features([trunk, other, trunk], open_image, 2, views=1)
    assert opened == [0, 1] and np.array_equal(first, third) and np.abs(first - second).max() > 0.1


def test_views_differ_and_follow_the_seed_alone(trunk, smear):
    images = [smear, smear[::-1].copy()]
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    (first,) = compute_features([trunk], images.__getitem__, 2, views=2, seed=1)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002 - the global generator is not used
    (again,) = compute_features([trunk], images.__getitem__, 1, views=2, seed=1)
    (other,) = compute_features([trunk], images.__getitem__, 1, views=1, seed=2)
    assert first.shape == (2, 3, 1280)
    assert np.allclose(first[0], again[0], atol=1e-4) and np.allclose(first[0, 0], other[0, 0], atol=1e-4)
    assert np.abs(first[0, 1] - first[0, 2]).max() > 0.1 and np.abs(first[0, 1] - other[0, 1]).max() > 0.1


def test_views_of_a_normalised_model_are_normalised(trunk, smear):
    """What it makes of a field is what the same network without a normalisation makes of the normalised field."""
    normalise = StainNormaliser("reinhard", StainProfile.from_image(255 - (255 - smear) // 2))
    own = replace(trunk, preprocessing=replace(trunk.preprocessing, stain=normalise))
    without = replace(trunk, preprocessing=replace(trunk.preprocessing, stain=None))
    (features,) = compute_features([own], [smear].__getitem__, 1, views=3)
    expected, otherwise = (
        compute_features([without], [each].__getitem__, 1, views=3)[0] for each in (normalise.transform(smear), smear)
    )
    assert np.allclose(features, expected, atol=1e-3)
    assert (np.abs(expected - otherwise).max(axis=-1) > 0.1).all()


def test_an_onnx_file_of_another_network_is_not_used(model, smear, tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "CACHE", tmp_path / "cache")
    changed = model_folder.load()
    with torch.no_grad():
        changed.network.timm_model.conv_stem.weight.mul_(2)
    with model_folder.new_folder(tmp_path / "changed") as draft:
        model_folder.write_network(draft, changed.network, changed.labels, changed.preprocessing, changed.metadata)
    for content in ((model_folder.EMBEDDED / model_folder.ONNX).read_bytes(), b"nothing"):
        (tmp_path / "changed" / model_folder.ONNX).write_bytes(content)
        loaded = model_folder.load(tmp_path / "changed")
        suspicious = FrozenTrunk.open(TrunkFiles.of_model(loaded), loaded.preprocessing)
        (features,) = compute_features([suspicious], lambda number: smear, 1)
        assert np.allclose(features[0, 0], pooled(changed, smear), atol=1e-3)


def test_what_was_computed_is_computed_again_only_if_something_changed(tmp_path):
    times = []

    def compute() -> np.ndarray:
        times.append(1)
        return np.arange(3.0)

    for key in ("a", "a", "b"):
        assert (cached(tmp_path / "cache", key, compute) == np.arange(3.0)).all()
    assert len(times) == 2
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(file.read_bytes()[:40])  # cut off, as by a full disk
    assert (cached(tmp_path / "cache", "a", compute) == np.arange(3.0)).all() and len(times) == 3
    assert len(list((tmp_path / "cache").iterdir())) == 2

    (tmp_path / "x").write_bytes(b"1")
    assert digest_of([Path(tmp_path / "x")]) == digest_of([b"1"]) != digest_of([b"2"])
    assert TrunkFiles.of_model(model_folder.load()).version == TrunkFiles.of_model(model_folder.load()).version


def test_pickles_are_not_loaded(tmp_path):
    cached(tmp_path, "a", lambda: np.zeros(1))
    (file,) = tmp_path.iterdir()
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert cached(tmp_path, "a", lambda: np.ones(1)) == 1


@pytest.mark.parametrize("classes", [2, 3])
def test_a_head_is_the_logistic_regression_of_scikit_learn_on_features_as_they_are(classes):
    rng = np.random.default_rng(0)
    labels = np.arange(60) % classes
    seen = (rng.standard_normal((60, 1, 8)) * 3 + 5 + labels[:, None, None]).astype(np.float32)
    head = fit_head(seen, labels, classes, 8e6).head  # next to unregularised
    theirs = LogisticRegression(C=1e6, max_iter=5000, tol=1e-8).fit(seen[:, 0], labels)
    ours = torch.softmax(torch.from_numpy(head(seen[:, 0])), dim=1).numpy()
    assert np.abs(ours - theirs.predict_proba(seen[:, 0])).max() < 0.02


def test_classes_have_equal_weight_and_views_do_not_move_the_border():
    """Nine in ten images are of one class, and all views lie elsewhere: the border is in the middle all the same."""
    rng = np.random.default_rng(1)
    labels = (np.arange(400) % 10 == 0).astype(int)
    plain = rng.standard_normal((400, 1, 4)) + np.where(labels, 1.0, -1.0)[:, None, None]
    shifted = plain + 7 + rng.standard_normal((400, 3, 4)) * 0.2
    head = fit_head(np.concatenate([plain, shifted], axis=1).astype(np.float32), labels, 2, 300.0).head
    logits = head(plain[:, 0])
    right = logits.argmax(axis=1) == labels
    assert right[labels == 0].mean() > 0.9 and right[labels == 1].mean() > 0.9
