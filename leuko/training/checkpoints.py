"""Checkpoints of a run: find the one to continue from, and check that it belongs to the run.

Only checkpoints that were written completely are used.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from leuko.training.distributed import processes
from leuko.training.prepare_data import TrainingData
from leuko.training.settings import Settings, refuse_other_run

_STATE, _RUN = "trainer_state.json", "run.json"


def last(settings: Settings, data: TrainingData, on_message: Callable[[str], None]) -> Path | None:
    """Find the last complete checkpoint of a run that is resumed, and remove incomplete ones.

    Args:
        settings, data: the run.
        on_message: receives the lines meant for the user.

    Raises:
        TrainingError: the checkpoints belong to another run.
    """
    run = json.loads(json.dumps(settings.record() | {"data": data.digest}))
    latest = None
    if settings.resume:
        latest = max(filter(_complete, settings.checkpoints.glob("checkpoint-*")), key=_step, default=None)
        if latest:
            try:
                first_run = json.loads((settings.checkpoints / _RUN).read_text())
            except (OSError, ValueError):
                first_run = run
            refuse_other_run(first_run, run, "data", "other images or another split")
            on_message(f"Continuing from step {_step(latest)}.")
        else:
            on_message("There is no complete checkpoint to continue from; starting again.")
    elif any(settings.checkpoints.glob("checkpoint-*")):
        on_message(
            "Starting again; the checkpoints of an unfinished run are replaced (--resume would continue from them)."
        )
    state = processes()
    state.wait_for_everyone()  # all processes have read the folder before anything is removed
    if state.is_main_process:
        settings.checkpoints.mkdir(parents=True, exist_ok=True)
        for old in settings.checkpoints.glob("checkpoint-*"):
            if latest is None or not _complete(old):
                shutil.rmtree(old)
        (settings.checkpoints / _RUN).write_text(json.dumps(run) + "\n")
    state.wait_for_everyone()
    return latest


def epochs(checkpoint: Path | None, settings: Settings) -> int:
    """The number of epochs of a run; if early stopping already ended training, the number of completed epochs."""
    if checkpoint:
        state = json.loads((checkpoint / _STATE).read_text())
        if state["stateful_callbacks"]["TrainerControl"]["args"]["should_training_stop"]:
            return max(1, round(state["epoch"]))
    return settings.epochs


def _complete(checkpoint: Path) -> bool:
    """Whether a checkpoint was written completely: the Trainer's state is written last."""
    try:
        json.loads((checkpoint / _STATE).read_text())
    except (OSError, ValueError):
        return False
    return True


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])
