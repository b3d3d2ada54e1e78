"""`leuko eda`: load a data set, measure and inspect it, audit shortcuts, and write the data report."""

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
from leuko.evaluation.logits import predict_with_model
from leuko.evaluation.predict_dataset import progress
from leuko.evaluation.shortcut_audit import shortcuts
from leuko.networks import model_folder
from leuko.reports.eda import page
from leuko.reports.eda.dataset_profile import Audit, DatasetProfile, sample
from leuko.reports.eda.records import Records, measure

FOLDS = 5
MIN_IMAGES = 3  # usable images; with fewer there is nothing to compare
AUDITED = 5000  # images in the audit at most; its time grows with the square of their number
DIMENSIONS = 256  # of the deep features that are kept for each image
_BATCH = 8  # images at a time; more are not faster on a CPU


class Fold(NamedTuple):
    """Row numbers of the two sides of a split; int."""

    train: np.ndarray
    test: np.ndarray


def write_data_report(
    sources: Sequence[str], output: Path, *, model: str | None = None, group_column: str | None = None
) -> Path:
    """Write the data report of one or several sources.

    Args:
        sources: folders or Hub ids.
        output: folder for the report; an earlier report in it is replaced.
        model: model folder or Hub id whose deep features are shown; by default the embedded model.
        group_column: see `leuko.data.load.load`.

    Returns:
        The path of `report.html`.

    Raises:
        DataError: the sources cannot be used, or `output` holds other files or lies inside the data.
        leuko.networks.model_folder.ModelFolderError: the model cannot be used.
    """
    page.check(output)
    output_paths.check_apart(output, sources)
    rows = ImageTable.concatenate(list(load(sources, group_column=group_column).values()))
    labels, row_of = rows.labels, {file: row for row, file in enumerate(rows.files)}
    records = measure(rows, progress)
    if not records.readable.any():
        raise DataError(f"None of the {len(rows)} images can be read; is this the right folder?")
    network = model_folder.load(model)
    features = deep_features(network, rows, records.readable)
    cleaning = inspect(rows, lambda part: features[[row_of[file] for file in part.files]], progress=progress)
    kept = cleaning.kept
    if len(kept) < MIN_IMAGES:
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
    """Compute the pooled features of every readable image.

    Features of more than `DIMENSIONS` numbers are projected onto as many random directions, which keeps all distances
    to about 6 % (Johnson & Lindenstrauss 1984; Dasgupta & Gupta, doi:10.1002/rsa.10073) in a fifth of the memory.

    Args:
        model: a loaded model folder.
        rows: as `leuko.data.load` gives them.
        readable: bool, N; the features of other rows stay zero.

    Returns:
        float32, N × D.
    """
    rows_to_do = np.flatnonzero(readable)
    batches = np.array_split(rows_to_do, -(-len(rows_to_do) // _BATCH))
    features, directions = np.zeros((len(rows), 0), np.float32), np.zeros((0, 0), np.float32)
    for batch in progress(batches, "Deep features", len(batches)):
        _, pooled = predict_with_model(model, rows.select(batch), batch=_BATCH)
        if not directions.size:
            directions = _directions(pooled.shape[1])
            features = np.zeros((len(rows), directions.shape[1]), np.float32)
        features[batch] = pooled @ directions
    return features


def _directions(dimensions: int) -> np.ndarray:
    if dimensions <= DIMENSIONS:
        return np.eye(dimensions, dtype=np.float32)
    drawn = np.random.default_rng(0).standard_normal((dimensions, DIMENSIONS), dtype=np.float32)
    return drawn / np.float32(DIMENSIONS**0.5)


def audit(records: Records, kept: np.ndarray, labels: np.ndarray, groups: Groups) -> Audit:
    """How well the class can be predicted without any cell shapes.

    Args:
        records: measurements of all rows.
        kept: int, the rows that are used; of more than `AUDITED`, a random sample.
        labels: int, of all rows.
        groups: of the kept rows.

    Returns:
        View → kind of split ("random", "grouped") → figures; empty if there are too few groups.
    """
    views = {
        "colour statistics": records.colours[kept],
        "image border": records.border[kept],
        "scale-bar corner": records.corner[kept],
    }
    if len(np.unique(records.sizes[kept], axis=0)) > 1:
        views["image size"] = records.sizes[kept]
    truth = labels[kept]
    try:
        grouped = [Fold(fold.train, fold.test) for fold in folds(truth, groups, count=FOLDS)]
        plain = [
            Fold(train, test)
            for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(truth, truth)
        ]
    except LeakError:
        raise
    except ValueError:  # from both: a class has too few groups or images
        return {}
    used = np.isin(np.arange(len(truth)), sample(np.arange(len(truth)), AUDITED))
    figures = {
        kind: shortcuts(
            views, truth, [Fold(train[used[train]], test[used[test]]) for train, test in splits], groups.group
        )
        for kind, splits in (("random", plain), ("grouped", grouped))
    }
    return {view: {kind: figures[kind][view] for kind in figures} for view in views}
