"""Hyperparameter search: on validation alone, and none of it lost when it is killed."""

from __future__ import annotations

import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest

from leuko.__main__ import main
from leuko.data.errors import DataError
from leuko.experiments import single_run
from leuko.experiments.tune import train_command, tune
from leuko.training.settings import Settings
from tests.conftest import ROOT
from tests.drawn import draw

pytestmark = pytest.mark.slow

SMALL = ["--backbone", "compact_cnn", "--weights", "none", "--image-size", "32", "--epochs", "1", "--batch-size", "8"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    return draw(tmp_path_factory.mktemp("drawn"), 24, 24)


def under_way(study: Path) -> bool:
    """Whether a trial is done and the next has its values."""
    query = "select state, count(param_id) from trials left join trial_params using (trial_id) group by trial_id"
    try:
        with closing(sqlite3.connect(f"file:{study}?mode=ro", uri=True)) as base:
            return {("COMPLETE", 5), ("RUNNING", 5)} <= set(base.execute(query))
    except sqlite3.OperationalError:
        return False


def load(folder: Path) -> optuna.Study:
    return optuna.load_study(storage=f"sqlite:///{folder / 'study.db'}", study_name="leuko")


def test_a_killed_grid_search_goes_on_where_it_stood(drawn, tmp_path, capsys):
    grid = [*SMALL, "--search", "grid", "--trials", "2", "--lr", "1e-3", "1e-2", "--finetune", "full", "frozen"]
    options = ["tune", str(drawn), "--output", str(tmp_path), *grid, "--dropout", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "leuko", *options], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    while not under_way(tmp_path / "study.db") and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    said = process.communicate()[0]
    before = load(tmp_path).get_trials(states=[optuna.trial.TrialState.COMPLETE])
    running = load(tmp_path).get_trials(states=[optuna.trial.TrialState.RUNNING])
    assert before and running, said

    assert main(options) == 0
    printed = capsys.readouterr().out
    after = load(tmp_path).get_trials(states=[optuna.trial.TrialState.COMPLETE])
    assert len(after) == 2
    assert [one.value for one in after[: len(before)]] == [one.value for one in before]
    points = [tuple(sorted(one.params.items())) for one in after]
    assert len(set(points)) == 2
    assert tuple(sorted(running[0].params.items())) in points
    assert f"Trial {len(before) + 1} of 2" in printed and f"Trial {len(before)} of 2" not in printed
    assert not list(tmp_path.glob("trial-*")), "checkpoints are left"

    page = (tmp_path / "report.md").read_text()
    best = min(after, key=lambda one: one.value)
    assert f"--lr {best.params['lr']:.3g} " in printed and f"--finetune {best.params['finetune']} " in printed
    assert "python train.py" in page and "test part was removed" in page
    assert (tmp_path / "history.png").stat().st_size > 1000 and (tmp_path / "slices.png").stat().st_size > 1000
    tuned = shlex.split(next(line for line in printed.splitlines() if line.startswith("python train.py")))
    helped = subprocess.run([sys.executable, "train.py", "--help"], cwd=ROOT, capture_output=True, text=True).stdout
    assert all(word in helped for word in tuned if word.startswith("--"))
    assert Path(tuned[tuned.index("--split") + 1]).is_file()


def test_a_bayesian_search_goes_on_with_new_values_and_refuses_another_search(drawn, tmp_path):
    base = Settings((str(drawn),), tmp_path, clean=False, backbone="compact_cnn", weights="none", image_size=32)
    space = {"epochs": (1,), "finetune": ("frozen",), "lr": (1e-4, 1e-2)}
    said: list[str] = []
    for trials in (1, 2, 2):
        tune(base, "bayes", trials, space, said.append)
    rates = [one.params["lr"] for one in load(tmp_path).trials]
    assert len(rates) == len(set(rates)) == 2 and all(1e-4 <= rate <= 1e-2 for rate in rates)
    assert [line.split(":")[0] for line in said if line.startswith("Trial ")] == ["Trial 1 of 1", "Trial 2 of 2"]
    with pytest.raises(DataError, match="other settings"):
        tune(replace(base, seed=1), "bayes", 3, space, said.append)
    with pytest.raises(DataError, match="other space"):
        tune(base, "bayes", 3, {**space, "epochs": (1, 2)}, said.append)


def test_no_trial_can_see_a_test_image(drawn, tmp_path):
    settings = Settings(dataset=(str(drawn),), output=tmp_path, clean=False)
    data = single_run.load_training_data(settings, lambda line: None)
    rest = single_run.without_test(data)
    test = {data.rows.files[int(row)] for row in data.split.test}
    assert test and not test & set(rest.rows.files) and len(rest.split.test) == 0
    for part in ("train", "validation"):
        before, after = getattr(data.split, part), getattr(rest.split, part)
        assert [data.rows.files[int(row)] for row in before] == [rest.rows.files[int(row)] for row in after]
        assert np.array_equal(data.truth[before], rest.truth[after])


def test_results_among_the_images_are_refused(drawn, capsys):
    assert main(["tune", str(drawn), "--output", str(drawn / "blast" / "study"), *SMALL]) == 1
    assert "inside the data" in capsys.readouterr().err
    assert not (drawn / "blast" / "study").exists()


def test_the_command_says_what_differs_from_the_defaults():
    base = Settings(dataset=("my data", "more"), output=Path("out"), positive=("ALL",), clean=False, weights="none")
    said = train_command(replace(base, seed=3, output=Path("a b")), {"lr": 1.23456e-3, "finetune": "partial"})
    wanted = "python train.py --dataset 'my data' more --positive ALL --no-clean --weights none --finetune partial"
    assert said == f"{wanted} --lr 0.00123 --seed 3 --split 'a b/split.json' --output models/best"
