"""The figures of the data report: everything that its plots and sentences need, computed once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import cv2
import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from leuko.data.splitting.groups import FADED
from leuko.reports.eda.dataset_profile import DRAWN, DatasetProfile, sample
from leuko.reports.eda.facts import QUALITY_ISSUES
from leuko.reports.eda.records import STATISTICS

SIZES = 10  # image sizes in the plot
_PLACES = (
    ("in the upper left", "at the upper edge", "in the upper right"),
    ("at the left edge", "in the middle", "at the right edge"),
    ("in the lower left", "at the lower edge", "in the lower right"),
)


def agreement(vectors: np.ndarray, rows: np.ndarray, codes: np.ndarray, count: int = 5) -> dict[str, float]:
    """Share of the `count` nearest neighbours with the same code as the image, and the share expected by chance.

    Args:
        vectors: float, N × D.
        rows: int, the images that are used; of many, a sample.
        codes: int, N, such as class or source numbers.
        count: number of neighbours.

    Returns:
        `same` and `chance`, 0 to 1.
    """
    rows = sample(rows)
    standard = StandardScaler().fit_transform(vectors[rows])
    near = NearestNeighbors(n_neighbors=min(count, len(rows) - 1)).fit(standard).kneighbors(return_distance=False)
    codes = codes[rows]
    share = np.bincount(codes) / len(codes)
    return {"same": float((codes[near] == codes[:, None]).mean()), "chance": float((share**2).sum())}


def explained(vectors: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The share of each column's variance that lies between the groups of `codes` (eta squared), 0 to 1."""
    values, inverse = np.unique(codes, return_inverse=True)
    vectors = vectors.astype(np.float64)
    between = np.zeros(vectors.shape[1])
    for k in range(len(values)):
        group = vectors[inverse == k]
        between += len(group) * (group.mean(axis=0) - vectors.mean(axis=0)) ** 2
    return between / np.maximum(((vectors - vectors.mean(axis=0)) ** 2).sum(axis=0), 1e-12)


def compute(profile: DatasetProfile) -> dict[str, Any]:
    """All figures, ready for JSON."""
    readable = profile.readable
    labels, colours = profile.labels[readable], profile.records.colours[readable]
    table = np.zeros((len(profile.classes), len(profile.sources)), int)
    np.add.at(table, (profile.labels, profile.source), 1)
    counts = table.sum(axis=1)
    present, kept = counts[counts > 0], profile.labels[profile.cleaning.kept]
    dropped = {
        issue.row for issue in profile.cleaning.issues if issue.kind in QUALITY_ISSUES and issue.action == "dropped"
    }
    unfit = profile.labels[sorted(dropped)]
    return {
        "name": profile.name,
        "images": len(profile.rows),
        "readable": len(readable),
        "kept": len(profile.cleaning.kept),
        "classes": dict(zip(profile.classes, map(int, counts), strict=True)),
        "unfit": dict(zip(profile.classes, map(int, np.bincount(unfit, minlength=len(profile.classes))), strict=True)),
        "sources": {
            source: dict(zip(profile.classes, map(int, table[:, i]), strict=True))
            for i, source in enumerate(profile.sources)
        },
        "imbalance": float(present.max() / present.min()),
        "sizes": _sizes(profile, readable),
        "colours": {
            "statistics": list(STATISTICS),
            "by_class": {
                profile.classes[int(c)]: colours[labels == c].mean(axis=0).round(4).tolist() for c in np.unique(labels)
            },
            "clipped": {
                profile.classes[int(c)]: profile.records.histograms[c, :, -1].round(4).tolist()
                for c in np.unique(labels)
            },
            "explained_by_class": explained(colours, labels).round(4).tolist(),
            "explained_by_source": explained(colours, profile.source[readable]).round(4).tolist(),
            "correlations": _correlations(colours).round(4).tolist(),
        },
        "means": _means(profile, np.unique(labels)),
        "captions": _captions(profile, readable),
        "pca": {name: list(projection.shares) for name, projection in profile.projections.items()},
        "neighbours": {
            name: {
                "class": agreement(vectors, readable, profile.labels),
                "source": agreement(vectors, readable, profile.source),
            }
            for name, vectors in (("colour", profile.records.colours), ("deep", profile.features))
        },
        "groups": {
            "how": profile.groups.how,
            "count": len(np.unique(profile.groups.group)),
            "given": not profile.groups.series,
            "series": [
                {
                    "name": " · ".join([s.source] * (len(profile.sources) > 1) + [profile.classes[int(s.label)]]),
                    "files": len(s.rows),
                    "period": s.period,
                    "reach": s.reach,
                    "chance": max(FADED, 2 / len(s.rows) ** 0.5),
                    "block": s.block,
                    "gap": s.gap,
                    "autocorrelation": s.autocorrelation.round(3).tolist(),
                }
                for s in profile.groups.series
            ],
        },
        "audit": {
            "majority": float(np.bincount(kept).max() / len(kept)),
            "images": profile.audited,
            "views": {view: {k: dict(v) for k, v in kinds.items()} for view, kinds in profile.audit.items()},
        },
        "findings": dict(Counter(issue.kind for issue in profile.cleaning.issues)),
        "duplicates": {
            "exact_sets": len(profile.cleaning.duplicates.exact),
            "near_sets": len(profile.cleaning.duplicates.near),
            "images_in_near_sets": sum(map(len, profile.cleaning.duplicates.near)),
            "overlapping_pairs": len(profile.cleaning.duplicates.overlaps),
        },
        "model": profile.model,
        "drawn": min(len(readable), DRAWN),
    }


def _correlations(colours: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):  # a constant statistic has no correlation
        return np.nan_to_num(np.corrcoef(colours.T))


def _sizes(profile: DatasetProfile, readable: np.ndarray) -> dict[str, Any]:
    sizes, inverse, counts = np.unique(profile.records.sizes[readable], axis=0, return_inverse=True, return_counts=True)
    labels = profile.labels[readable]
    common = np.argsort(-counts, kind="stable")[:SIZES]
    by_class = np.zeros((len(sizes), len(profile.classes)), int)
    np.add.at(by_class, (inverse, labels), 1)
    return {
        "different": len(sizes),
        "smallest": sizes[sizes.prod(axis=1).argmin()].tolist(),
        "largest": sizes[sizes.prod(axis=1).argmax()].tolist(),
        "commonest": {f"{w} × {h}": by_class[i].tolist() for i in common for w, h in [sizes[i]]},
        "others": int(counts.sum() - counts[common].sum()),
    }


def _means(profile: DatasetProfile, present: np.ndarray) -> dict[str, Any]:
    """How much, and where, the mean images of the classes differ, apart from their overall colour."""
    means = profile.records.means[present]
    level = means - means.mean(axis=(1, 2), keepdims=True)
    spread = cv2.blur(np.ptp(level, axis=0).mean(axis=2), (9, 9))
    y, x = np.divmod(int(spread.argmax()), spread.shape[1])
    third, across = 3 * y // spread.shape[0], 3 * x // spread.shape[1]
    return {
        "place": _PLACES[third][across],
        "corner": bool(third != 1 and across != 1),
        "difference": float(spread[y, x]),
    }


def _captions(profile: DatasetProfile, readable: np.ndarray) -> dict[str, float]:
    """The share of each class's images with burned-in text or a scale bar in a corner."""
    written = profile.records.written[readable]
    labels = profile.labels[readable]
    return {profile.classes[int(c)]: round(float(written[labels == c].mean()), 4) for c in np.unique(labels)}
