"""Training of the segmentation network: from lists of images to an ONNX file.

In round one a colour segmentation labels the images; what is known about them (masks, boxes) corrects it. From round
two on, the network of the round before labels them, which has seen drawn smears and other laboratories too. Every stage
is stored, so that a run can be continued.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from leuko.data.errors import DataError
from leuko.networks.model_folder.files import digest as digest_of_file
from leuko.system import memory
from leuko.system.about import VERSION
from leuko.training import fit_state
from leuko.training.segmenter import example
from leuko.training.segmenter.export import export
from leuko.training.segmenter.fit import fit
from leuko.training.segmenter.make_examples import draw_smears, label_images
from leuko.training.segmenter.run_folder import DRAWN, RoundFolder, RunFolder, digest, open_run, write_json
from leuko.training.segmenter.settings import Settings
from leuko.training.segmenter.sources import SourceImage, read_list
from leuko.training.segmenter.unet import SegmentationUNet

PACKAGES = "torch", "timm", "onnx", "numpy", "opencv-python-headless"  # whose versions the report contains


@dataclass(frozen=True)
class ShareParameters:
    """How often views are drawn of each source.

    Attributes:
        power: of a list's number of examples. 0 would treat laboratories alike, 1 images: in between, a small
            laboratory counts, and its few images are not learnt by heart.
        drawn: share of drawn smears: they alone have exact labels and smudge cells.
    """

    power: float = 0.25
    drawn: float = 2 / 7


SHARES = ShareParameters()


def train(settings: Settings, on_message: Callable[[str], None] = print) -> Path:
    """Train a segmentation network.

    Args:
        settings: the run.
        on_message: receives the lines meant for the user.

    Returns:
        The ONNX file, for `leuko.cells.segmentation.learned.network.SegmentationNetwork`. Beside it, `training.json`
        says what it was trained on; stages of the run stay in the folder.

    Raises:
        DataError: a list cannot be used, or the output folder holds other files.
        leuko.training.settings.TrainingError: the run cannot be continued, or the loss diverged.
        ValueError: the weights cannot be used.
    """
    memory.keep_freed()
    lists = read_lists(settings.lists)
    _new_network(settings)  # weights that cannot be used are refused before images are labelled for minutes
    folder = open_run(settings, lists, on_message)
    if settings.drawn and not folder.drawn.is_file():
        example.write(draw_smears(settings.drawn, settings.seed, on_message), folder.drawn)
        on_message(f"{settings.drawn} smears drawn.")
    for number in range(1, settings.rounds + 1):
        if folder.round(number).network.is_file():
            on_message(f"Round {number} is done.")
        else:
            on_message(f"Round {number} of {settings.rounds}.")
            _train_round(number, settings, lists, folder, on_message)
    draft = folder.network.with_suffix(".draft")
    shutil.copyfile(folder.round(settings.rounds).network, draft)
    draft.replace(folder.network)
    write_json(folder.report, _report(settings, lists, folder))
    on_message(f"Written: {folder.network}")
    return folder.network


def read_lists(files: Sequence[Path]) -> dict[str, list[SourceImage]]:
    """The images of lists, by the names of the lists.

    Raises:
        DataError: a list cannot be used, or two have one name.
    """
    lists: dict[str, list[SourceImage]] = {}
    for file in files:
        if file.stem in (DRAWN, *lists):
            raise DataError(f"The name {file.stem} is taken; rename {file}, so that each source has its own name.")
        lists[file.stem] = read_list(file)
    return lists


def shares(counts: Mapping[str, int]) -> dict[str, float]:
    """How often views are drawn of each source, sum 1, by the numbers of examples."""
    weights = {name: count**SHARES.power for name, count in counts.items() if name != DRAWN}
    for_lists = (1 - SHARES.drawn if DRAWN in counts else 1) / sum(weights.values())
    return {name: for_lists * weights[name] if name in weights else SHARES.drawn for name in counts}


def _new_network(settings: Settings) -> SegmentationUNet:
    torch.manual_seed(settings.seed)
    network = SegmentationUNet()
    network.load_trunk(settings.weights)
    return network


def _train_round(
    number: int,
    settings: Settings,
    lists: Mapping[str, Sequence[SourceImage]],
    folder: RunFolder,
    on_message: Callable[[str], None],
) -> None:
    """Label the images, fit the network and write it as ONNX, each unless it is done."""
    here, earlier = folder.round(number), folder.round(number - 1) if number > 1 else None
    for name, images in lists.items():
        if not here.has(name):
            seed = settings.seed + number
            here.write(name, label_images(name, images, earlier.network if earlier else None, seed, on_message))
    counts = _counts(settings, lists, here)
    if empty := [name for name, count in counts.items() if not count]:
        raise DataError(f"No image of {empty[0]} can be used; see the reasons above, and leave the list out.")
    sources = {name: here.examples(name) for name in lists}
    if settings.drawn:
        sources[DRAWN] = example.read(folder.drawn)
    network = _new_network(settings)
    if earlier:
        fit_state.load_average(earlier.state, network)
    seed = settings.seed + number - 1
    fitted = fit(network, sources, shares(counts), _steps(settings, number), seed, here.state, on_message)
    export(fitted.network, here.network)


def _steps(settings: Settings, number: int) -> int:
    return settings.steps if number == 1 else settings.second_steps


def _counts(settings: Settings, lists: Iterable[str], here: RoundFolder) -> dict[str, int]:
    """How many examples each source has in a round."""
    drawn = {DRAWN: settings.drawn} if settings.drawn else {}
    return {name: here.counts(name)["examples"] for name in lists} | drawn


def _report(settings: Settings, lists: Mapping[str, Sequence[SourceImage]], folder: RunFolder) -> dict[str, Any]:
    """What the network was trained on; without paths and names of files, which may contain patient names."""
    rounds = []
    for number in range(1, settings.rounds + 1):
        here = folder.round(number)
        views = {name: round(share, 4) for name, share in shares(_counts(settings, lists, here)).items()}
        rounds.append(
            {
                "steps": _steps(settings, number),
                "lists": {name: here.counts(name) for name in lists},
                "shares": views,
                "losses": fit_state.progress(here.state).losses,
            }
        )
    return {
        "lists": {name: {"images": len(images), "sha256": digest(images)} for name, images in lists.items()},
        "drawn": settings.drawn,
        "seed": settings.seed,
        "weights": {"name": settings.weights.name, "sha256": digest_of_file(settings.weights)},
        "rounds": rounds,
        "network": {"sha256": digest_of_file(folder.network)},
        "versions": {"leuko": VERSION} | {package: version(package) for package in PACKAGES},
    }
