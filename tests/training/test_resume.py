"""A run that is killed, and a run that several processes share, end as one that was neither."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import train
from leuko.inference.classifier import Classifier
from tests.conftest import ROOT
from tests.drawn import draw

pytestmark = pytest.mark.slow

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
SMALL = ["--weights", "none", "--finetune", "full", "--image-size", "64", "--batch-size", "16", "--no-clean"]


@pytest.fixture(scope="module")
def cells(tmp_path_factory) -> Path:
    """Two classes that differ in their cells, 40 small fields each."""
    return draw(tmp_path_factory.mktemp("cells"), 40, 40)


def command(cells: Path, output: Path, *options: str) -> list[str]:
    return ["train.py", "--dataset", str(cells), "--output", str(output), *SMALL, *options]


def run(arguments: list[str], launcher: tuple[str, ...] = (sys.executable,)) -> subprocess.CompletedProcess:
    return subprocess.run([*launcher, *arguments], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)


def kill_after(arguments: list[str], checkpoints: int, output: Path) -> None:
    """SIGKILL as soon as so many checkpoints have been begun; the last may be half-written."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    folder, seen = output.with_name(output.name + ".checkpoints"), set()
    while len(seen) < checkpoints:
        assert process.poll() is None, "the run ended before it could be killed"
        seen |= {f.parent.name for f in folder.glob("checkpoint-*/trainer_state.json")}
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)  # with the processes that load its images
    process.wait()
    assert not output.exists()


def losses(printed: str) -> list[float]:
    """The validation loss of every epoch, as printed."""
    return [float(value) for value in re.findall(r"'eval_loss': '([^']+)'", printed)]


@pytest.fixture(scope="module")
def whole(cells, tmp_path_factory) -> tuple[Path, str]:
    """A run that nothing disturbed."""
    output = tmp_path_factory.mktemp("whole") / "model"
    done = run(command(cells, output, *LEARNS))
    assert done.returncode == 0, done.stderr[-2000:]
    return output, done.stdout


LEARNS = ("--backbone", "test_resnet", "--epochs", "8", "--lr", "3e-3", "--augment", "none")


def test_a_killed_run_ends_with_the_figures_of_one_that_was_not(cells, whole, tmp_path):
    output = tmp_path / "model"
    kill_after(command(cells, output, *LEARNS), 1, output)
    done = run(command(cells, output, *LEARNS, "--resume"))
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Continuing from step" in done.stdout
    assert losses(done.stdout) == losses(whole[1])[-len(losses(done.stdout)) :] != []
    for file in ("metrics.json", "split.json"):
        assert (output / "evaluation" / file).read_bytes() == (whole[0] / "evaluation" / file).read_bytes()
    weights, undisturbed = load_file(output / "model.safetensors"), load_file(whole[0] / "model.safetensors")
    assert all(np.array_equal(weights[name], undisturbed[name]) for name in undisturbed)
    ours, theirs = (json.loads((folder / "leuko.json").read_text()) for folder in (output, whole[0]))
    assert ours == theirs
    assert Classifier.load(output).labels == ("blast", "healthy")
    assert list(tmp_path.iterdir()) == [output]


def test_early_stopping_remembers_what_it_waited_for(cells, whole, tmp_path, monkeypatch, capsys):
    """Validation images lie under the wrong class, so that its loss rises with what is learnt."""
    split = whole[0] / "evaluation" / "split.json"
    data = shutil.copytree(cells, tmp_path / "data" / "misled")
    held = [file for file, (part, _) in json.loads(split.read_text())["files"].items() if part == "validation"]
    for one, other in zip(*([f for f in held if f.startswith(name)] for name in ("blast", "healthy")), strict=False):
        shutil.copyfile(cells / one, data / other)
        shutil.copyfile(cells / other, data / one)
    output, undisturbed = tmp_path / "model", tmp_path / "undisturbed"
    waits = (*LEARNS[:3], "12", *LEARNS[4:], "--split", str(split))
    kill_after(command(data, output, *waits), 3, output)
    broken = output.with_name("model.checkpoints") / "checkpoint-9999"
    broken.mkdir()
    (broken / "trainer_state.json").write_text('{"best_metric": ')
    monkeypatch.setattr(sys, "argv", command(data, output, *waits, "--seed", "1", "--resume"))
    assert train.main() == 1 and "--seed 0" in capsys.readouterr().err
    turned = {"validation": "test", "test": "validation"}  # as many images to learn from, and yet another split
    other = json.loads(split.read_text())
    other["files"] = {file: [turned.get(part, part), group] for file, (part, group) in other["files"].items()}
    (tmp_path / "split.json").write_text(json.dumps(other))
    swapped = command(data, output, *waits[:-1], str(tmp_path / "split.json"), "--resume")
    monkeypatch.setattr(sys, "argv", swapped)
    assert train.main() == 1 and "another split" in capsys.readouterr().err
    for folder, more in ((output, ["--resume"]), (undisturbed, [])):
        done = run(command(data, folder, *waits, *more))
        assert done.returncode == 0, done.stderr[-2000:]
    resumed, straight = (json.loads((f / "leuko.json").read_text())["training"] for f in (output, undisturbed))
    assert resumed == straight and straight["steps"] < 12 * -(-straight["images"]["train"] // 16)


SHARED = (sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2")


def test_two_processes_share_the_batch_and_end_like_one(cells, whole, tmp_path):
    output = tmp_path / "model"
    done = run(command(cells, output, *LEARNS), (*SHARED, "--main_process_port", "0"))
    assert done.returncode == 0, done.stderr[-2000:]
    for line in ("80 images (", "Accuracy", "Written:"):
        assert done.stdout.count(line) == 1
    ours, theirs = (json.loads((folder / "leuko.json").read_text())["training"] for folder in (output, whole[0]))
    assert ours == theirs
    shared, alone = losses(done.stdout), losses(whole[1])
    assert len(shared) == len(alone) == 8
    assert shared[0] == pytest.approx(alone[0], abs=0.05)
    assert shared[-1] == pytest.approx(alone[-1], abs=0.2) and max(shared[-1], alone[-1]) < 0.4
    assert list(tmp_path.iterdir()) == [output]


def test_a_batch_that_cannot_be_shared_is_said_once(cells, tmp_path):
    shared = run(
        command(cells, tmp_path / "model", *LEARNS, "--batch-size", "5"), (*SHARED, "--main_process_port", "0")
    )
    assert shared.returncode != 0 and shared.stderr.count("cannot share --batch-size 5") == 1
    assert not (tmp_path / "model").exists()
