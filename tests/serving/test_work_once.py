"""The costly steps are done once for each request: cells are segmented and measured once, or not at all."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from leuko.cells.features import morphology
from leuko.images.quality import assessment
from leuko.inference import classifier as inference
from leuko.inference.classifier import Classifier
from leuko.serving.analysis import analyse
from leuko.serving.api import endpoints
from leuko.serving.gradio.upload_components import Upload
from leuko.serving.interface import build
from leuko.serving.tabs import one_image


@pytest.fixture
def upload(tmp_path, smear) -> Upload:
    file = tmp_path / "smear.png"
    Image.fromarray(smear).save(file)
    return Upload(file, file.name)


@pytest.fixture
def calls(monkeypatch) -> Counter:
    """How often each costly function was called, by its name here."""
    counted: Counter = Counter()

    def count(module: object, name: str, as_name: str) -> None:
        original = getattr(module, name)

        def counting(*arguments, **options):
            counted[as_name] += 1
            return original(*arguments, **options)

        monkeypatch.setattr(module, name, counting)

    count(inference, "segment", "segment")
    count(endpoints, "segment", "segment")
    count(inference, "assess", "quality")
    count(assessment, "assess", "quality")
    count(morphology, "_shapes", "cells measured")
    count(Classifier, "_run", "network")
    return counted


def endpoint(classifier: Classifier, name: str):
    (found,) = (each.fn for each in build(classifier, {}).fns.values() if each.api_name == name)
    return found


def number_of_cells(found: dict) -> int:
    return sum(cell["kind"] == "white_cell" for cell in found["cells"])


def test_the_page_segments_and_measures_once(embedded, upload, calls):
    analysis = analyse(embedded, Path(upload.path))
    one_image._result(analysis, upload.name)
    cells = int(analysis.result.segmentation.white_cells.max())
    assert cells > 5
    assert calls == {"segment": 1, "quality": 1, "network": 1, "cells measured": cells}


def test_classify_segments_and_measures_once(embedded, upload, calls):
    assert endpoint(embedded, "classify")(upload)["decision"]
    assert calls["segment"] == calls["quality"] == calls["network"] == 1 and calls["cells measured"] > 5


def test_explain_runs_the_network_alone(embedded, upload, calls):
    assert endpoint(embedded, "explain")(upload).ndim == 3
    assert calls == {"network": 1}


def test_analyse_field_runs_no_network(embedded, upload, calls):
    found, _ = endpoint(embedded, "analyse_field")(upload)
    assert calls == {"segment": 1, "quality": 1, "cells measured": number_of_cells(found)}
