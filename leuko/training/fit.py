"""Training: from a data set to a model folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict, concatenate_datasets
from scipy.special import softmax
from torch import nn
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments, set_seed

from leuko.data.load import DataError, load, open_image, recognise_positive
from leuko.data.split import split_blocks
from leuko.evaluation import metrics
from leuko.evaluation.audit import colour_baseline
from leuko.evaluation.card import write_card
from leuko.evaluation.predict import predict
from leuko.images.stain import colour_statistics
from leuko.models import folder
from leuko.models.backbones import FineTuning, Network, create
from leuko.models.calibration import Familiarity, OperatingPoint, fit_temperature
from leuko.models.classifier import leukaemia_probability
from leuko.models.preprocessing import Preprocessing, to_input
from leuko.training.augment import Augmentation

PATIENCE = 4  # epochs without a better validation loss before training stops
FAMILIAR_IMAGES = 500  # training images that say what is in distribution
WARM_UP = 0.1  # share of the steps over which the learning rate rises


class TrainingError(RuntimeError):
    """Training that led nowhere; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class Settings:
    """One training run; the names are those of `train.py`'s options.

    Attributes:
        dataset: folder or Hub id.
        output: the model folder to write.
        backbone: any timm name.
        weights: `auto`, `none` or a safetensors file.
        finetune: what learns, see `Network.freeze`.
        epochs, batch_size, lr, dropout: as usual; `lr` is the peak of a cosine schedule for AdamW.
        image_size: side of the network's square input, in pixels.
        seed: of the split and of all chance in training.
        resume: go on from the last checkpoint of an interrupted run.
    """

    dataset: str
    output: Path
    backbone: str = "resnet50"
    weights: str = "auto"
    finetune: FineTuning = "partial"
    epochs: int = 10
    batch_size: int = 32
    lr: float = 5e-4
    dropout: float = 0.2
    image_size: int = 224
    seed: int = 0
    resume: bool = False


@dataclass(frozen=True)
class _Task:
    """What is learnt: the parts of the data and what their labels mean."""

    labels: tuple[str, ...]
    positive: tuple[str, ...]
    train: Dataset
    validation: Dataset
    test: Dataset
    split: str  # in words, for the card
    fingerprint: str

    @property
    def sizes(self) -> dict[str, int]:
        return {"train": len(self.train), "validation": len(self.validation), "test": len(self.test)}


class _Fit(Trainer):
    """A Trainer for networks that return logits alone."""

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], return_outputs: bool = False, **_: Any
    ) -> Any:
        logits = model(inputs["pixel_values"].contiguous(memory_format=torch.channels_last))  # faster on a CPU
        loss = nn.functional.cross_entropy(logits, inputs["labels"])
        return (loss, {"logits": logits}) if return_outputs else loss


def train(settings: Settings, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Train, calibrate, evaluate and write a model folder.

    The folder appears only when it is complete. Checkpoints lie beside it in `OUTPUT.checkpoints` until then.

    Args:
        settings: the run.
        say: receives the lines meant for the user.

    Returns:
        The figures on the test split, as in `evaluation/metrics.json`.

    Raises:
        leuko.data.load.DataError: the data cannot be trained on.
        leuko.models.backbones.WeightsError: the backbone or its initial weights cannot be had.
        leuko.images.decode.ImageError: an image cannot be used.
        TrainingError: the loss diverged.
    """
    set_seed(settings.seed)
    task = _divide(load(settings.dataset), settings.seed)
    sizes = ", ".join(f"{n} {part}" for part, n in task.sizes.items())
    leukaemic = ", ".join(task.positive) or "none recognised"
    say(f"{settings.dataset}: classes {', '.join(task.labels)}; leukaemia: {leukaemic}.")
    say(f"Images: {sizes}; {task.split}.")

    network = create(settings.backbone, len(task.labels), weights=settings.weights, dropout=settings.dropout)
    network.freeze(settings.finetune)
    learning = sum(p.numel() for p in network.parameters() if p.requires_grad)
    say(f"{settings.backbone}: {learning:,} of {sum(p.numel() for p in network.parameters()):,} parameters learn.")
    cfg = network.timm_model.pretrained_cfg
    how = Preprocessing((settings.image_size,) * 2, "bicubic", tuple(cfg["mean"]), tuple(cfg["std"]))
    steps = _optimise(network, task, how, settings)
    report = _finish(network, task, how, settings, steps)

    shutil.rmtree(_checkpoints(settings), ignore_errors=True)
    say(metrics.as_text(report, task.labels))
    baseline = report["colour_baseline"]
    say(f"Colour statistics alone: accuracy {baseline['accuracy']:.3f}, F1 (macro) {baseline['f1']:.3f}.")
    say(f"Written: {settings.output}")
    return report


def _finish(network: Network, task: _Task, how: Preprocessing, settings: Settings, steps: int) -> dict[str, Any]:
    """Calibrate on validation, evaluate on test, and write the model folder; the figures on the test split."""
    folder.round_to_stored(network)
    network.eval().requires_grad_(False)
    logits, _ = predict(network, task.validation, how)
    if not np.isfinite(logits).all():
        raise TrainingError("Training diverged (the network's answers are not numbers); use a lower --lr.")
    truth = np.asarray(task.validation["label"])
    temperature = fit_temperature(logits, truth)
    folder.fold_temperature(network, temperature)
    folder.round_to_stored(network)

    logits, validation_features = predict(network, task.validation, how)
    ill = np.isin(truth, [task.labels.index(name) for name in task.positive])
    point = OperatingPoint.fit(leukaemia_probability(softmax(logits, axis=1), task.labels, task.positive), ill)
    some = np.random.default_rng(settings.seed).permutation(len(task.train))[:FAMILIAR_IMAGES]
    _, training_features = predict(network, task.train.select(some), how)
    knowledge = folder.Knowledge(
        name=f"Deep Leuko {settings.backbone} on {Path(settings.dataset).name}",
        positive=task.positive,
        temperature=temperature,
        operating_point=point,
        familiarity=Familiarity.fit(training_features, validation_features),
        training=_record(task, settings, steps),
    )

    logits, _ = predict(network, task.test, how)
    probabilities = softmax(logits.astype(np.float64), axis=1)
    truth = np.asarray(task.test["label"])
    report = metrics.evaluate(probabilities, truth, task.labels, task.positive, point.threshold)
    report["colour_baseline"] = colour_baseline(*_colours(task.train), *_colours(task.test))
    with folder.new_folder(settings.output) as draft:
        folder.save(draft, network, task.labels, how, knowledge)
        (draft / "evaluation").mkdir()
        (draft / "evaluation" / "metrics.json").write_text(json.dumps(report, indent=1) + "\n")
        metrics.plot(probabilities, truth, task.labels, draft / "evaluation")
        write_card(draft / "README.md", knowledge, settings.backbone, task.labels, report)
    return report


def _record(task: _Task, settings: Settings, steps: int) -> dict[str, Any]:
    """The run as `leuko.json` keeps it; of local paths only the names, which mean something elsewhere."""
    run = {name: value for name, value in asdict(settings).items() if name not in ("output", "resume")}
    run["dataset"] = Path(settings.dataset).name if Path(settings.dataset).exists() else settings.dataset
    run["weights"] = Path(settings.weights).name
    return run | {"steps": steps, "split": task.split, "images": task.sizes, "fingerprint": task.fingerprint}


def _divide(splits: DatasetDict, seed: int) -> _Task:
    if "test" in splits and "validation" in splits:
        parts, how = [splits["train"], splits["validation"], splits["test"]], "split as the data set gives it"
    elif len(splits) > 1:
        raise DataError("Give train, validation and test folders, or class folders alone to have them split.")
    else:
        rows = splits["train"]
        split = split_blocks(np.asarray(rows["label"]), seed)
        parts = [rows.select(split.train), rows.select(split.validation), rows.select(split.test)]
        how = (
            f"split 80:10:10 by {len(np.unique(split.group))} blocks of consecutive files, {len(split.guard)} left out "
            f"as guard gaps, seed {seed}"
        )
    labels = tuple(splits["train"].features["label"].names)
    return _Task(labels, recognise_positive(labels), *parts, how, _fingerprint(splits))


def _optimise(network: Network, task: _Task, how: Preprocessing, settings: Settings) -> int:
    """Train in place, ending with the weights of the best validation loss; the number of steps done."""
    augmentation = Augmentation(how.size, how.mean, how.std)

    def view(transform: Callable[[np.ndarray], Any]) -> Callable[[dict[str, list]], dict[str, list]]:
        return lambda rows: {
            "pixel_values": [torch.as_tensor(transform(open_image(image))) for image in rows["image"]],
            "labels": rows["label"],
        }

    trainer = _Fit(
        model=network,
        args=TrainingArguments(
            output_dir=str(_checkpoints(settings)),
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch_size,
            per_device_eval_batch_size=64,
            learning_rate=settings.lr,
            weight_decay=0.01,
            lr_scheduler_type="cosine",
            warmup_steps=WARM_UP,
            eval_strategy="epoch",
            save_strategy="epoch",
            logging_strategy="epoch",
            save_total_limit=2,
            load_best_model_at_end=True,
            metric_for_best_model="eval_loss",
            greater_is_better=False,
            remove_unused_columns=False,
            label_names=["labels"],
            dataloader_num_workers=2,
            dataloader_pin_memory=torch.cuda.is_available(),
            seed=settings.seed,
            data_seed=settings.seed,
            report_to="none",
        ),
        train_dataset=task.train.with_transform(view(augmentation)),
        eval_dataset=task.validation.with_transform(view(lambda image: to_input(image, how))),
        compute_metrics=lambda p: {"accuracy": float((p.predictions.argmax(1) == p.label_ids).mean())},
        callbacks=[EarlyStoppingCallback(PATIENCE)],
    )
    checkpoint = settings.resume and any(_checkpoints(settings).glob("checkpoint-*"))
    trainer.train(resume_from_checkpoint=checkpoint or None)
    return trainer.state.global_step


def _checkpoints(settings: Settings) -> Path:
    return settings.output.with_name(settings.output.name + ".checkpoints")


def _colours(rows: Dataset) -> tuple[np.ndarray, np.ndarray]:
    return np.stack([colour_statistics(open_image(image)) for image in rows["image"]]), np.asarray(rows["label"])


def _fingerprint(splits: DatasetDict) -> str:
    """Digest of the file names and labels, in order: which data this was."""
    rows = concatenate_datasets([rows.select_columns(["file", "label"]) for rows in splits.values()])
    digest = hashlib.sha256()
    for file, label in zip(rows["file"], rows["label"], strict=True):
        digest.update(f"{file}\t{label}\n".encode())
    return digest.hexdigest()[:16]
