"""Train a network: the part of a run that takes hours, can be interrupted, and may be distributed.

On a CPU, a resumed run gives exactly the same weights as an uninterrupted run, on the same machine with the same number
of threads. For this, a checkpoint contains the state of all random generators, of the schedule and of early stopping.
On GPUs, the weights are only approximately equal, because the order of additions is not fixed.
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

PATIENCE = 4  # training stops after so many consecutive epochs over one standard error above the lowest loss
WARM_UP = 0.1  # share of the steps in which the learning rate rises
SCHEDULE_STEPS = 0.5, 0.75  # shares of the steps after which `step` divides the learning rate by 10 (He et al. 2016)
TENSOR_CORES = (7, 0)  # compute capability from which on half precision is faster
MIN_BATCH = 16  # images per process and step; with fewer, batch statistics are too noisy (Wu & He, arXiv:1803.08494)


def train_network(
    network: Network,
    data: TrainingData,
    preprocessing: Preprocessing,
    settings: Settings,
    on_message: Callable[[str], None],
) -> int:
    """Train a network in place; its final weights are those chosen by `Patience`.

    With `accelerate launch`, the processes share every batch, and all have the same weights at the end.

    Args:
        network: the network, on its device, with its frozen layers.
        data: the data of the run.
        preprocessing: from an image to the network's input.
        settings: the run.
        on_message: receives the lines meant for the user.

    Returns:
        The number of training steps.

    Raises:
        TrainingError: the checkpoints belong to another run.
    """
    memory.keep_freed()
    share = settings.batch_size // processes().num_processes
    if settings.weights != "none" and share < MIN_BATCH and (frozen := network.freeze_batch_norm_statistics()):
        on_message(
            f"{frozen} batch-norm layers keep their statistics: {share} images per step are too few for new ones."
        )
    checkpoint = checkpoints.last(settings, data, on_message)
    device = processes().device.type
    loss = _loss(data, settings)
    if (idle := torch.cuda.device_count() - 1 if device == "cuda" and processes().num_processes == 1 else 0) > 0:
        on_message(
            f"One GPU is used and {idle} not; `accelerate launch train.py …` shares every batch among all of them."
        )
    trainer = _NetworkTrainer(
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
            dataloader_multiprocessing_context=dataloading.worker_start_method() if settings.workers else None,
            dataloader_pin_memory=device == "cuda",
            ddp_find_unused_parameters=False,
            seed=settings.seed,
            data_seed=settings.seed,
            report_to="none",
        ),
        train_dataset=dataloading.ViewDataset(data.rows.select(data.learning), _augmentation(preprocessing, settings)),
        eval_dataset=dataloading.ViewDataset(
            data.rows.select(data.split.validation), partial(to_input, preprocessing=preprocessing)
        ),
        compute_metrics=partial(_validation_metrics, loss),
        callbacks=[Patience(PATIENCE), *_logs(settings)],
    )
    trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
    return trainer.state.global_step


def precision(device: str) -> dict[str, bool]:
    """The numeric precision for a device, as options of the Trainer.

    On GPUs: bfloat16 if the chip supports it (Ampere and later; older chips emulate it and are several times slower),
    else float16 with loss scaling if it has tensor cores. Otherwise single precision.
    """
    if device != "cuda":
        return {"bf16": False, "fp16": False}
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return {"bf16": native, "fp16": not native and torch.cuda.get_device_capability() >= TENSOR_CORES}


class OneDevice(TrainingArguments):
    """Training arguments that use one GPU per process, even if several are visible.

    By default, the Trainer gives each visible GPU a complete batch, so batches would be larger than `--batch-size`.
    """

    @property
    def n_gpu(self) -> int:
        """Number of GPUs that this process uses."""
        return min(super().n_gpu, 1)


class _NetworkTrainer(Trainer):
    """A Trainer for networks that return only logits, with our loss and schedule."""

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
        scheduler: torch.optim.lr_scheduler.LRScheduler | None = getattr(self, "lr_scheduler", None)
        if scheduler is None:
            chosen = optimizer or self.optimizer
            if chosen is None:
                raise RuntimeError("The optimizer must be created before its schedule.")
            scheduler = torch.optim.lr_scheduler.LambdaLR(chosen, partial(step_schedule, steps=num_training_steps))
            self.lr_scheduler = scheduler
        return scheduler


class Patience(EarlyStoppingCallback):
    """Early stopping and choice of weights for a validation loss with random variation.

    The kept weights are from the last epoch with a loss of at most one standard error above the lowest loss (one
    standard error rule; Breiman et al., "Classification and Regression Trees", 1984). The lowest loss itself may occur
    by chance in an early epoch with a high learning rate, if the validation part has few patients or blocks of files.
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
        """Called by the Trainer after every validation."""
        self.lowest = min(self.lowest, metrics["eval_loss"])
        within = metrics["eval_loss"] - metrics["eval_loss_error"] <= self.lowest
        state.best_metric = (
            math.inf if within else self.lowest
        )  # any loss is better than infinity, so the Trainer keeps this epoch
        super().on_evaluate(args, state, control, metrics, **more)

    def state(self) -> dict[str, Any]:
        """The state for a checkpoint."""
        state = super().state()
        return state | {"attributes": state["attributes"] | {"lowest": self.lowest}}


def _validation_metrics(loss: Loss, outputs: EvalPrediction) -> dict[str, float]:
    """Accuracy on validation, and the standard error of the loss, from the losses of the single images."""
    predictions, truth = np.asarray(outputs.predictions), np.asarray(outputs.label_ids)
    logits, labels = torch.from_numpy(predictions), torch.from_numpy(truth)
    each = np.array([loss(logits[i : i + 1], labels[i : i + 1]).item() for i in range(len(labels))])
    weight = np.ones(len(each)) if loss.weights is None else np.array(loss.weights)[truth]
    away = each - np.average(each, weights=weight)
    return {
        "accuracy": float((predictions.argmax(axis=1) == truth).mean()),
        "loss_error": float(np.sum((weight * away) ** 2) ** 0.5 / weight.sum()),
    }


def step_schedule(step: int, steps: int) -> float:
    """Learning rate as a share of its maximum: rises first, then is divided by ten at each of `SCHEDULE_STEPS`."""
    rise = max(1, int(np.ceil(WARM_UP * steps)))
    return step / rise if step < rise else 0.1 ** sum(step >= share * steps for share in SCHEDULE_STEPS)


def _loss(data: TrainingData, settings: Settings) -> Loss:
    weights = None
    if settings.balance == "weights":
        weights = tuple(balance.class_weights(data.truth[data.split.train], len(data.labels)).tolist())
    return Loss(settings.loss, settings.label_smoothing, weights)


def _augmentation(preprocessing: Preprocessing, settings: Settings) -> dataloading.RandomView:
    return dataloading.RandomView(
        Augmentation(preprocessing.size, preprocessing.mean, preprocessing.std, settings.augment, preprocessing.stain)
    )


def _logs(settings: Settings) -> list[TrainerCallback]:
    if settings.log == "none" or not processes().is_main_process:
        return []
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations import TensorBoardCallback

    return [TensorBoardCallback(SummaryWriter(settings.logs))]
