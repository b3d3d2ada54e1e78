"""The app as it is started, the embedded model, and the Space's front matter."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import yaml

from leuko.images.decode import decode
from tests.conftest import ROOT, free_port, start_app


def test_real_images_are_told_apart(embedded, real_files):
    """Not a figure (those are in the model card): only that the embedded default is the trained one."""
    right = [embedded.classify(decode(file)).label == file.parent.name for file in real_files]
    assert np.mean(right) >= 0.9


def test_no_model_no_app(tmp_path):
    process = start_app(free_port(), LEUKO_MODEL=str(tmp_path))
    printed, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "Deep Leuko cannot start" in printed and "Traceback" not in printed and "Running on" not in printed


def test_the_readme_is_a_valid_space_and_card_and_names_real_things():
    text = (ROOT / "README.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert front["sdk"] == "gradio" and front["python_version"] == "3.11"
    assert (ROOT / front["app_file"]).is_file() and len(front["short_description"]) <= 60
    pinned = re.search(r"^gradio\[mcp\]==([\d.]+)\.\*", (ROOT / "requirements.txt").read_text(), re.M)[1]
    assert front["sdk_version"].startswith(pinned)
    assert "Research use only" in text
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).exists(), target


def test_the_card_at_the_top_is_that_of_the_embedded_default(embedded):
    card = (ROOT / "model_card.md").read_text()
    assert f"# {embedded.model.metadata.name}" in card
    report = json.loads((ROOT / "leuko/networks/embedded/evaluation/metrics.json").read_text())
    assert f"| Accuracy | {report['accuracy']['value']:.3f} |" in card


def test_gradio_is_imported_without_its_type_stubs():
    """And what it would do for editors alone still has the name by which it is left out."""
    code = """
from leuko.serving.gradio.import_patch import without_stubs
with without_stubs():
    import gradio
from gradio import component_meta
assert component_meta.create_or_modify_pyi.__module__ == "leuko.serving.gradio.import_patch"
import leuko.serving.interface
print(gradio.Textbox(label="x").label)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "x", done.stderr[-2000:]
