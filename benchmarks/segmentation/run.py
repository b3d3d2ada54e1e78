"""One method at work on many images: the only call of `segment`, the processes, and summaries that sections share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from multiprocessing import get_context
from multiprocessing.queues import Queue
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from leuko.cells.segmentation import Segmentation, segment
from leuko.cells.segmentation.learned.network import SegmentationNetwork
from leuko.images.decode import decode
from leuko.images.quality.assessment import assess
from leuko.inference.field_json import why_no_cells

PROCESSES = 2
MIDDLE = 0.15  # of the shorter side: radius of the disc around the middle that the cell of a close-up covers
IN_MIDDLE = 0.1  # of that disc: what a white cell covers at least, to be one in the middle

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Segmenter:
    """A method of segmentation, with the file of its network where it is not the embedded one."""

    method: str
    network: Path | None = None

    def __call__(self, image: np.ndarray) -> Segmentation:
        """Segment an image, uint8, H × W × 3, RGB."""
        if self.network is None:
            return segment(image, method=self.method)
        return segment(image, method=self.method, network=_opened(self.network))


@cache
def _opened(file: Path) -> SegmentationNetwork:
    return SegmentationNetwork(file)


class Summary(NamedTuple):
    """What is found in an image, in numbers.

    Attributes:
        white, red, platelets, smudges: cells.
        whole_red: red cells that no border cuts.
        middle: white cells in the middle of the image.
        um_per_px: by the red cells; None where they give no scale.
        refused: why `leuko field` reports no counts; empty where it does.
    """

    white: int
    red: int
    platelets: int
    smudges: int
    whole_red: int
    middle: int
    um_per_px: float | None
    refused: str


@dataclass
class Run:
    """A method, the data and the processes that work for it. A context manager."""

    data: Path
    segmenter: Segmenter
    _pool: ProcessPoolExecutor = field(init=False, repr=False)
    _summaries: dict[tuple[Segmenter, Path], Summary] = field(default_factory=dict, repr=False)

    def __enter__(self) -> Self:
        context = get_context("spawn")
        cores: Queue = context.Queue()
        for core in range(PROCESSES):
            cores.put(core)
        self._pool = ProcessPoolExecutor(PROCESSES, mp_context=context, initializer=_use_one_core, initargs=(cores,))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def map(self, work: Callable[[Segmenter, Item], Result], items: Iterable[Item]) -> list[Result]:
        """`work(segmenter, item)` of every item, in order."""
        return list(self._pool.map(partial(work, self.segmenter), items, chunksize=2))

    def summaries(self, files: Sequence[Path], method: str | None = None) -> list[Summary]:
        """Summaries of images by the method, or by another one; none is made twice."""
        segmenter = self.segmenter if method in (None, self.segmenter.method) else Segmenter(str(method))
        new = [file for file in files if (segmenter, file) not in self._summaries]
        for file, summary in zip(new, self._pool.map(partial(summarise, segmenter), new, chunksize=4), strict=True):
            self._summaries[segmenter, file] = summary
        return [self._summaries[segmenter, file] for file in files]


def _use_one_core(cores: Queue) -> None:
    """Keep a process on one core, so that ONNX Runtime, OpenMP and OpenCV use one thread."""
    mine = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {mine[cores.get() % len(mine)]})
    threadpool_limits(1)
    cv2.setNumThreads(1)


def summarise(segmenter: Segmenter, file: Path) -> Summary:
    """The summary of an image."""
    image = decode(file)
    found = segmenter(image)
    return Summary(
        white=int(found.white_cells.max(initial=0)),
        red=int(found.red_cells.max(initial=0)),
        platelets=int(found.platelets.max(initial=0)),
        smudges=0 if found.smudges is None else int(found.smudges.max(initial=0)),
        whole_red=sum(not box["touches_border"] for box in found.boxes("red_cell")),
        middle=in_middle(found.white_cells),
        um_per_px=found.um_per_px if found.scale_source == "red cells" else None,
        refused=" ".join(why_no_cells(assess(image), found)),
    )


def in_middle(labels: np.ndarray) -> int:
    """How many cells of a label map, int, H × W, lie in the middle: each covers a tenth of a disc around it."""
    height, width = labels.shape
    ys, xs = np.ogrid[:height, :width]
    disc = np.hypot(ys - (height - 1) / 2, xs - (width - 1) / 2) <= MIDDLE * min(height, width)
    covered = np.bincount(labels[disc])
    return int((covered[1:] >= IN_MIDDLE * disc.sum()).sum())


def columns(rows: Sequence[tuple]) -> Any:
    """Rows of numbers, named tuples, as one named tuple of arrays, float."""
    return type(rows[0])(*np.array(rows, float).T)
