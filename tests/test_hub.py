"""Publishing a model and using it from the Hub, over HTTP, through the real clients against the stand-in Hub."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.standin_hub import Fault, StandInHub
from tests.test_training import SMALL, drawn  # noqa: F401  (a fixture)

STRANGERS = """
import json, sys, timm, torch
from transformers import AutoModelForImageClassification
import leuko
torch.manual_seed(0)
pixels = torch.randn(2, 3, 64, 64)
name = sys.argv[1]
with torch.no_grad():
    logits = [
        leuko.load(name).model.network(pixels),
        timm.create_model(f"hf-hub:{name}", pretrained=True).eval()(pixels),
        AutoModelForImageClassification.from_pretrained(name)(pixels).logits,
    ]
print(json.dumps([float((other - logits[0]).abs().max()) for other in logits]))
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[StandInHub]:
    with StandInHub(tokens={"hf_test": "tester"}) as hub:
        yield hub


@pytest.fixture(scope="module")
def published(hub, drawn, tmp_path_factory) -> Path:  # noqa: F811
    """A model trained on drawn smears and pushed as tester/small."""
    folder = tmp_path_factory.mktemp("hub") / "small"
    command = ["train.py", "--dataset", drawn, "--output", folder, *SMALL, "--epochs", "1"]
    done = run(hub, folder.parent, "hf_test", *command, "--push-to-hub", "tester/small")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Published: " in done.stdout and "hf_test" not in done.stdout + done.stderr
    return folder


def run(hub: StandInHub, home: Path, token: str | None, *command: object) -> subprocess.CompletedProcess:
    environment = hub.environment(home, token=token)
    return subprocess.run(
        [sys.executable, *map(str, command)], cwd=ROOT, env=environment, capture_output=True, text=True
    )


PUSH = """
import sys
from pathlib import Path
from leuko import hub
try:
    print(hub.publish_model(Path(sys.argv[1]), sys.argv[2]))
except hub.HubError as error:
    sys.exit(str(error))
"""


def test_the_hub_holds_exactly_the_folder_in_one_commit(hub, published):
    files = {f.relative_to(published).as_posix(): f.read_bytes() for f in published.rglob("*") if f.is_file()}
    assert hub.files("model", "tester/small").items() >= files.items()
    before = len(hub.commits("model", "tester/small"))
    assert before == 2  # the repository's birth, and the model
    done = run(hub, published.parent, "hf_test", "-c", PUSH, published, "tester/small")
    assert done.returncode == 0, done.stderr
    assert len(hub.commits("model", "tester/small")) == before  # nothing changed, nothing committed


def test_strangers_load_it_from_the_hub_and_agree(hub, published, tmp_path):
    done = run(hub, tmp_path, None, "-c", STRANGERS, "tester/small")
    assert done.returncode == 0, done.stderr[-2000:]
    assert max(json.loads(done.stdout.splitlines()[-1])) < 1e-4


def test_the_command_line_takes_a_hub_id(hub, published, drawn, tmp_path):  # noqa: F811
    done = run(hub, tmp_path, None, "-m", "leuko", "classify", drawn / "blast" / "0.png", "--model", "tester/small")
    assert json.loads(done.stdout)["model"]["backbone"] == "resnet10t", done.stderr


@pytest.mark.parametrize(
    ("token", "repo", "fault", "words"),
    [
        (None, "tester/other", None, "There is no Hub token"),
        ("hf_wrong", "tester/other", None, "does not accept the token"),
        ("hf_test", "somebody/other", None, "may not write to somebody/other"),
        ("hf_test", "no name at all", None, "is no Hub name"),
        ("hf_test", "tester/other", ("POST", "/api/models/tester/other/commit", "status 503"), "error (503)"),
        ("hf_test", "tester/other", ("POST", "/api/models/tester/other/commit", "cut"), "connection to the Hub failed"),
    ],
)
def test_what_goes_wrong_is_said_in_one_line_and_publishes_nothing(hub, published, tmp_path, token, repo, fault, words):
    if fault:
        hub.faults.append(Fault(*fault))
    done = run(hub, tmp_path, token, "-c", PUSH, published, repo)
    assert done.returncode == 1 and words in done.stderr.splitlines()[-1], done.stderr[-1500:]
    assert "Traceback" not in done.stderr
    assert not any(name.endswith(".safetensors") for name in files_if_there(hub, repo))
    if fault:  # running again finishes
        assert run(hub, tmp_path, token, "-c", PUSH, published, repo).returncode == 0
        assert "model.safetensors" in files_if_there(hub, repo)
        hub.repos.pop(("model", repo), None)


def files_if_there(hub: StandInHub, repo: str) -> dict[str, bytes]:
    return hub.files("model", repo) if ("model", repo) in hub.repos else {}
