"""Adapting to a laboratory: a model folder fitted to its stain, camera and scale, from 10 to 200 labelled images.

Networks learn the laboratory. What carries over is the trunk: it stays as it is, and the last layer is fitted anew on
its features of the laboratory's own images, some of them augmented. Which trunk (one that knows smears, or the more
general one it came from), at which size of input (cells may be smaller here) and how strictly the layer is fitted, is
chosen by cross-validation. How well all that works is estimated on images that took no part, neither in fitting nor in
choosing (nested cross-validation: Varma & Simon 2006, doi:10.1186/1471-2105-7-91).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from leuko.adaptation.candidate_backbones import ENOUGH, Sight, base_of, look, size_leak
from leuko.adaptation.cross_validation import Estimate, choose, estimate
from leuko.adaptation.frozen_features import Head
from leuko.data import output_paths
from leuko.data.image_table import ImageTable
from leuko.data.labels.positive_classes import choose_positive, taken_for
from leuko.data.load import load
from leuko.data.sources.folders import title_of
from leuko.data.splitting.groups import Groups, find_groups
from leuko.decision.calibration import OperatingPoint
from leuko.evaluation import metrics, model_warnings
from leuko.inference.classifier import leukaemia_probability
from leuko.networks import model_folder
from leuko.networks.network import Network
from leuko.reports.cards import adapted_card


def adapt(
    source: str,
    output: Path,
    *,
    model: str | None = None,
    positive: Sequence[str] | None = None,
    group_column: str | None = None,
    seed: int = 0,
    on_message: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Fit a model to the images of one laboratory, estimate how good it is, and write its folder.

    Args:
        source: image folder or Hub id, as for `leuko.data.load.load`; its parts, if it has any, are taken together.
        output: model folder to write; an earlier model there is replaced.
        model: folder or Hub id of the network whose trunk is used; the embedded one by default.
        positive: the classes that mean leukaemia; none if empty or `none` alone; if None, all must be known by name.
        group_column: the column that says which images belong together; found by name if None.
        seed: of all chance.
        on_message: receives the lines meant for the user.

    Returns:
        The report, as in `evaluation/metrics.json`.

    Raises:
        leuko.data.errors.DataError: the images are too few, of one class, or cannot be used; or the output is not free.
        leuko.networks.model_folder.ModelFolderError: the model cannot be used, or does not end in a linear layer.
    """
    output_paths.check_model(output, [source])
    base = base_of(model)
    rows = ImageTable.concatenate(list(load(source, group_column=group_column, on_message=on_message).values()))
    title = title_of(source)
    labels = rows.class_names
    counts = rows.class_counts()
    positive = choose_positive(labels, positive, counts)
    on_message(f"{title}: {len(rows)} images ({', '.join(f'{n} {name}' for name, n in counts.items())}).")
    on_message(taken_for(labels, positive))

    sight = look(rows, base, seed, on_message)
    on_message("Cross-validating.")
    found = _estimate(rows, sight, positive, seed)
    recipe = choose(sight.features, sight.truth, found.groups.group, seed)
    seen = sight.features[recipe.trunk]
    head = Head.fit(seen, sight.truth, len(labels), recipe.strength)
    on_message("Writing the model.")
    chosen = sight.trunks[recipe.trunk]
    network, how = chosen.trunk.network, chosen.trunk.how
    _put(network, head, found.estimate.temperature)
    network.round_to_half_precision()

    report = _report(found, sight, labels, positive)
    metadata = model_folder.ModelMetadata(
        name=f"{chosen.name} adapted to {title}",
        positive=positive,
        temperature=found.estimate.temperature,
        operating_point=_operating_point(found.estimate, sight.truth, labels, positive),
        ood_detector=found.estimate.ood_detector(seen[:, 0], recipe.trunk),
        training={
            "dataset": title,
            "adapted_from": {"name": chosen.name, "version": chosen.version},
            "image_size": how.size[0],
            "normalise_stain": how.stain.method if how.stain else "none",
            "seed": seed,
            "steps": head.epochs,
            "strength": recipe.strength,
            "views": seen.shape[1] - 1,
            "split": found.estimate.how,
            "images": report["images_per_class"],
            "fingerprint": rows.fingerprint(),
        },
        warnings=model_warnings.of_adapted(report),
    )
    with model_folder.new_folder(output) as draft:
        model_folder.write_network(draft, network, labels, how, metadata)
        (draft / "evaluation").mkdir()
        (draft / "evaluation" / "metrics.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
        probabilities = found.estimate.mean
        asked = ~np.isnan(probabilities).any(axis=1)
        metrics.plot(probabilities[asked], sight.truth[asked], labels, draft / "evaluation")
        sight.cleaning.save(draft / "evaluation" / "cleaning.json")
        adapted_card.write(draft / "README.md", metadata, chosen.backbone, labels, report)
    doubtful = [rows.files[int(sight.kept[i])] for i in found.estimate.doubtful(sight.truth)]
    if doubtful:
        on_message(f"Look at these labels again, the other images speak against them: {', '.join(doubtful)}.")
    on_message(adapted_card.table(report))
    for note in report["notes"]:
        on_message(note)
    on_message(f"Written: {output}")
    return report


@dataclass(frozen=True)
class _Found:
    groups: Groups
    estimate: Estimate


def _estimate(rows: ImageTable, sight: Sight, positive: Sequence[str], seed: int) -> _Found:
    some = rows.select(sight.kept)
    names = rows.class_names
    groups = find_groups(
        np.array(names)[sight.truth],
        given=some.groups,
        colours=sight.colours,
        sources=some.sources,
        pictures=sight.cleaning.duplicates.field[sight.kept],
    )
    return _Found(groups, estimate(sight.features, sight.truth, sight.colours, groups, names, positive, seed))


def _report(found: _Found, sight: Sight, labels: Sequence[str], positive: Sequence[str]) -> dict[str, Any]:
    counts = np.bincount(sight.truth, minlength=len(labels)).tolist()
    report = found.estimate.as_json() | {
        "images": len(sight.truth),
        "images_per_class": dict(zip(labels, counts, strict=True)),
        "left_out": len(sight.cleaning.duplicates.picture) - len(sight.truth),
        "groups": _in_words(found.groups),
    }
    notes = []
    groups = [len(np.unique(found.groups.group[sight.truth == c])) for c in range(len(labels))]
    if min(groups) < ENOUGH:
        notes.append(
            f"Nothing can be promised: of class {labels[int(np.argmin(groups))]} there are only {min(groups)} images "
            f"or groups of images that belong together; at least {ENOUGH} of each class are needed."
        )
    if not positive:
        notes.append(
            "No class means leukaemia, so that every decision will be 'uncertain'; if one does, adapt again and "
            "name it."
        )
    if leak := size_leak(sight.sizes, sight.truth, labels):
        notes.append(leak)
    notes += model_warnings.of_adapted(report)
    return report | {"notes": notes}


def _in_words(groups: Groups) -> str:
    if len(np.unique(groups.group)) == len(groups.group):
        return "no patients are named, and each image counts as a group of its own"
    return groups.how


def _operating_point(
    found: Estimate, truth: np.ndarray, labels: Sequence[str], positive: Sequence[str]
) -> OperatingPoint:
    if not positive:
        return OperatingPoint(0.5, (0.0, 1.0), "not at all, since no class means leukaemia")
    asked = ~np.isnan(found.mean).any(axis=1)
    ill = np.isin(truth[asked], [labels.index(name) for name in positive])
    point = OperatingPoint.fit(leukaemia_probability(found.mean[asked], labels, positive), ill)
    return replace(point, chosen=point.chosen.replace("validation images", "images, each judged by models without it"))


def _put(network: Network, head: Head, temperature: float) -> None:
    """Put a head in the place of the network's last layer."""
    classes = len(head.bias)
    network.timm_model.reset_classifier(classes)
    last = network.timm_model.get_classifier()
    with torch.no_grad():
        last.weight.copy_(torch.from_numpy(head.weight))
        last.bias.copy_(torch.from_numpy(head.bias))
    network.eval().requires_grad_(False)
    network.fold_temperature(temperature)
