"""The state of a fit in one safetensors file: weights, their average, AdamW's moments, the step and the losses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

_MOMENTS = "exp_avg", "exp_avg_sq", "step"  # what AdamW keeps of each parameter


@dataclass(frozen=True)
class Progress:
    """How far a fit has come.

    Attributes:
        step: number of steps done.
        sums: of the parts of the loss since the last message.
        losses: means of the parts at the last message.
    """

    step: int
    sums: dict[str, float]
    losses: dict[str, float]


def save(
    file: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write the state in one step, so that the file is always whole."""
    tensors = _weights("network", network) | _weights("average", average)
    for name, parameter in network.named_parameters():
        moments = optimiser.state.get(parameter, {})
        tensors |= {f"optimiser.{name}.{moment}": moments[moment].contiguous() for moment in moments}
    draft = file.with_suffix(".draft")
    save_file(tensors, draft, {"progress": json.dumps(vars(progress))})
    draft.replace(file)


def restore(file: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer) -> Progress:
    """Read the state into a network, its average and an optimiser of the network's parameters.

    Tensors keep the memory layout of a run that was not interrupted, so that sums are taken in the same order.
    """
    tensors = load_file(file)
    for prefix, module in (("network", network), ("average", average)):
        module.load_state_dict({name: tensors[f"{prefix}.{name}"] for name in module.state_dict()})
    for name, parameter in network.named_parameters():
        stored = {moment: tensors.get(f"optimiser.{name}.{moment}") for moment in _MOMENTS}
        optimiser.state[parameter] = {
            moment: value if moment == "step" else torch.empty_like(parameter.detach()).copy_(value)
            for moment, value in stored.items()
            if value is not None
        }
    return progress(file)


def progress(file: Path) -> Progress:
    """How far the fit has come whose state a file holds."""
    with safe_open(file, "pt") as stored:
        return Progress(**json.loads(stored.metadata()["progress"]))


def load_average(file: Path, network: nn.Module) -> None:
    """Read the average of the weights, which is the result of a fit, into a network."""
    with safe_open(file, "pt") as stored:
        network.load_state_dict({name: stored.get_tensor(f"average.{name}") for name in network.state_dict()})


def _weights(prefix: str, module: nn.Module) -> dict[str, torch.Tensor]:
    return {f"{prefix}.{name}": tensor.contiguous() for name, tensor in module.state_dict().items()}
