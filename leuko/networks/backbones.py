"""Any timm image classifier, cut once into a trunk and a head.

The trunk turns an image into a feature map, the head turns the feature map into logits. Everything else in the
project stands on that cut: Grad-CAM goes back through the head alone, a frozen trunk is run once, and serving may
run the trunk elsewhere.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Literal

import timm
import torch
from huggingface_hub import constants
from safetensors.torch import load_file
from timm.models._hub import check_cached_file
from torch import nn

from leuko.networks import architectures, ensemble, hub_errors  # noqa: F401  (two are registered with timm)

FineTuning = Literal["frozen", "partial", "full"]
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class WeightsError(ValueError):
    """Initial weights that cannot be had or do not fit; the message says what to do."""


class Network(nn.Module):
    """A timm classifier seen as `head(trunk(x))`.

    Attributes:
        timm_model: the network itself; its `state_dict` is what a model folder holds.
        frozen: the modules that rest, most of them because their parameters do not learn; they stay in evaluation mode,
            so that their batch-norm statistics and dropout do not move (`transformers.Trainer` sets train mode at every
            step).
    """

    def __init__(self, timm_model: nn.Module) -> None:
        super().__init__()
        self.timm_model = timm_model
        self.frozen: list[nn.Module] = []

    def trunk(self, pixels: torch.Tensor) -> torch.Tensor:
        """Feature map of normalised images, float, B × 3 × H × W; its layout is the backbone's own."""
        return self.timm_model.forward_features(pixels)

    def head(self, feature_map: torch.Tensor) -> torch.Tensor:
        """Logits, B × classes, of a feature map from `trunk`."""
        return self.timm_model.forward_head(feature_map)

    def pooled(self, feature_map: torch.Tensor) -> torch.Tensor:
        """The head's input to its last linear layer, B × features."""
        return self.timm_model.forward_head(feature_map, pre_logits=True).flatten(1)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Logits, B × classes, of normalised images, float, B × 3 × H × W."""
        return self.head(self.trunk(pixel_values))

    def spatial(self, feature_map: torch.Tensor) -> torch.Tensor:
        """The feature map as B × channels × h × w, whatever its layout: NCHW, NHWC or tokens of a square grid."""
        if feature_map.ndim == 4:
            last = getattr(self.timm_model, "output_fmt", "NCHW") == "NHWC"
            return feature_map.permute(0, 3, 1, 2) if last else feature_map
        tokens = feature_map[:, getattr(self.timm_model, "num_prefix_tokens", 0) :]
        side = int(tokens.shape[1] ** 0.5)
        return tokens.transpose(1, 2).reshape(tokens.shape[0], -1, side, side)

    def freeze(self, mode: FineTuning) -> None:
        """Choose what learns.

        `frozen`: the last linear layer alone. `partial`: the last stages, those behind the middle entry of timm's
        `feature_info` (for ResNet-50 layers 3 and 4, for VGG-16 blocks 4 and 5 and the dense layers), as in the
        paper. `full`: everything.
        """
        self.requires_grad_(True)
        self.frozen = []
        if mode == "frozen":
            learning = set(self.timm_model.get_classifier().parameters())
        elif mode == "partial":
            learning = set(self._behind_the_middle())
        else:
            return
        for parameter in self.parameters():
            parameter.requires_grad_(parameter in learning)
        # A module rests if nothing in it learns; a parameter-free one (dropout) rests with a resting trunk.
        self.frozen = [
            module
            for module in self.timm_model.modules()
            if (own := list(module.parameters())) and not any(p.requires_grad for p in own)
        ]
        self.train(self.training)

    def rest_batch_norms(self) -> int:
        """Keep all batch-norm layers on the statistics they have; scale and shift learn as before. How many changed."""
        moving = [m for m in self.timm_model.modules() if isinstance(m, _BATCH_NORMS) and m not in set(self.frozen)]
        self.frozen += moving
        self.train(self.training)
        return len(moving)

    def _behind_the_middle(self) -> list[nn.Parameter]:
        stages = [stage["module"] for stage in self.timm_model.feature_info]
        middle = self.timm_model.get_submodule(stages[(len(stages) - 1) // 2])
        before = set(middle.parameters())
        parameters = list(self.timm_model.parameters())
        # Parameters come in the order of the network. A stage may end in a module without any (a ReLU): then what
        # counts is the place of that module among all modules.
        if not before:
            for module in self.timm_model.modules():
                if module is middle:
                    break
                before.update(module.parameters(recurse=False))
        cut = max(i for i, parameter in enumerate(parameters) if parameter in before)
        return parameters[cut + 1 :]

    def train(self, mode: bool = True) -> Network:
        """Set train or evaluation mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def frozen_batch_norms(self) -> dict[str, nn.Module]:
        """The batch-norm layers whose running statistics must not move, by name."""
        resting = set(self.frozen)
        return {
            name: module
            for name, module in self.timm_model.named_modules()
            if isinstance(module, _BATCH_NORMS) and module in resting
        }


def create(backbone: str, classes: int, *, weights: str = "auto", dropout: float = 0.0) -> Network:
    """Build a network for `classes` classes.

    Behind a trunk that has learnt, a new last layer starts at nought, as in Kolesnikov et al., "Big Transfer", 2020,
    arXiv:1912.11370. timm's own start is meant for a thousand classes: with four, the first answers of an EfficientNet
    are far off and sure, and the steps that mend them undo much of what the trunk knows.

    Args:
        backbone: any name of `timm.list_models()`.
        classes: number of classes, at least 2.
        weights: `auto` (timm's pretrained weights from the Hub), `none` (random), or the path of a safetensors
            file with the backbone's parameters under timm's names; its last layer is left out if it has other classes.
        dropout: probability before the last layer, 0 to 1.

    Raises:
        WeightsError: unknown backbone, unreachable or unfitting weights.
    """
    if not timm.is_model(backbone):
        near = ", ".join(timm.list_models(f"*{backbone.split('.')[0][:6]}*")[:5]) or "see timm.list_models()"
        raise WeightsError(f"timm has no network named {backbone!r}; did you mean one of: {near}?")
    try:
        with hub_errors.quiet(), _at_hand_if_offline(backbone) if weights == "auto" else nullcontext():
            timm_model = timm.create_model(
                backbone, pretrained=weights == "auto", num_classes=classes, drop_rate=dropout
            )
    except Exception as error:
        if weights != "auto":
            raise
        logging.getLogger(__name__).debug("pretrained weights of %s", backbone, exc_info=error)
        raise WeightsError(
            f"The pretrained weights of {backbone} could not be fetched from the Hub. Check the connection, or give "
            "--weights FILE (safetensors) or --weights none."
        ) from error
    new = weights == "auto" and classes != timm_model.pretrained_cfg.get("num_classes")
    if weights not in ("auto", "none"):
        new = _load_initial(timm_model, Path(weights))
    if new:
        for parameter in timm_model.get_classifier().parameters():
            nn.init.zeros_(parameter)
    return Network(timm_model)


@contextmanager
def _at_hand_if_offline(backbone: str) -> Iterator[None]:
    """Where the source of pretrained weights does not answer, only those that are on this machine already are taken."""
    cfg = timm.get_pretrained_cfg(backbone)
    on_hub = bool(cfg and cfg.hf_hub_id)
    source = constants.ENDPOINT if on_hub else cfg and cfg.url
    if not source or (constants.HF_HUB_OFFLINE and on_hub) or hub_errors.reachable(source):
        yield
        return
    if not on_hub and not check_cached_file(source):
        raise WeightsError(f"{source} does not answer.")
    with hub_errors.cached_only():
        yield


def _load_initial(timm_model: nn.Module, file: Path) -> bool:
    """Load what fits; whether the last layer is left as it was, because the file's has other classes."""
    if file.suffix != ".safetensors":
        raise WeightsError(f"--weights takes auto, none or a .safetensors file; {file.name} is none of them.")
    try:
        given = load_file(file)
    except Exception as error:
        raise WeightsError(f"The weights file {file} is missing or not a complete safetensors file.") from error
    wanted = timm_model.state_dict()
    head = {id(p) for p in timm_model.get_classifier().parameters()}
    last = {name for name, p in timm_model.named_parameters() if id(p) in head}
    fitting = {k: v for k, v in given.items() if k in wanted and v.shape == wanted[k].shape}
    missing = [k for k in wanted if k not in fitting and k not in last]
    if missing:
        raise WeightsError(
            f"{file.name} does not fit this backbone: {len(missing)} of {len(wanted)} tensors are missing or have "
            f"another shape (the first: {missing[0]})."
        )
    timm_model.load_state_dict(fitting, strict=False)
    return not last <= fitting.keys()
