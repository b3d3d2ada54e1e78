"""From a data set on the Hub to a model on the Hub, and back through every door: real clients, real HTTP."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from datasets import Dataset, Features, Image, Value
from gradio_client import Client, handle_file
from packaging.requirements import Requirement
from PIL import Image as Pillow

from leuko.images.synthetic import rendering
from tests.clients import run
from tests.conftest import ROOT, running_app
from tests.standin_hub import StandInHub

pytestmark = pytest.mark.slow

PRIVATE = {"evaluation/split.json", "evaluation/cleaning.json"}
TRAIN = ("--backbone", "resnet10t", "--weights", "none", "--finetune", "full", "--image-size", 64, "--epochs", 1)


def drawn() -> dict[str, bytes]:
    """Two classes that differ in their cells, 30 small fields of each, by path."""
    files = {}
    for name, cells in {"blast": {"blast": 4}, "healthy": {"neutrophil": 3}}.items():
        for i in range(30):
            smear = rendering.render(i, width=96, height=96, um_per_px=0.7, white_cells=cells)
            content = io.BytesIO()
            Pillow.fromarray(smear.image).save(content, "PNG")
            files[f"{name}/{i}.png"] = content.getvalue()
    return files


def as_parquet(files: dict[str, bytes], place: Path) -> bytes:
    """The same images as a table with the classes in words, three consecutive ones of each patient."""
    rows = {
        "image": [{"bytes": data, "path": path.replace("/", "_")} for path, data in files.items()],
        "label": [path.split("/")[0] for path in files],
        "patient": [f"{path.split('/')[0]}-{int(Path(path).stem) // 3}" for path in files],
    }
    features = Features({"image": Image(), "label": Value("string"), "patient": Value("string")})
    Dataset.from_dict(rows, features=features).to_parquet(place)
    return place.read_bytes()


@pytest.fixture(scope="module")
def hub(tmp_path_factory) -> Iterator[StandInHub]:
    """A Hub with the drawn smears, as class folders and as a table."""
    files = drawn()
    with StandInHub(tokens={"hf_secret": "tester"}) as hub:
        hub.put("dataset", "tester/folders", files)
        table = as_parquet(files, tmp_path_factory.mktemp("table") / "train.parquet")
        hub.put("dataset", "tester/patients", {"data/train-00000-of-00001.parquet": table})
        yield hub


@pytest.fixture(scope="module")
def small(hub, tmp_path_factory) -> Path:
    """The folder of a model trained on one of them, for one epoch: it is only pushed when that is insisted on."""
    folder = tmp_path_factory.mktemp("models") / "small"
    where = ("--dataset", "tester/patients", "--output", folder, "--push-to-hub", "tester/small")
    done = run(hub.environment(folder.parent / "home", "hf_secret"), "train.py", *where, *TRAIN)
    command = ("-m", "leuko", "publish", "model", folder, "tester/small", "--force")
    again = f"`python {' '.join(map(str, command))}`."
    assert done.returncode == 1 and done.stderr.strip().endswith(again), done.stderr[-3000:]
    assert "Warning: Not shown to be better than" in done.stdout and ("model", "tester/small") not in hub.repos
    done = run(hub.environment(folder.parent / "home", "hf_secret"), *command)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == f"Published: {hub.url}/tester/small\n"
    return folder


LOAD = """
import hashlib, json, sys
from leuko.data.load import load
rows = [load(name)["train"] for name in sys.argv[1:]]
pixels = [[hashlib.md5(one.open_image(row)).hexdigest() for row in range(len(one))] for one in rows]
labels = [one.label_names for one in rows]
print(json.dumps({"pixels": pixels, "labels": labels, "group": rows[1].groups}))
"""


def test_a_data_set_is_the_same_as_folders_and_as_a_table(hub, tmp_path):
    done = run(hub.environment(tmp_path), "-c", LOAD, "tester/folders", "tester/patients")
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["pixels"][0] == found["pixels"][1] and len(set(found["pixels"][0])) == 60
    assert found["labels"][0] == found["labels"][1] == ["blast"] * 30 + ["healthy"] * 30
    assert len(set(found["group"])) == 20 and found["group"][:4] == ["blast-0"] * 3 + ["blast-1"]


def test_the_hub_has_the_model_folder_in_one_commit_but_no_names_of_images(hub, small):
    files = {file.relative_to(small).as_posix(): file.read_bytes() for file in small.rglob("*") if file.is_file()}
    held = hub.files("model", "tester/small")
    assert held.keys() == (files.keys() - PRIVATE) | {".gitattributes"}
    assert all(held[name] == files[name] for name in files.keys() - PRIVATE)
    assert len(hub.commits("model", "tester/small")) == 2  # the repository's birth, and the model
    assert "20 groups" in json.loads(held["leuko.json"])["training"]["split"]  # the patients
    card = yaml.safe_load(held["README.md"].decode().split("---")[1])
    assert card["library_name"] == "timm" and card["pipeline_tag"] == "image-classification"
    for name, data in held.items():
        assert b"hf_secret" not in data and b"blast_0.png" not in data and b"blast-1" not in data, name


def test_pushing_again_adds_nothing(hub, small, tmp_path):
    before = hub.commits("model", "tester/small")
    done = run(
        hub.environment(tmp_path, "hf_secret"), "-m", "leuko", "publish", "model", small, "tester/small", "--force"
    )
    assert done.returncode == 0, done.stderr
    assert hub.commits("model", "tester/small") == before


def test_what_the_folder_no_longer_has_leaves_the_hub_too(hub, small, tmp_path):
    """Among it a split that another program has pushed."""
    hub.put("model", "tester/small", {"evaluation/split.json": b"{}", "old.txt": b""})
    done = run(
        hub.environment(tmp_path, "hf_secret"), "-m", "leuko", "publish", "model", small, "tester/small", "--force"
    )
    assert done.returncode == 0, done.stderr
    assert not hub.files("model", "tester/small").keys() & {"evaluation/split.json", "old.txt"}


STRANGERS = """
import json, sys, timm, torch
from PIL import Image
from transformers import AutoModelForImageClassification, pipeline
import leuko
from leuko.images.decode import decode
from leuko.networks.preprocessing import to_input

name, file = sys.argv[1:]
ours, ask = leuko.load(name), pipeline("image-classification", model=name)
pixels = torch.from_numpy(to_input(decode(file), ours.model.preprocessing))[None]
with torch.no_grad():
    logits = {
        "leuko": ours.model.network(pixels),
        "timm": timm.create_model(f"hf-hub:{name}", pretrained=True).eval()(pixels),
        "AutoModel": AutoModelForImageClassification.from_pretrained(name)(pixels).logits,
        "pipeline, tensor": ask.model(pixels).logits,
        "pipeline, image": ask.model(**ask.preprocess(Image.open(file))).logits,
    }
finding = ours.classify(decode(file)).as_json("smear.png")
probabilities = {answer["label"]: answer["score"] for answer in ask(Image.open(file))}
print(json.dumps([{name: rows[0].tolist() for name, rows in logits.items()}, probabilities, finding]))
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("image") / "smear.png"
    smear = rendering.render(99, width=96, height=96, um_per_px=0.7, white_cells={"blast": 3})
    Pillow.fromarray(smear.image).save(file)
    return file


def test_every_client_finds_the_same(hub, small, image, tmp_path):
    done = run(hub.environment(tmp_path / "strangers"), "-c", STRANGERS, "tester/small", image)
    assert done.returncode == 0, done.stderr[-3000:]
    logits, probabilities, finding = json.loads(done.stdout.splitlines()[-1])
    for name, found in logits.items():
        assert found == pytest.approx(logits["leuko"], abs=1e-4), name
    environment = hub.environment(tmp_path / "app") | {"LEUKO_MODEL": "tester/small"}
    with running_app(**environment) as url:
        answer = Client(url, verbose=False).predict(image=handle_file(image), api_name="/classify")
    assert answer == finding
    assert answer["probabilities"] == pytest.approx(probabilities, abs=1e-4)


SPACE = """
import sys
from huggingface_hub import HfApi, snapshot_download
HfApi().create_repo("tester/space", repo_type="space", space_sdk="gradio")
HfApi().upload_folder(repo_id="tester/space", repo_type="space", folder_path=sys.argv[1])
snapshot_download("tester/space", repo_type="space", local_dir=sys.argv[2])
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """The repository's own files, as they would be pushed."""
    shortlist = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if shortlist.returncode:
        pytest.skip("not in a git repository")
    tree = tmp_path_factory.mktemp("space") / "tree"
    for name in filter(None, shortlist.stdout.split("\0")):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    return tree


def test_the_repository_describes_a_space(tree):
    front = yaml.safe_load((tree / "README.md").read_text().split("---")[1])
    assert front["sdk"] == "gradio" and (tree / front["app_file"]).is_file()
    needed = [Requirement(line) for line in (tree / "requirements.txt").read_text().splitlines() if line[0] != "#"]
    gradio = next(requirement for requirement in needed if requirement.name == "gradio")
    assert front["sdk_version"] in gradio.specifier and front["sdk_version"] == version("gradio")
    assert front["python_version"] == "3.11" and len(front["short_description"]) <= 60
    sizes = {file: file.stat().st_size for file in tree.rglob("*") if file.is_file()}
    assert max(sizes.values()) < 10 * 2**20 and sum(sizes.values()) < 40 * 2**20


def test_pushed_as_it_is_and_fetched_again_the_space_answers_offline(hub, tree, image, tmp_path):
    fetched = tmp_path / "fetched"
    done = run(hub.environment(tmp_path, "hf_secret"), "-c", SPACE, tree, fetched)
    assert done.returncode == 0, done.stderr[-3000:]
    offline = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    offline |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "none"), "LEUKO_MODEL": "", "PYTHONPATH": ""}
    with running_app(fetched, **offline) as url:
        answer = Client(url, verbose=False).predict(image=handle_file(image), api_name="/classify")
    assert answer["model"]["backbone"] == "efficientnet_lite0" and answer["decision"]
