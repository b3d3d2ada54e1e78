"""The kinds of the white cells of an image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from leuko.cells.kinds import crops
from leuko.cells.kinds.conformal import EVIDENCE, LEVEL, WIDENED_LEVEL
from leuko.cells.kinds.model import KindModel
from leuko.cells.kinds.names import BLAST, KINDS, NORMAL_KINDS, NORMAL_SHARES, UNKNOWN
from leuko.cells.segmentation import Segmentation

UNSURE = np.float32(1e-6)  # no network is surer of a blast, or of none: 0 and 1 are what a person says
UNLIKE = (
    "These cells look unlike those that the kinds were learnt from. Only a cell that is clear beyond that has a kind; "
    "the others are unknown."
)


@dataclass(frozen=True)
class CellKinds:
    """The kinds of the white cells of an image, N of them, in the order of ids.

    Attributes:
        probabilities: float32, N × 8, of `leuko.cells.kinds.names.KINDS`, sum 1.
        sets: bool, N × 8, the kinds that a cell may be.
        unlike: whether the cells look unlike those of calibration, so that the sets are widened.
    """

    probabilities: np.ndarray
    sets: np.ndarray
    unlike: bool

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The kind of each cell; `unknown` where several are possible, or none."""
        clear = self.sets.sum(axis=1) == 1
        first = self.sets.argmax(axis=1)
        return tuple(KINDS[kind] if sure else UNKNOWN for kind, sure in zip(first, clear, strict=True))

    @cached_property
    def blast_probabilities(self) -> np.ndarray:
        """How likely each cell is a blast: float32, N, 0 to 1.

        `probabilities` take all normal kinds for equally common. Here they are as common as in blood (`NORMAL_SHARES`;
        Saerens, Latinne & Decaestecker 2002, doi:10.1162/089976602753284446): that a cell looks a little like a
        basophil says hardly anything against a blast.
        """
        blast = self.probabilities[:, KINDS.index(BLAST)]
        shares = np.array([NORMAL_SHARES[kind] for kind in NORMAL_KINDS], np.float32)
        normal = self.probabilities[:, : len(NORMAL_KINDS)] @ shares
        found = blast / np.maximum(blast + len(NORMAL_KINDS) * normal, 1e-12)
        return np.clip(found, UNSURE, 1 - UNSURE)

    @cached_property
    def doubt(self) -> np.ndarray:
        """How doubtful each cell's kind is: float, N, 0 to 1; one less the probability of the likeliest kind."""
        return 1 - self.probabilities.max(axis=1)

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know about the kinds, in sentences."""
        return (UNLIKE,) if self.unlike else ()


def classify(image: np.ndarray, segmentation: Segmentation, model: KindModel | None = None) -> CellKinds:
    """The kinds of all white cells of an image.

    Args:
        image: uint8, H × W × 3, RGB.
        segmentation: of the image.
        model: None: the embedded one.
    """
    count = int(segmentation.white_cells.max(initial=0))
    if not count:
        return CellKinds(np.zeros((0, len(KINDS)), np.float32), np.zeros((0, len(KINDS)), bool), False)
    model = model or KindModel.embedded()
    look = model.look(crops.cut_alone(image, segmentation, range(1, count + 1)))
    unlike = model.calibration.evidence(look.novelty) >= EVIDENCE
    sets = model.calibration.p_values(look.probabilities) > (WIDENED_LEVEL if unlike else LEVEL)
    return CellKinds(look.probabilities, sets, unlike)
