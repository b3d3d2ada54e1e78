"""Training: from a data set to a model folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from torch import nn
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments, set_seed

from leuko.data import balance
from leuko.data.load import load, open_image
from leuko.evaluation import metrics
from leuko.evaluation.audit import colour_baseline
from leuko.evaluation.card import write_card
from leuko.evaluation.predict import predict
from leuko.models import folder
from leuko.models.backbones import Network, create
from leuko.models.calibration import Familiarity, OperatingPoint, fit_temperature
from leuko.models.classifier import leukaemia_probability
from leuko.models.preprocessing import Preprocessing, to_input
from leuko.training.augment import Augmentation
from leuko.training.settings import Settings
from leuko.training.task import Task, prepare

PATIENCE = 4  # epochs without a better validation loss before training stops
FAMILIAR_IMAGES = 500  # training images that say what is in distribution
REFIT_DECAY = 1e-3  # of the last layer's squared weights, where it is fitted anew
WARM_UP = 0.1  # share of the steps over which the learning rate rises


class TrainingError(RuntimeError):
    """Training that led nowhere; the message is one sentence that says what to do."""


class _Fit(Trainer):
    """A Trainer for networks that return logits alone, with weighed classes."""

    def __init__(self, class_weights: torch.Tensor | None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.class_weights = class_weights

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], return_outputs: bool = False, **_: Any
    ) -> Any:
        logits = model(inputs["pixel_values"].contiguous(memory_format=torch.channels_last))  # faster on a CPU
        weights = None if self.class_weights is None else self.class_weights.to(logits)
        loss = nn.functional.cross_entropy(logits, inputs["labels"], weights)
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
        TrainingError: the loss diverged, the network cannot be balanced as asked, or `settings.output` holds something
            else than a model folder.
    """
    _check_output(settings)
    set_seed(settings.seed)
    parts = load(settings.dataset, group_column=settings.group_column)
    classes = parts["train"].features["label"].num_classes
    network = create(settings.backbone, classes, weights=settings.weights, dropout=settings.dropout)
    if settings.balance == "smote":
        _last_layer(network, settings)  # whether there is one, before hours are spent
    task = prepare(parts, settings, say)
    network.freeze(settings.finetune)
    learning = sum(p.numel() for p in network.parameters() if p.requires_grad)
    say(f"{settings.backbone}: {learning:,} of {sum(p.numel() for p in network.parameters()):,} parameters learn.")
    cfg = network.timm_model.pretrained_cfg
    how = Preprocessing((settings.image_size,) * 2, "bicubic", tuple(cfg["mean"]), tuple(cfg["std"]))
    steps = _optimise(network, task, how, settings)
    if settings.balance == "smote":
        _refit_last_layer(network, task, how, settings)
        say("Balance: the last layer was fitted anew on the training images' features, SMOTE's among them.")
    report = _finish(network, task, how, settings, steps)

    shutil.rmtree(settings.checkpoints, ignore_errors=True)
    say(metrics.as_text(report, task.labels))
    baseline = report["colour_baseline"]
    say(f"Colour statistics alone: accuracy {baseline['accuracy']:.3f}, F1 (macro) {baseline['f1']:.3f}.")
    say(f"Written: {settings.output}")
    return report


def _finish(network: Network, task: Task, how: Preprocessing, settings: Settings, steps: int) -> dict[str, Any]:
    """Calibrate on validation, evaluate on test, and write the model folder; the figures on the test split."""
    folder.round_to_stored(network)
    network.eval().requires_grad_(False)
    split, rows = task.split, task.rows
    logits, _ = predict(network, rows.select(split.validation), how)
    if not np.isfinite(logits).all():
        raise TrainingError("Training diverged (the network's answers are not numbers); use a lower --lr.")
    truth = task.truth[split.validation]
    temperature = fit_temperature(logits, truth)
    folder.fold_temperature(network, temperature)
    folder.round_to_stored(network)

    logits, validation_features = predict(network, rows.select(split.validation), how)
    ill = np.isin(truth, [task.labels.index(name) for name in task.positive])
    point = OperatingPoint.fit(leukaemia_probability(softmax(logits, axis=1), task.labels, task.positive), ill)
    some = np.random.default_rng(settings.seed).permutation(split.train)[:FAMILIAR_IMAGES]
    _, training_features = predict(network, rows.select(some), how)
    knowledge = folder.Knowledge(
        name=f"Deep Leuko {settings.backbone} on {settings.title}",
        positive=task.positive,
        temperature=temperature,
        operating_point=point,
        familiarity=Familiarity.fit(training_features, validation_features),
        training=settings.record()
        | {"steps": steps, "split": task.split.how, "images": task.sizes, "fingerprint": task.fingerprint},
    )

    logits, _ = predict(network, rows.select(split.test), how)
    probabilities = softmax(logits.astype(np.float64), axis=1)
    truth = task.truth[split.test]
    report = metrics.evaluate(probabilities, truth, task.labels, task.positive, point.threshold)
    report["colour_baseline"] = colour_baseline(
        task.colours[split.train], task.truth[split.train], task.colours[split.test], truth
    )
    with folder.new_folder(settings.output) as draft:
        folder.save(draft, network, task.labels, how, knowledge)
        (draft / "evaluation").mkdir()
        (draft / "evaluation" / "metrics.json").write_text(json.dumps(report, indent=1) + "\n")
        metrics.plot(probabilities, truth, task.labels, draft / "evaluation")
        split.save(draft / "evaluation" / "split.json", rows["file"][:])
        if task.cleaning:
            task.cleaning.save(draft / "evaluation" / "cleaning.json")
        write_card(draft / "README.md", knowledge, settings.backbone, task.labels, report)
    return report


def _check_output(settings: Settings) -> None:
    """Refuse an output that would take the place of anything but a model folder, or that lies among the images."""
    output = settings.output.resolve()
    if output.exists() and not output.is_dir():
        raise TrainingError(f"{settings.output} is a file; give a folder for the model.")
    if output.is_dir() and any(output.iterdir()) and not (output / folder.LEUKO).is_file():
        raise TrainingError(
            f"{settings.output} holds other files and no model; give a new folder, so that nothing is lost."
        )
    for source in map(Path, settings.dataset):
        place = source.resolve()
        if source.is_dir() and (output.is_relative_to(place) or place.is_relative_to(output)):
            raise TrainingError(f"{settings.output} and the data in {source} lie in one another; give another folder.")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{settings.output} cannot be written ({error.strerror}); give another folder.") from error


def _last_layer(network: Network, settings: Settings) -> nn.Linear:
    last = network.timm_model.get_classifier()
    if not isinstance(last, nn.Linear):
        raise TrainingError(
            f"--balance smote needs a network that ends in a linear layer; {settings.backbone} does not."
        )
    return last


def _refit_last_layer(network: Network, task: Task, how: Preprocessing, settings: Settings) -> None:
    """Fit the last layer, in place, on features of the training images balanced by SMOTE.

    SMOTE mixes rows, which has a meaning between features and none between images; hence the classifier alone is
    trained again, on a trunk that has learnt from the images as they are: Kang et al., "Decoupling representation and
    classifier for long-tailed recognition", 2020, arXiv:1910.09217.
    """
    last = _last_layer(network, settings)
    rows = task.split.train
    network.eval()
    features, labels = balance.synthesise(
        predict(network, task.rows.select(rows), how)[1], task.truth[rows], seed=settings.seed
    )
    inputs, truth = (torch.from_numpy(values).to(last.weight.device) for values in (features, labels))
    last.requires_grad_(True)
    optimiser = torch.optim.LBFGS(last.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = nn.functional.cross_entropy(last(inputs), truth) + REFIT_DECAY * last.weight.square().sum()
        value.backward()
        return value

    optimiser.step(loss)


def _optimise(network: Network, task: Task, how: Preprocessing, settings: Settings) -> int:
    """Train in place, ending with the weights of the best validation loss; the number of steps done."""
    augmentation = Augmentation(how.size, how.mean, how.std)

    learning = task.rows.select(task.learning).with_transform(partial(_views, augmentation))
    validation = task.rows.select(task.split.validation).with_transform(partial(_views, partial(to_input, how=how)))
    weights = None
    if settings.balance == "weights":
        found = balance.class_weights(task.truth[task.split.train], len(task.labels))
        weights = torch.from_numpy(found).float()
    trainer = _Fit(
        weights,
        model=network,
        args=TrainingArguments(
            output_dir=str(settings.checkpoints),
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
        train_dataset=learning,
        eval_dataset=validation,
        compute_metrics=lambda p: {"accuracy": float((p.predictions.argmax(1) == p.label_ids).mean())},
        callbacks=[EarlyStoppingCallback(PATIENCE)],
    )
    checkpoint = settings.resume and any(settings.checkpoints.glob("checkpoint-*"))
    trainer.train(resume_from_checkpoint=checkpoint or None)
    return trainer.state.global_step


def _views(transform: Callable[[np.ndarray], Any], rows: dict[str, list]) -> dict[str, list]:
    """What the network sees of some rows; a function of the module, so that loading processes can be sent it."""
    return {
        "pixel_values": [torch.as_tensor(transform(open_image(image))) for image in rows["image"]],
        "labels": rows["label"],
    }
