"""The processes that share a run."""

from __future__ import annotations

import torch
from accelerate import PartialState


def processes() -> PartialState:
    """The processes that share this run, as `accelerate launch` or torchrun started them; usually one."""
    # Without this, processes on a machine without a GPU would not find one another, and each would train alone.
    return PartialState(cpu=not torch.accelerator.is_available())
