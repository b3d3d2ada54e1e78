"""The command line and the app, as a user or a developer meets them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml
from gradio_client import Client, handle_file

from leuko.images.decode import decode
from leuko.serving.interface import build
from tests import bad_files
from tests.conftest import ROOT, free_port, start_app

FIELDS = {
    "image", "label", "probabilities", "leukaemia_probability", "evidence", "decision", "reasons", "quality",
    "in_distribution", "model",
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory, smear) -> Path:
    folder = tmp_path_factory.mktemp("files")
    bad_files.write_all(folder, smear[:180])
    return folder


@pytest.fixture(scope="module")
def client(app_url) -> Client:
    return Client(app_url, verbose=False)


def leuko(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "leuko", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )


def test_the_command_line_answers_every_image_and_fails_only_the_bad(files, tmp_path):
    done = leuko("classify", files, "--json", tmp_path / "out.jsonl", "--cam", tmp_path / "cam", "--class", "Early")
    assert done.returncode == 1 and done.stdout == "" and "Traceback" not in done.stderr
    answers = {a["image"]: a for a in map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())}
    assert set(answers) == set(bad_files.REFUSED) | set(bad_files.ACCEPTED)
    for name, words in bad_files.REFUSED.items():
        assert set(answers[name]) == {"image", "error"} and words in answers[name]["error"]
    for name in bad_files.ACCEPTED:
        answer = answers[name]
        assert set(answer) == FIELDS
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-3)
        assert answer["decision"] in ("suspicious", "not suspicious", "uncertain")
        cam = np.load(tmp_path / "cam" / f"{Path(name).stem}.npy")
        assert cam.dtype == np.float32 and cam.shape == (180, 224) and cam.min() >= 0 and cam.max() <= 1
        assert decode(tmp_path / "cam" / f"{Path(name).stem}.png").shape == (180, 224, 3)
    assert answers["grey.png"]["decision"] == "uncertain" and not answers["grey.png"]["quality"]["usable"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--class", "Nope"], "There is no class 'Nope'"), (["--model", "no/such/model"], "There is no model folder")],
)
def test_the_command_line_refuses_in_one_line(files, arguments, words):
    done = leuko("classify", files / "rgba.png", *arguments)
    assert done.returncode == 1 and words in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_real_images_are_told_apart(embedded, real_files):
    """Not a figure (those are in the model card): only that the embedded default is the trained one."""
    right = [embedded.classify(decode(file)).label == file.parent.name for file in real_files]
    assert np.mean(right) >= 0.9


def test_the_api_gives_the_same_finding_as_the_command_line(client, files):
    printed = json.loads(leuko("classify", files / "rotated.jpg").stdout)
    served = client.predict(image=handle_file(files / "rotated.jpg"), api_name="/classify")
    assert served["probabilities"] == pytest.approx(printed["probabilities"], abs=1e-3)
    assert {k: served[k] for k in ("image", "label", "decision", "model")} == {
        k: printed[k] for k in ("image", "label", "decision", "model")
    }


def test_every_class_can_be_explained(client, files, smear):
    pictures = []
    for name in ("", "Benign", "Early", "Pre", "Pro"):
        served = client.predict(image=handle_file(files / "rgba.png"), class_name=name, api_name="/explain")
        pictures.append(decode(served))
        assert pictures[-1].shape == (180, 224, 3)
    assert len({p.tobytes() for p in pictures[1:]}) > 1
    plain = client.predict(image=handle_file(files / "rgba.png"), class_name="Pre", opacity=0, api_name="/explain")
    assert np.abs(decode(plain).astype(int) - decode(files / "rgba.png")).max() <= 1


@pytest.mark.parametrize(("name", "words"), bad_files.REFUSED.items())
def test_the_api_refuses_bad_files_in_one_sentence_and_goes_on(client, files, name, words):
    for endpoint in ("/classify", "/explain"):
        with pytest.raises(Exception, match=words) as refusal:
            client.predict(image=handle_file(files / name), api_name=endpoint)
        assert "Traceback" not in str(refusal.value)
    assert client.predict(image=handle_file(files / "rgba.png"), api_name="/classify")["image"] == "rgba.png"


def test_the_api_refuses_nothing_unknown_and_too_much(client, app_url, files):
    with pytest.raises(Exception, match="No image was given"):
        client.predict(image=None, api_name="/classify")
    with pytest.raises(Exception, match="There is no class 'Nope'"):
        client.predict(image=handle_file(files / "rgba.png"), class_name="Nope", api_name="/explain")
    body = iter([b"0" * 2**20] * 300)
    boundary = "x"
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="big.png"\r\n\r\n'

    def stream():
        yield head
        yield from body
        yield b"\r\n--x--\r\n"

    answer = httpx.post(
        f"{app_url}/gradio_api/upload",
        content=stream(),
        headers={"content-type": f"multipart/form-data; boundary={boundary}"},
        timeout=120,
    )
    assert answer.status_code == 413 and "maximum" in answer.text.lower()
    assert client.predict(api_name="/model_info")["backbone"] == "efficientnet_lite0"


def test_the_api_page_shows_three_documented_endpoints(client):
    api = client.view_api(return_format="dict")
    assert set(api["named_endpoints"]) == {"/classify", "/explain", "/model_info"} and not api["unnamed_endpoints"]
    names = [p["parameter_name"] for p in api["named_endpoints"]["/explain"]["parameters"]]
    assert names == ["image", "class_name", "opacity"]


def test_files_outside_the_uploads_are_not_read(client):
    job = {"path": str(ROOT / "README.md"), "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(Exception) as refusal:
        client.predict(image=job, api_name="/classify")
    assert "Deep Leuko" not in str(refusal.value)


def test_no_model_no_app(tmp_path):
    process = start_app(free_port(), LEUKO_MODEL=str(tmp_path))
    printed, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "Deep Leuko cannot start" in printed and "Traceback" not in printed and "Running on" not in printed


def test_nothing_is_sent_out_or_kept(embedded):
    app = build(embedded)
    assert app.analytics_enabled is False
    assert app.delete_cache[1] <= 300


def test_the_readme_is_a_valid_space_and_card_and_names_real_things():
    text = (ROOT / "README.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert front["sdk"] == "gradio" and front["python_version"] == "3.11"
    assert (ROOT / front["app_file"]).is_file() and len(front["short_description"]) <= 60
    pinned = re.search(r"^gradio>=([\d.]+)", (ROOT / "requirements.txt").read_text(), re.M)[1]
    assert front["sdk_version"].startswith(pinned)
    assert "Research use only" in text
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).exists(), target


def test_the_card_at_the_top_is_that_of_the_embedded_default(embedded):
    card = (ROOT / "model_card.md").read_text()
    assert f"# {embedded.model.knowledge.name}" in card
    report = json.loads((ROOT / "leuko/models/embedded/evaluation/metrics.json").read_text())
    assert f"| Accuracy | {report['accuracy']['value']:.3f} |" in card
