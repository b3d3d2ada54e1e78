"""Fitting the segmentation network to examples: loss, optimiser, schedule and checkpoints."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from leuko.cells.segmentation.learned.classes import CYTOPLASM, NUCLEUS
from leuko.training.segmenter.example import UNKNOWN, Example
from leuko.training.segmenter.unet import SegmentationUNet
from leuko.training.segmenter.views import View, draw

_log = logging.getLogger("leuko")


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
        checkpoint_every: steps.
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
        cv2_threads_off()
        rng = np.random.default_rng([self.seed, self.first + index])
        chosen = self.sources[int(rng.choice(len(self.sources), p=self.shares))]
        view: View = draw([chosen[int(rng.integers(len(chosen)))] for _ in range(6)], rng)
        return view.image.transpose(2, 0, 1), view.classes, view.offsets, view.diameter


def cv2_threads_off() -> None:
    """OpenCV's threads would compete with those of PyTorch."""
    import cv2

    cv2.setNumThreads(0)


def loss(network: SegmentationUNet, batch: Sequence[torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
    """The loss of a batch of views, and its parts."""
    image, classes, offsets, diameter = batch
    pixels = ((image.float() - 127.0) / 64.0).contiguous(memory_format=torch.channels_last)
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


def fit(
    network: SegmentationUNet,
    sources: Mapping[str, Sequence[Example]],
    weights: Mapping[str, float],
    steps: int,
    seed: int,
    checkpoint: Path,
    on_message: Callable[[str], None],
) -> SegmentationUNet:
    """Fit a network; the average of its weights over the last steps.

    Args:
        network: to begin with.
        sources: examples of each laboratory.
        weights: how often views are drawn of each.
        steps: batches.
        seed: of everything random.
        checkpoint: file that holds the state; a run goes on from it where it exists.
        on_message: receives the lines meant for the user.
    """
    torch.manual_seed(seed)
    network = network.to(memory_format=torch.channels_last)
    for frozen in (network.trunk.conv_stem, network.trunk.bn1, network.trunk.blocks[: PARAMETERS.frozen_blocks]):
        frozen.requires_grad_(False)
    trunk = [p for p in network.trunk.parameters() if p.requires_grad]
    decoder = [p for name, p in network.named_parameters() if not name.startswith("trunk.")]
    optimiser = torch.optim.AdamW(
        [{"params": decoder, "lr": PARAMETERS.rate}, {"params": trunk, "lr": PARAMETERS.trunk_rate}],
        weight_decay=PARAMETERS.decay,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: (
            min(1.0, (step + 1) / PARAMETERS.warm_up) * (0.5 + 0.5 * np.cos(np.pi * min(step / steps, 1)) + 1e-3)
        ),
    )
    average, first = copy.deepcopy(network).eval(), 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        first = state["step"]
        on_message(f"Continuing from step {first}.")
    names = list(sources)
    views = _Views(
        [sources[name] for name in names],
        [weights[name] for name in names],
        first * PARAMETERS.batch,
        (steps - first) * PARAMETERS.batch,
        seed,
    )
    loader = DataLoader(views, batch_size=PARAMETERS.batch, num_workers=2, prefetch_factor=4)
    network.train()
    start, sums = time.monotonic(), {}  # type: ignore[var-annotated]
    for step, batch in enumerate(loader, start=first + 1):
        total, parts = loss(network, batch)
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        schedule.step()
        keep = min(PARAMETERS.average, step / (step + 10))
        with torch.no_grad():
            for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
                if mean.dtype.is_floating_point:
                    mean.lerp_(value, 1 - keep)
                else:
                    mean.copy_(value)
        sums = {name: sums.get(name, 0.0) + value for name, value in parts.items()}
        if step % 25 == 0:
            shown = ", ".join(f"{name} {value / 25:.3f}" for name, value in sums.items())
            rate = (time.monotonic() - start) / (step - first)
            on_message(f"step {step} of {steps}: {shown}; {rate * (steps - step) / 60:.0f} min left")
            sums = {}
        if step % PARAMETERS.checkpoint_every == 0 or step == steps:
            draft = checkpoint.with_suffix(".draft")
            torch.save(
                {
                    "network": network.state_dict(),
                    "average": average.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "schedule": schedule.state_dict(),
                    "step": step,
                },
                draft,
            )
            draft.replace(checkpoint)
    return average.eval()
