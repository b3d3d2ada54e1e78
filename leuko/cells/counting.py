"""How many cells a field holds, which of them were not counted and why, and what share are blasts.

Two numbers are given of each kind. *Seen* is everything in the segmentation. *Counted* follows the rule of the counting
chamber: a cell cut by the left or upper border counts, one cut by the right or lower border does not. Fields laid side
by side then count every cell once, while counting all that is seen would count big cells too often (Gundersen, "Notes
on the estimation of the numerical density of arbitrary profiles: the edge effect", 1977,
doi:10.1111/j.1365-2818.1977.tb00062.x).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from leuko.cells.blast_share import BLAST, REFERENCE_LINES, BlastShare, with_count

if TYPE_CHECKING:
    from leuko.cells.segmentation import Segmentation

RULE = "Cells cut by the left or upper border count, cells cut by the right or lower border do not."

_MIN_WHITE_UM = 5.0  # diameter; the smallest lymphocytes have about 7 µm, platelets and fragments up to 4
_MAX_WHITE_UM = 35.0  # diameter; beyond it lie megakaryocytes and heaps of cells
_MIN_RED = 0.3  # of the median area of red cells; below are fragments, above may still be a small spherocyte
_CLUMP = 1.7  # of the median area of red cells: two, less what they share
_ENOUGH_RED = 10  # red cells for a median to go by


_KINDS = ("white_cells", "red_cells", "platelets")
# What `Counts.as_json` gives, but for its sentences, where there is nothing to count.
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
        total: all that are in the segmentation.
        excluded: ids that do not count by reason: "cut" (by the right or lower border), "too small", "too large".
        clumps: ids of what is so large that it is probably several overlapping cells. Each counts as one, because
            leaving them out would miss more: with clumps, the true number is higher.
    """

    total: int
    excluded: dict[str, tuple[int, ...]]
    clumps: tuple[int, ...] = ()

    @property
    def counted(self) -> int:
        """How many count."""
        return self.total - len(self.left_out)

    @property
    def left_out(self) -> tuple[int, ...]:
        """Ids of all that do not count."""
        return tuple(label for ids in self.excluded.values() for label in ids)


@dataclass(frozen=True)
class Counts:
    """What was counted in a field.

    Attributes:
        white_cells: the tally of white cells.
        red_cells: the tally of red cells.
        platelets: the tally of platelets.
        blast_share: where blast probabilities were given, else None.
    """

    white_cells: Tally
    red_cells: Tally
    platelets: Tally
    blast_share: BlastShare | None = None

    @property
    def white_to_red(self) -> float | None:
        """White cells per red cell, both as counted; None without red cells."""
        return self.white_cells.counted / self.red_cells.counted if self.red_cells.counted else None

    @property
    def white_to_red_seen(self) -> float | None:
        """The paper's white : red ratio: of all that is seen in the field, cut or not; None without red cells."""
        return self.white_cells.total / self.red_cells.total if self.red_cells.total else None

    @property
    def sentences(self) -> tuple[str, ...]:
        """The counts, what was left out, and what may be wrong with them, for a reader."""
        kinds = ("white cell", self.white_cells), ("red cell", self.red_cells), ("platelet", self.platelets)
        lines = [", ".join(with_count(tally.counted, kind) for kind, tally in kinds) + f" counted. {RULE}"]
        for kind, tally in kinds:
            reasons = [f"{len(ids)} {reason}" for reason, ids in tally.excluded.items() if ids]
            if reasons:
                lines.append(f"Of {with_count(tally.total, kind)} seen, not counted: {', '.join(reasons)}.")
            if tally.clumps:
                lines.append(
                    f"{len(tally.clumps)} of the {kind}s seen may be several that overlap; each is taken for one."
                )
        if self.blast_share:
            bare = self.white_cells.counted - self.blast_share.nucleated
            if bare:
                lines.append(f"No nucleus was found in {bare} of the white cells counted; the share is of the others.")
            lines += self.blast_share.sentences
        return tuple(lines)

    def as_json(self) -> dict[str, Any]:
        """Plain values: `counts` is all that is seen, as in the masks and the list of cells; the rest explains it."""
        tallies: dict[str, Tally] = {kind: getattr(self, kind) for kind in _KINDS}
        share = self.blast_share
        return {
            "counts": {kind: tally.total for kind, tally in tallies.items()},
            "counted": {kind: tally.counted for kind, tally in tallies.items()},
            "counting_rule": RULE,
            "excluded": {
                kind: {reason: list(ids) for reason, ids in tally.excluded.items()} for kind, tally in tallies.items()
            },
            "clumps": {kind: list(tally.clumps) for kind, tally in tallies.items()},
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

    Too small or too large is judged by what the segmentation alone tells: white cells by their diameter in µm (5 to
    35), where the scale is known; red cells by the median of those that no border cuts, where there are ten. Cells
    cut by any border are never called too small. Platelets come in all sizes.

    Args:
        segmentation: what was found in the field.
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
    usual = float(np.median(whole)) if len(whole) >= _ENOUGH_RED else None
    return Counts(
        white_tally,
        red.tally(usual and _MIN_RED * usual, clump=usual and _CLUMP * usual),
        platelets.tally(),
        share,
    )


def tally_white_cells(segmentation: Segmentation) -> Tally:
    """The white cells of a field, by the rules of `count`."""
    um = segmentation.um_per_px
    low, high = (np.pi / 4 * (limit / um) ** 2 if um else None for limit in (_MIN_WHITE_UM, _MAX_WHITE_UM))
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
        """The tally by bounds of the area in px, where given; each object is left out for one reason at most."""
        nothing = np.zeros(len(self.ids), bool)
        small = nothing if low is None else ~self.touches & (self.areas < low)
        large = nothing if high is None else ~self.cut & (self.areas > high)
        clumps = nothing if clump is None else ~self.cut & (self.areas > clump)
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
    return BlastShare(int((probabilities[counts] >= BLAST).sum()), int(counts.sum()))
