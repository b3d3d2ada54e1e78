"""Groups: which files must be in the same part of a split.

If the data set names patients, they are the groups. If not, files of one patient are usually close to each other in
the file order, and a random split would test a network on patients of the training part. Blocks of consecutive files
are then the groups. A block is as long as colours stay similar along the file order, because a stain belongs to a
slide and a slide to a patient. There is a guard gap between blocks in different parts. Files of several patients may
be interleaved (every second or third file); the autocorrelation of the colours also shows this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

BLOCKS = 10  # blocks of each series, or a multiple, so that a tenth of the files can be held out
BLOCK = (10, 160)  # files: the shortest useful block, and the longest block if the colours are not known
GUARD = 6  # a gap is one sixth of a block: with two of ten blocks held out, a fifteenth of the files
PERIODS = range(2, 9)  # periods of interleaving that are searched for
FADED = 0.1  # autocorrelations below this are ignored; in short series, the threshold is the chance level


@dataclass(frozen=True)
class Series:
    """The files of one class of one source in file order, and the autocorrelation of their colours.

    Attributes:
        label: the class, number or name.
        source: the source of the files; empty if there is only one source.
        rows: int, n: row numbers in file order.
        autocorrelation: float, n // 2, -1 to 1: of the colour statistics, at lags of 1, 2, … files; empty if not known.
        period: number of origins whose files are interleaved; 1 if they are not interleaved.
        reach: lag in files, a multiple of the period, at which the autocorrelation has vanished; 0 if not known.
        count: number of blocks: ten or a multiple of ten; in series of under ten files, one block for each file.
        gap: number of files left out between blocks in different parts of a split.
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

        A block is as long as the reach, but at most a tenth of the series and at least ten files (in series of under
        100 files: a tenth).

        Args:
            rows: int, n, in file order.
            colours: float, n × k, statistics of each of these files in the same order, or None.
            label, source: class and source of the files.
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
        """Number of files in a block (some blocks have one more)."""
        return len(self.rows) // self.count

    @property
    def blocks(self) -> np.ndarray:
        """Block number of every file, from 0; int, n, ascending."""
        return np.arange(len(self.rows)) * self.count // len(self.rows)


@dataclass(frozen=True)
class Groups:
    """The groups of a data set: rows that a split must keep together.

    Attributes:
        group: int, N, from 0. Rows that show the same picture or overlap have the same group.
        spare: bool, N: copies and overlapping fields of a picture that lie in another block than the first one. They
            are in no part of a split, because otherwise distant blocks would have to be joined.
        series: the series of the rows that are grouped by blocks.
        how: one sentence about the kind of the groups and the reason.
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

    Rows with a group name (patient, subject, slide) are grouped by this name, in all classes. Named groups that share a
    picture or have overlapping fields are joined. All other rows are grouped by blocks of consecutive files of their
    class and source.

    Args:
        labels: N, the classes, as numbers or names; rows are in file order within each class and source.
        given: N, names of groups, empty if a row has no name; or None.
        colours: float, N × k, colour statistics (`leuko.images.stain.colour_statistics.colour_statistics`); without
            them, a block is a tenth of its class, at most 160 files.
        sources: N, the source of each row; None if all rows have the same source.
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
    """Autocorrelation along the file order at lags of 1, 2, … n // 2 files, as a mean over all statistics.

    Args:
        statistics: float, n × k, in file order; constant statistics are ignored.

    Returns:
        float, n // 2, -1 to 1 (the mean for a lag is over the pairs with this lag, Box & Jenkins 1970).
    """
    n = len(statistics)
    moving = statistics[:, statistics.std(axis=0) > 1e-9]
    if not moving.size:
        return np.zeros(n // 2)
    z = (moving - moving.mean(axis=0)) / moving.std(axis=0)
    spectrum = np.abs(np.fft.rfft(z, 2 * n, axis=0)) ** 2  # Wiener-Khinchin: all lags with two transforms
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
    # Single lags are noisy, so the mean over five neighbouring lags is compared with the threshold.
    level = uniform_filter1d(curve[period - 1 :: period], 5, mode="nearest")
    faded = np.flatnonzero(level < chance)
    return period, period * int(faded[0] + 1 if len(faded) else len(level))


def _named_groups(names: np.ndarray, pictures: np.ndarray) -> tuple[np.ndarray, int]:
    """Numbers of the named groups, after joining groups that share a picture; and how many groups disappeared."""
    _, name = np.unique(names.astype(str), return_inverse=True)
    _, picture = np.unique(pictures, return_inverse=True)
    count = name.max() + 1
    nodes = count + picture.max() + 1  # names and pictures are nodes, rows are the edges between them
    graph = coo_array((np.ones(len(name)), (name, count + picture)), shape=(nodes, nodes))
    component = connected_components(graph, directed=False)[1][name]
    kept, group = np.unique(component, return_inverse=True)
    return group, int(count - len(kept))


def _spare(group: np.ndarray, named: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """Mark copies that lie outside of the group of their picture, and assign them to this group (in place)."""
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
