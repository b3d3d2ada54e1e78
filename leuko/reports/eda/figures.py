"""The figures of the data report: everything that plots and sentences rest on, computed once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import cv2
import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from leuko.data.splitting.groups import FADED
from leuko.reports.eda.dataset_profile import DRAWN, DatasetProfile, some
from leuko.reports.eda.phrases import UNFIT
from leuko.reports.eda.records import STATISTICS

SIZES = 10  # lines in the plot of sizes
_PLACES = (
    ("in the upper left", "at the upper edge", "in the upper right"),
    ("at the left edge", "in the middle", "at the right edge"),
    ("in the lower left", "at the lower edge", "in the lower right"),
)


def agreement(vectors: np.ndarray, rows: np.ndarray, codes: np.ndarray, count: int = 5) -> dict[str, float]:
    """How far neighbours are of one kind: the share of the `count` nearest that have the same code, and by chance."""
    rows = some(rows)
    standard = StandardScaler().fit_transform(vectors[rows])
    near = NearestNeighbors(n_neighbors=min(count, len(rows) - 1)).fit(standard).kneighbors(return_distance=False)
    own = codes[rows]
    share = np.bincount(own) / len(own)
    return {"same": float((own[near] == own[:, None]).mean()), "chance": float((share**2).sum())}


def explained(vectors: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The share of each column's variance that lies between the kinds of `codes` (eta squared), 0 to 1."""
    kinds, inverse = np.unique(codes, return_inverse=True)
    vectors = vectors.astype(np.float64)
    between = sum(
        (inverse == k).sum() * (vectors[inverse == k].mean(axis=0) - vectors.mean(axis=0)) ** 2
        for k in range(len(kinds))
    )
    return between / np.maximum(((vectors - vectors.mean(axis=0)) ** 2).sum(axis=0), 1e-12)


def compute(survey: DatasetProfile) -> dict[str, Any]:
    """The figures as JSON-ready values."""
    readable = survey.readable
    labels, colours = survey.labels[readable], survey.records.colours[readable]
    table = np.zeros((len(survey.classes), len(survey.sources)), int)
    np.add.at(table, (survey.labels, survey.source), 1)
    counts = table.sum(axis=1)
    present, kept = counts[counts > 0], survey.labels[survey.cleaning.kept]
    dropped = {issue.row for issue in survey.cleaning.issues if issue.kind in UNFIT and issue.action == "dropped"}
    unfit = survey.labels[sorted(dropped)]
    return {
        "name": survey.name,
        "images": len(survey.rows),
        "readable": len(readable),
        "kept": len(survey.cleaning.kept),
        "classes": dict(zip(survey.classes, map(int, counts), strict=True)),
        "unfit": dict(zip(survey.classes, map(int, np.bincount(unfit, minlength=len(survey.classes))), strict=True)),
        "sources": {
            source: dict(zip(survey.classes, map(int, table[:, i]), strict=True))
            for i, source in enumerate(survey.sources)
        },
        "imbalance": float(present.max() / present.min()),
        "sizes": _sizes(survey, readable),
        "colours": {
            "statistics": list(STATISTICS),
            "by_class": {
                survey.classes[c]: colours[labels == c].mean(axis=0).round(4).tolist() for c in np.unique(labels)
            },
            "clipped": {
                survey.classes[c]: survey.records.histograms[c, :, -1].round(4).tolist() for c in np.unique(labels)
            },
            "explained_by_class": explained(colours, labels).round(4).tolist(),
            "explained_by_source": explained(colours, survey.source[readable]).round(4).tolist(),
            "correlations": _correlations(colours).round(4).tolist(),
        },
        "means": _means(survey, np.unique(labels)),
        "captions": _captions(survey, readable),
        "pca": {name: list(projection.shares) for name, projection in survey.projections.items()},
        "neighbours": {
            name: {
                "class": agreement(vectors, readable, survey.labels),
                "source": agreement(vectors, readable, survey.source),
            }
            for name, vectors in (("colour", survey.records.colours), ("deep", survey.features))
        },
        "groups": {
            "how": survey.groups.how,
            "count": len(np.unique(survey.groups.group)),
            "given": not survey.groups.series,
            "series": [
                {
                    "name": " · ".join(filter(None, [s.source * (len(survey.sources) > 1), survey.classes[s.label]])),
                    "files": len(s.rows),
                    "period": s.period,
                    "reach": s.reach,
                    "chance": max(FADED, 2 / len(s.rows) ** 0.5),
                    "block": s.block,
                    "gap": s.gap,
                    "autocorrelation": s.autocorrelation.round(3).tolist(),
                }
                for s in survey.groups.series
            ],
        },
        "audit": {
            "majority": float(np.bincount(kept).max() / len(kept)),
            "images": survey.audited,
            "views": {view: {k: dict(v) for k, v in kinds.items()} for view, kinds in survey.audit.items()},
        },
        "findings": dict(Counter(issue.kind for issue in survey.cleaning.issues)),
        "duplicates": {
            "exact_sets": len(survey.cleaning.duplicates.exact),
            "near_sets": len(survey.cleaning.duplicates.near),
            "images_in_near_sets": sum(map(len, survey.cleaning.duplicates.near)),
            "overlapping_pairs": len(survey.cleaning.duplicates.overlaps),
        },
        "model": survey.model,
        "drawn": min(len(readable), DRAWN),
    }


def _correlations(colours: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):  # a statistic that never changes goes with nothing
        return np.nan_to_num(np.corrcoef(colours.T))


def _sizes(survey: DatasetProfile, readable: np.ndarray) -> dict[str, Any]:
    sizes, inverse, counts = np.unique(survey.records.sizes[readable], axis=0, return_inverse=True, return_counts=True)
    labels = survey.labels[readable]
    common = np.argsort(-counts, kind="stable")[:SIZES]
    by_class = np.zeros((len(sizes), len(survey.classes)), int)
    np.add.at(by_class, (inverse, labels), 1)
    return {
        "different": len(sizes),
        "smallest": sizes[sizes.prod(axis=1).argmin()].tolist(),
        "largest": sizes[sizes.prod(axis=1).argmax()].tolist(),
        "commonest": {f"{w} × {h}": by_class[i].tolist() for i in common for w, h in [sizes[i]]},
        "others": int(counts.sum() - counts[common].sum()),
    }


def _means(survey: DatasetProfile, present: np.ndarray) -> dict[str, Any]:
    """How far, and where, the classes' mean images differ apart from their overall colour."""
    means = survey.records.means[present]
    level = means - means.mean(axis=(1, 2), keepdims=True)
    spread = cv2.blur(np.ptp(level, axis=0).mean(axis=2), (9, 9))
    y, x = np.divmod(int(spread.argmax()), spread.shape[1])
    third, across = 3 * y // spread.shape[0], 3 * x // spread.shape[1]
    return {
        "place": _PLACES[third][across],
        "corner": bool(third != 1 and across != 1),
        "difference": float(spread[y, x]),
    }


def _captions(survey: DatasetProfile, readable: np.ndarray) -> dict[str, float]:
    """The share of each class's images that bear burned-in writing in a corner."""
    written = survey.records.written[readable]
    labels = survey.labels[readable]
    return {survey.classes[c]: round(float(written[labels == c].mean()), 4) for c in np.unique(labels)}
