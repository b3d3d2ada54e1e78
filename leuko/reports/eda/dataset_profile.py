"""What is known of a data set when its report is written."""

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

DRAWN = 3000  # points in a scatter plot; more would only cover one another


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
    """All that is known of a data set when its report is written.

    Attributes:
        name: of the data set, for the title.
        rows: every row, broken ones too, as `leuko.data.load` gives them.
        cleaning: findings of `leuko.data.cleaning.clean.inspect` on `rows`.
        records: measures of `rows`.
        features: float32, N × D, deep features of `rows`; zero where a row cannot be read.
        model: the name of the network they come from.
        groups: of the rows that cleaning keeps.
        audit: view → kind of split ("random", "grouped") → figure → `value`, `low`, `high`; empty if
            there are too few groups (`leuko.evaluation.shortcut_audit.shortcuts`).
        audited: number of images the audit rests on.
    """

    name: str
    rows: ImageTable
    cleaning: Cleaning
    records: Records
    features: np.ndarray
    model: str
    groups: Groups
    audit: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]
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


def some(rows: np.ndarray, count: int = DRAWN) -> np.ndarray:
    """At most `count` of the rows, chosen evenly at random but always the same, in order."""
    if len(rows) <= count:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, count, replace=False))


def project(vectors: np.ndarray, rows: np.ndarray) -> Projection:
    """Principal components of the standardised vectors (N × D) of `rows`, and at most `DRAWN` of their points."""
    standard = StandardScaler().fit(vectors[rows])
    pca = PCA(2, svd_solver="covariance_eigh").fit(standard.transform(vectors[rows]))
    drawn = some(rows)
    points = pca.transform(standard.transform(vectors[drawn]))
    return Projection(drawn, points, tuple(map(float, pca.explained_variance_ratio_)))
