"""The loop that fits a small network: schedule of the rate, average of the weights, messages and stored states."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import cv2
import torch
from torch import nn

from leuko.training import fit_state
from leuko.training.fit_state import Progress
from leuko.training.settings import TrainingError

MAX_GRADIENT = 2.0  # norm that gradients are clipped to


class Schedule(Protocol):
    """What the loop needs of a network's parameters of fitting."""

    @property
    def warm_up(self) -> int:
        """Steps in which the rate grows."""

    @property
    def average(self) -> float:
        """Share that the average of the weights keeps a step."""

    @property
    def message_every(self) -> int:
        """Steps between two messages."""

    @property
    def checkpoint_every(self) -> int:
        """Steps between two stored states."""


def run(
    network: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
    done: Progress,
    batches: Iterable[Any],
    loss: Callable[[Any], tuple[torch.Tensor, dict[str, float]]],
    steps: int,
    schedule: Schedule,
    state: Path,
    on_message: Callable[[str], None],
) -> dict[str, float]:
    """Fit a network from where it is; it and its average are changed.

    Args:
        network: in training mode.
        average: of its weights.
        optimiser: of its parameters; its groups have an `initial_lr`.
        done: how far the fit has come.
        batches: the remaining ones.
        loss: of a batch, and its parts.
        steps: of the whole fit.
        schedule: see `Schedule`.
        state: safetensors file of the run.
        on_message: receives the lines meant for the user.

    Returns:
        The means of the parts of the loss in the last steps.

    Raises:
        TrainingError: the loss is not finite.
    """
    start, first = time.monotonic(), done.step
    sums, losses = done.sums, done.losses
    for step, batch in enumerate(batches, start=first + 1):
        for group in optimiser.param_groups:
            group["lr"] = group["initial_lr"] * rate(step, steps, schedule.warm_up)
        total, parts = loss(batch)
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT)
        optimiser.step()
        _move(average, network, min(schedule.average, step / (step + 10)))
        sums = {name: sums.get(name, 0.0) + value for name, value in parts.items()}
        if step % schedule.message_every == 0 or step == steps:
            count = (step - 1) % schedule.message_every + 1
            losses, sums = {name: value / count for name, value in sums.items()}, {}
            if not math.isfinite(sum(losses.values())):
                raise TrainingError("Training diverged (the loss is not finite); try another --seed.")
            shown = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
            minutes = (time.monotonic() - start) / (step - first) * (steps - step) / 60
            on_message(f"Step {step} of {steps}: {shown}; {minutes:.0f} min left.")
        if step % schedule.checkpoint_every == 0 or step == steps:
            fit_state.save(state, network, average, optimiser, Progress(step, sums, losses))
    return losses


def rate(step: int, steps: int, warm_up: int) -> float:
    """Learning rate as a share of its maximum at a step, from 1: rises first, then falls as a cosine."""
    return min(1.0, step / warm_up) * (0.5 + 0.5 * math.cos(math.pi * (step - 1) / steps) + 1e-3)


def start_worker(_: int) -> None:
    """A worker draws views in one thread: OpenCV's own would compete with those of PyTorch."""
    cv2.setNumThreads(0)


@torch.no_grad()
def _move(average: nn.Module, network: nn.Module, keep: float) -> None:
    """Move an average towards the weights of a network; it keeps a share of what it was."""
    for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(value, 1 - keep)
        else:
            mean.copy_(value)
