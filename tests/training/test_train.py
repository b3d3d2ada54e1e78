"""train.py, from a folder of drawn smears to a model folder that strangers load."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import yaml
from huggingface_hub import constants
from PIL import Image
from sklearn import metrics as sk
from transformers import AutoModelForImageClassification, pipeline

import train
from leuko.data.errors import DataError
from leuko.data.load import load
from leuko.evaluation import metrics, model_warnings, shortcut_audit
from leuko.images.augmentation import Augmentation, restain
from leuko.images.decode import decode
from leuko.inference.classifier import Classifier
from leuko.networks import backbones, model_folder
from leuko.networks.preprocessing import to_input
from leuko.training import trainer
from leuko.training.dataloading import RandomView
from leuko.training.prepare_data import prepare
from leuko.training.settings import Settings, TrainingError
from leuko.training.train import create_network
from tests.conftest import ROOT

pytestmark = pytest.mark.slow


def run_train(drawn: Path, output: Path, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, *training(drawn, output, *options)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def training(drawn: Path, output: Path, *options: str) -> list[str]:
    return ["train.py", "--dataset", str(drawn), "--output", str(output), *SMALL, *options]


SMALL = [
    "--backbone",
    "resnet10t",
    "--weights",
    "none",
    "--finetune",
    "full",
    "--image-size",
    "64",
    "--batch-size",
    "8",
]


@pytest.fixture(scope="module", autouse=True)
def asking_in_vain(drawn, tmp_path_factory) -> dict[str, subprocess.Popen]:
    """Runs that ask a Hub out of reach; its client tries again for up to a minute, and meanwhile other tests run."""
    output = tmp_path_factory.mktemp("refused") / "model"
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9"}  # nothing listens there
    asked = {"--dataset": ["--dataset", "no/such-data"], "--weights": ["--weights", "auto"]}
    return {
        name: subprocess.Popen(
            [sys.executable, *training(drawn, output, *options)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, options in asked.items()
    }


@pytest.fixture(scope="module")
def trained(drawn, tmp_path_factory) -> tuple[Path, str]:
    output = tmp_path_factory.mktemp("models") / "small"
    done = run_train(drawn, output, "--epochs", "2")
    assert done.returncode == 0, done.stderr[-2000:]
    return output, done.stdout


def test_a_run_writes_the_whole_model_folder_and_nothing_else(trained):
    output, printed = trained
    written = {str(f.relative_to(output)) for f in output.rglob("*") if f.is_file()}
    assert written == {
        "README.md", "config.json", "leuko.json", "model.safetensors", "onnx/model.onnx", ".eval_results/test.yaml",
        "evaluation/metrics.json", "evaluation/confusion_matrix.png", "evaluation/roc.png",
        "evaluation/precision_recall.png", "evaluation/reliability.png", "evaluation/risk_coverage.png",
        "evaluation/split.json", "evaluation/cleaning.json",
    }  # fmt: skip
    assert list(output.parent.iterdir()) == [output]
    for word in ("Accuracy", "Precision", "Recall", "F1", "AUC-ROC", "true class ↓", "Colour statistics alone"):
        assert word in printed


def test_a_model_that_is_not_shown_to_be_good_says_so_wherever_it_goes(trained):
    """The drawn classes differ in their colours, and six test images show little."""
    output, printed = trained
    warnings = json.loads((output / "leuko.json").read_text())["warnings"]
    assert any("Not shown to be better than colour statistics" in line for line in warnings)
    model = model_folder.load(output)
    assert list(model.metadata.warnings) == Classifier(model).describe()["warnings"] == warnings
    card = (output / "README.md").read_text()
    assert all(line in card and f"Warning: {line}" in printed for line in warnings)
    assert "only 3 of the test images are of blast" in printed and "only 3 of the test images are of blast" in card


def test_what_is_worth_a_warning():
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 100)

    def warned(right: float, colours_right: float) -> str:
        answer, guess = (np.where(rng.random(200) < share, truth, 1 - truth) for share in (right, colours_right))
        report = metrics.evaluate(0.1 + 0.8 * np.eye(2)[answer], truth, ["hem", "pre"], ["pre"], 0.5).as_json()
        found = shortcut_audit.accuracy_and_f1({"network": answer, "": guess}, truth)[""]
        report["colour_baseline"] = {"intervals": {"f1": found["f1"]}, "network_above": found["lost"]}
        return " ".join(model_warnings.of_trained(report))

    assert warned(0.95, 0.7) == ""
    assert "better than colour statistics" in warned(0.8, 0.95) and "chance" not in warned(0.8, 0.95)
    assert "better than colour statistics" in warned(0.9, 0.9)
    assert "chance gives 0.500" in warned(0.5, 0.2)


def test_random_weights_are_trained_whole_unless_told_otherwise():
    given = {"dataset": ("d",), "output": Path("m")}
    assert Settings(**given).finetune == "partial" and Settings(**given, weights="none").finetune == "full"
    assert not Settings(**given, weights="none").warnings
    (warning,) = Settings(**given, weights="none", finetune="frozen").warnings
    assert "never trained" in warning and "--finetune full" in warning


@pytest.mark.parametrize(
    ("major", "numbers"), [(6, (False, False)), (7, (False, True)), (8, (True, False)), (9, (True, False))]
)
def test_a_gpu_computes_in_what_it_is_made_for(major, numbers, monkeypatch):
    def supported(including_emulation: bool = True) -> bool:
        return including_emulation or major >= 8

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (major, 0))
    assert tuple(trainer.precision("cuda").values()) == numbers
    assert not any(trainer.precision("cpu").values())


def test_a_second_gpu_does_not_make_batches_larger(tmp_path):
    arguments = trainer.OneDevice(output_dir=str(tmp_path), use_cpu=True, per_device_train_batch_size=32)
    arguments._n_gpu = 4  # as the Trainer finds them
    assert arguments.n_gpu == 1 and arguments.train_batch_size == 32


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://no-such-host.invalid", "silent"])
@pytest.mark.parametrize("backbone", ["resnet18", "alexnet"])  # from the Hub, and from elsewhere
def test_pretrained_weights_out_of_reach_are_given_up_within_seconds(backbone, address, silent, tmp_path, monkeypatch):
    address = silent if address == "silent" else address
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    if backbone == "alexnet":
        known = timm.get_pretrained_cfg("alexnet")
        monkeypatch.setattr(timm, "get_pretrained_cfg", lambda name: replace(known, url=f"{address}/alexnet.pth"))
    start = time.monotonic()
    with pytest.raises(backbones.WeightsError, match="give --weights FILE"):
        backbones.create(backbone, 2)
    assert time.monotonic() - start < 10


def test_the_card_says_what_was_measured(trained):
    output, _ = trained
    card = (output / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    report = json.loads((output / "evaluation" / "metrics.json").read_text())
    shown = {m["type"]: m["value"] for m in front["model-index"][0]["results"][0]["metrics"]}
    assert shown["accuracy"] == round(report["accuracy"]["value"], 4)
    assert "Research use only" in card and "colour statistics" in card
    assert str(report["images"]) in card
    assert str(ROOT) not in card and str(output) not in card


def test_three_strangers_and_onnx_agree(trained, drawn):
    output, _ = trained
    ours = Classifier.load(output)
    files = sorted((drawn / "blast").iterdir())[:3]
    images = [decode(f)[:70] for f in files]  # not square
    pixels = torch.from_numpy(np.stack([to_input(image, ours.model.preprocessing) for image in images]))
    with torch.no_grad():
        logits = ours.model.network(pixels).numpy()
        by_timm = timm.create_model(f"local-dir:{output}", pretrained=True).eval()(pixels).numpy()
        by_transformers = AutoModelForImageClassification.from_pretrained(output)(pixels).logits.numpy()
    assert np.abs(by_timm - logits).max() < 1e-4
    assert np.abs(by_transformers - logits).max() < 1e-4
    import onnxruntime

    session = onnxruntime.InferenceSession(output / "onnx" / "model.onnx")
    feature_map, by_onnx = session.run(["feature_map", "logits"], {"pixel_values": pixels.numpy()})
    assert np.abs(by_onnx - logits).max() < 1e-4
    assert np.abs(feature_map - ours.model.network.trunk(pixels).numpy()).max() < 1e-3
    ask = pipeline("image-classification", model=str(output))
    for image in images:
        theirs = {answer["label"]: answer["score"] for answer in ask(Image.fromarray(image))}
        found = ours.classify(image).probabilities
        assert all(abs(theirs[name] - found[name]) < 1e-3 for name in found)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--dataset", "no/such/data"], "There is no folder"),
        (["--backbone", "nonsense"], "no network named"),
        (["--positive", "blasts"], "no class 'blasts'"),
        (["--keep", "nothing.png"], "nothing.png"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(drawn, tmp_path, options, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", training(drawn, tmp_path / "model", *options))
    assert train.main() == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert words in said[-1] and len(said) == 1
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--no-clean", "--keep", "0.png"], "nothing to --keep"),
        (["--normalise-images", "foreign"], "needs --normalise-stain"),
    ],
)
def test_options_that_mean_nothing_together_are_refused(drawn, tmp_path, options, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", training(drawn, tmp_path / "model", *options))
    with pytest.raises(SystemExit):
        train.main()
    assert words in capsys.readouterr().err.splitlines()[-1]


def spoil_nothing_left(f: Path) -> None:
    for child in f.iterdir():
        shutil.rmtree(child) if child.is_dir() else child.unlink()


def edit(file: Path, change) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def with_argument(f: Path, **arguments: object) -> None:
    edit(f / "config.json", lambda c: c["model_args"].update(arguments))


def pickle_only(f: Path) -> None:
    (f / "model.safetensors").rename(f / "pytorch_model.bin")


def cut_off(f: Path) -> None:
    (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:10_000])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_nothing_left, "no config.json"),
        (lambda f: (f / "leuko.json").unlink(), "no leuko.json"),
        (pickle_only, "pickled weights are never loaded"),
        (cut_off, "incomplete"),
        (lambda f: (f / "leuko.json").write_text('{"format": 1,'), "damaged"),
        (lambda f: edit(f / "leuko.json", lambda c: c["training"].update(steps=0)), "untrained"),
        (lambda f: edit(f / "config.json", lambda c: c["pretrained_cfg"].update(crop_pct=0.875)), "crops"),
        (lambda f: edit(f / "config.json", lambda c: c.update(architecture="resnet18")), "do not fit"),
        (lambda f: edit(f / "config.json", lambda c: c.update(pretrained_cfg=[])), "damaged"),
        (lambda f: edit(f / "config.json", lambda c: c["pretrained_cfg"].update(interpolation="lanczos")), "damaged"),
        (lambda f: edit(f / "config.json", lambda c: c["pretrained_cfg"].update(input_size=[3, 9**9, 9])), "damaged"),
        (lambda f: (f / "config.json").write_text("[" * 100_000), "damaged"),
        (lambda f: edit(f / "leuko.json", lambda c: c.update(positive=["blast", "blast"])), "damaged"),
        (lambda f: edit(f / "leuko.json", lambda c: c.update(positive=["nobody"])), "damaged"),
        (lambda f: edit(f / "leuko.json", lambda c: c["operating_point"].update(abstain=[0.1, 0.2, 0.3])), "damaged"),
        (lambda f: edit(f / "leuko.json", lambda c: c["training"].update(steps=None)), "damaged"),
        (lambda f: edit(f / "config.json", lambda c: c.update(architecture="hf-hub:a/b")), "from elsewhere"),
        (lambda f: with_argument(f, checkpoint_path="a.pt"), "from elsewhere"),
        (lambda f: with_argument(f, members=[{"args": {"pretrained": True}}]), "from elsewhere"),
    ],
)
def test_a_spoilt_folder_is_refused(trained, tmp_path, spoil, words):
    broken = tmp_path / "broken"
    shutil.copytree(trained[0], broken)
    spoil(broken)
    with pytest.raises(model_folder.ModelFolderError, match=words) as refusal:
        model_folder.load(broken)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: c["familiarity"].update(bound="far"),
        lambda c: c["familiarity"].update(mean=["1 2"], directions=["1 0"], variance=["1 1"]),
    ],
)
def test_a_folder_whose_parts_do_not_fit_together_is_not_served(trained, tmp_path, spoil):
    broken = tmp_path / "broken"
    shutil.copytree(trained[0], broken)
    edit(broken / "leuko.json", spoil)
    with pytest.raises(model_folder.ModelFolderError, match="do not fit together"):
        Classifier.load(broken)


def test_a_failed_save_leaves_the_old_folder(tmp_path):
    target = tmp_path / "model"
    with model_folder.new_folder(target) as draft:
        (draft / "a").write_text("old")
    with pytest.raises(RuntimeError), model_folder.new_folder(target) as draft:
        (draft / "a").write_text("half")
        raise RuntimeError
    assert (target / "a").read_text() == "old" and list(tmp_path.iterdir()) == [target]
    with model_folder.new_folder(target) as draft:
        (draft / "b").write_text("new")
    assert [f.name for f in target.iterdir()] == ["b"] and list(tmp_path.iterdir()) == [target]


def test_a_run_cleans_splits_again_as_before_and_balances(trained, drawn, tmp_path):
    spoilt = tmp_path / "spoilt"
    shutil.copytree(drawn, spoilt)
    (spoilt / "blast" / "30.png").write_bytes((drawn / "blast" / "0.png").read_bytes()[:500])
    first = trained[0] / "evaluation" / "split.json"
    options = ["--epochs", "1", "--workers", "0", "--balance", "smote", "--positive", "healthy", "--split", str(first)]
    done = run_train(spoilt, tmp_path / "model", *options)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "61 images" in done.stdout and "1 unreadable" in done.stdout and "SMOTE" in done.stdout
    found = json.loads((tmp_path / "model" / "evaluation" / "cleaning.json").read_text())
    assert any(i["file"] == "blast/30.png" and i["action"] == "dropped" for i in found["issues"])
    again = json.loads((tmp_path / "model" / "evaluation" / "split.json").read_text())
    assert again["files"] == json.loads(first.read_text())["files"]
    model = model_folder.load(tmp_path / "model")
    assert model.metadata.positive == ("healthy",)
    assert model.metadata.training["balance"] == "smote"
    assert "30.png" not in (tmp_path / "model" / "leuko.json").read_text()


def test_a_part_that_consists_of_copies_is_refused(drawn, tmp_path):
    for part, numbers in {"train": range(8), "validation": range(8, 12), "test": range(8, 12)}.items():
        for name in ("blast", "healthy"):
            (tmp_path / part / name).mkdir(parents=True)
            for i in numbers:
                shutil.copy(drawn / name / f"{i}.png", tmp_path / part / name)
    settings = Settings(dataset=(str(tmp_path),), output=tmp_path / "model")
    with pytest.raises(DataError, match="no image in the validation part"):
        prepare(load(settings.dataset), settings, print)


def test_a_size_that_a_network_does_not_take_is_refused():
    settings = Settings((), Path("model"), backbone="vit_tiny_patch16_224", weights="none", image_size=100)
    with pytest.raises(TrainingError, match="does not accept images of 100 × 100 pixels"):
        create_network(settings, 2)


def test_figures_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 300)
    scores = rng.dirichlet([1, 1, 1], 300)
    scores[np.arange(300), truth] += 0.4
    scores /= scores.sum(axis=1, keepdims=True)
    report = metrics.evaluate(scores, truth, ["hem", "pre", "pro"], ["pre", "pro"], 0.5).as_json()
    answer = scores.argmax(axis=1)
    assert report["accuracy"]["value"] == pytest.approx(sk.accuracy_score(truth, answer))
    assert report["f1"]["value"] == pytest.approx(sk.f1_score(truth, answer, average="macro"))
    assert report["auc_roc"]["value"] == pytest.approx(sk.roc_auc_score(truth, scores, multi_class="ovr"))
    assert report["leukaemia"]["auc_roc"]["value"] == pytest.approx(sk.roc_auc_score(truth > 0, 1 - scores[:, 0]))
    assert report["accuracy"]["low"] < report["accuracy"]["value"] < report["accuracy"]["high"]


def test_views_differ_keep_the_size_and_follow_the_seed(smear):
    augment = RandomView(Augmentation((64, 64), (0.5,) * 3, (0.5,) * 3))
    torch.manual_seed(1)
    first, second = augment(smear), augment(smear)
    torch.manual_seed(1)
    again = augment(smear)
    assert first.shape == (3, 64, 64) and not torch.equal(first, second) and torch.equal(first, again)


def test_restaining_multiplies_absorbance(smear):
    doubled = restain(smear, np.array([2.0, 1.0, 1.0]))
    assert np.allclose(doubled[..., 0], 255 * (smear[..., 0] / 255) ** 2, atol=0.51)
    assert (doubled[..., 1:] == smear[..., 1:]).all()


@pytest.mark.parametrize(
    ("option", "words"),
    [("--dataset", "There is no folder 'no/such-data', and the Hub"), ("--weights", "--weights FILE")],
)
def test_a_hub_out_of_reach_is_said_in_one_line(asking_in_vain, option, words):
    said = asking_in_vain[option].communicate()[1].strip().splitlines()
    assert asking_in_vain[option].returncode == 1
    assert len(said) == 1 and words in said[0]
