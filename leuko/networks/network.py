"""Any timm image classifier, cut once into a trunk and a head.

The trunk turns an image into a feature map, and the head turns the feature map into logits. The rest of the project
uses this cut: Grad-CAM goes back through the head alone, a frozen trunk is run once for all epochs, and another runtime
may serve the trunk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import nn

FineTuning = Literal["frozen", "partial", "full"]
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


if TYPE_CHECKING:

    class TimmModel(nn.Module):
        """What is used of timm's classifiers, for type checkers."""

        feature_info: list[dict[str, Any]]
        pretrained_cfg: dict[str, Any]
        head_hidden_size: int
        _model_args: dict[str, Any]

        def forward_features(self, x: torch.Tensor) -> torch.Tensor:
            """Feature map, of images, B × 3 × H × W."""

        def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
            """Logits, or the input of the last layer, of a feature map."""

        def get_classifier(self) -> nn.Module:
            """The last layer."""

        def reset_classifier(self, num_classes: int) -> None:
            """Replace the last layer by a fresh one."""
else:
    TimmModel = nn.Module


class Network(nn.Module):
    """A timm classifier seen as `head(trunk(x))`.

    Attributes:
        timm_model: the network itself; its `state_dict` is what a model folder holds.
        frozen: the modules that do not learn. They stay in evaluation mode, so that their batch-norm statistics and
            dropout do not change (`transformers.Trainer` sets train mode at every step).
    """

    def __init__(self, timm_model: nn.Module) -> None:
        super().__init__()
        self.timm_model = cast(TimmModel, timm_model)
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
        """Choose which parameters learn.

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
        # A module is frozen if none of its parameters learns.
        self.frozen = [
            module
            for module in self.timm_model.modules()
            if (parameters := list(module.parameters())) and not any(p.requires_grad for p in parameters)
        ]
        self.train(self.training)

    def freeze_batch_norm_statistics(self) -> int:
        """Freeze the running statistics of all batch-norm layers; scale and shift learn as before.

        Returns:
            The number of layers that were not frozen before.
        """
        moving = [m for m in self.timm_model.modules() if isinstance(m, _BATCH_NORMS) and m not in set(self.frozen)]
        self.frozen += moving
        self.train(self.training)
        return len(moving)

    def _behind_the_middle(self) -> list[nn.Parameter]:
        stages = [stage["module"] for stage in self.timm_model.feature_info]
        middle = self.timm_model.get_submodule(stages[(len(stages) - 1) // 2])
        before = set(middle.parameters())
        parameters = list(self.timm_model.parameters())
        # Parameters come in the order of the network. If the stage ends in a module without parameters (a ReLU), the
        # place of that module among all modules is used.
        if not before:
            for module in self.timm_model.modules():
                if module is middle:
                    break
                before.update(module.parameters(recurse=False))
        cut = max(i for i, parameter in enumerate(parameters) if parameter in before)
        return parameters[cut + 1 :]

    def train(self, mode: bool = True) -> Network:
        """Set train or evaluation mode; frozen modules stay in evaluation mode."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def frozen_batch_norms(self) -> dict[str, nn.Module]:
        """The batch-norm layers whose running statistics must not move, by name."""
        frozen = set(self.frozen)
        return {
            name: module
            for name, module in self.timm_model.named_modules()
            if isinstance(module, _BATCH_NORMS) and module in frozen
        }

    def round_to_half_precision(self) -> None:
        """Round the weights, in place, to what a model folder stores: matrices and kernels in half precision."""
        with torch.no_grad():
            for tensor in self.timm_model.state_dict().values():
                if tensor.is_floating_point() and tensor.ndim > 1:
                    tensor.copy_(tensor.half().float())

    def fold_temperature(self, temperature: float) -> None:
        """Divide the logits by `temperature` for good, in the weights of the last layer."""
        with torch.no_grad():
            for parameter in self.timm_model.get_classifier().parameters():
                parameter.div_(temperature)
