"""The documents: links lead somewhere, commands run, and what they show is what the program answers."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from leuko.cli.main import build_parser

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "data" / "README.md"])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
COMMAND = re.compile(r"^(?:LEUKO_MODEL=\S+ )?(leuko|python -m leuko|python train\.py) (.*)$", re.M)
STANDS_FOR = {"DATA": "data", "FOLDER": "data", "FOLDER_OR_HUB_ID": "data", "MODEL": "embedded", "IMAGE…": "a.png"}


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def anchors(file: Path) -> set[str]:
    """The anchors that GitHub and the Hub make of the headings of a Markdown file."""
    headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.M)
    plain = [re.sub(r"[^\w\- ]", "", re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading)) for heading in headings]
    return {heading.strip().lower().replace(" ", "-") for heading in plain}


def blocks(file: Path, *languages: str) -> list[str]:
    return [text for language, text in FENCE.findall(file.read_text("utf-8")) if language in languages]


def commands(file: Path) -> list[str]:
    """The commands of Deep Leuko in a document, as words after `leuko`, without comments."""
    found = []
    for block in blocks(file, "", "bash", "sh"):
        for program, rest in COMMAND.findall(block.replace("\\\n", " ")):
            words = re.sub(r"\s#.*$", "", rest).replace("[", "").replace("]", "")
            found.append(words if program != "python train.py" else f"train {words}")
    return found


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """An empty folder with the examples in it."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("file", DOCUMENTS, ids=name)
def test_links_lead_to_files_and_headings_that_exist(file):
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", file.read_text("utf-8"))):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        linked = (file.parent / path).resolve() if path else file
        assert linked.exists(), f"{name(file)} links to {target}, which does not exist"
        assert not anchor or anchor in anchors(linked), f"{name(file)} links to {target}: no such heading"


@pytest.mark.parametrize("file", DOCUMENTS, ids=name)
def test_commands_are_such_that_the_program_takes_them(file, capsys):
    for words in commands(file):
        words = [STANDS_FOR.get(word, word) for word in shlex.split(words.replace("…", ""))]
        if words and "FILE" not in words:
            build_parser().parse_args(words)  # ends the test with argparse's message if an option is wrong


@pytest.mark.parametrize("file", DOCUMENTS, ids=name)
def test_modules_and_files_that_are_named_exist(file):
    text = file.read_text("utf-8")
    for module in re.findall(r"python -m ((?:benchmarks|scripts)[\w.]*)", text):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), f"{name(file)} names {module}"
    for path in re.findall(r"`((?:leuko|tests|scripts|benchmarks|docs)/[\w./-]+)`", text):
        assert "NAME" in path or (ROOT / path).exists(), f"{name(file)} names {path}"


def test_the_readme_has_two_pages_and_describes_a_space():
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 160
    assert "Research use only" in text
    front = yaml.safe_load(text.split("---")[1])
    assert front["sdk"] == "gradio" and front["python_version"] == "3.11" and len(front["short_description"]) <= 60
    assert (ROOT / front["app_file"]).is_file() and front["sdk_version"] == version("gradio")


def test_the_light_requirements_are_part_of_what_a_space_and_training_install():
    light, full = (
        [Requirement(line) for line in (ROOT / file).read_text().splitlines() if line and line[0] != "#"]
        for file in ("requirements-app.txt", "requirements.txt")
    )
    assert {str(r) for r in light} <= {str(r) for r in full}
    assert not {"torch", "torchvision", "timm", "transformers", "datasets"} & {r.name for r in light}
    (gradio,) = (r for r in light if r.name == "gradio")
    assert str(gradio.specifier) == "==6.31.*" and version("gradio") in gradio.specifier


def test_commands_on_the_example_run(workplace):
    tried = [words for words in commands(ROOT / "README.md") if "examples/smear.png" in words]
    assert len(tried) >= 3
    for words in tried:
        done = run(sys.executable, "-m", "leuko", *shlex.split(words), cwd=workplace)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["image"] == "smear.png"
    assert (workplace / "heat" / "smear.npy").is_file() and (workplace / "cells" / "smear.png").is_file()


@pytest.mark.parametrize("file", [ROOT / "README.md", ROOT / "docs" / "api.md"], ids=name)
def test_python_on_the_example_runs(file, workplace, app_url):
    (workplace / "bad.png").write_bytes(b"no image")
    for block in blocks(file, "python"):
        done = run(sys.executable, "-c", block.replace("http://127.0.0.1:7860", app_url), cwd=workplace)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", [ROOT / "README.md", ROOT / "docs" / "api.md"], ids=name)
def test_curl_on_the_example_runs(file, workplace, app_url):
    for block in blocks(file, "bash"):
        done = run("bash", "-c", block.replace("http://127.0.0.1:7860", app_url), cwd=workplace)
        assert done.returncode == 0, done.stderr
        assert re.search(r'"decision": ?"suspicious"', done.stdout)


def test_the_finding_that_is_shown_is_what_the_program_answers(workplace):
    (shown,) = map(json.loads, blocks(ROOT / "docs" / "api.md", "json"))
    done = run(sys.executable, "-m", "leuko", "classify", "examples/smear.png", cwd=workplace)
    assert json.loads(done.stdout) == _nearly(shown)


def _nearly(value):
    """The same, where numbers may differ a little from machine to machine."""
    if isinstance(value, dict):
        return {key: _nearly(part) for key, part in value.items()}
    return pytest.approx(value, abs=0.01) if isinstance(value, float) else value
