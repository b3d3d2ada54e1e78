"""The processes of a distributed training run."""

from __future__ import annotations

import torch
from accelerate import PartialState


def processes() -> PartialState:
    """The processes of this run, as started by `accelerate launch` or torchrun; usually one."""
    # Without this option, processes on a machine without a GPU do not connect, and each one trains alone.
    return PartialState(cpu=not torch.accelerator.is_available())
