"""Which cells a batch is drawn from: laboratories, kinds, and fields of leukaemia or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leuko.cells.kinds.names import BLAST, KINDS, NORMAL_KINDS
from leuko.training.kinds.cells import BENIGN, DRAWN, LABELS, MALIGNANT, Cells

LYMPHOCYTE = "lymphocyte"
Rng = np.random.Generator
Stain = np.ndarray  # float, 2 × 3: optical densities of nuclei and red cells


@dataclass(frozen=True)
class _Laboratory:
    """The rows of a laboratory's cells by kind, and how often each kind is drawn, sum 1."""

    rows: tuple[np.ndarray, ...]
    shares: np.ndarray


class Sampler:
    """Draws rows of cells.

    Attributes:
        cells: to draw from.
        codes: int, N, the labels as indices into `LABELS`.
        names: of the laboratories.
        laboratories: int, N, as indices into `names`.
    """

    def __init__(self, cells: Cells, laboratory_power: float) -> None:
        """Prepare the draws.

        Args:
            cells: to draw from.
            laboratory_power: laboratories are drawn by this power of their number of cells.
        """
        self.cells = cells
        self.codes = np.array([LABELS.index(label) for label in cells.labels])
        stains = np.stack([cells.nucleus_density, cells.red_density], axis=1)
        known = np.isfinite(stains).all(axis=(1, 2))
        self._stains = {
            name: stains[known & (cells.laboratories == name)] for name in np.unique(cells.laboratories).tolist()
        }
        self._typical = {name: values.mean(axis=0) for name, values in self._stains.items()}
        drawn = cells.laboratories == DRAWN
        named = ~drawn & (self.codes < len(NORMAL_KINDS))
        names, counts = np.unique(cells.laboratories[named], return_counts=True)
        self._laboratories = [self._laboratory(named & (cells.laboratories == name)) for name in names]
        self._shares = counts**laboratory_power / (counts**laboratory_power).sum()
        pools = [np.flatnonzero(drawn & (self.codes == code)) for code in range(len(KINDS))]
        self._drawn_normal = [pool for pool in pools[: len(NORMAL_KINDS)] if len(pool)]
        self._drawn_blasts = pools[KINDS.index(BLAST)]
        self._drawn = [pool for pool in pools if len(pool)]
        self.names, self.laboratories = np.unique(cells.laboratories, return_inverse=True)
        lymphocytes = [
            np.flatnonzero(named & (cells.laboratories == name) & (cells.labels == LYMPHOCYTE)) for name in names
        ]
        self._lymphocytes = [rows for rows in lymphocytes if len(rows)]
        self._fields = {label: np.flatnonzero(cells.labels == label) for label in (MALIGNANT, BENIGN)}

    def _laboratory(self, mask: np.ndarray) -> _Laboratory:
        rows = tuple(np.flatnonzero(mask & (self.codes == code)) for code in np.unique(self.codes[mask]))
        sizes = np.array([len(kind) for kind in rows]) ** 0.5  # kinds count, but few cells are not learnt by heart
        return _Laboratory(rows, sizes / sizes.sum())

    @property
    def has_drawn(self) -> bool:
        """Whether there are drawn cells of normal kinds."""
        return bool(self._drawn_normal)

    def named(self, rng: Rng) -> int:
        """A photographed cell of a normal kind."""
        laboratory = self._laboratories[int(rng.choice(len(self._shares), p=self._shares))]
        return int(rng.choice(laboratory.rows[int(rng.choice(len(laboratory.rows), p=laboratory.shares))]))

    def lymphocyte(self, rng: Rng) -> int:
        """A photographed lymphocyte, laboratories alike; any normal cell where there is none."""
        if not self._lymphocytes:
            return self.named(rng)
        return _of_pools(self._lymphocytes, rng)

    def drawn(self, rng: Rng) -> int:
        """A drawn cell; kinds alike."""
        return _of_pools(self._drawn, rng)

    def drawn_for_form(self, rng: Rng) -> int:
        """A drawn blast, or as often a drawn cell of a normal kind, kinds alike."""
        if rng.random() < 0.5 and len(self._drawn_blasts):
            return int(rng.choice(self._drawn_blasts))
        return _of_pools(self._drawn_normal, rng)

    def of_field(self, rng: Rng, label: str) -> int:
        """A cell of a malignant or benign field."""
        return int(rng.choice(self._fields[label]))

    def stains(self, row: int, rng: Rng) -> tuple[Stain, Stain]:
        """The typical stain of a cell's laboratory, and that of an image of any laboratory; laboratories alike."""
        others = list(self._stains.values())
        other = others[int(rng.integers(len(others)))]
        return self._typical[self.cells.laboratories[row]], other[int(rng.integers(len(other)))]


def _of_pools(pools: Sequence[np.ndarray], rng: Rng) -> int:
    """A row of one of several pools of rows, none empty; pools alike."""
    return int(rng.choice(pools[int(rng.integers(len(pools)))]))
