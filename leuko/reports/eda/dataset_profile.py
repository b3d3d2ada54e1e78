"""All measurements of a data set that its report is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from leuko.data.cleaning.clean import Cleaning
from leuko.data.image_table import ImageTable
from leuko.data.splitting.groups import Groups
from leuko.reports.eda.records import Records
from leuko.stats.bootstrap import Interval

# View → kind of split → figure → interval.
Audit = Mapping[str, Mapping[str, Mapping[str, Interval]]]

DRAWN = 3000  # points in a scatter plot; more would only cover each other


@dataclass(frozen=True)
class Projection:
    """Two principal components of some rows.

    Attributes:
        rows: int, M, the rows drawn.
        points: float, M × 2.
        shares: of the variance, of both components.
    """

    rows: np.ndarray
    points: np.ndarray
    shares: tuple[float, float]


@dataclass(frozen=True)
class DatasetProfile:
    """All measurements of a data set that its report is made from.

    Attributes:
        name: of the data set, for the title.
        rows: every row, broken ones too, as `leuko.data.load` gives them.
        cleaning: result of `leuko.data.cleaning.clean.inspect` for `rows`.
        records: measurements of `rows`.
        features: float32, N × D, deep features of `rows`; zero for unreadable rows.
        model: name of the network that computed them.
        groups: groups of the rows that cleaning keeps.
        audit: view → kind of split ("random", "grouped") → figure → `value`, `low`, `high`; empty if
            there are too few groups (`leuko.evaluation.shortcut_audit.shortcuts`).
        audited: number of images in the audit.
    """

    name: str
    rows: ImageTable
    cleaning: Cleaning
    records: Records
    features: np.ndarray
    model: str
    groups: Groups
    audit: Audit
    audited: int

    @cached_property
    def labels(self) -> np.ndarray:
        """int, N."""
        return self.rows.labels

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names by label."""
        return self.rows.class_names

    @cached_property
    def files(self) -> Sequence[str]:
        """Names of the rows' files."""
        return self.rows.files

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources, in their order of appearance."""
        return tuple(dict.fromkeys(self.rows.sources))

    @cached_property
    def source(self) -> np.ndarray:
        """int, N, numbers of `sources`."""
        return np.array([self.sources.index(name) for name in self.rows.sources])

    @cached_property
    def readable(self) -> np.ndarray:
        """int, the rows that can be read."""
        return np.flatnonzero(self.records.readable)

    @cached_property
    def projections(self) -> dict[str, Projection]:
        """Principal components of the colour statistics and of the deep features."""
        vectors = {"colour": self.records.colours, "deep": self.features}
        return {name: project(table, self.readable) for name, table in vectors.items()}


def sample(rows: np.ndarray, count: int = DRAWN) -> np.ndarray:
    """A random sample of at most `count` rows, in order; the same every time."""
    if len(rows) <= count:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, count, replace=False))


def project(vectors: np.ndarray, rows: np.ndarray) -> Projection:
    """Principal components of the standardised vectors (N × D) of `rows`, and at most `DRAWN` of their points."""
    standard = StandardScaler().fit(vectors[rows])
    pca = PCA(2, svd_solver="covariance_eigh").fit(standard.transform(vectors[rows]))
    drawn = sample(rows)
    points = pca.transform(standard.transform(vectors[drawn]))
    first, second = map(float, pca.explained_variance_ratio_)
    return Projection(drawn, points, (first, second))
