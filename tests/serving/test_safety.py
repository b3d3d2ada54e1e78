"""What a stranger can ask of the app, and what is left of what people send to it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from leuko.serving.gradio import middleware
from leuko.serving.gradio.upload_retention import forget_answers
from leuko.serving.interface import build, launch_options
from tests.conftest import ROOT, free_port, running_app, start_app

pytestmark = pytest.mark.slow

META = {"_type": "gradio.FileData"}
KEPT = 6  # seconds, in the app that is looked into
BLOCKED = [  # also asked for under a prefix, in test_prefix.py
    "/gradio_api/file=/etc/passwd",
    "/gradio_api/file={root}/README.md",
    "/gradio_api/file={root}/leuko/networks/embedded/leuko.json",
    "/gradio_api/file=app.py",
    "/gradio_api/file={uploads}/../../../../../etc/passwd",
    "/gradio_api/file={uploads}/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/gradio_api/file=file:///etc/passwd",
    "/gradio_api/file={uploads}",
    "/gradio_api/file=%00",
    "/gradio_api/file//etc/passwd",
    "/file=/etc/passwd",
    "/static/../../../../../../etc/passwd",
    "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/assets/..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/gradio_api/custom_component/1/client/component/../../../../../etc/passwd",
    "/gradio_api/stream/x/y/1/playlist.m3u8",
    "/gradio_api/deep_link?session_hash=x",
    "/gradio_api/run-history/records",
    "/gradio_api/runs",
    "/monitoring",
    "/monitoring/summary",
]


@pytest.fixture(scope="module")
def picture(tmp_path_factory, smear) -> Path:
    file = tmp_path_factory.mktemp("pictures") / "private.png"
    Image.fromarray(smear).save(file)
    return file


@pytest.fixture(scope="module")
def client(app_url) -> Client:
    return Client(app_url, verbose=False)


def uploaded(url: str, picture: Path) -> str:
    with picture.open("rb") as file:
        return httpx.post(f"{url}/gradio_api/upload", files={"files": file}, timeout=60).json()[0]


def asked(url: str, endpoint: str, *inputs: object) -> str:
    """What the server answers to a call as a program without our manners would send it."""
    joined = httpx.post(f"{url}/gradio_api/call/{endpoint}", json={"data": list(inputs)}, timeout=60)
    assert joined.status_code == 200, joined.text
    event = joined.json()["event_id"]
    return httpx.get(f"{url}/gradio_api/call/{endpoint}/{event}", timeout=60).text


def sent_as_it_is(url: str, *lines: str) -> tuple[int, bytes]:
    """Status and answer of a request that no client has tidied up."""
    target = urlsplit(url)
    with socket.create_connection((target.hostname, target.port), timeout=60) as wire:
        wire.sendall("\r\n".join((*lines, f"Host: {target.netloc}", "Connection: close", "", "")).encode())
        answer = b"".join(iter(lambda: wire.recv(2**16), b""))
    return int(answer.split(b" ", 2)[1]), answer


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """A server that writes down who asks it for something."""
    hits: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hits.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_address[1]}/smear.png", hits
    listening.shutdown()


def test_files_that_were_not_uploaded_are_not_read(app_url, picture):
    """An image of the server's own disk, asked for in every way; without `meta` Gradio itself looks at no path."""
    uploads = Path(uploaded(app_url, picture)).parents[1]
    paths = [picture, uploads / ".." / ".." / ".." / picture.name, f"file://{picture}", "/dev/zero", uploads, "", "\0"]
    for path in map(str, paths):
        for more in ({"meta": META}, {}, {"meta": "x"}, {"meta": META, "is_stream": True}, {"url": path}):
            for endpoint in ("classify", "explain", "analyse_field"):
                answer = asked(app_url, endpoint, {"path": path, **more})
                assert answer.startswith("event: error") and "probabilities" not in answer, (path, more)
        answer = asked(app_url, "classify_batch", [{"path": path, "meta": META}])
        assert answer.startswith("event: error"), path
    assert "probabilities" in asked(app_url, "classify", {"path": uploaded(app_url, picture), "meta": META})


def test_addresses_are_not_fetched(app_url, elsewhere, picture):
    address, hits = elsewhere
    for sent in ({"path": address}, {"path": address, "meta": META}, {"path": "", "url": address, "meta": META}):
        answer = asked(app_url, "classify", sent)
        assert answer.startswith("event: error") and ("not fetched" in answer or "not uploaded" in answer)
    asked(app_url, "classify_batch", [address])
    asked(app_url, "classify", {"path": uploaded(app_url, picture), "url": address, "meta": META})
    config = httpx.get(f"{app_url}/config", timeout=60).json()
    for function in config["dependencies"]:  # those of the page too, which no page of the API names
        data = [{"path": address, "meta": META} for _ in function["inputs"]]
        body = {"data": data, "fn_index": function["id"], "session_hash": "nobody"}
        httpx.post(f"{app_url}/gradio_api/queue/join", json=body, timeout=60)
    httpx.get(f"{app_url}/gradio_api/queue/data", params={"session_hash": "nobody"}, timeout=60)
    for path in ("file=", "file/", "proxy="):
        assert httpx.get(f"{app_url}/gradio_api/{path}{address}", timeout=60).status_code == 404
    assert hits == []


@pytest.mark.parametrize("path", BLOCKED)
def test_nothing_outside_the_app_is_served(app_url, picture, path):
    uploads = Path(uploaded(app_url, picture)).parents[1]
    status, answer = sent_as_it_is(app_url, f"GET {path.format(root=ROOT, uploads=uploads)} HTTP/1.1")
    assert 400 <= status < 500 and b"root:" not in answer and b"Traceback" not in answer and len(answer) < 2_000


def test_what_is_too_large_is_refused_before_it_is_read(app_url):
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="big.png"\r\n\r\n'
    form = {"content-type": "multipart/form-data; boundary=x"}

    def stream(megabytes: int) -> Iterator[bytes]:
        yield head
        yield from [b"0" * 2**20] * megabytes
        yield b"\r\n--x--\r\n"

    answer = httpx.post(f"{app_url}/gradio_api/upload", content=stream(201), headers=form, timeout=120)
    assert answer.status_code == 413 and "maximum" in answer.text.lower()
    text = json.dumps({"data": ["x" * 3 * 2**20]})
    assert httpx.post(f"{app_url}/gradio_api/call/classify", content=text, timeout=60).status_code == 413
    chunks = iter([text.encode()])  # the same without a stated length
    assert 400 <= httpx.post(f"{app_url}/gradio_api/call/classify", content=chunks, timeout=60).status_code < 500
    claimed = f"Content-Length: {middleware.MAX_BODY['/gradio_api/upload'] + 1}"
    assert sent_as_it_is(app_url, "POST /gradio_api/upload HTTP/1.1", claimed)[0] == 413


def test_what_cannot_be_understood_gets_a_sentence_and_no_traceback(app_url):
    for path, body in {
        "call/v2/nope": "{}",
        "call/v2/classify": '{"nope": 1}',
        "call/nope": '{"data": []}',
        "call/classify": "[" * 9_999,
        "call/explain": '{"data": []}',
        "queue/join": '{"data": [], "fn_index": 9999, "session_hash": "x"}',
        "queue/join?": '{"data": "x"}',
        "api/classify": '{"data": [null]}',
        "cancel": "{}",
        "upload": "x",
        "run/nope": '{"data": []}',
        "component_server": "x",
    }.items():
        answer = httpx.post(f"{app_url}/gradio_api/{path}", content=body, timeout=60)
        assert 400 <= answer.status_code < 500 and "Traceback" not in answer.text, (path, answer.status_code)
    for config in httpx.get(f"{app_url}/config", timeout=60).json()["dependencies"]:  # those of the page too
        body = {"data": ["/etc/passwd", 1], "fn_index": config["id"]}
        answer = httpx.post(f"{app_url}/gradio_api/run/x", json=body, timeout=60)
        assert 400 <= answer.status_code < 500 and "Traceback" not in answer.text, (config, answer.status_code)
        answer = httpx.post(f"{app_url}/gradio_api/run/x", json=body | {"data": []}, timeout=60)
        assert answer.status_code < 500 and "Traceback" not in answer.text, (config, answer.status_code)
    lone = b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\n' + b"x" * 99 + b"\r\n--x--\r\n"
    form = {"content-type": "multipart/form-data; boundary=x"}
    answer = httpx.post(f"{app_url}/gradio_api/upload", content=lone, headers=form, timeout=60)
    assert answer.status_code == 400 and "cannot be understood" in answer.json()["error"]


def test_a_call_that_does_not_exist_gets_an_answer_that_ends(app_url, picture):
    """Gradio's own stream breaks off without an end, and says "404: Not Found"."""
    image = {"path": uploaded(app_url, picture), "meta": META}
    event = httpx.post(f"{app_url}/gradio_api/call/classify", json={"data": [image]}, timeout=60).json()["event_id"]
    assert "probabilities" in httpx.get(f"{app_url}/gradio_api/call/classify/{event}", timeout=60).text
    for path in (f"classify/{event}", "classify/nobody", "v2/classify/nobody", "nope/nobody"):
        answer = httpx.get(f"{app_url}/gradio_api/call/{path}", timeout=60)
        assert answer.status_code == 404 and "call again" in answer.json()["error"], path
    answer = httpx.get(f"{app_url}/gradio_api/queue/data", params={"session_hash": "somebody"}, timeout=60)
    assert json.loads(answer.text.removeprefix("data: "))["session_not_found"]
    answer = httpx.post(f"{app_url}/gradio_api/call/nope", json={"data": []}, timeout=60)
    assert answer.status_code == 404 and "no endpoint" in answer.json()["error"]


def test_every_answer_carries_security_headers_and_spaces_may_frame_the_app(app_url, picture):
    path = uploaded(app_url, picture)
    for place in ("/", "/config", "/gradio_api/info", "/nothing/here", f"/gradio_api/file={path}"):
        headers = httpx.get(app_url + place, timeout=60).headers
        assert {name: headers[name] for name in middleware.HEADERS} == middleware.HEADERS
        assert "https://huggingface.co" in headers["content-security-policy"] and "x-frame-options" not in headers
    assert "no-store" in headers["cache-control"]


def test_nothing_is_sent_out_or_recorded(embedded):
    assert build(embedded, {}).analytics_enabled is False
    options = launch_options()
    assert options["run_history"] is options["enable_monitoring"] is options["show_error"] is False
    assert options["allowed_paths"] == []


def test_a_slow_client_a_cancelled_batch_and_bad_files_block_nobody(app_url, client, picture, tmp_path):
    target = urlsplit(app_url)
    slow = [socket.create_connection((target.hostname, target.port)) for _ in range(50)]
    for wire in slow:  # uploads that never go on
        wire.sendall(
            f"POST /gradio_api/upload HTTP/1.1\r\nHost: {target.netloc}\r\nContent-Length: 99999\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n".encode()
        )
    (tmp_path / "bad.png").write_text("no image")
    batch = client.submit(images=[handle_file(picture)] * 80, api_name="/classify_batch")
    until(lambda: any(unit.progress_data for unit in [batch.status()]))
    with ThreadPoolExecutor(8) as pool:
        files = [picture, tmp_path / "bad.png"] * 4
        futures = [pool.submit(client.predict, image=handle_file(file), api_name="/classify") for file in files]
        assert [future.exception() is None for future in futures] == [True, False] * 4
    assert not batch.done()
    batch.cancel()
    (one,) = client.predict(images=[handle_file(picture)], api_name="/classify_batch")  # the worker is free again
    assert one["decision"] and client.predict(api_name="/model_info")["name"]
    for wire in slow:
        wire.close()


def until(happened: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def locked(tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """An app with a password, and the folder that it puts files into."""
    folder = tmp_path_factory.mktemp("locked")
    asked = {"LEUKO_USER": "lab", "LEUKO_PASSWORD": "häm'ato\"logy", "LEUKO_KEPT_SECONDS": str(KEPT)}
    with running_app(GRADIO_TEMP_DIR=str(folder), LEUKO_MODEL="", **asked) as url:
        yield url, folder
    assert list(folder.iterdir()) == []  # nothing survives the server


def files_in(folder: Path) -> set[Path]:
    return {file for file in folder.rglob("*") if file.is_file()}


def test_files_are_gone_when_their_time_is_over(locked, picture):
    url, folder = locked
    examples = files_in(folder)  # are part of the page
    client = Client(url, auth=("lab", "häm'ato\"logy"), verbose=False)
    client.predict(image=handle_file(picture), api_name="/classify")
    client.predict(image=handle_file(picture), api_name="/explain")
    client.predict(images=[handle_file(picture)] * 2, api_name="/classify_batch")
    target = urlsplit(url)
    with socket.create_connection((target.hostname, target.port)) as wire:  # an upload that breaks off
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        wire.sendall(
            f"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\nCookie: {cookies}\r\n"
            'Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\nContent-Disposition: form-data; name="files"; '
            'filename="cut.png"\r\n\r\n'.encode()
            + b"0" * 9_999
        )
        until(lambda: len(files_in(folder) - examples) >= 3)
    until(lambda: files_in(folder) == examples)
    assert client.predict(image=handle_file(picture), api_name="/classify")["decision"]


def test_an_answer_that_nobody_fetches_is_forgotten(locked, picture):
    url, _ = locked
    with httpx.Client(timeout=60) as web:
        web.post(f"{url}/login", data={"username": "lab", "password": "häm'ato\"logy"})
        with picture.open("rb") as file:
            path = web.post(f"{url}/gradio_api/upload", files={"files": file}).json()[0]
        image = {"path": path, "meta": META}
        call = web.post(f"{url}/gradio_api/call/classify", json={"data": [image]}).json()["event_id"]
        time.sleep(3 * KEPT + 2)
        answer = web.get(f"{url}/gradio_api/call/classify/{call}")
    assert answer.status_code == 404 and "call again" in answer.json()["error"]


def test_of_calls_that_are_over_not_even_their_names_are_kept(embedded):
    queue, unfetched = build(embedded, {})._queue, {}
    queue.pending_event_ids_session |= {"fetched": set(), "waits": {"done"}, "runs": {"running"}}
    queue.pending_messages_per_session.update({"fetched": 1, "waits": 2, "runs": 3})
    queue.event_ids_to_events["running"] = None
    forget_answers(queue, unfetched, 60)
    assert set(queue.pending_event_ids_session) == set(queue.pending_messages_per_session) == {"waits", "runs"}
    unfetched["done"] -= 61
    forget_answers(queue, unfetched, 60)
    assert queue.pending_event_ids_session == {"runs": {"running"}} and set(queue.pending_messages_per_session) == {
        "runs"
    }


def test_a_file_is_kept_as_long_as_its_request_waits(locked, picture, tmp_path, drawn):
    url, folder = locked
    client = Client(url, auth=("lab", "häm'ato\"logy"), verbose=False)
    before = client.submit(images=[handle_file(picture)] * 500, api_name="/classify_batch")
    until(lambda: any(unit.progress_data for unit in [before.status()]))
    waiting = client.submit(images=[handle_file(drawn / "blast" / "1.png")], api_name="/classify_batch")
    until(lambda: any(file.name == "1.png" for file in files_in(folder)))
    time.sleep(2 * KEPT)  # were it not for the request, it would be deleted by now
    before.cancel()
    assert "error" not in waiting.result(timeout=120)[0]
    until(lambda: not any(file.name == "1.png" for file in files_in(folder)))


def test_with_a_password_nobody_else_gets_anything(locked, picture):
    url, _ = locked
    for path in ("/config", "/gradio_api/info", "/gradio_api/openapi.json", "/gradio_api/file=x", "/gradio_api/mcp/"):
        assert httpx.get(url + path, timeout=60).status_code in (401, 404), path
    for path in ("/gradio_api/call/classify", "/gradio_api/call/v2/classify", "/gradio_api/queue/join"):
        assert httpx.post(url + path, json={"data": []}, timeout=60).status_code == 401
    with picture.open("rb") as file:
        assert httpx.post(f"{url}/gradio_api/upload", files={"files": file}, timeout=60).status_code == 401
    assert "Research use only" not in httpx.get(url, timeout=60).text
    with pytest.raises(Exception, match=r"[Cc]redentials|[Ll]ogin|401|auth"):
        Client(url, auth=("lab", "wrong"), verbose=False)


def test_half_a_password_does_not_start(tmp_path):
    process = start_app(free_port(), GRADIO_TEMP_DIR=str(tmp_path), LEUKO_USER="lab")
    printed, _ = process.communicate(timeout=300)
    assert process.returncode and "belong together" in printed and "Traceback" not in printed
    assert list(tmp_path.iterdir()) == []


def test_a_time_that_is_none_is_refused(monkeypatch):
    for given in ("never", "0", "-1", "1.5"):
        monkeypatch.setenv("LEUKO_KEPT_SECONDS", given)
        with pytest.raises(ValueError, match="whole number of seconds"):
            launch_options()
