"""Several networks as one: its prediction is the mean of their probabilities.

As Ding et al. and Shi et al. averaged networks on the C-NMC cells (ISBI 2019 C-NMC Challenge,
doi:10.1007/978-981-15-0798-4). An ensemble is one timm network with a trunk and a head, so that model folders,
`leuko.load`, Grad-CAM, ONNX and the Hub treat it as any other network. Other programs need this package, and
`import leuko.networks.backbones` before timm or transformers load the folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import timm
import torch
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn
from torch.nn import functional

from leuko.networks.network import TimmModel

NAME = "leuko_ensemble"


class EnsembleError(ValueError):
    """Networks that cannot be combined; the message says why."""


class _Sharpness(nn.Module):
    """Multiplies the log-probabilities by a factor, which is 1 until a temperature is folded in."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, log_probabilities: torch.Tensor) -> torch.Tensor:
        return log_probabilities * self.weight


class _Resize(nn.Module):
    """Resizes images as Pillow does, with antialiasing: a weighted mean along columns, then along rows.

    The weights are two matrices, so that the exported network resizes by multiplication alone.
    """

    def __init__(self, source: tuple[int, int], target: tuple[int, int]) -> None:
        super().__init__()
        self.same = source == target
        self.rows: torch.Tensor
        self.columns: torch.Tensor
        for name, before, after in zip(("rows", "columns"), source, target, strict=True):
            one = torch.eye(before)[None, None]
            weights = functional.interpolate(one, (after, before), mode="bicubic", antialias=True)[0, 0]
            self.register_buffer(name, weights, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if self.same else self.rows @ x @ self.columns.T


def largest(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The input size of an ensemble, (height, width): that of its largest members."""
    return max(size[0] for size in sizes), max(size[1] for size in sizes)


class Ensemble(nn.Module):
    """The mean of several classifiers' probabilities, as one timm network.

    The feature map of an ensemble is the concatenation of its members' feature maps, each flattened, since they may
    differ in size and layout; `split` separates them again. Logits are the logarithms of the mean probabilities, so
    that softmax gives the mean probabilities.

    Args:
        members: for each member `architecture` (timm's name), `args` (of `timm.create_model`), `mean` and `std` (of
            its input; the ensemble's input is normalised as the first member's), `size` (of its input; the ensemble
            takes the largest) and `shape` (of its feature map for one image).
        num_classes: of all members.
        in_chans: 3.
        drop_rate: not used: the members are trained already.
    """

    def __init__(
        self,
        members: Sequence[dict[str, Any]] = (),
        num_classes: int = 2,
        in_chans: int = 3,
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        if not members:
            raise EnsembleError(f"{NAME} has no members; combine trained model folders.")
        self.num_classes = num_classes
        self.shapes = [tuple(member["shape"]) for member in members]
        networks = [
            cast(TimmModel, timm.create_model(member["architecture"], num_classes=num_classes, **member["args"]))
            for member in members
        ]
        self.members = nn.ModuleList(networks)
        first_mean, first_std = (torch.tensor(members[0][key]) for key in ("mean", "std"))
        mean, std = (torch.tensor([member[key] for member in members]) for key in ("mean", "std"))
        self.input_scale: torch.Tensor
        self.input_shift: torch.Tensor
        self.register_buffer("input_scale", first_std / std)
        self.register_buffer("input_shift", (first_mean - mean) / std)
        sizes = [tuple(member["size"]) for member in members if "size" in member]
        self.resizing = nn.ModuleList(_Resize(largest(sizes), size) for size in sizes)
        self.sharpness = _Sharpness()
        self.num_features = self.head_hidden_size = sum(network.head_hidden_size for network in networks)

    def networks(self) -> list[TimmModel]:
        """The members."""
        return [cast(TimmModel, member) for member in self.members]

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """The members' feature maps, B × sum of their sizes, of images, B × 3 × H × W, normalised for the first."""
        scales, shifts = self.input_scale[..., None, None], self.input_shift[..., None, None]
        # Older folders state no sizes, because all members have the same.
        resizing = list(self.resizing) or [nn.Identity()] * len(self.members)
        views = zip(self.networks(), resizing, scales, shifts, strict=True)
        return torch.cat(
            [member.forward_features(resize(x) * scale + shift).flatten(1) for member, resize, scale, shift in views],
            dim=1,
        )

    def split(self, feature_map: torch.Tensor) -> list[torch.Tensor]:
        """The members' feature maps, each B × its shape."""
        sizes = [torch.Size(shape).numel() for shape in self.shapes]
        parts = feature_map.split(sizes, dim=1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Logarithms of the mean probabilities, B × classes, or the members' pooled features side by side."""
        pairs = list(zip(self.networks(), self.split(x), strict=True))
        if pre_logits:
            return torch.cat([member.forward_head(part, pre_logits=True).flatten(1) for member, part in pairs], dim=1)
        each = torch.stack([member.forward_head(part).log_softmax(dim=1) for member, part in pairs])
        return self.sharpness(each.logsumexp(dim=0) - torch.tensor(len(pairs)).log())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logarithms of the mean probabilities, B × classes, of images, B × 3 × H × W."""
        return self.forward_head(self.forward_features(x))

    def get_classifier(self) -> nn.Module:
        """The layer that a temperature is folded into."""
        return self.sharpness


default_cfgs = generate_default_cfgs({f"{NAME}.untrained": {"input_size": (3, 224, 224), "num_classes": 2}})


@register_model
def leuko_ensemble(pretrained: bool = False, **arguments: Any) -> Ensemble:
    """An average ensemble; see `Ensemble` for its arguments."""
    return build_model_with_cfg(Ensemble, NAME, pretrained, **arguments)
