"""The survey of a data set: load, inspect, measure, group, audit, and write the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import StratifiedKFold

from leuko.data import output_paths
from leuko.data.cleaning.clean import inspect
from leuko.data.errors import DataError
from leuko.data.image_table import ImageTable
from leuko.data.load import load
from leuko.data.splitting.groups import Groups, find_groups
from leuko.data.splitting.split import LeakError, folds
from leuko.evaluation.logits import predict
from leuko.evaluation.predict_dataset import progress
from leuko.evaluation.shortcut_audit import shortcuts
from leuko.networks import model_folder
from leuko.reports.eda import page
from leuko.reports.eda.dataset_profile import DatasetProfile, some
from leuko.reports.eda.records import Records, measure

FOLDS = 5
FEWEST = 3  # usable images
AUDITED = 5000  # images at most in the audit, whose work grows with the square of their number
DIMENSIONS = 256  # of the deep features that are kept of an image
_BATCH = 8  # images at a time; more do not go faster on a CPU


class Fold(NamedTuple):
    """Row numbers of the two sides of a split; int."""

    train: np.ndarray
    test: np.ndarray


def survey(sources: Sequence[str], output: Path, *, model: str | None = None, group_column: str | None = None) -> Path:
    """Write the data report of one or several sources.

    Args:
        sources: folders or Hub ids.
        output: folder to write; an earlier report in it is replaced.
        model: model folder or Hub id whose deep features are shown; the embedded one by default.
        group_column: see `leuko.data.load.load`.

    Returns:
        The path of `report.html`.

    Raises:
        DataError: the sources cannot be used, or `output` holds something else or lies inside the data.
        leuko.networks.model_folder.ModelFolderError: the model cannot be used.
    """
    page.check(output)
    output_paths.check_apart(output, sources)
    rows = ImageTable.concatenate(list(load(sources, group_column=group_column).values()))
    labels, place = rows.labels, {file: row for row, file in enumerate(rows.files)}
    records = measure(rows, progress)
    if not records.readable.any():
        raise DataError(f"None of the {len(rows)} images can be read; is this the right folder?")
    network = model_folder.load(model)
    features = deep_features(network, rows, records.readable)
    cleaning = inspect(rows, lambda some: features[[place[file] for file in some.files]], progress=progress)
    kept = cleaning.kept
    if len(kept) < FEWEST:
        raise DataError(f"Only {len(kept)} of {len(rows)} images can be used; too few for a report.")
    groups = find_groups(
        labels[kept],
        given=rows.select(kept).groups,
        colours=records.colours[kept],
        sources=rows.select(kept).sources,
        pictures=cleaning.duplicates.field[kept],
    )
    return page.write(
        DatasetProfile(
            name=" + ".join(dict.fromkeys(rows.sources)),
            rows=rows,
            cleaning=cleaning,
            records=records,
            features=features,
            model=network.metadata.name,
            groups=groups,
            audit=audit(records, kept, labels, groups),
            audited=min(len(kept), AUDITED),
        ),
        output,
    )


def deep_features(model: model_folder.Model, rows: ImageTable, readable: np.ndarray) -> np.ndarray:
    """What the network makes of every row, batch by batch.

    Features of more than `DIMENSIONS` numbers are projected onto as many random directions, which keeps all distances
    to about 6 % (Johnson & Lindenstrauss 1984; Dasgupta & Gupta, doi:10.1002/rsa.10073) in a fifth of the memory.

    Args:
        model: a loaded model folder.
        rows: as `leuko.data.load` gives them.
        readable: bool, N; the others stay zero.

    Returns:
        float32, N × D.
    """
    wanted = np.flatnonzero(readable)
    batches = np.array_split(wanted, -(-len(wanted) // _BATCH))
    features = None
    for batch in progress(batches, "Deep features", len(batches)):
        _, pooled = predict(model.network, rows.select(batch), model.preprocessing, batch=_BATCH)
        if features is None:
            directions = _directions(pooled.shape[1])
            features = np.zeros((len(rows), directions.shape[1]), np.float32)
        features[batch] = pooled @ directions
    return features


def _directions(dimensions: int) -> np.ndarray:
    if dimensions <= DIMENSIONS:
        return np.eye(dimensions, dtype=np.float32)
    drawn = np.random.default_rng(0).standard_normal((dimensions, DIMENSIONS), dtype=np.float32)
    return drawn / np.float32(DIMENSIONS**0.5)


def audit(
    records: Records, kept: np.ndarray, labels: np.ndarray, groups: Groups
) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """What can be guessed without looking at a cell: view → kind of split → figures; empty if there are too few groups.

    Args:
        records: of all rows.
        kept: int, the rows that are used; of more than `AUDITED`, some at random.
        labels: int, of all rows.
        groups: of the kept rows.
    """
    views = {
        "colour statistics": records.colours[kept],
        "image border": records.border[kept],
        "scale-bar corner": records.corner[kept],
    }
    if len(np.unique(records.sizes[kept], axis=0)) > 1:
        views["image size"] = records.sizes[kept]
    own = labels[kept]
    try:
        grouped = [(fold.train, fold.test) for fold in folds(own, groups, count=FOLDS)]
        plain = list(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(own, own))
    except LeakError:
        raise
    except ValueError:  # of both: a class has too few groups, or images
        return {}
    used = np.isin(np.arange(len(own)), some(np.arange(len(own)), AUDITED))
    figures = {
        kind: shortcuts(
            views, own, [Fold(train[used[train]], test[used[test]]) for train, test in splits], groups.group
        )
        for kind, splits in (("random", plain), ("grouped", grouped))
    }
    return {view: {kind: figures[kind][view] for kind in figures} for view in views}
