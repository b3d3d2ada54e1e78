"""Cell counts of a field: which cells are counted, which are not and why, and the share of blasts.

Each kind of cell has two numbers. *Total* is everything in the segmentation. *Counted* follows the rule of the counting
chamber: a cell cut by the left or upper border is counted, one cut by the right or lower border is not. Adjacent fields
then count every cell once, while the total counts large cells too often (Gundersen, "Notes
on the estimation of the numerical density of arbitrary profiles: the edge effect", 1977,
doi:10.1111/j.1365-2818.1977.tb00062.x).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from leuko.cells.blast_share import REFERENCE_LINES, BlastShare, with_count

if TYPE_CHECKING:
    from leuko.cells.segmentation import Segmentation

RULE = "Cells cut by the left or upper border count, cells cut by the right or lower border do not."


@dataclass(frozen=True)
class CountingParameters:
    """Sizes of cells that are counted.

    Attributes:
        min_white_um: diameter; the smallest lymphocytes have about 7 µm, platelets and fragments up to 4.
        max_white_um: diameter; beyond lie megakaryocytes and clumps.
        min_red: of the median area of red cells; below are fragments, above may still be a small spherocyte.
        red_clump: of the median area of red cells: two cells less their overlap.
        min_red_cells: whole red cells for a reliable median.
        min_white_cells: counted white cells for a number of smudge cells per 100 of them.
    """

    min_white_um: float = 5.0
    max_white_um: float = 35.0
    min_red: float = 0.3
    red_clump: float = 1.7
    min_red_cells: int = 10
    min_white_cells: int = 20


PARAMETERS = CountingParameters()

_KINDS = ("white_cells", "red_cells", "platelets", "smudge_cells")
# `Counts.as_json` without its sentences, where nothing can be counted.
NOT_COUNTED: dict[str, Any] = {
    "counts": dict.fromkeys(_KINDS),
    "counted": dict.fromkeys(_KINDS),
    "counting_rule": RULE,
    "excluded": dict.fromkeys(_KINDS),
    "clumps": dict.fromkeys(_KINDS),
    "white_to_red": None,
    "white_to_red_seen": None,
    "blast_share": None,
}


@dataclass(frozen=True)
class Tally:
    """One kind of cell in a field.

    Attributes:
        total: number in the segmentation.
        excluded: ids that are not counted, by reason: "cut" (by the right or lower border), "too small", "too large".
        clumps: ids of objects so large that they are probably several overlapping cells. Each is counted as one: the
            true number is higher, but leaving them out would miss more.
    """

    total: int
    excluded: dict[str, tuple[int, ...]]
    clumps: tuple[int, ...] = ()

    @property
    def counted(self) -> int:
        """Number of counted cells."""
        return self.total - len(self.left_out)

    @property
    def left_out(self) -> tuple[int, ...]:
        """Ids of all cells that are not counted."""
        return tuple(label for ids in self.excluded.values() for label in ids)


@dataclass(frozen=True)
class Counts:
    """The counts of a field.

    Attributes:
        white_cells: the tally of white cells.
        red_cells: the tally of red cells.
        platelets: the tally of platelets.
        smudge_cells: the tally of smudge cells, which are no white cells here; None where they are not looked for.
        blast_share: where blast probabilities were given, else None.
    """

    white_cells: Tally
    red_cells: Tally
    platelets: Tally
    smudge_cells: Tally | None = None
    blast_share: BlastShare | None = None

    @property
    def white_to_red(self) -> float | None:
        """Counted white cells per counted red cell; None without red cells."""
        return self.white_cells.counted / self.red_cells.counted if self.red_cells.counted else None

    @property
    def white_to_red_seen(self) -> float | None:
        """The paper's white : red ratio, by the totals, cut cells included; None without red cells."""
        return self.white_cells.total / self.red_cells.total if self.red_cells.total else None

    @property
    def smudges_per_100(self) -> float | None:
        """Counted smudge cells per 100 counted white cells; None with too few white cells."""
        if self.smudge_cells is None or self.white_cells.counted < PARAMETERS.min_white_cells:
            return None
        return 100 * self.smudge_cells.counted / self.white_cells.counted

    @property
    def sentences(self) -> tuple[str, ...]:
        """The counts in words: what was not counted, and what may be wrong with them."""
        kinds = [("white cell", self.white_cells), ("red cell", self.red_cells), ("platelet", self.platelets)]
        lines = [", ".join(with_count(tally.counted, kind) for kind, tally in kinds) + f" counted. {RULE}"]
        if self.smudge_cells and self.smudge_cells.total:
            share = "" if self.smudges_per_100 is None else f" ({self.smudges_per_100:.0f} per 100 white cells)"
            number = with_count(self.smudge_cells.counted, "smudge cell")
            lines.append(f"{number}, counted apart from white cells{share}.")
            kinds.append(("smudge cell", self.smudge_cells))
        for kind, tally in kinds:
            reasons = [f"{len(ids)} {reason}" for reason, ids in tally.excluded.items() if ids]
            if reasons:
                lines.append(f"Of {with_count(tally.total, kind)} found, not counted: {', '.join(reasons)}.")
            if tally.clumps:
                lines.append(
                    f"{len(tally.clumps)} of the {kind}s found may be several that overlap; each is counted as one."
                )
        if self.blast_share:
            bare = self.white_cells.counted - self.blast_share.nucleated
            if bare:
                lines.append(
                    f"No nucleus was found in {bare} of the counted white cells; the blast share is of the others."
                )
            lines += self.blast_share.sentences
        return tuple(lines)

    def as_json(self) -> dict[str, Any]:
        """For JSON: `counts` are the totals, as in the masks and the list of cells; the rest explains them.

        Every kind of cell has its key; the value is None where the method does not find such cells.
        """
        tallies: dict[str, Tally | None] = {kind: getattr(self, kind) for kind in _KINDS}
        share = self.blast_share
        return {
            "counts": {kind: tally and tally.total for kind, tally in tallies.items()},
            "counted": {kind: tally and tally.counted for kind, tally in tallies.items()},
            "counting_rule": RULE,
            "excluded": {
                kind: tally and {reason: list(ids) for reason, ids in tally.excluded.items()}
                for kind, tally in tallies.items()
            },
            "clumps": {kind: tally and list(tally.clumps) for kind, tally in tallies.items()},
            "white_to_red": self.white_to_red,
            "white_to_red_seen": self.white_to_red_seen,
            "blast_share": share
            and {
                "blasts": share.blasts,
                "nucleated": share.nucleated,
                "share": share.share,
                "interval": list(share.interval),
                "reference_lines": list(REFERENCE_LINES),
            },
            "sentences": list(self.sentences),
        }


def count(segmentation: Segmentation, blast_probabilities: Sequence[float] | None = None) -> Counts:
    """Count the cells of a field.

    White cells are too small or too large by their diameter in µm (5 to 35), where the scale is known; red cells by the
    median area of those that no border cuts, where there are ten. Cells cut by any border are never too small.
    Platelets and smudge cells come in all sizes.

    Args:
        segmentation: of the field.
        blast_probabilities: 0 to 1, one per white cell in the order of ids.

    Raises:
        ValueError: not one probability per white cell, or one outside 0 to 1.
    """
    red, platelets = (_Objects.of(labels) for labels in (segmentation.red_cells, segmentation.platelets))
    white_tally = tally_white_cells(segmentation)
    share = None
    if blast_probabilities is not None:
        share = _blast_share(segmentation, white_tally, np.asarray(blast_probabilities, float))
    whole = red.areas[~red.touches]
    typical = float(np.median(whole)) if len(whole) >= PARAMETERS.min_red_cells else None
    return Counts(
        white_tally,
        red.tally(typical and PARAMETERS.min_red * typical, clump=typical and PARAMETERS.red_clump * typical),
        platelets.tally(),
        None if segmentation.smudges is None else _Objects.of(segmentation.smudges).tally(),
        share,
    )


def tally_white_cells(segmentation: Segmentation) -> Tally:
    """The tally of white cells alone, by the rules of `count`."""
    um = segmentation.um_per_px
    low, high = (
        np.pi / 4 * (limit / um) ** 2 if um else None for limit in (PARAMETERS.min_white_um, PARAMETERS.max_white_um)
    )
    return _Objects.of(segmentation.white_cells).tally(low, high)


@dataclass(frozen=True)
class _Objects:
    """The objects of a label map, N of them."""

    ids: np.ndarray
    areas: np.ndarray  # px
    touches: np.ndarray  # bool: any border
    cut: np.ndarray  # bool: the right or lower one

    @classmethod
    def of(cls, labels: np.ndarray) -> _Objects:
        areas = np.bincount(labels.ravel())
        ids = np.flatnonzero(areas[1:]) + 1
        cut = np.isin(ids, np.concatenate([labels[-1], labels[:, -1]]))
        touches = cut | np.isin(ids, np.concatenate([labels[0], labels[:, 0]]))
        return cls(ids, areas[ids], touches, cut)

    def tally(self, low: float | None = None, high: float | None = None, clump: float | None = None) -> Tally:
        """The tally, by bounds of the area in pixels where given; each object is excluded for one reason at most."""
        none = np.zeros(len(self.ids), bool)
        small = none if low is None else ~self.touches & (self.areas < low)
        large = none if high is None else ~self.cut & (self.areas > high)
        clumps = none if clump is None else ~self.cut & (self.areas > clump)
        reasons = {"cut": self.cut, "too small": small, "too large": large}
        excluded = {reason: tuple(self.ids[which].tolist()) for reason, which in reasons.items()}
        return Tally(len(self.ids), excluded, tuple(self.ids[clumps].tolist()))


def _blast_share(segmentation: Segmentation, tally: Tally, probabilities: np.ndarray) -> BlastShare:
    ids = np.arange(1, tally.total + 1)
    if probabilities.shape != ids.shape:
        raise ValueError(f"{len(ids)} white cells need as many blast probabilities, not {probabilities.shape}")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():  # NaN is neither
        raise ValueError("blast probabilities lie between 0 and 1")
    nuclei = np.bincount(segmentation.nuclei.ravel(), minlength=tally.total + 1)[ids]
    counts = (nuclei > 0) & ~np.isin(ids, tally.left_out)
    return BlastShare(tuple(probabilities[counts].tolist()))
