"""Checkpoints of a run: which of them it goes on from, and that they are its own.

A checkpoint counts only if it was written to its end.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from leuko.training.distributed import processes
from leuko.training.prepare_data import TrainingData
from leuko.training.settings import Settings, TrainingError

_STATE, _RUN = "trainer_state.json", "run.json"


def last(settings: Settings, data: TrainingData, on_message: Callable[[str], None]) -> Path | None:
    """The last complete checkpoint of a run that is resumed; what is left of others is removed.

    Args:
        settings, task: the run.
        on_message: receives the lines meant for the user.

    Raises:
        TrainingError: the checkpoints are those of another run.
    """
    run = json.loads(json.dumps(settings.record() | {"data": data.digest}))
    found = None
    if settings.resume:
        found = max(filter(_complete, settings.checkpoints.glob("checkpoint-*")), key=_number, default=None)
        if found:
            try:
                begun = json.loads((settings.checkpoints / _RUN).read_text())
            except (OSError, ValueError):
                begun = run
            if other := [name for name, value in run.items() if begun.get(name) != value]:
                had = _difference(other[0], begun.get(other[0]), run[other[0]])
                raise TrainingError(
                    f"The interrupted run had {had}; resume it as it was begun, or start anew without --resume."
                )
            on_message(f"Going on from step {_number(found)}.")
        else:
            on_message("There is no complete checkpoint to go on from; starting anew.")
    elif any(settings.checkpoints.glob("checkpoint-*")):
        on_message("Starting anew; the checkpoints of an unfinished run are replaced (--resume would go on from them).")
    state = processes()
    state.wait_for_everyone()  # all have looked before anything is removed
    if state.is_main_process:
        settings.checkpoints.mkdir(parents=True, exist_ok=True)
        for old in settings.checkpoints.glob("checkpoint-*"):
            if found is None or not _complete(old):
                shutil.rmtree(old)
        (settings.checkpoints / _RUN).write_text(json.dumps(run) + "\n")
    state.wait_for_everyone()
    return found


def epochs(checkpoint: Path | None, settings: Settings) -> int:
    """The epochs of a run; of one that early stopping had ended before it was interrupted, those it did."""
    if checkpoint:
        state = json.loads((checkpoint / _STATE).read_text())
        if state["stateful_callbacks"]["TrainerControl"]["args"]["should_training_stop"]:
            return max(1, round(state["epoch"]))
    return settings.epochs


def _difference(name: str, begun: Any, now: Any) -> str:
    if name == "data":
        return "other images or another split"
    option = f"--{name.replace('_', '-')}"
    return f"{option} {begun}, this one has {option} {now}"


def _complete(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to its end: the Trainer's state comes last."""
    try:
        json.loads((checkpoint / _STATE).read_text())
    except (OSError, ValueError):
        return False
    return True


def _number(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])
