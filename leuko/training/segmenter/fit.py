"""Fitting the segmentation network to examples: loss, optimiser, schedule and checkpoints."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from leuko.cells.segmentation.learned.classes import CYTOPLASM, NUCLEUS
from leuko.cells.segmentation.learned.network import GREY, SPREAD
from leuko.training import fit_loop, fit_state
from leuko.training.fit_state import Progress
from leuko.training.segmenter.example import UNKNOWN, Example
from leuko.training.segmenter.unet import SegmentationUNet
from leuko.training.segmenter.views import draw


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
        state: safetensors file of the run, see `leuko.training.fit_state`.
        on_message: receives the lines meant for the user.

    Raises:
        leuko.training.settings.TrainingError: the loss is not finite.
    """
    network = network.to(memory_format=torch.channels_last)
    optimiser = _optimiser(network)
    average = copy.deepcopy(network).eval()
    done = Progress(0, {}, {})
    if state.is_file():
        done = fit_state.restore(state, network, average, optimiser)
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
        views, batch_size=PARAMETERS.batch, num_workers=2, prefetch_factor=4, worker_init_fn=fit_loop.start_worker
    )
    network.train()
    losses = fit_loop.run(
        network,
        average,
        optimiser,
        done,
        loader,
        lambda batch: loss(network, batch),
        steps,
        PARAMETERS,
        state,
        on_message,
    )
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
