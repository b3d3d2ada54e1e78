"""`POST /api/classify`: an image goes in and its finding comes out, over real HTTP."""

from __future__ import annotations

import asyncio
import io
import socket
import threading
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from gradio_client import Client, handle_file
from hypothesis import HealthCheck, Phase, given, settings
from PIL import Image
from schemathesis.specs.openapi.checks import positive_data_acceptance

from leuko.images.formats.limits import MAX_BYTES
from leuko.images.synthetic import rendering
from leuko.serving.api import endpoints, one_call
from leuko.serving.gradio import middleware
from tests import bad_files
from tests.serving.test_safety import sent_as_it_is


@pytest.fixture(scope="module")
def smear_file(tmp_path_factory, smear) -> Path:
    file = tmp_path_factory.mktemp("smear") / "smear.png"
    Image.fromarray(smear).save(file)
    return file


def post(url: str, **sent: object) -> httpx.Response:
    return httpx.post(f"{url}/api/classify", timeout=120, **sent)


def test_every_way_to_send_an_image_gives_what_classify_says(app_url, smear_file):
    data = smear_file.read_bytes()
    client = Client(app_url, verbose=False)
    with_cells, without = (
        client.predict(image=handle_file(smear_file), cells=cells, api_name="/classify") for cells in (True, False)
    )
    assert with_cells != without
    for kind in ("image/png", "image/x-whatever", "application/octet-stream", "application/x-www-form-urlencoded", ""):
        answer = post(app_url, content=data, headers={"Content-Type": kind} if kind else {})
        assert answer.json() == with_cells | {"image": "image"} and answer.headers["cache-control"] == "no-store", kind
    for field in ("image", "file"):
        assert post(app_url, files={field: ("smear.png", data)}).json() == with_cells
    asked = {"cells": "false", "name": "../a/b.png"}
    assert post(app_url, files={"image": ("x.png", data)}, data=asked).json() == without | {"image": "b.png"}
    assert post(app_url, content=data, params=asked).json() == without | {"image": "b.png"}
    assert post(app_url, content=iter([data[:99], data[99:]])).json() == with_cells | {"image": "image"}


def test_every_page_of_a_file_has_its_finding(app_url, smear):
    pages = [Image.fromarray(smear), Image.fromarray(smear[::-1])]
    written = io.BytesIO()
    pages[0].save(written, "TIFF", save_all=True, append_images=pages[1:])
    said = post(app_url, files={"image": ("slide.tif", written.getvalue())}).json()
    assert said["image"] == "slide.tif" and [page["image"] for page in said["pages"]] == ["slide.tif#1", "slide.tif#2"]
    for page, picture in zip(said["pages"], pages, strict=True):
        alone = io.BytesIO()
        picture.save(alone, "TIFF")
        assert post(app_url, content=alone.getvalue()).json() == page | {"image": "image"}


def test_the_pixel_size_that_a_file_states_counts_by_every_way(app_url, tmp_path):
    """A field without red cells has no scale but the file's."""
    drawn = rendering.render(4, width=320, height=320, um_per_px=0.2, white_cells={"blast": 3}, red_cover=0)
    file = tmp_path / "sized.tif"
    Image.fromarray(drawn.image).save(file, dpi=(127_000, 127_000))
    client = Client(app_url, verbose=False)
    cells, _ = client.predict(image=handle_file(file), api_name="/analyse_field")
    assert cells["um_per_px"] == pytest.approx(0.2, rel=1e-3)
    (of_batch,) = client.predict(images=[handle_file(file)], api_name="/classify_batch")
    alone = client.predict(image=handle_file(file), api_name="/classify")
    assert alone == of_batch == post(app_url, files={"image": ("sized.tif", file.read_bytes())}).json()


def test_what_is_no_image_or_no_question_is_refused_in_words(app_url, smear, smear_file, tmp_path):
    bad_files.write_all(tmp_path, smear[:180])
    for name, words in bad_files.REFUSED.items():
        answer = post(app_url, content=(tmp_path / name).read_bytes())
        assert answer.status_code == 400 and set(answer.json()) == {"error"}, name
        with pytest.raises(AssertionError, match=words):
            raise AssertionError(answer.json()["error"])
    image = smear_file.read_bytes()
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    for sent, status in (
        ({"content": b""}, 400),
        ({"content": b"--y", "headers": form}, 400),
        ({"content": image, "headers": {"Content-Type": "multipart/form-data"}}, 400),
        ({"files": {"picture": image}}, 422),
        ({"files": [("image", image), ("image", image)]}, 422),
        ({"files": {"image": (None, image)}}, 422),
        ({"content": image, "params": {"cell": "false"}}, 422),
        ({"content": image, "params": {"cells": "maybe"}}, 422),
        ({"files": {"image": ("a.png", image)}, "data": {"cells": "1"}, "params": {"cells": "0"}}, 422),
        ({"json": {"image": "smear.png"}}, 415),
        ({"content": image, "headers": {"Content-Type": "text/plain"}}, 415),
    ):
        answer = post(app_url, **sent)
        assert answer.status_code == status and set(answer.json()) == {"error"}, (sent, answer.text)
    for method in ("GET", "PUT", "DELETE"):
        answer = httpx.request(method, f"{app_url}/api/classify", timeout=60)
        assert answer.status_code == 405 and answer.headers["allow"] == "POST" and "POST" in answer.json()["error"]


def test_what_is_too_large_is_refused_stated_or_not(app_url):
    for sent in (b"0" * (MAX_BYTES + 1), iter([b"0" * 2**20] * 52)):
        answer = post(app_url, content=sent)
        assert answer.status_code == 413 and "MB" in answer.json()["error"]
    claimed = f"Content-Length: {middleware.MAX_BODY['/api/classify'] + 1}"
    assert sent_as_it_is(app_url, "POST /api/classify HTTP/1.1", claimed)[0] == 413


def test_a_client_that_goes_or_dawdles_leaves_the_others_their_answers(app_url, smear_file):
    target = urlsplit(app_url)
    slow = [socket.create_connection((target.hostname, target.port)) for _ in range(40)]
    for wire in slow:
        wire.sendall(f"POST /api/classify HTTP/1.1\r\nHost: {target.netloc}\r\nContent-Length: 99999\r\n\r\nx".encode())
    assert post(app_url, content=smear_file.read_bytes()).status_code == 200
    for wire in slow:
        wire.close()
    assert post(app_url, content=smear_file.read_bytes()).status_code == 200


def test_calls_wait_in_a_line_that_ends(embedded, smear_file, monkeypatch):
    """In turn with Gradio's own calls, and no more of them than may wait."""
    monkeypatch.setattr(one_call, "MAX_WAITING", 2)
    app = FastAPI(routes=[one_call.OneCall(embedded).route])
    app.auth = None
    freed = threading.Timer(2, lambda: [endpoints.SLOTS.release() for _ in range(endpoints.MAX_PARALLEL)])

    async def ask() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x", timeout=60) as web:
            calls = (
                web.post("/api/classify", content=smear_file.read_bytes()) for _ in range(endpoints.MAX_PARALLEL + 5)
            )
            return await asyncio.gather(*calls)

    for _ in range(endpoints.MAX_PARALLEL):
        assert endpoints.SLOTS.acquire(timeout=10)
    freed.start()
    answers = asyncio.run(ask())
    statuses = [answer.status_code for answer in answers]
    assert sorted(set(statuses)) == [200, 503] and statuses.count(200) == endpoints.MAX_PARALLEL + 2
    assert all("try again" in answer.json()["error"] for answer in answers if answer.status_code == 503)


def test_a_fault_of_ours_gets_a_sentence_and_no_traceback(smear_file):
    app = FastAPI(routes=[one_call.OneCall(SimpleNamespace()).route])
    app.auth = None

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as web:
            return await web.post("/api/classify", content=smear_file.read_bytes())

    answer = asyncio.run(ask())
    assert answer.status_code == 500 and answer.json() == {
        "error": "This image could not be classified because of a program error; please report it."
    }


def test_it_is_described_and_answers_as_described(app_url, smear_file):
    described = [
        httpx.get(app_url + place, timeout=60).json() for place in ("/openapi.json", "/gradio_api/openapi.json")
    ]
    assert described[0] == described[1] and described[0]["servers"] == [{"url": app_url}]
    schema = schemathesis.openapi.from_dict(
        {**described[0], "paths": {"/api/classify": described[0]["paths"]["/api/classify"]}}
    )
    operation = schema["/api/classify"]["POST"]
    checked = settings(max_examples=12, deadline=None, phases=[Phase.generate], derandomize=True,
                       suppress_health_check=list(HealthCheck))  # fmt: skip

    @checked
    @given(case=operation.as_strategy())
    def answers_as_described(case: schemathesis.Case) -> None:
        # No schema says which bytes are an image.
        case.call_and_validate(base_url=app_url, timeout=60, excluded_checks=[positive_data_acceptance])

    answers_as_described()
    known = operation.Case(media_type="image/png", body=smear_file.read_bytes())
    known.call_and_validate(base_url=app_url, timeout=60)
