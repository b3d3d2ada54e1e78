"""Fitting the segmentation network to examples: loss, optimiser, schedule and checkpoints."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from leuko.cells.segmentation.learned.classes import CYTOPLASM, NUCLEUS
from leuko.cells.segmentation.learned.network import GREY, SPREAD
from leuko.training.segmenter import checkpoint
from leuko.training.segmenter.checkpoint import Progress
from leuko.training.segmenter.example import UNKNOWN, Example
from leuko.training.segmenter.unet import SegmentationUNet
from leuko.training.segmenter.views import draw
from leuko.training.settings import TrainingError


@dataclass(frozen=True)
class FitParameters:
    """How the network is fitted.

    Attributes:
        batch: views a step.
        rate, trunk_rate: largest learning rates of decoder and trunk.
        decay: weight decay.
        warm_up: steps in which the rate grows.
        average: share that the average of the weights keeps a step; the average is the result.
        frozen_blocks: first blocks of the trunk that stay as they are: edges and colours look alike everywhere.
        class_weights: of the cross-entropy, in the order of classes.
        dice, offset, diameter: weights of the other losses beside the cross-entropy.
        message_every, checkpoint_every: steps.
    """

    batch: int = 8
    rate: float = 2e-3
    trunk_rate: float = 6e-4
    decay: float = 1e-2
    warm_up: int = 40
    average: float = 0.99
    frozen_blocks: int = 2
    class_weights: tuple[float, ...] = (1.0, 1.0, 1.5, 1.0, 5.0, 3.0)
    dice: float = 0.5
    offset: float = 0.5
    diameter: float = 0.3
    message_every: int = 25
    checkpoint_every: int = 100


PARAMETERS = FitParameters()


class _Views(Dataset[tuple[np.ndarray, ...]]):
    """One random view an index; the same index gives the same view."""

    def __init__(
        self, sources: Sequence[Sequence[Example]], weights: Sequence[float], first: int, count: int, seed: int
    ) -> None:
        self.sources, self.first, self.count, self.seed = sources, first, count, seed
        self.shares = np.asarray(weights, float) / sum(weights)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng([self.seed, self.first + index])
        chosen = self.sources[int(rng.choice(len(self.sources), p=self.shares))]
        view = draw([chosen[int(rng.integers(len(chosen)))] for _ in range(6)], rng)
        return view.image.transpose(2, 0, 1), view.classes, view.offsets, view.diameter


def _start_worker(_: int) -> None:
    """A worker draws views in one thread: OpenCV's own would compete with those of PyTorch."""
    cv2.setNumThreads(0)


def loss(network: SegmentationUNet, batch: Sequence[torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
    """The loss of a batch of views, and its parts."""
    image, classes, offsets, diameter = batch
    pixels = ((image.float() - GREY) / SPREAD).contiguous(memory_format=torch.channels_last)
    logits, votes, size = network(pixels)
    known = classes != UNKNOWN
    full = functional.interpolate(logits, scale_factor=2.0, mode="bilinear", align_corners=False)
    target = classes.long()
    weights = torch.tensor(PARAMETERS.class_weights)
    entropy = functional.cross_entropy(full, target, weight=weights, ignore_index=UNKNOWN)
    shares = full.softmax(dim=1)
    dice = torch.zeros(())
    for kinds in ((NUCLEUS,), (NUCLEUS, CYTOPLASM)):
        found = sum(shares[:, kind] for kind in kinds) * known
        true = sum((classes == kind) for kind in kinds).float() * known  # type: ignore[union-attr]
        dice = dice + 1 - (2 * (found * true).sum() + 1) / (found.sum() + true.sum() + 1)
    voted = ~torch.isnan(offsets)
    apart = functional.smooth_l1_loss(votes[voted], offsets[voted], beta=0.1) if voted.any() else votes.sum() * 0
    sized = ~torch.isnan(diameter)
    off = functional.smooth_l1_loss(size[:, 0][sized], diameter[sized], beta=0.1) if sized.any() else size.sum() * 0
    total = entropy + PARAMETERS.dice * dice + PARAMETERS.offset * apart + PARAMETERS.diameter * off
    parts = {"entropy": entropy, "dice": dice, "offsets": apart, "diameter": off}
    return total, {name: float(part.detach()) for name, part in parts.items()}


@dataclass(frozen=True)
class Fitted:
    """What a fit gives.

    Attributes:
        network: with the average of its weights over the last steps, in evaluation mode.
        losses: means of the parts of the loss in the last steps.
    """

    network: SegmentationUNet
    losses: dict[str, float]


def fit(
    network: SegmentationUNet,
    sources: Mapping[str, Sequence[Example]],
    weights: Mapping[str, float],
    steps: int,
    seed: int,
    state: Path,
    on_message: Callable[[str], None],
) -> Fitted:
    """Fit a network. A run goes on from its state where there is one, on a CPU to the same weights, to the bit.

    Args:
        network: to begin with.
        sources: examples of each laboratory.
        weights: how often views are drawn of each.
        steps: batches.
        seed: of everything random.
        state: safetensors file of the run, see `leuko.training.segmenter.checkpoint`.
        on_message: receives the lines meant for the user.

    Raises:
        TrainingError: the loss is not finite.
    """
    network = network.to(memory_format=torch.channels_last)
    optimiser = _optimiser(network)
    average = copy.deepcopy(network).eval()
    done = Progress(0, {}, {})
    if state.is_file():
        done = checkpoint.restore(state, network, average, optimiser)
        on_message(f"Continuing from step {done.step}.")
    if done.step == steps:
        return Fitted(average, done.losses)
    names = list(sources)
    views = _Views(
        [sources[name] for name in names],
        [weights[name] for name in names],
        done.step * PARAMETERS.batch,
        (steps - done.step) * PARAMETERS.batch,
        seed,
    )
    loader = DataLoader(
        views, batch_size=PARAMETERS.batch, num_workers=2, prefetch_factor=4, worker_init_fn=_start_worker
    )
    network.train()
    start, first = time.monotonic(), done.step
    sums, losses = done.sums, done.losses
    for step, batch in enumerate(loader, start=first + 1):
        for group in optimiser.param_groups:
            group["lr"] = group["initial_lr"] * _rate(step, steps)
        total, parts = loss(network, batch)
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        _move(average, network, min(PARAMETERS.average, step / (step + 10)))
        sums = {name: sums.get(name, 0.0) + value for name, value in parts.items()}
        if step % PARAMETERS.message_every == 0 or step == steps:
            count = (step - 1) % PARAMETERS.message_every + 1
            losses, sums = {name: value / count for name, value in sums.items()}, {}
            if not math.isfinite(sum(losses.values())):
                raise TrainingError("Training diverged (the loss is not finite); try another --seed.")
            shown = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
            minutes = (time.monotonic() - start) / (step - first) * (steps - step) / 60
            on_message(f"Step {step} of {steps}: {shown}; {minutes:.0f} min left.")
        if step % PARAMETERS.checkpoint_every == 0 or step == steps:
            checkpoint.save(state, network, average, optimiser, Progress(step, sums, losses))
    return Fitted(average, losses)


def _optimiser(network: SegmentationUNet) -> torch.optim.Optimizer:
    """AdamW of all but the trunk's first blocks, which are frozen here."""
    for frozen in (network.trunk.conv_stem, network.trunk.bn1, network.trunk.blocks[: PARAMETERS.frozen_blocks]):
        frozen.requires_grad_(False)
    trunk = [p for p in network.trunk.parameters() if p.requires_grad]
    decoder = [p for name, p in network.named_parameters() if not name.startswith("trunk.")]
    groups = [
        {"params": parameters, "lr": rate, "initial_lr": rate}
        for parameters, rate in ((decoder, PARAMETERS.rate), (trunk, PARAMETERS.trunk_rate))
    ]
    return torch.optim.AdamW(groups, weight_decay=PARAMETERS.decay)


def _rate(step: int, steps: int) -> float:
    """Learning rate as a share of its maximum at a step, from 1: rises first, then falls as a cosine."""
    return min(1.0, step / PARAMETERS.warm_up) * (0.5 + 0.5 * math.cos(math.pi * (step - 1) / steps) + 1e-3)


@torch.no_grad()
def _move(average: torch.nn.Module, network: torch.nn.Module, keep: float) -> None:
    """Move an average towards the weights of a network; it keeps a share of what it was."""
    for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(value, 1 - keep)
        else:
            mean.copy_(value)
