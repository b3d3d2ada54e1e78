"""The settings of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from leuko.data.sources.folders import title_of
from leuko.images.augmentation import Kind
from leuko.images.stain.normalisation import Method
from leuko.networks.network import FineTuning
from leuko.training.losses import LossName

Balance = Literal["none", "weights", "over", "under", "smote"]
Scale = Literal["auto", "imagenet", "unit", "symmetric"]


class TrainingError(RuntimeError):
    """Training failed; the message is one sentence that says what to do."""


def refuse_other_run(first_run: Mapping[str, Any], run: Mapping[str, Any], data: str, other_data: str) -> None:
    """Refuse to continue a run with other options or data.

    Args:
        first_run, run: the records of the interrupted run and of this one; options under their names.
        data: the entry that stands for the data, and
        other_data: words for another one.

    Raises:
        TrainingError: they differ; the message names the first difference.
    """
    for name, value in run.items():
        first = first_run.get(name)
        if first != value:
            option = f"--{name.replace('_', '-')}"
            difference = other_data if name == data else f"{option} {first}, this one has {option} {value}"
            raise TrainingError(
                f"The interrupted run had {difference}; resume it with the same options, or start again without "
                "--resume."
            )


@dataclass(frozen=True)
class Settings:
    """One training run; the names are those of `train.py`'s options.

    Attributes:
        dataset: folders and Hub ids; their images are joined.
        output: the model folder to write.
        group_column: the column that names groups of images, such as patients; found by its name if None.
        positive: the classes that mean leukaemia, or only `none`; if None, all meanings must be known by the names.
        clean: whether the data are inspected and unusable images left out.
        keep: file names and kinds of findings that cleaning must not leave out.
        split: a `split.json` of an earlier run that is used again.
        balance: `weights` uses class weights in the loss; `over` repeats and `under` leaves out training images;
            `smote` fits the last layer again on features with additional synthetic ones.
        backbone: any timm name.
        weights: `auto`, `none` or a safetensors file.
        finetune: which layers are trained, see `Network.freeze`; by default `full` from random weights, else `partial`.
        epochs, batch_size, lr, dropout: as usual; `batch_size` is the sum over all processes, `lr` the maximum of the
            schedule, for AdamW.
        schedule: schedule of the learning rate, see `leuko.training.trainer`.
        loss, label_smoothing: see `leuko.training.losses`.
        image_size: side of the network's square input, in pixels.
        input_scale: range of the input: `auto`, as for the backbone's weights; `imagenet`, normalised by ImageNet's
            mean and standard deviation; `unit`, 0 to 1; `symmetric`, -1 to 1.
        augment: see `leuko.images.augmentation`.
        normalise_stain: method that gives images the typical stain of the training images, see
            `leuko.images.stain.normalisation`.
        normalise_images: which images are normalised: all, or only images unlike the training images (`foreign`).
        seed: seed of the split and of all random choices in training.
        resume: continue from the last checkpoint of an interrupted run.
        log: `tensorboard` writes the curves of the run into `logs`.
        workers: processes that decode and augment images; with 0 the training process does so.
    """

    dataset: tuple[str, ...]
    output: Path
    group_column: str | None = None
    positive: tuple[str, ...] | None = None
    clean: bool = True
    keep: tuple[str, ...] = ()
    split: Path | None = None
    balance: Balance = "none"
    backbone: str = "resnet50"
    weights: str = "auto"
    finetune: FineTuning | None = None
    epochs: int = 10
    batch_size: int = 32
    lr: float = 5e-4
    dropout: float = 0.2
    schedule: Literal["cosine", "step"] = "cosine"
    loss: LossName = "cross-entropy"
    label_smoothing: float = 0.0
    image_size: int = 224
    input_scale: Scale = "auto"
    augment: Kind = "light"
    normalise_stain: Literal["none"] | Method = "none"
    normalise_images: Literal["all", "foreign"] = "all"
    seed: int = 0
    resume: bool = False
    log: Literal["none", "tensorboard"] = "none"
    workers: int = 2

    def __post_init__(self) -> None:
        if self.finetune is None:
            object.__setattr__(self, "finetune", "full" if self.weights == "none" else "partial")

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about settings that probably give a poor model, one sentence each."""
        if self.weights != "none" or self.finetune == "full":
            return ()
        return (
            f"Most layers of this network were never trained: the weights are random (--weights none), and --finetune "
            f"{self.finetune} trains only the last layers; --finetune full trains all of them.",
        )

    @property
    def checkpoints(self) -> Path:
        """Folder for the checkpoints of an unfinished run."""
        return self.output.with_name(self.output.name + ".checkpoints")

    @property
    def logs(self) -> Path:
        """Folder for TensorBoard's logs; it is kept after the run."""
        return self.output.with_name(self.output.name + ".logs")

    @property
    def title(self) -> str:
        """The names of the data sets."""
        return " ".join(map(title_of, self.dataset))

    def record(self) -> dict[str, Any]:
        """The settings for `leuko.json`, without paths and file names, because these may contain patient names."""
        left_out = ("output", "resume", "log", "positive", "keep", "split", "workers")
        run = {name: value for name, value in asdict(self).items() if name not in left_out}
        return run | {"dataset": self.title, "weights": Path(self.weights).name}
