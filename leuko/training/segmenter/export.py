"""The segmentation network as ONNX, as `leuko.cells.segmentation.learned.network` reads it."""

from __future__ import annotations

import copy
from pathlib import Path

import onnx
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn
from torch.nn import functional

from leuko.cells.segmentation.learned.network import DEEP_STRIDE
from leuko.networks.export import to_onnx
from leuko.training.segmenter.unet import SegmentationUNet

MAX_SIDE = 1024  # of an input, in units of `DEEP_STRIDE`; larger images are read in tiles


class _FixedPadding(nn.Module):
    """A convolution at stride 2 whose padding does not depend on the sides of its input, which are even.

    TensorFlow's padding differs between odd and even sides. Written out for both, it would be computed anew for each
    image, and the export would take minutes.
    """

    def __init__(self, convolution: Conv2dSame) -> None:
        super().__init__()
        self.convolution = convolution
        missing = convolution.kernel_size[0] - 2
        self.padding = (missing // 2, missing - missing // 2) * 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        given = self.convolution
        return functional.conv2d(functional.pad(x, self.padding), given.weight, stride=2, groups=given.groups)


def export(network: SegmentationUNet, file: Path) -> None:
    """Write the network as ONNX in one step.

    Input: `pixels`, float32, 1 × 3 × H × W, sides multiples of 16. Outputs: `classes`, `offsets` and `diameter` as of
    `SegmentationUNet.forward`.
    """
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, Conv2dSame):
                setattr(parent, name, _FixedPadding(module))
    height, width = (DEEP_STRIDE * torch.export.Dim(name, min=1, max=MAX_SIDE) for name in ("rows", "columns"))
    model = to_onnx(
        network, torch.zeros(1, 3, 96, 128), ["pixels"], ["classes", "offsets", "diameter"], {2: height, 3: width}
    )
    draft = file.with_suffix(".draft")
    onnx.save(model, draft)
    draft.replace(file)
