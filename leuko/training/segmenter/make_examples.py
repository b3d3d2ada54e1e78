"""Making the examples of a round, on all cores: drawn smears, and images labelled by a teacher or by the student."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from leuko.cells.segmentation import segment
from leuko.cells.segmentation.learned.network import SegmentationNetwork
from leuko.images import field_of_view
from leuko.images.decode import ImageError, decode
from leuko.images.synthetic.random_smear import random_field
from leuko.system.threads import cores
from leuko.training.segmenter.example import Example
from leuko.training.segmenter.labelling import label
from leuko.training.segmenter.sources import SourceImage
from leuko.training.segmenter.student import teach, with_platelets

Item = TypeVar("Item")
Result = TypeVar("Result")

TEACHER = "fuzzy"  # of round one
FIRST_DRAWN = 1_000_000  # seed of the first drawn smear; those of tests and benchmarks are far from it
SEEDS_APART = 100_000  # between the first smears of two runs
DRAWN_SIDE_PX = 320
DRAWN_DIAMETERS_PX = 24, 32, 44  # of a red cell; views resize them
MESSAGE_EVERY_S = 30


@dataclass(frozen=True)
class Labelled:
    """What a list gave.

    Attributes:
        examples: of the images that could be labelled.
        left_out: how many could not, by the reason, a sentence.
    """

    examples: list[Example]
    left_out: dict[str, int]


def draw_smears(count: int, seed: int, on_message: Callable[[str], None]) -> list[Example]:
    """Draw smears with their exact labels.

    Args:
        count: how many, below `SEEDS_APART`.
        seed: of the run.
        on_message: receives the lines meant for the user.
    """
    first = FIRST_DRAWN + SEEDS_APART * seed
    return list(_on_all_cores(_draw, range(first, first + count), "drawn smears", on_message))


def label_images(
    name: str, images: Sequence[SourceImage], network: Path | None, seed: int, on_message: Callable[[str], None]
) -> Labelled:
    """Label the images of a list.

    Args:
        name: of the list.
        images: with what is known about them.
        network: ONNX file of the student; None: by the first teacher.
        seed: of the colours in which the student looks at images.
        on_message: receives the lines meant for the user.
    """
    work = partial(_label, network=network, seed=seed)
    results = list(_on_all_cores(work, list(enumerate(images)), f"images of {name}", on_message))
    examples = [result for result in results if isinstance(result, Example)]
    left_out = dict(Counter(result for result in results if isinstance(result, str)).most_common())
    reasons = "".join(f"; left out {count}: {reason}" for reason, count in left_out.items())
    on_message(f"{name}: {len(examples)} of {len(images)} images labelled{reasons or '.'}")
    return Labelled(examples, left_out)


def _draw(seed: int) -> Example:
    diameter = np.random.default_rng(seed).choice(DRAWN_DIAMETERS_PX)
    return Example.from_smear(random_field(seed, side_px=DRAWN_SIDE_PX, red_diameter_px=float(diameter)))


def _label(numbered: tuple[int, SourceImage], network: Path | None, seed: int) -> Example | str:
    number, known = numbered
    try:
        image = decode(known.image)
    except ImageError:
        return "It cannot be read as an image."
    if field_of_view.find(image) is not None:
        return "It shows the rim of an eyepiece."
    by_teacher = segment(image, TEACHER)
    if network is None:
        return label(image, known, by_teacher)
    by_student, sure = teach(image, _open(network), np.random.default_rng([seed, number]))
    merged = with_platelets(by_student, by_teacher, known)
    return label(image, known, merged, sure | (merged.platelets > 0))


@cache
def _open(network: Path) -> SegmentationNetwork:
    return SegmentationNetwork(network, threads=1)  # the other cores have processes of their own


def _start_process() -> None:
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the run in one process and with one message


def _on_all_cores(
    work: Callable[[Item], Result], items: Sequence[Item], what: str, on_message: Callable[[str], None]
) -> Iterator[Result]:
    """The results in the order of the items, computed in a process for each core."""
    context = multiprocessing.get_context("spawn")  # copies of this process would be stopped by PyTorch's threads
    with ProcessPoolExecutor(min(cores(), len(items)), context, _start_process) as pool:
        results: Iterable[Result] = pool.map(work, items, chunksize=4)
        last = time.monotonic()
        for done, result in enumerate(results, start=1):
            yield result
            if time.monotonic() - last > MESSAGE_EVERY_S and done < len(items):
                last = time.monotonic()
                on_message(f"{done} of {len(items)} {what} …")
