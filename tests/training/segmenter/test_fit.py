"""Fitting: the loss falls, and an interrupted run ends with the weights of one that was not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from leuko.training import fit_loop, fit_state
from leuko.training.segmenter import fit, views
from leuko.training.segmenter.example import Example
from leuko.training.segmenter.settings import TRUNK
from leuko.training.segmenter.unet import SegmentationUNet
from tests.training.segmenter.drawn_lists import smear


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    few = replace(fit.PARAMETERS, batch=2, warm_up=4, message_every=3, checkpoint_every=2)
    monkeypatch.setattr(fit, "PARAMETERS", few)
    monkeypatch.setattr(views, "PARAMETERS", replace(views.PARAMETERS, side=96))


def new() -> SegmentationUNet:
    torch.manual_seed(0)
    network = SegmentationUNet()
    network.load_trunk(TRUNK)
    return network


def fitted(state, steps, on_message=lambda line: None, seed=0):
    sources = {"drawn": [Example.from_smear(smear(1))], "other": [Example.from_smear(smear(2))]}
    return fit.fit(new(), sources, {"drawn": 2.0, "other": 1.0}, steps, seed, state, on_message)


class InterruptedRunError(Exception):
    pass


def test_an_interrupted_run_ends_with_the_weights_of_one_that_was_not(tmp_path):
    def interrupt(line):
        if line.startswith("Step 3"):
            raise InterruptedRunError

    whole = fitted(tmp_path / "whole.safetensors", 5)
    with pytest.raises(InterruptedRunError):
        fitted(tmp_path / "state.safetensors", 5, interrupt)
    assert fit_state.progress(tmp_path / "state.safetensors").step == 2
    lines = []
    resumed = fitted(tmp_path / "state.safetensors", 5, lines.append)
    assert lines[0] == "Continuing from step 2."
    assert resumed.losses == whole.losses
    ours, theirs = resumed.network.state_dict(), whole.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert not resumed.network.training

    done = fitted(tmp_path / "state.safetensors", 5)  # nothing is left to do
    assert done.losses == whole.losses
    again = new()
    fit_state.load_average(tmp_path / "state.safetensors", again)
    for network in (done.network, again):
        assert all(torch.equal(value, theirs[name]) for name, value in network.state_dict().items())
    assert {file.name for file in tmp_path.iterdir()} == {"whole.safetensors", "state.safetensors"}


def test_the_loss_falls_and_first_blocks_stay_as_they_are(tmp_path, monkeypatch):
    few = replace(fit.PARAMETERS, message_every=8)
    monkeypatch.setattr(fit, "PARAMETERS", few)
    lines = []
    result = fitted(tmp_path / "state.safetensors", 24, lines.append)
    entropies = [float(line.split("entropy ")[1].split(",")[0]) for line in lines]
    assert len(entropies) == 3 and entropies[-1] < 0.8 * entropies[0]
    start = new().trunk.state_dict()
    end = result.network.trunk.state_dict()
    kept = {name for name in start if torch.equal(start[name], end[name])}
    assert {name for name in start if name.startswith(("conv_stem", "bn1", "blocks.0", "blocks.1"))} <= kept
    assert "blocks.4.0.conv_pw.weight" not in kept


def test_the_rate_rises_and_falls():
    rates = [fit_loop.rate(step, 20, fit.PARAMETERS.warm_up) for step in range(1, 21)]
    assert rates.index(max(rates)) == 3 and rates[0] < 0.3 and rates[-1] < 0.02
