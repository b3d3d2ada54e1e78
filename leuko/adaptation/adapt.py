"""Adapt a model to one laboratory with 10 to 200 labelled images, without PyTorch.

The trunk of the network is not changed. The last layer is fitted again on features of the laboratory's own images and
of augmented views of them. Cross-validation chooses the trunk (one trained on smears, or a general one), the input size
(cells may be smaller in this laboratory) and the regularisation. The reported figures come from images that were used
neither for fitting nor for model selection (nested cross-validation: Varma & Simon 2006, doi:10.1186/1471-2105-7-91).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from leuko.adaptation import cell_sources
from leuko.adaptation.adapt_cells import adapt_cells
from leuko.adaptation.cross_validation import CrossValidation, choose_recipe, cross_validate
from leuko.adaptation.head_fitting import fit_head
from leuko.adaptation.size_leak import size_leak
from leuko.adaptation.training_set import MIN_GROUPS, TrainingSet, prepare
from leuko.cells.kinds.model import FILE as KINDS_FILE
from leuko.data import output_paths
from leuko.data.image_table import ImageTable
from leuko.data.labels.positive_classes import choose_positive, describe_positive
from leuko.data.load import load
from leuko.data.sources.folders import title_of
from leuko.data.splitting.groups import Groups
from leuko.decision.calibration import OperatingPoint
from leuko.evaluation import model_warnings
from leuko.inference.finding import leukaemia_probability
from leuko.networks import model_folder
from leuko.networks.trunk_files import TrunkFiles
from leuko.reports.cards import model_card
from leuko.reports.evaluation import plots


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
    """Fit a model to the images of one laboratory, estimate its performance, and write its folder.

    Args:
        source: image folder or Hub id, as for `leuko.data.load.load`; existing splits are joined. Where the classes
            are kinds of cells, or the folder holds a list of cells (`leuko.adaptation.cell_sources`), and `positive` is
            None, the kinds of cells are adapted instead (`leuko.adaptation.adapt_cells`).
        output: model folder to write; an earlier model there is replaced.
        model: folder or Hub id of the network whose trunk is used; the embedded one by default.
        positive: the classes that mean leukaemia; if empty or only `none`, no class means leukaemia; if None, the
            meaning of all classes must be known by their names.
        group_column: the column of groups; found by its name if None.
        seed: seed of all random choices.
        on_message: receives the lines meant for the user.

    Returns:
        The report, as in `evaluation/metrics.json`.

    Raises:
        leuko.data.errors.DataError: there are too few images or only one class, images cannot be used, or the output
            folder holds other files.
        leuko.networks.model_folder.ModelFolderError: the model cannot be used, or does not end in one linear layer.
    """
    if not (output / KINDS_FILE).is_file():  # an earlier result of `adapt_cells`
        output_paths.check_model(output, [source])
    output_paths.check_apart(output, [source])
    if positive is None and cell_sources.has_list(source):
        return adapt_cells(cell_sources.from_list(source), title_of(source), output, seed, on_message)
    base = model_folder.load(model)
    TrunkFiles.of_model(base)  # refuses a model without a linear last layer before images are read
    images = ImageTable.concatenate(list(load(source, group_column=group_column, on_message=on_message).values()))
    title, class_names, counts = title_of(source), images.class_names, images.class_counts()
    if positive is None and cell_sources.shows_kinds(class_names):
        return adapt_cells(cell_sources.from_table(images), title, output, seed, on_message)
    output_paths.check_model(output, [source])
    positive = choose_positive(class_names, positive, counts)
    on_message(f"{title}: {len(images)} images ({', '.join(f'{n} {name}' for name, n in counts.items())}).")
    on_message(describe_positive(class_names, positive))

    data = prepare(images, base, seed, on_message)
    on_message("Cross-validating.")
    result = cross_validate(data.features, data.labels, data.colours, data.groups, class_names, positive, seed)
    recipe = choose_recipe(data.features, data.labels, data.groups.group, seed)
    features, trunk = data.features[recipe.trunk], data.trunks[recipe.trunk]
    fitted = fit_head(features, data.labels, len(class_names), recipe.inverse_regularization)

    on_message("Writing the model.")
    report = _report(result, data, positive)
    preprocessing = trunk.preprocessing
    metadata = model_folder.ModelMetadata(
        name=f"{trunk.files.name} adapted to {title}",
        positive=positive,
        temperature=result.temperature,
        operating_point=_operating_point(result, data.labels, class_names, positive),
        ood_detector=result.ood_detector(features[:, 0], recipe.trunk),
        training={
            "dataset": title,
            "adapted_from": {"name": trunk.files.name, "version": trunk.files.version},
            "image_size": preprocessing.size[0],
            "normalise_stain": preprocessing.stain.method if preprocessing.stain else "none",
            "seed": seed,
            "steps": fitted.iterations,
            "strength": recipe.inverse_regularization,
            "views": features.shape[1] - 1,
            "split": result.description,
            "images": report["images_per_class"],
            "fingerprint": images.fingerprint(),
        },
        warnings=model_warnings.of_adapted(report),
    )
    with model_folder.new_folder(output) as draft:
        head = fitted.head.with_temperature(result.temperature)
        model_folder.write_adapted(draft, trunk.files, head, class_names, preprocessing, metadata)
        _write_evaluation(draft / "evaluation", report, result, data)
        model_card.write_adapted_card(draft / "README.md", metadata, base.backbone, class_names, report)
    if errors := [data.images.files[i] for i in result.possible_label_errors(data.labels)]:
        on_message(f"Possible label errors (cross-validated p < 0.1): {', '.join(errors)}.")
    on_message(model_card.cross_validation_table(report))
    for note in report["notes"]:
        on_message(note)
    on_message(f"Written: {output}")
    return report


def _write_evaluation(folder: Path, report: dict[str, Any], result: CrossValidation, data: TrainingSet) -> None:
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    probabilities = result.mean_probabilities
    predicted = ~np.isnan(probabilities).any(axis=1)
    plots.write(probabilities[predicted], data.labels[predicted], data.images.class_names, folder)
    data.cleaning.save(folder / "cleaning.json")


def _report(result: CrossValidation, data: TrainingSet, positive: Sequence[str]) -> dict[str, Any]:
    report = result.as_json() | {
        "images": len(data.labels),
        "images_per_class": data.images.class_counts(),
        "left_out": len(data.cleaning.duplicates.picture) - len(data.labels),
        "groups": _describe(data.groups),
    }
    return report | {"notes": _notes(report, data, positive)}


def _notes(report: dict[str, Any], data: TrainingSet, positive: Sequence[str]) -> list[str]:
    notes, class_names = [], data.images.class_names
    groups = [len(np.unique(data.groups.group[data.labels == c])) for c in range(len(class_names))]
    if min(groups) < MIN_GROUPS:
        notes.append(
            f"The figures are not reliable: of class {class_names[int(np.argmin(groups))]} there are only "
            f"{min(groups)} images or groups of images that belong together; add images until there are at least "
            f"{MIN_GROUPS} of each class."
        )
    if not positive:
        notes.append(
            "No class means leukaemia, so every decision will be 'uncertain'; if one does, adapt again and name it "
            "with --positive."
        )
    if leak := size_leak(data.sizes, data.labels, class_names):
        notes.append(leak)
    return [*notes, *model_warnings.of_adapted(report)]


def _describe(groups: Groups) -> str:
    if len(np.unique(groups.group)) == len(groups.group):
        return "no patients are named, and each image counts as a group of its own"
    return groups.how


def _operating_point(
    result: CrossValidation, labels: np.ndarray, class_names: Sequence[str], positive: Sequence[str]
) -> OperatingPoint:
    if not positive:
        return OperatingPoint(0.5, (0.0, 1.0), "not at all, since no class means leukaemia")
    predicted = ~np.isnan(result.mean_probabilities).any(axis=1)
    probability = leukaemia_probability(result.mean_probabilities[predicted], class_names, positive)
    leukaemic = np.isin(labels[predicted], [class_names.index(name) for name in positive])
    point = OperatingPoint.fit(probability, leukaemic)
    chosen = point.chosen.replace("validation images", "images, each predicted by models fitted without it")
    return replace(point, chosen=chosen)
