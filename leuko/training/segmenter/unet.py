"""The segmentation network: a U-Net with the first stages of EfficientNet-Lite0 as its trunk.

Its outputs: classes of pixels and the offset of each pixel to the middle of its cell at half the input's resolution,
and the diameter of a red cell at a sixteenth. The offsets part touching cells: pixels vote for the middle of their cell
(Neven et al., "Instance segmentation by jointly optimizing spatial embeddings and clustering bandwidth", 2019,
arXiv:1906.11109; Cheng et al., "Panoptic-DeepLab", 2020, arXiv:1911.10194).
After Ronneberger et al., "U-Net", 2015, arXiv:1505.04597, and Tan & Le, "EfficientNet", 2019, arXiv:1905.11946.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from leuko.cells.segmentation.learned.classes import CLASSES
from leuko.networks.backbones import WeightsError

BACKBONE = "tf_efficientnet_lite0"
WIDTHS = 96, 64, 48, 32  # channels of the decoder at strides 16, 8, 4 and 2


def _convolution(channels: int, width: int) -> nn.Sequential:
    """A separable convolution: each channel by itself, then all channels of a pixel."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.Conv2d(channels, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )


class Trunk(nn.Module):
    """The first stages of EfficientNet-Lite0, to a sixteenth of the input's resolution.

    Later stages hold three quarters of the weights; a cell is smaller than what a place at this depth sees.
    """

    STAGES = ((0,), (1,), (2,), (3, 4))  # blocks; each entry ends at half the resolution of the one before
    CHANNELS = 16, 24, 40, 112

    def __init__(self) -> None:
        super().__init__()
        whole: Any = timm.create_model(BACKBONE, num_classes=0)
        self.conv_stem, self.bn1 = whole.conv_stem, whole.bn1
        self.blocks: nn.Sequential = whole.blocks[: self.STAGES[-1][-1] + 1]

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps at strides 2, 4, 8 and 16."""
        x, maps = self.bn1(self.conv_stem(pixels)), []
        for stage in self.STAGES:
            for block in stage:
                x = self.blocks[block](x)
            maps.append(x)
        return maps


class SegmentationUNet(nn.Module):
    """See the module; input float32, B × 3 × H × W, sides multiples of 16."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        skips = Trunk.CHANNELS[::-1]
        self.deepest = _convolution(skips[0], WIDTHS[0])
        self.decoder = nn.ModuleList(
            _convolution(above + skip, width)
            for above, skip, width in zip(WIDTHS[:-1], skips[1:], WIDTHS[1:], strict=True)
        )
        self.last = _convolution(WIDTHS[-1], WIDTHS[-1])
        self.classes = nn.Conv2d(WIDTHS[-1], len(CLASSES), 1)
        self.offsets = nn.Conv2d(WIDTHS[-1], 2, 1)
        self.diameter = nn.Sequential(nn.Conv2d(skips[0], 64, 1), nn.ReLU(inplace=True), nn.Conv2d(64, 1, 1))

    def load_trunk(self, file: Path) -> None:
        """Take the trunk's weights from a safetensors file in timm's names.

        Raises:
            WeightsError: the file cannot be read, or holds weights of another network.
        """
        try:
            state = {name: value.float() for name, value in load_file(file).items()}
            missing = self.trunk.load_state_dict(state, strict=False).missing_keys
        except (OSError, SafetensorError) as error:
            raise WeightsError(f"The weights {file} cannot be read: {error}.") from error
        except RuntimeError as error:  # other shapes
            raise WeightsError(f"{file} holds no weights of {BACKBONE}.") from error
        if missing:
            raise WeightsError(f"{file} has no weights for {missing[0]} of {BACKBONE}.")

    def train(self, mode: bool = True) -> SegmentationUNet:
        """As of PyTorch, but the trunk's batch norms keep ImageNet's statistics: batches are small."""
        super().train(mode)
        self.trunk.eval()
        return self

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits of the classes, offsets (rows, columns), and the logarithm of a red cell's diameter in px.

        Returns:
            float32, B × classes × H/2 × W/2; B × 2 × H/2 × W/2, unit `OFFSET_UNIT_PX`; B × 1 × H/16 × W/16.
        """
        *skips, deep = self.trunk(pixels)
        x = self.deepest(deep)
        for block, skip in zip(self.decoder, skips[::-1], strict=True):
            x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = block(torch.cat([x, skip], dim=1))
        x = self.last(x)
        return self.classes(x), self.offsets(x), self.diameter(deep) + 3.3
