"""One training run as a user asks for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from leuko.data.sources.folders import title_of
from leuko.images.augmentation import Kind
from leuko.images.stain_normalisation import Method
from leuko.networks.network import FineTuning
from leuko.training.losses import LossName

Balance = Literal["none", "weights", "over", "under", "smote"]
Scale = Literal["auto", "imagenet", "unit", "symmetric"]


class TrainingError(RuntimeError):
    """Training that led nowhere; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class Settings:
    """One training run; the names are those of `train.py`'s options.

    Attributes:
        dataset: folders and Hub ids, taken together.
        output: the model folder to write.
        group_column: the column that says which images belong together; found by name if None.
        positive: the classes that mean leukaemia, or `none` alone; if None, all must be known by name.
        clean: whether the data are inspected, and what cannot be learnt from left out.
        keep: file names and kinds of findings that cleaning must not leave out.
        split: a `split.json` of an earlier run, to be used again.
        balance: `weights` weighs classes in the loss, `over` and `under` repeat or leave out training images, `smote`
            fits the last layer anew on features with synthetic ones among them.
        backbone: any timm name.
        weights: `auto`, `none` or a safetensors file.
        finetune: what learns, see `Network.freeze`; by default `full` from random weights, else `partial`.
        epochs, batch_size, lr, dropout: as usual; `batch_size` is that of all processes together, `lr` the peak of the
            schedule, for AdamW.
        schedule: of the learning rate, see `leuko.training.trainer`.
        loss, label_smoothing: see `leuko.training.losses`.
        image_size: side of the network's square input, in pixels.
        input_scale: what pixels become: `auto`, as for the backbone's own weights; `imagenet`, normalised by ImageNet's
            mean and standard deviation; `unit`, 0 to 1; `symmetric`, -1 to 1.
        augment: see `leuko.images.augmentation`.
        normalise_stain: gives images the training images' typical look, see `leuko.images.stain_normalisation`;
        normalise_images: to all of them, or to those alone whose look is unlike the training images' (`foreign`).
        seed: of the split and of all chance in training.
        resume: go on from the last checkpoint of an interrupted run.
        log: `tensorboard` keeps the curves of the run in `logs`.
        workers: processes that decode and augment images beside the one that learns; with 0 it does so itself.
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
        """Why a model trained so can hardly be good, a sentence each."""
        if self.weights != "none" or self.finetune == "full":
            return ()
        return (
            f"Most of this network never learnt anything: its weights are random (--weights none), and with --finetune "
            f"{self.finetune} only its last layers were trained; --finetune full trains all of them.",
        )

    @property
    def checkpoints(self) -> Path:
        """Where an unfinished run keeps what it needs to go on."""
        return self.output.with_name(self.output.name + ".checkpoints")

    @property
    def logs(self) -> Path:
        """Where TensorBoard's logs are kept; they outlive the run."""
        return self.output.with_name(self.output.name + ".logs")

    @property
    def title(self) -> str:
        """The data sets by name."""
        return " ".join(map(title_of, self.dataset))

    def record(self) -> dict[str, Any]:
        """What `leuko.json` keeps of the run; neither paths nor file names, which may name patients."""
        left_out = ("output", "resume", "log", "positive", "keep", "split", "workers")
        run = {name: value for name, value in asdict(self).items() if name not in left_out}
        return run | {"dataset": self.title, "weights": Path(self.weights).name}
