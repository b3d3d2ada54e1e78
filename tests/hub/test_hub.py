"""The Hub when things go wrong: real clients in processes of their own, faults in the stand-in Hub's sockets.

What a user gets is one sentence and an exit status of 1; what the Hub has is the whole model or nothing; and running
again without the fault finishes.
"""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from PIL import Image

from leuko.hub.model_repository import HubError, publish_model
from leuko.networks.model_folder import EMBEDDED, LEUKO, RESULTS
from tests.clients import run
from tests.standin_hub import Fault, StandInHub

pytestmark = pytest.mark.slow

TOKENS = {"hf_secret": "tester", "hf_reader": "tester", "hf_stranger": "stranger"}
PRIVATE = {"evaluation/split.json", "evaluation/cleaning.json"}
REPO = "tester/net"
UNWANTED = {RESULTS}  # by the Hub, as they are not on a data set of the Hub
COMMIT = f"/api/models/{REPO}/commit/main"


@dataclass(frozen=True)
class Mishap:
    """What goes wrong, and the sentence that says so (`{then}`: that running again finishes)."""

    name: str
    says: str
    token: str | None = "hf_secret"
    repo: str = REPO
    fault: Fault | None = None
    refused: bool = False
    applied: bool = False  # the Hub has made the commit all the same


PUBLISHING = [
    Mishap("no token", "There is no Hub token; set HF_TOKEN or run `hf auth login`, then run again.", token=None),
    Mishap(
        "wrong token",
        "The Hub does not accept the token; check HF_TOKEN or run `hf auth login`, then run again.",
        token="hf_wrong",
    ),
    Mishap(
        "read-only token",
        "This Hub token may only read; make one that may write and set HF_TOKEN, then run again.",
        token="hf_reader",
    ),
    Mishap(
        "another's name",
        "This token may not write to tester/net; use one that may, or another name, then {then}.",
        token="hf_stranger",
    ),
    Mishap("no name", "'no name at all' is no Hub name; write USER/NAME.", repo="no name at all"),
    Mishap("no owner", "'net' lacks its owner; write USER/NAME.", repo="net"),
    Mishap(
        "unknown namespace",
        "The Hub knows no tester/net; check the name, then {then}.",
        fault=Fault("POST", "/api/repos/create", "status 404"),
    ),
    Mishap("connection refused", "The connection to the Hub failed; run again.", refused=True),
    Mishap(
        "connection cut while a large file is sent",
        "The connection to the Hub failed; {then}.",
        fault=Fault("PUT", "/objects/", "cut", times=100),
    ),
    Mishap(
        "connection cut while the commit is sent",
        "The connection to the Hub failed; {then}.",
        fault=Fault("POST", COMMIT, "cut"),
    ),
    Mishap(
        "commit made, its answer lost",
        "The connection to the Hub failed; {then}.",
        fault=Fault("POST", COMMIT, "lost"),
        applied=True,
    ),
    Mishap(
        "server error before the upload",
        "The Hub answered with an error (503); wait, then {then}.",
        fault=Fault("POST", "/preupload/", "status 503", times=100),
    ),
    Mishap(
        "server error at the commit",
        "The Hub answered with an error (500); wait, then {then}.",
        fault=Fault("POST", COMMIT, "status 500"),
    ),
]


LOADING = [
    Mishap("unknown name", "the Hub knows no model of that name; {private}.", repo="tester/none"),
    Mishap("private, no token", "the Hub knows no model of that name; {private}.", token=None),
    Mishap("private, another's token", "the Hub knows no model of that name; {private}.", token="hf_stranger"),
    Mishap(
        "private, wrong token",
        "the Hub does not accept the token; check HF_TOKEN or run `hf auth login`.",
        token="hf_wrong",
    ),
    Mishap("connection refused", "the connection to the Hub failed; run again.", refused=True),
    Mishap(
        "connection cut in a large file",
        "the connection to the Hub failed; run again.",
        fault=Fault("GET", "/objects/", "cut", times=100),
    ),
    Mishap(
        "connection cut in a small file",
        "the connection to the Hub failed; run again.",
        fault=Fault("GET", "/leuko.json", "cut", times=100),
    ),
    Mishap(
        "server error",
        "the Hub answered with an error (503); run again later.",
        fault=Fault("GET", f"/api/models/{REPO}", "status 503", times=100),
    ),
]


@dataclass(frozen=True)
class Outcome:
    """Two runs, the first with the mishap, and what the Hub held after each."""

    runs: tuple[CompletedProcess, CompletedProcess]
    held: tuple[dict[str, bytes], dict[str, bytes]]
    commits: int
    home: Path


@pytest.fixture(scope="module")
def net(tmp_path_factory) -> Path:
    """The embedded model, as if it had been trained here: with the split and the findings of the cleaning."""
    folder = tmp_path_factory.mktemp("models") / "net"
    shutil.copytree(EMBEDDED, folder)
    for name in PRIVATE:
        (folder / name).write_text('{"train": ["Jane Doe 01.jpg"]}')
    known = json.loads((folder / LEUKO).read_text())
    (folder / LEUKO).write_text(json.dumps(known | {"warnings": []}))
    (folder / RESULTS).parent.mkdir(exist_ok=True)
    (folder / RESULTS).write_text("- dataset: {id: smears, task_id: accuracy}\n  value: 0.9\n")
    return folder


def published(folder: Path) -> dict[str, bytes]:
    """What the Hub must hold of a model folder."""
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    return {name: file.read_bytes() for name, file in files.items() if name not in PRIVATE | UNWANTED}


def held(hub: StandInHub) -> dict[str, bytes]:
    """What the repository holds, but for what every repository is born with."""
    files = hub.files("model", REPO) if ("model", REPO) in hub.repos else {}
    return {name: data for name, data in files.items() if name != ".gitattributes"}


def closed_address() -> str:
    """An address that refuses connections."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{s.getsockname()[1]}"


def environment(hub: StandInHub, mishap: Mishap, home: Path) -> dict[str, str]:
    """The environment of the run that meets the mishap; its fault, if any, is made ready."""
    if mishap.fault:
        hub.faults.append(replace(mishap.fault))
    return hub.environment(home, mishap.token) | ({"HF_ENDPOINT": closed_address()} if mishap.refused else {})


def publish(mishap: Mishap, folder: Path, home: Path) -> Outcome:
    with StandInHub(tokens=TOKENS, read_only={"hf_reader"}) as hub:
        first, after = (
            run(environment(hub, mishap, home), "-m", "leuko", "publish", "model", folder, mishap.repo),
            held(hub),
        )
        hub.faults.clear()
        second = run(hub.environment(home, "hf_secret"), "-m", "leuko", "publish", "model", folder, REPO)
        return Outcome((first, second), (after, held(hub)), len(hub.commits("model", REPO)), home)


@pytest.fixture(scope="module")
def outcomes(net, tmp_path_factory) -> Iterator[dict[str, Future[Outcome]]]:
    """All mishaps side by side: the client tries again for 23 seconds where a large upload is cut."""
    with ThreadPoolExecutor(4) as pool:
        slow_first = sorted(PUBLISHING, key=lambda mishap: -(mishap.fault.times if mishap.fault else 0))
        yield {m.name: pool.submit(publish, m, net, tmp_path_factory.mktemp("home")) for m in slow_first}


@pytest.mark.parametrize("mishap", PUBLISHING, ids=lambda mishap: mishap.name)
def test_a_push_that_fails_says_so_leaves_nothing_half_and_finishes_when_run_again(mishap, outcomes, net):
    outcome = outcomes[mishap.name].result()
    first, second = outcome.runs
    sentence = mishap.says.format(then=f"`python -m leuko publish model {net} tester/net` finishes")
    assert (first.returncode, first.stdout, first.stderr) == (1, "", sentence + "\n")
    assert outcome.held[0] == (published(net) if mishap.applied else {})
    assert second.returncode == 0, second.stderr
    assert outcome.held[1] == published(net)
    assert outcome.commits == 2  # the repository's birth, and the model
    printed = "".join(run.stdout + run.stderr for run in outcome.runs)
    written = b"".join(file.read_bytes() for file in outcome.home.rglob("*") if file.is_file())
    assert mishap.token is None or (mishap.token not in printed and mishap.token.encode() not in written)


def test_training_does_not_start_if_its_model_could_not_be_pushed(tmp_path):
    with StandInHub(tokens=TOKENS) as hub:
        where = ("--dataset", tmp_path, "--output", tmp_path / "net", "--push-to-hub", REPO)
        done = run(hub.environment(tmp_path, "hf_wrong"), "train.py", *where)
    sentence = "The Hub does not accept the token; check HF_TOKEN or run `hf auth login`, then run again.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", sentence)


@pytest.fixture(scope="module")
def readings(net, smear, tmp_path_factory) -> Iterator[dict[str, Future]]:
    """All mishaps of loading side by side: the client takes up a download five times, a second apart."""
    image = tmp_path_factory.mktemp("images") / "smear.png"
    Image.fromarray(smear).save(image)

    def read(mishap: Mishap, home: Path) -> list[CompletedProcess]:
        with StandInHub(tokens=TOKENS) as hub:
            hub.put("model", REPO, published(net))
            hub.repos["model", REPO].private = True
            command = ("-m", "leuko", "classify", image, "--model")
            first = run(environment(hub, mishap, home), *command, mishap.repo)
            offline = run(hub.environment(home) | {"HF_HUB_OFFLINE": "1"}, *command, REPO) if mishap.fault else first
            hub.faults.clear()
            return [first, offline, run(hub.environment(home, "hf_secret"), *command, REPO)]

    with ThreadPoolExecutor(4) as pool:
        yield {mishap.name: pool.submit(read, mishap, tmp_path_factory.mktemp("home")) for mishap in LOADING}


@pytest.mark.parametrize("mishap", LOADING, ids=lambda mishap: mishap.name)
def test_a_model_that_cannot_be_fetched_is_said_in_one_sentence_and_running_again_finishes(mishap, readings):
    first, offline, again = readings[mishap.name].result()
    why = mishap.says.format(private="if it is private, set HF_TOKEN or run `hf auth login`")
    sentence = f"There is no model folder {mishap.repo!r}, and {why}\n"
    assert (first.returncode, first.stdout, first.stderr) == (1, "", sentence)
    assert offline.returncode == 1 and len(offline.stderr.splitlines()) == 1  # what has arrived is not taken for whole
    assert json.loads(again.stdout)["model"]["backbone"] == "efficientnet_lite0", again.stderr


def test_a_model_with_warnings_is_only_published_when_that_is_insisted_on(net, tmp_path, monkeypatch):
    doubtful = tmp_path / "doubtful"
    shutil.copytree(net, doubtful)
    known = json.loads((doubtful / LEUKO).read_text())
    (doubtful / LEUKO).write_text(json.dumps(known | {"warnings": ["It guesses."]}))
    monkeypatch.setenv("HF_TOKEN", "")
    with pytest.raises(HubError) as refused:
        publish_model(doubtful, REPO)
    assert "It guesses." in str(refused.value)
    assert f"`python -m leuko publish model {doubtful} {REPO} --force`" in str(refused.value)
    with pytest.raises(HubError, match="There is no Hub token"):  # it got further
        publish_model(doubtful, REPO, force=True)
