"""Groups: which files must be in the same part of a split.

Patients are the groups where the data set names them. Where it does not, files of one patient stand near one another,
and a random split tests a network on patients it has seen. Blocks of consecutive files are then the groups: as long as
colours stay alike along the file order (a stain goes with a slide, and a slide with a patient), with a guard gap where
two blocks meet. Files of several patients may take turns (every second, every third file): the autocorrelation
of the colours shows that too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

BLOCKS = 10  # of each series, or a multiple of it, so that a tenth of the files can be held out
BLOCK = (10, 160)  # files: the shortest sensible, and the length where nothing is known of the colours
GUARD = 6  # a gap is this part of a block: with two of ten blocks held out, a fifteenth of the files
PERIODS = range(2, 9)  # of interleaving that are looked for
FADED = 0.1  # autocorrelation that no longer counts, in long series; in short ones it is what chance gives


@dataclass(frozen=True)
class Series:
    """The files of one class of one source in file order, and how far colours stay alike along it.

    Attributes:
        label: the class, as it was given.
        source: where the files come from; empty if there is one source only.
        rows: int, n: row numbers in file order.
        autocorrelation: float, n // 2, -1 to 1: of the colour statistics, at lags of 1, 2, … files; empty if not known.
        period: files of this many origins take turns; 1: they do not.
        reach: lag in files, a multiple of the period, at which the autocorrelation has faded; 0 if not known.
        count: of blocks: ten or a multiple of ten, in series of under ten files one for each.
        gap: files kept free where blocks in different parts of a split meet.
    """

    label: int | str
    source: str
    rows: np.ndarray
    autocorrelation: np.ndarray
    period: int
    reach: int
    count: int
    gap: int

    @classmethod
    def measure(cls, rows: np.ndarray, colours: np.ndarray | None, label: int | str = "", source: str = "") -> Series:
        """Choose blocks for the files of one class of one source.

        A block is as long as the reach, but not longer than a tenth of the series and not shorter than ten files (in
        series under 100 files: a tenth).

        Args:
            rows: int, n, in file order.
            colours: float, n × k, statistics of each of these files in the same order, or None.
            label, source: what the files are.
        """
        curve = np.empty(0) if colours is None else autocorrelation(np.asarray(colours, dtype=float))
        period, reach = _period_and_reach(curve, len(rows)) if len(curve) else (1, 0)
        longest = len(rows) // BLOCKS
        block = int(np.clip(reach or BLOCK[1], min(BLOCK[0], longest), max(longest, 1)))
        count = len(rows) // max(block, 1)
        count -= count % BLOCKS if count > BLOCKS else 0
        block = len(rows) // count
        gap = 0 if block == 1 else min(max(block // GUARD, period), block // 2)
        return cls(label, source, rows, curve, period, reach, count, gap)

    @property
    def block(self) -> int:
        """Files in a block (some have one more)."""
        return len(self.rows) // self.count

    @property
    def blocks(self) -> np.ndarray:
        """The block of every file, counted from 0; int, n, ascending."""
        return np.arange(len(self.rows)) * self.count // len(self.rows)


@dataclass(frozen=True)
class Groups:
    """Which rows belong together.

    Attributes:
        group: int, N, counted from 0. Rows that show the same picture or overlap have the same group.
        spare: bool, N: copies of a picture, and fields that overlap with it, in another block than the first one; no
            part may use them, or blocks far apart would have to be joined.
        series: of the rows that are grouped by blocks.
        how: one sentence: what the groups are, and why.
    """

    group: np.ndarray
    spare: np.ndarray
    series: tuple[Series, ...] = field(repr=False)
    how: str


def find_groups(
    labels: Sequence[int] | Sequence[str] | np.ndarray,
    *,
    given: Sequence[str] | None = None,
    colours: np.ndarray | None = None,
    sources: Sequence[str] | None = None,
    pictures: np.ndarray | None = None,
) -> Groups:
    """Find the rows that must be in the same part of a split.

    Rows that name their group (patient, subject, slide) go by that name, whatever their class; named groups that
    share a picture, or whose fields overlap, become one. Rows that do not are grouped by blocks of consecutive files
    of their class and source.

    Args:
        labels: N, the classes, as numbers or names; rows in file order within each class and source.
        given: N, names of groups, empty where there is none; or None.
        colours: float, N × k, colour statistics (`leuko.images.stain.colour_statistics.colour_statistics`); without
            them blocks are a tenth of their class, at most 160 files.
        sources: N, where rows come from; None: all from one source.
        pictures: int, N, same number = same picture or overlapping fields
            (`leuko.data.cleaning.duplicates.Duplicates.field`), or None.
    """
    labels = np.asarray(labels)
    names = np.asarray([name or "" for name in given] if given is not None else [""] * len(labels), dtype=object)
    origins = np.asarray(sources if sources is not None else [""] * len(labels), dtype=object)
    pictures = np.arange(len(labels)) if pictures is None else np.asarray(pictures)
    named = names != ""
    group = np.full(len(labels), -1)
    joined = 0
    if named.any():
        group[named], joined = _named_groups(names[named], pictures[named])
    series = []
    for source in dict.fromkeys(origins):
        for label in np.unique(labels):
            rows = np.flatnonzero((labels == label) & (origins == source) & ~named)
            if len(rows):
                known = None if colours is None else colours[rows]
                series.append(Series.measure(rows, known, label.item(), str(source)))
                group[rows] = group.max(initial=-1) + 1 + series[-1].blocks
    spare = _spare(group, named, pictures)
    return Groups(group, spare, tuple(series), _in_words(group, named, spare, series, joined))


def autocorrelation(statistics: np.ndarray) -> np.ndarray:
    """How alike files are that stand 1, 2, … n // 2 apart: the mean over the statistics' autocorrelations.

    Args:
        statistics: float, n × k, in file order; a statistic that never changes does not count.

    Returns:
        float, n // 2, -1 to 1 (each lag's mean is over its own pairs, Box & Jenkins 1970).
    """
    n = len(statistics)
    moving = statistics[:, statistics.std(axis=0) > 1e-9]
    if not moving.size:
        return np.zeros(n // 2)
    z = (moving - moving.mean(axis=0)) / moving.std(axis=0)
    spectrum = np.abs(np.fft.rfft(z, 2 * n, axis=0)) ** 2  # Wiener-Khinchin: every lag at the price of two transforms
    products = np.fft.irfft(spectrum.mean(axis=1))[1 : n // 2 + 1]
    return products / (n - np.arange(1, n // 2 + 1))


def _period_and_reach(curve: np.ndarray, files: int) -> tuple[int, int]:
    chance = max(FADED, 2 / np.sqrt(files))  # two standard errors of the autocorrelation of noise (Bartlett 1946)
    lags = np.arange(1, len(curve) + 1)
    near = lags <= 3 * PERIODS[-1]
    contrast = {
        p: curve[near & (lags % p == 0)].mean() - curve[near & (lags % p > 0)].mean()
        for p in PERIODS
        if 3 * p <= len(curve)
    }
    period = max(contrast, key=contrast.__getitem__, default=1)
    if period > 1 and contrast[period] < chance:
        period = 1
    # Single lags are noisy: five neighbours together say when it has faded.
    level = uniform_filter1d(curve[period - 1 :: period], 5, mode="nearest")
    faded = np.flatnonzero(level < chance)
    return period, period * int(faded[0] + 1 if len(faded) else len(level))


def _named_groups(names: np.ndarray, pictures: np.ndarray) -> tuple[np.ndarray, int]:
    """Numbers of named groups, those that share a picture joined; and how many were lost by joining."""
    _, name = np.unique(names.astype(str), return_inverse=True)
    _, picture = np.unique(pictures, return_inverse=True)
    count = name.max() + 1
    nodes = count + picture.max() + 1  # names and pictures are nodes, rows are the edges between them
    graph = coo_array((np.ones(len(name)), (name, count + picture)), shape=(nodes, nodes))
    component = connected_components(graph, directed=False)[1][name]
    kept, group = np.unique(component, return_inverse=True)
    return group, int(count - len(kept))


def _spare(group: np.ndarray, named: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """Mark copies that lie outside their picture's group, and give them that group (in place)."""
    spare = np.zeros(len(group), dtype=bool)
    order = np.lexsort((np.arange(len(group)), ~named, pictures))  # named rows first, then in file order
    for rows in np.split(order, np.flatnonzero(np.diff(pictures[order])) + 1):
        spare[rows] = group[rows] != group[rows[0]]
        group[rows] = group[rows[0]]
    return spare


def _in_words(group: np.ndarray, named: np.ndarray, spare: np.ndarray, series: list[Series], joined: int) -> str:
    sentences = []
    if named.any():
        sentences.append(f"{len(np.unique(group[named]))} groups named by the data set")
        if joined:
            sentences[-1] += f" ({joined} joined by shared pictures)"
    if series:
        lengths = np.concatenate([np.bincount(s.blocks) for s in series])
        low, high = lengths.min(), lengths.max()
        sentences.append(f"{len(lengths)} blocks of {low if low == high else f'{low} to {high}'} consecutive files")
        if any(s.reach for s in series):
            sentences[-1] += ", as long as colours stay alike along the file order or as a tenth of their class allows"
        else:
            sentences[-1] += ", a tenth of their class each, since colours along the file order were not measured"
        periods = sorted({s.period for s in series if s.period > 1})
        if periods:
            sentences[-1] += f" (in some classes files of {' or '.join(map(str, periods))} origins take turns)"
    if spare.any():
        images = "1 image" if spare.sum() == 1 else f"{spare.sum()} images"
        sentences.append(f"{images} left out, of which a copy or an overlapping field is in another block")
    return "; ".join(sentences)
