"""Optimisation: the part of a run that costs hours, can be interrupted, and may be shared by several processes.

On processors (CPUs) an interrupted run that is resumed ends with the very weights of one that was not, on the same
machine and as many threads. For that, a checkpoint holds the state of all sources of chance, of the schedule and of
early stopping. On GPUs, whose sums come in no fixed order, it goes on in the same way and ends with about the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from leuko.data.splitting import balance
from leuko.images.augmentation import Augmentation
from leuko.networks.network import Network
from leuko.networks.preprocessing import Preprocessing, to_input
from leuko.system import memory
from leuko.training import checkpoints, dataloading
from leuko.training.distributed import processes
from leuko.training.losses import Loss
from leuko.training.prepare_data import TrainingData
from leuko.training.settings import Settings

PATIENCE = 4  # epochs in a row whose validation loss is above the lowest by more than chance, before training stops
WARM_UP = 0.1  # share of the steps over which the learning rate rises
STEPS = 0.5, 0.75  # shares of the steps at which a step schedule divides the learning rate by ten (He et al. 2016)
TENSOR_CORES = (7, 0)  # compute capability from which on half precision is the faster one
STEADY = 16  # images a process and step, below which batch statistics are too noisy (Wu & He 2018, arXiv:1803.08494)


def train_network(
    network: Network, data: TrainingData, how: Preprocessing, settings: Settings, on_message: Callable[[str], None]
) -> int:
    """Train in place, ending with the weights that `Patience` chose.

    Under `accelerate launch` the processes share every batch, and each ends with the same weights.

    Args:
        network: what learns; its device and, where it is frozen, its parts.
        task: the data.
        how: preprocessing.
        settings: the run.
        on_message: receives the lines meant for the user.

    Returns:
        The number of steps done.

    Raises:
        TrainingError: the checkpoints are those of another run.
    """
    memory.keep_freed()
    share = settings.batch_size // processes().num_processes
    if settings.weights != "none" and share < STEADY and (resting := network.freeze_batch_norm_statistics()):
        on_message(
            f"{resting} batch-norm layers keep their statistics: {share} images at a time are too few for new ones."
        )
    checkpoint = checkpoints.last(settings, data, on_message)
    device = processes().device.type
    loss = _loss(data, settings)
    if (idle := torch.cuda.device_count() - 1 if device == "cuda" and processes().num_processes == 1 else 0) > 0:
        on_message(
            f"One GPU is used and {idle} not; `accelerate launch train.py …` shares every batch among all of them."
        )
    trainer = _Fit(
        loss,
        settings.schedule,
        model=network,
        args=OneDevice(
            output_dir=str(settings.checkpoints.resolve()),
            num_train_epochs=checkpoints.epochs(checkpoint, settings),
            per_device_train_batch_size=share,
            per_device_eval_batch_size=64,
            learning_rate=settings.lr,
            weight_decay=0.01,
            lr_scheduler_type="cosine",
            warmup_steps=WARM_UP,
            use_cpu=device == "cpu",
            **precision(device),
            eval_strategy="epoch",
            save_strategy="epoch",
            logging_strategy="epoch",
            save_total_limit=2,
            load_best_model_at_end=True,
            metric_for_best_model="eval_loss",
            greater_is_better=False,
            restore_callback_states_from_checkpoint=True,
            remove_unused_columns=False,
            label_names=["labels"],
            dataloader_num_workers=settings.workers,
            dataloader_multiprocessing_context=dataloading.apart() if settings.workers else None,
            dataloader_pin_memory=device == "cuda",
            ddp_find_unused_parameters=False,
            seed=settings.seed,
            data_seed=settings.seed,
            report_to="none",
        ),
        train_dataset=dataloading.ViewDataset(data.rows.select(data.learning), _augmentation(how, settings)),
        eval_dataset=dataloading.ViewDataset(
            data.rows.select(data.split.validation), partial(to_input, preprocessing=how)
        ),
        compute_metrics=partial(_measured, loss),
        callbacks=[Patience(PATIENCE), *_logs(settings)],
    )
    trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
    return trainer.state.global_step


def precision(device: str) -> dict[str, bool]:
    """In which numbers a device multiplies, as options of the Trainer.

    On GPUs, bfloat16 where the chip computes in it (Ampere and later; older ones emulate it, several times as slow),
    else float16 with a scaled loss where it has units for that, else single precision, as on everything that is no GPU.
    """
    if device != "cuda":
        return {"bf16": False, "fp16": False}
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return {"bf16": native, "fp16": not native and torch.cuda.get_device_capability() >= TENSOR_CORES}


class OneDevice(TrainingArguments):
    """Arguments under which a process trains on one GPU, even if it sees several.

    The Trainer would else give each of them a whole batch, and batches would be larger than `--batch-size` says.
    """

    @property
    def n_gpu(self) -> int:
        """Of the GPUs that this process uses."""
        return min(super().n_gpu, 1)


class _Fit(Trainer):
    """A Trainer for networks that return logits alone, with a loss and a schedule of ours."""

    def __init__(self, loss: Loss, schedule: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.loss, self.schedule = loss, schedule

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], return_outputs: bool = False, **_: Any
    ) -> Any:
        logits = model(inputs["pixel_values"].contiguous(memory_format=torch.channels_last))  # faster on a CPU
        loss = self.loss(logits, inputs["labels"])
        return (loss, {"logits": logits}) if return_outputs else loss

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        if self.schedule == "cosine":
            return super().create_scheduler(num_training_steps, optimizer)
        if self.lr_scheduler is None:
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                optimizer or self.optimizer, partial(step_schedule, steps=num_training_steps)
            )
        return self.lr_scheduler


class Patience(EarlyStoppingCallback):
    """Early stopping and the choice of weights, for a validation loss that goes up and down by chance.

    The weights of the last epoch are kept whose loss is above the lowest by no more than its own standard error, after
    the rule of one standard error (Breiman et al., "Classification and Regression Trees", 1984). The lowest by itself
    may be that of an early epoch, at a high learning rate, in a validation part of few patients or blocks of files.
    """

    lowest = math.inf

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **more: Any,
    ) -> None:
        """Called by the Trainer after every look at the validation part."""
        self.lowest = min(self.lowest, metrics["eval_loss"])
        within = metrics["eval_loss"] - metrics["eval_loss_error"] <= self.lowest
        state.best_metric = math.inf if within else self.lowest  # which this epoch then betters, or does not
        super().on_evaluate(args, state, control, metrics, **more)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        kept = super().state()
        return kept | {"attributes": kept["attributes"] | {"lowest": self.lowest}}


def _measured(loss: Loss, found: EvalPrediction) -> dict[str, float]:
    """Accuracy on validation, and the standard error of the loss, from that of every image."""
    logits, labels = torch.from_numpy(found.predictions), torch.from_numpy(found.label_ids)
    each = np.array([loss(logits[i : i + 1], labels[i : i + 1]).item() for i in range(len(labels))])
    weight = np.ones(len(each)) if loss.weights is None else np.array(loss.weights)[found.label_ids]
    away = each - np.average(each, weights=weight)
    return {
        "accuracy": float((found.predictions.argmax(1) == found.label_ids).mean()),
        "loss_error": float(np.sum((weight * away) ** 2) ** 0.5 / weight.sum()),
    }


def step_schedule(step: int, steps: int) -> float:
    """The share of the peak learning rate at a step: rising at first, then divided by ten at each of `STEPS`."""
    rise = max(1, int(np.ceil(WARM_UP * steps)))
    return step / rise if step < rise else 0.1 ** sum(step >= share * steps for share in STEPS)


def _loss(data: TrainingData, settings: Settings) -> Loss:
    weights = None
    if settings.balance == "weights":
        weights = tuple(balance.class_weights(data.truth[data.split.train], len(data.labels)).tolist())
    return Loss(settings.loss, settings.label_smoothing, weights)


def _augmentation(how: Preprocessing, settings: Settings) -> dataloading.RandomView:
    return dataloading.RandomView(Augmentation(how.size, how.mean, how.std, settings.augment, how.stain))


def _logs(settings: Settings) -> list[TrainerCallback]:
    if settings.log == "none" or not processes().is_main_process:
        return []
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations import TensorBoardCallback

    return [TensorBoardCallback(SummaryWriter(settings.logs))]
