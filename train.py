"""Fine-tune a timm network on smear images and write a model folder. See `python train.py --help`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from leuko.cli.option_types import Version, count, share, whole
from leuko.cli.terminal import run_quietly


def main() -> int:
    """Run the command line; the exit status is 1 if there is no model at the end."""
    parser = argparse.ArgumentParser(description="Fine-tune a timm network on smear images and write a model folder.")
    parser.add_argument("--version", action=Version)
    parser.add_argument(
        "--dataset",
        required=True,
        nargs="+",
        metavar="D",
        help="image folder (D/CLASS/*.jpg) or Hub id (USER/NAME); several are taken together",
    )
    parser.add_argument("--output", required=True, type=Path, help="model folder to write")
    data = parser.add_argument_group("data")
    data.add_argument("--group-column", metavar="NAME", help="column of patients or slides (default: found by name)")
    data.add_argument(
        "--positive",
        nargs="+",
        metavar="CLASS",
        help="classes that mean leukaemia, or none (default: by name, where all are known for certain)",
    )
    data.add_argument(
        "--clean",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="inspect the images and leave out what cannot be learnt from (default: yes)",
    )
    data.add_argument(
        "--keep", nargs="+", default=[], metavar="WHAT", help="files or kinds of findings that are not left out"
    )
    data.add_argument("--split", type=Path, metavar="FILE", help="split.json of an earlier run, to be used again")
    data.add_argument(
        "--balance",
        default="none",
        choices=["none", "weights", "over", "under", "smote"],
        help="against rare classes (default: %(default)s)",
    )
    parser.add_argument("--backbone", default="resnet50", help="any timm name (default: %(default)s)")
    parser.add_argument("--weights", default="auto", help="auto (timm's, from the Hub), none, or a safetensors file")
    parser.add_argument(
        "--finetune",
        choices=["frozen", "partial", "full"],
        help="the last layer, the last stages, or all (default: partial; full with --weights none)",
    )
    images = parser.add_argument_group("images")
    images.add_argument("--image-size", type=count, default=224, help="side of the network's input in pixels")
    images.add_argument(
        "--input-scale",
        default="auto",
        choices=["auto", "imagenet", "unit", "symmetric"],
        help="as the backbone's weights want it, by ImageNet's statistics, 0 to 1, or -1 to 1 (default: %(default)s)",
    )
    images.add_argument(
        "--augment",
        default="light",
        choices=["none", "light", "stain", "mixed"],
        help="stain varies dyes, lamp, camera and scale, as between laboratories; mixed: a third light, the rest stain "
        "(default: %(default)s)",
    )
    images.add_argument(
        "--normalise-stain",
        default="none",
        choices=["none", "reinhard", "macenko"],
        help="give images, in training and in use, the typical look of the training images (default: %(default)s)",
    )
    images.add_argument(
        "--normalise-images",
        default="all",
        choices=["all", "foreign"],
        help="foreign: images that look like the training images stay as they are (default: %(default)s)",
    )
    steps = parser.add_argument_group("optimisation")
    steps.add_argument("--epochs", type=count, default=10)
    steps.add_argument(
        "--batch-size", type=count, default=32, help="of all processes and GPUs together (default: %(default)s)"
    )
    steps.add_argument("--lr", type=share, default=5e-4, help="peak learning rate (default: %(default)s)")
    steps.add_argument("--schedule", default="cosine", choices=["cosine", "step"], help="(default: %(default)s)")
    steps.add_argument("--dropout", type=share, default=0.2, help="before the last layer (default: %(default)s)")
    steps.add_argument(
        "--loss", default="cross-entropy", choices=["cross-entropy", "focal"], help="(default: %(default)s)"
    )
    steps.add_argument("--label-smoothing", type=share, default=0.0, metavar="SHARE", help="(default: %(default)s)")
    parser.add_argument("--seed", type=whole, default=0, help="of the split and of training")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from the last checkpoint of this output; on a CPU, to the same weights to the bit",
    )
    parser.add_argument(
        "--workers",
        type=whole,
        default=2,
        metavar="N",
        help="processes that decode and augment images; 0: none (default: %(default)s)",
    )
    parser.add_argument(
        "--log", default="none", choices=["none", "tensorboard"], help="tensorboard: curves in OUTPUT.logs"
    )
    parser.add_argument("--push-to-hub", metavar="USER/NAME", help="publish the model folder when it is written")
    arguments = vars(parser.parse_args())
    if arguments["keep"] and not arguments["clean"]:
        parser.error("--no-clean leaves nothing out, so that there is nothing to --keep")
    if arguments["normalise_images"] == "foreign" and arguments["normalise_stain"] == "none":
        parser.error("--normalise-images foreign needs --normalise-stain reinhard or macenko")
    repo = arguments.pop("push_to_hub")
    arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}

    # Imported late, so that --help and a wrong option answer at once.
    from leuko.data.sources.folders import DataError
    from leuko.hub import model_repository
    from leuko.images.decode import ImageError
    from leuko.networks.backbones import WeightsError
    from leuko.training.distributed import processes
    from leuko.training.settings import Settings, TrainingError
    from leuko.training.train import train

    main_process = processes().is_main_process
    try:
        if repo:
            model_repository.check_login(repo)
        train(Settings(**arguments))
        if repo and main_process:
            print(f"Published: {model_repository.publish_model(arguments['output'], repo)}")
    except (DataError, ImageError, TrainingError, WeightsError, model_repository.HubError) as error:
        if main_process:
            print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run_quietly(main))
