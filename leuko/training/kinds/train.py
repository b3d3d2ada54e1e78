"""Training of the network of kinds: from lists of cells to an ONNX file and its calibration.

A network for each fold of the groups judges the cells that it has not seen. Where other laboratories show all kinds of
a laboratory, its cells are judged by a network that has seen none of them. The shipped network is fitted to all cells.
Every stage is stored, so that a run can be continued:

run.json                              settings and digests of the lists
NAME.npz, drawn.npz                   the cells of a list, and of drawn smears
fold-K.safetensors, without-NAME.…    the fit without a fold, or without a laboratory
fold-K-network.safetensors, …         its network
fold-K.npz, without-NAME.npz          what this network says about the cells that it has not seen; written last
fold-K.onnx, without-NAME.onnx        this network with the calibration of all
state.safetensors                     the fit to all cells
network.onnx, calibration.json, training.json, out_of_fold.npz   the result
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from leuko.data import output_paths
from leuko.data.errors import DataError
from leuko.networks.model_folder.files import digest as digest_of_file
from leuko.system import memory
from leuko.system.about import VERSION
from leuko.training.kinds import calibrate
from leuko.training.kinds.calibrate import Judged
from leuko.training.kinds.cells import DRAWN, LABELS, Cells, draw_cells, read_cells
from leuko.training.kinds.export import export
from leuko.training.kinds.fit import fit
from leuko.training.kinds.settings import Settings
from leuko.training.kinds.two_views import TwoViewNetwork
from leuko.training.segmenter.run_folder import write_json
from leuko.training.segmenter.train import PACKAGES
from leuko.training.settings import refuse_other_run

OUT_OF_FOLD = "out_of_fold.npz"
_RUN = "run.json"


def train(settings: Settings, on_message: Callable[[str], None] = print) -> Path:
    """Train a network of kinds.

    Args:
        settings: the run.
        on_message: receives the lines meant for the user.

    Returns:
        The ONNX file, for `leuko.cells.kinds.network.KindNetwork`. Beside it, `calibration.json` is for
        `leuko.cells.kinds.conformal`, and `training.json` says what the network was trained on.

    Raises:
        DataError: a list cannot be used, or the output folder holds other files.
        leuko.training.settings.TrainingError: the run cannot be continued, or the loss diverged.
        leuko.networks.backbones.WeightsError: the weights cannot be used.
    """
    memory.keep_freed()
    _new_network(settings)  # weights that cannot be used are refused before cells are cut out for minutes
    folder = _open_run(settings)
    cells = _all_cells(settings, on_message)
    folds = fold_of(cells, settings.folds)
    unseen = {f"fold-{fold}": folds == fold for fold in range(settings.folds)}
    unseen |= {f"without-{name}": cells.laboratories == name for name in calibrate.replaceable(cells)}
    whole = Judged.empty(len(cells))
    for number, (name, rows) in enumerate(unseen.items()):
        whole.put(rows, _judge_unseen(name, rows, cells, settings, settings.seed + number, on_message))
    degree, bias = calibrate.temperature(cells, whole), calibrate.blast_bias(cells, whole)
    form_bias = calibrate.form_bias(cells, whole)
    probabilities = whole.probabilities(degree, bias, form_bias)
    calibrated = calibrate.calibration(cells, whole, probabilities)
    on_message("Fitting to all cells.")
    network = fit(
        _new_network(settings), cells, settings.steps, settings.seed, folder / "state.safetensors", on_message
    )
    _finish(network, cells)
    networks = {name: _stored_network(settings, name) for name in unseen}
    for name, one in (networks | {"network": network}).items():
        one.temperature.fill_(degree)
        one.blast_bias.fill_(bias)
        one.form_bias.fill_(form_bias)
        export(one, folder / f"{name}.onnx")
    np.savez(
        folder / OUT_OF_FOLD,
        probabilities=probabilities.astype(np.float32),
        novelty=whole.novelty,
        folds=folds,
        **{name: getattr(cells, name) for name in ("labels", "laboratories", "groups", "images")},
    )
    calibrated.write(folder / "calibration.json")
    write_json(folder / "training.json", _report(settings, cells, degree, bias, form_bias))
    on_message(f"Written: {folder / 'network.onnx'}")
    return folder / "network.onnx"


def fold_of(cells: Cells, folds: int) -> np.ndarray:
    """The fold of each cell, int, N: the groups of each list by turns, in the order of their names.

    Raises:
        DataError: a list has fewer groups than folds.
    """
    result = np.zeros(len(cells), int)
    for name in np.unique(cells.laboratories):
        rows = np.flatnonzero(cells.laboratories == name)
        groups, inverse = np.unique(cells.groups[rows], return_inverse=True)
        if len(groups) < folds:
            raise DataError(f"The list {name} has {len(groups)} groups; {folds} folds need as many.")
        result[rows] = inverse % folds
    return result


def _new_network(settings: Settings) -> TwoViewNetwork:
    torch.manual_seed(settings.seed)
    network = TwoViewNetwork()
    network.load_trunk(settings.weights)
    return network


def _open_run(settings: Settings) -> Path:
    """The folder of a new run or of one that is continued; what is left of another run is removed."""
    folder = settings.output
    output_paths.check_free(folder, "training run", lambda output: (output / _RUN).is_file())
    output_paths.make_folder(folder)
    names = [file.stem for file in settings.lists]
    if len({DRAWN, *names}) <= len(names):
        raise DataError(f"Lists need names of their own, and none may be called {DRAWN}.")
    run = settings.record() | {"lists": {file.stem: _digest(file) for file in settings.lists}}
    earlier = folder / _RUN
    if settings.resume and earlier.is_file():
        refuse_other_run(json.loads(earlier.read_text(encoding="utf-8")), run, "lists", "other lists")
    else:
        for file in (file for ending in ("npz", "safetensors", "onnx") for file in folder.glob(f"*.{ending}")):
            file.unlink()
    write_json(earlier, run)
    return folder


def _digest(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"The list {file} cannot be read ({error.strerror}).") from error


def _all_cells(settings: Settings, on_message: Callable[[str], None]) -> Cells:
    """The cells of all lists and of drawn smears."""
    parts = []
    for file in settings.lists:
        stored = settings.output / f"{file.stem}.npz"
        if not stored.is_file():
            read_cells(file, on_message).write(stored)
        parts.append(Cells.read(stored))
    if settings.drawn:
        stored = settings.output / f"{DRAWN}.npz"
        if not stored.is_file():
            draw_cells(settings.drawn, settings.seed).write(stored)
        parts.append(Cells.read(stored))
    return Cells.join(parts)


def _judge_unseen(
    name: str, unseen: np.ndarray, cells: Cells, settings: Settings, seed: int, on_message: Callable[[str], None]
) -> Judged:
    """What a network says about cells that it was not fitted to.

    Args:
        name: of the stored network.
        unseen: bool, N, these cells.
        cells: all of them.
        settings: of the run.
        seed: of the batches.
        on_message: receives the lines meant for the user.
    """
    stored = settings.output / f"{name}.npz"
    if not stored.is_file():
        on_message(f"Fitting the network {name}.")
        known = cells.take(~unseen)
        state = settings.output / f"{name}.safetensors"
        network = fit(_new_network(settings), known, settings.fold_steps, seed, state, on_message)
        _finish(network, known)
        weights = {part: values.contiguous() for part, values in network.state_dict().items()}
        save_file(weights, _network_file(settings, name))
        draft = stored.with_suffix(".draft.npz")
        np.savez(draft, **vars(calibrate.judge(network, cells.take(unseen))))
        draft.replace(stored)
    with np.load(stored) as values:
        return Judged(**values)


def _finish(network: TwoViewNetwork, known: Cells) -> None:
    """Set what depends on the finished features of the cells of the fit."""
    features = calibrate.judge(network, known).features
    calibrate.refit_form(network, known, features)
    calibrate.set_novelty(network, known, features)


def _network_file(settings: Settings, name: str) -> Path:
    return settings.output / f"{name}-network.safetensors"


def _stored_network(settings: Settings, name: str) -> TwoViewNetwork:
    network = TwoViewNetwork()
    network.load_state_dict(load_file(_network_file(settings, name)))
    return network.eval()


def _report(settings: Settings, cells: Cells, degree: float, bias: float, form_bias: float) -> dict[str, Any]:
    """What the network was trained on; without paths and names of files, which may contain patient names."""
    return {
        "lists": {file.stem: {"sha256": _digest(file)} for file in settings.lists},
        "cells": {name: _counts(cells.labels[cells.laboratories == name]) for name in np.unique(cells.laboratories)},
        "steps": settings.steps,
        "folds": settings.folds,
        "fold_steps": settings.fold_steps,
        "drawn_smears": settings.drawn,
        "temperature": degree,
        "blast_bias": bias,
        "form_bias": form_bias,
        "seed": settings.seed,
        "weights": {"name": settings.weights.name, "sha256": digest_of_file(settings.weights)},
        "network": {"sha256": digest_of_file(settings.output / "network.onnx")},
        "versions": {"leuko": VERSION} | {package: version(package) for package in PACKAGES},
    }


def _counts(labels: Sequence[str] | np.ndarray) -> Mapping[str, int]:
    found = list(labels)
    return {label: found.count(label) for label in LABELS if label in found}
