"""Networks from the literature that timm lacks, registered with timm: `timm.create_model("alexnet")`."""

from __future__ import annotations

from typing import Any

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

COMPACT_CHANNELS = (32, 64, 128, 256)  # of the blocks of `CompactCNN`


class _TrunkAndHead(nn.Module):
    """The methods that timm expects; the trunk is `features`, the head `classifier`, which ends in a linear layer."""

    features: nn.Sequential
    pool: nn.Module
    classifier: nn.Sequential
    num_features: int
    head_hidden_size: int

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Feature map, B × channels × h × w, of normalised images, B × 3 × H × W."""
        return self.features(x)

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Logits, B × classes, of a feature map; or the input of the last layer, B × features."""
        x = self.pool(x).flatten(1)
        return self.classifier[:-1](x) if pre_logits else self.classifier(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, B × classes, of normalised images, B × 3 × H × W."""
        return self.forward_head(self.forward_features(x))

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        return self.classifier[-1]

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the last layer by a new one; by an identity if there are no classes."""
        self.num_classes = num_classes
        features = self.head_hidden_size
        self.classifier[-1] = nn.Linear(features, num_classes) if num_classes else nn.Identity()


class AlexNet(_TrunkAndHead):
    """AlexNet for one processor: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.

    arXiv:1404.5997; the network of Krizhevsky et al. 2012 without its division over two processors. Layers and names
    are those of torchvision, whose ImageNet weights therefore fit.
    """

    def __init__(self, num_classes: int = 1000, in_chans: int = 3, drop_rate: float = 0.5) -> None:
        super().__init__()
        self.num_classes, self.num_features, self.head_hidden_size = num_classes, 256, 4096
        self.features = nn.Sequential(
            nn.Conv2d(in_chans, 64, 11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
        )
        stages = ((1, 64, 4), (4, 192, 8), (7, 384, 16), (9, 256, 16), (11, 256, 16))
        self.feature_info = [{"num_chs": n, "reduction": r, "module": f"features.{i}"} for i, n, r in stages]
        self.pool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            nn.Dropout(drop_rate),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(drop_rate),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes),
        )


class CompactCNN(_TrunkAndHead):
    """A small network made for smears and trained from scratch.

    In the manner of ALLNET (Sampathila et al., "Customized deep learning classifier for detection of acute
    lymphoblastic leukemia using blood smear images", 2022, doi:10.3390/healthcare10101812): a few blocks of
    convolution, batch norm and pooling, then a dense layer. The paper's list of layers is not repeated here.
    """

    def __init__(self, num_classes: int = 1000, in_chans: int = 3, drop_rate: float = 0.2) -> None:
        super().__init__()
        self.num_classes, self.num_features, self.head_hidden_size = num_classes, COMPACT_CHANNELS[-1], 128
        blocks: list[nn.Module] = []
        self.feature_info: list[dict[str, Any]] = []
        before = in_chans
        for number, channels in enumerate(COMPACT_CHANNELS):
            convolution = nn.Conv2d(before, channels, 3, padding=1, bias=False)
            blocks += [convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
            self.feature_info.append(
                {"num_chs": channels, "reduction": 2**number, "module": f"features.{len(blocks) - 2}"}
            )
            before = channels
        self.features = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(before, self.head_hidden_size),
            nn.ReLU(inplace=True),
            nn.Dropout(drop_rate),
            nn.Linear(self.head_hidden_size, num_classes),
        )


def _cfg(**more: Any) -> dict[str, Any]:
    return {
        "num_classes": 1000,
        "input_size": (3, 224, 224),
        "interpolation": "bilinear",
        "crop_pct": 0.875,
        "mean": IMAGENET_DEFAULT_MEAN,
        "std": IMAGENET_DEFAULT_STD,
        "first_conv": "features.0",
        **more,
    }


default_cfgs = generate_default_cfgs(
    {
        "alexnet.tv_in1k": _cfg(
            url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", classifier="classifier.6"
        ),
        "compact_cnn.untrained": _cfg(classifier="classifier.3"),
    }
)


@register_model
def alexnet(pretrained: bool = False, **arguments: Any) -> AlexNet:
    """AlexNet, 61.1 million parameters for 1,000 classes; inputs from 63 × 63 pixels."""
    return build_model_with_cfg(AlexNet, "alexnet", pretrained, **arguments)


@register_model
def compact_cnn(pretrained: bool = False, **arguments: Any) -> CompactCNN:
    """The compact network for smears, 0.4 million parameters without the last layer; it has no pretrained weights."""
    return build_model_with_cfg(CompactCNN, "compact_cnn", pretrained, **arguments)
