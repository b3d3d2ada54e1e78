"""What training shows, asks and steps by: views of images, losses, schedules."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812
from transformers import TrainerControl, TrainerState, TrainingArguments

from leuko.images.augmentation import Augmentation, other_laboratory
from leuko.images.decode import decode
from leuko.images.stain.normalisation import StainNormaliser, reinhard_normalise
from leuko.images.stain.profile import StainProfile, StainRange
from leuko.networks import model_folder
from leuko.networks.backbones import create
from leuko.networks.preprocessing import Preprocessing, to_input
from leuko.training.dataloading import RandomView
from leuko.training.losses import Loss
from leuko.training.trainer import Patience, step_schedule
from tests.training.test_train import run_train


def views(image: np.ndarray, kind: str, number: int = 12, **options) -> np.ndarray:
    augment = RandomView(Augmentation((96, 96), (0.0,) * 3, (1.0,) * 3, kind, **options))
    torch.manual_seed(0)
    return np.stack([augment(image).numpy() for _ in range(number)])


@pytest.mark.parametrize("kind", ["none", "light", "stain", "mixed"])
def test_views_fit_the_network_and_follow_the_seed(kind, smear):
    seen = views(smear, kind)
    assert seen.shape == (12, 3, 96, 96) and seen.dtype == np.float32
    assert seen.min() >= 0 and seen.max() <= 1
    assert np.array_equal(seen, views(smear, kind))


@pytest.mark.parametrize("kind", ["none", "light", "stain", "mixed"])
def test_processes_that_load_images_can_be_sent_it(kind, smear):
    """As macOS and Windows start them: everything they need is pickled."""
    augment = RandomView(Augmentation((96, 96), (0.0,) * 3, (1.0,) * 3, kind))
    seen = []
    for each in (augment, pickle.loads(pickle.dumps(augment))):
        torch.manual_seed(0)
        seen.append(each(smear))
    assert torch.equal(*seen)


def test_without_augmentation_only_captions_differ(smear):
    seen = views(smear, "none", 20)
    how = Preprocessing((96, 96), "bicubic", (0.0,) * 3, (1.0,) * 3)
    off = np.abs(seen - to_input(smear, how)).max(axis=1)
    middle = off[:, 32:64, 32:64]
    assert middle.max() < 0.1  # two ways of bicubic resizing
    corners = (off > 0.3).any(axis=(1, 2)).mean()
    assert 0.2 < corners < 0.8


def test_stain_augmentation_reaches_other_laboratories(data):
    """The colours of Aria fields, over many views, lie on all sides of those of two other laboratories."""
    field = decode(sorted((data / "aria" / "Pre").iterdir())[100])
    foreign = [decode(data / "bccd" / "JPEGImages" / "BloodImage_00001.jpg")]
    foreign.append(decode(sorted((data / "pbc" / "lymphocyte").iterdir())[0]))
    rng = np.random.default_rng(0)
    glass = np.array([StainProfile.from_image(other_laboratory(field, rng)).background for _ in range(60)])
    for image in foreign:
        there = StainProfile.from_image(image).background
        share_below = (glass < there).mean(axis=0)
        nearest = np.abs(glass - there).max(axis=1).min()
        assert nearest < 25, (there, nearest)
        assert share_below.max() > 0.2


def test_another_laboratory_shows_the_same_cells(smear):
    rng = np.random.default_rng(1)
    nuclei = smear[..., 0] < np.quantile(smear[..., 0], 0.1)
    colours = []
    for _ in range(10):
        other = other_laboratory(smear, rng)
        assert other[nuclei].mean() < other[~nuclei].mean() - 20
        assert np.corrcoef(other.mean(axis=-1).ravel(), smear.mean(axis=-1).ravel())[0, 1] > 0.9
        colours.append(other.mean(axis=(0, 1)))
    assert np.std(colours, axis=0).min() > 8


def test_views_are_normalised_before_they_vary(smear):
    look = StainProfile.from_image(np.full((64, 64, 3), 120, np.uint8))
    normalise = StainNormaliser("reinhard", look)
    assert np.abs(views(smear, "none", 1, stain=normalise).max() - 120 / 255) < 0.25
    how = Preprocessing((224, 224), "bicubic", (0.0,) * 3, (1.0,) * 3, normalise)
    assert np.allclose(to_input(smear, how) * 255, reinhard_normalise(smear, look).transpose(2, 0, 1), atol=1e-3)


def test_mixed_views_are_near_and_far(smear):
    """Some keep the lamp's colour, some do not; of a normalisation for foreign images alone, some are its look."""

    def tinted(kind: str) -> float:
        """The share of views whose glass is not as grey as in all light views."""
        glass = {k: np.quantile(views(smear, k, 60), 0.95, axis=(2, 3)) for k in ("light", kind)}
        grey = {k: values.min(axis=1) / values.max(axis=1) for k, values in glass.items()}
        return float((grey[kind] < grey["light"].min()).mean())

    assert tinted("stain") > 0.6
    assert 0.5 * tinted("stain") < tinted("mixed") < 0.85 * tinted("stain")

    own = StainProfile.from_image(smear)
    normalise = StainNormaliser("reinhard", replace(own, mean=own.mean - 15), StainRange.from_profiles([own]))
    changed = np.abs(views(smear, "mixed", 60, stain=normalise) - views(smear, "mixed", 60)).max(axis=(1, 2, 3)) > 0.02
    assert 0.15 < changed.mean() < 0.5


@pytest.mark.parametrize("weights", [None, (0.5, 1.0, 2.0)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_are_those_of_the_literature(weights, smoothing, monkeypatch):
    torch.manual_seed(0)
    logits, labels = torch.randn(50, 3) * 3, torch.randint(3, (50,))
    w = None if weights is None else torch.tensor(weights)
    entropy = F.cross_entropy(logits, labels, w, label_smoothing=smoothing)
    assert Loss("cross-entropy", smoothing, weights)(logits, labels) == pytest.approx(float(entropy))
    if not smoothing:
        p = logits.softmax(1)[torch.arange(50), labels]
        each = -((1 - p) ** 2) * p.log()
        scale = torch.ones(50) if w is None else w[labels]
        assert Loss("focal", 0.0, weights)(logits, labels) == pytest.approx(float((each * scale).sum() / scale.sum()))
    monkeypatch.setattr("leuko.training.losses.FOCUS", 0.0)  # without focus it is cross-entropy
    assert Loss("focal", smoothing, weights)(logits, labels) == pytest.approx(float(entropy), rel=1e-5)


def test_weights_are_those_of_the_last_epoch_that_is_no_worse_than_chance(tmp_path):
    """Also where training was interrupted; and early stopping counts only epochs that are worse."""
    losses = [0.50, 0.10, 0.12, 0.115, 0.125, 0.30, 0.30, 0.30, 0.30, 0.12]
    errors = [0.03, 0.03, 0.03, 0.01, 0.03, *[0.03] * 5]  # the fourth is lower than the third, and surely too high
    args = TrainingArguments(str(tmp_path), metric_for_best_model="eval_loss", greater_is_better=False, use_cpu=True)
    patience, state, control, taken = Patience(4), TrainerState(), TrainerControl(), []
    for epoch, (loss, error) in enumerate(zip(losses, errors, strict=True)):
        patience.on_evaluate(args, state, control, {"eval_loss": loss, "eval_loss_error": error})
        if state.best_metric is None or loss < state.best_metric:  # as the Trainer does it, after this
            state.best_metric = loss
            taken.append(epoch)
        if control.should_training_stop:
            break
        patience = Patience.from_state(json.loads(json.dumps(patience.state())))
    assert taken == [0, 1, 2, 4] and epoch == 8


def test_steps_of_the_schedule():
    rates = [step_schedule(step, 100) for step in range(100)]
    assert rates[0] == 0 and rates[5] == 0.5 and rates[10] == rates[49] == 1
    assert rates[50] == rates[74] == pytest.approx(0.1) and rates[75] == rates[99] == pytest.approx(0.01)


def test_batch_norms_rest_where_they_are_told(smear):
    network = create("resnet10t", 2, weights="none")
    network.freeze("full")
    norms = {name: module for name, module in network.timm_model.named_modules() if hasattr(module, "running_mean")}
    before = {name: module.running_mean.clone() for name, module in norms.items()}
    assert network.freeze_batch_norm_statistics() == len(norms) > 5
    network.train()(torch.rand(4, 3, 64, 64))
    assert all(torch.equal(module.running_mean, before[name]) for name, module in norms.items())
    assert all(p.requires_grad for p in network.parameters()) and network.timm_model.training


@pytest.fixture(scope="module")
def normalised(drawn, tmp_path_factory):
    output = tmp_path_factory.mktemp("normalised") / "model"
    options = "--normalise-stain macenko --augment stain --input-scale symmetric --loss focal --label-smoothing 0.05"
    options += " --schedule step --balance weights --log tensorboard --epochs 1 --no-clean"
    done = run_train(drawn, output, *options.split())
    assert done.returncode == 0, done.stderr[-2000:]
    return output


def test_serving_normalises_as_training_did(normalised, drawn):
    model = model_folder.load(normalised)
    stored = json.loads((normalised / "leuko.json").read_text())
    assert stored["stain"]["method"] == "macenko"
    assert model.preprocessing.mean == model.preprocessing.std == (0.5, 0.5, 0.5)
    image = decode(drawn / "blast" / "0.png")
    plain = Preprocessing((64, 64), "bicubic", (0.5,) * 3, (0.5,) * 3)
    assert np.abs(to_input(image, model.preprocessing) - to_input(image, plain)).mean() > 0.01
    card = (normalised / "README.md").read_text()
    assert "stain is normalised" in card and "--normalise-stain macenko" in card
    dim = (image * np.array([0.8, 0.75, 0.7])).astype(np.uint8)  # another lamp
    rows = [to_input(view, model.preprocessing) for view in (image, dim)]
    assert np.abs(rows[0] - rows[1]).mean() < 0.3 * np.abs(to_input(image, plain) - to_input(dim, plain)).mean()


def test_the_embedded_model_keeps_the_colours_it_knows(data):
    """Nearly all of its laboratory's fields are seen as they are, and none of another's."""
    how = model_folder.load().preprocessing
    plain = replace(how, stain=None)

    def kept(files: list[Path]) -> float:
        images = [decode(file) for file in files]
        return float(np.mean([np.array_equal(to_input(i, how), to_input(i, plain)) for i in images]))

    assert kept(sorted((data / "aria").rglob("*.jpg"))[::60]) >= 0.95
    assert kept(sorted((data / "bccd" / "JPEGImages").iterdir())[::30]) == 0


def test_tensorboard_reads_the_logs(normalised):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logs = EventAccumulator(str(normalised.with_name("model.logs"))).Reload()
    assert {"train/loss", "eval/loss", "eval/accuracy"} <= set(logs.Tags()["scalars"])


def test_a_damaged_stain_is_refused(normalised, tmp_path):
    import shutil

    shutil.copytree(normalised, tmp_path / "m")
    stored = json.loads((tmp_path / "m" / "leuko.json").read_text())
    stored["stain"]["look"].pop("dyes")
    (tmp_path / "m" / "leuko.json").write_text(json.dumps(stored))
    with pytest.raises(model_folder.ModelFolderError, match="damaged"):
        model_folder.load(tmp_path / "m")
