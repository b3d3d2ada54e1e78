"""The app behind a reverse proxy, under a prefix that the proxy keeps or strips: all holds as it does without."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from gradio_client import Client, handle_file
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from PIL import Image

from leuko.images.synthetic import rendering
from leuko.serving.gradio import middleware, reverse_proxy
from tests.conftest import ROOT, free_port, running_app
from tests.reverse_proxy import proxied
from tests.serving.test_safety import BLOCKED, META, files_in, sent_as_it_is, uploaded

pytestmark = pytest.mark.slow

USER, PASSWORD = "lab", "häm'ato\"logy"
MODES = pytest.mark.parametrize("keep", [True, False], ids=["kept", "stripped"])


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """A smear whose file is larger than what other requests may be."""
    file = tmp_path_factory.mktemp("large") / "large.bmp"
    drawn = rendering.render(3, width=1024, height=800, um_per_px=0.17, white_cells={"blast": 4, "neutrophil": 2})
    Image.fromarray(drawn.image).save(file)
    assert file.stat().st_size > middleware.MAX_OTHER_BODY
    return file


@pytest.fixture(scope="module")
def under(tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """An app that lies under a prefix, and the folder that it puts files into."""
    folder = tmp_path_factory.mktemp("under")
    with running_app(GRADIO_TEMP_DIR=str(folder), LEUKO_MODEL="", GRADIO_ROOT_PATH="/leuko/") as url:
        yield url, folder


@pytest.fixture(scope="module")
def locked(tmp_path_factory) -> Iterator[tuple[str, str]]:
    """An app with a password that knows its full address, and that address."""
    address = f"http://127.0.0.1:{free_port()}/lab/leuko"
    own = {"GRADIO_ROOT_PATH": address, "LEUKO_USER": USER, "LEUKO_PASSWORD": PASSWORD, "LEUKO_MODEL": ""}
    with running_app(GRADIO_TEMP_DIR=str(tmp_path_factory.mktemp("locked")), **own) as url:
        yield url, address


@MODES
def test_programs_find_everything_under_the_prefix(under, large, keep):
    url, folder = under
    with proxied(url, "/leuko", keep=keep) as address:
        client = Client(address, verbose=False)
        finding = client.predict(image=handle_file(large), api_name="/classify")
        assert finding["decision"] and client.predict(image=handle_file(large), api_name="/explain")
        answer = httpx.get(f"{address}/gradio_api/file={uploaded(address, large)}", timeout=60)
        assert answer.content == large.read_bytes() and "no-store" in answer.headers["cache-control"]
        before = files_in(folder)
        assert (
            httpx.post(f"{address}/api/classify?name=large.bmp", content=large.read_bytes(), timeout=60).json()
            == finding
        )
        assert files_in(folder) <= before
        for place in ("/openapi.json", "/gradio_api/openapi.json"):
            assert httpx.get(address + place, timeout=60).json()["servers"] == [{"url": address}]

        async def said() -> str:
            image = f"data:image/bmp;base64,{base64.b64encode(large.read_bytes()).decode()}"
            mcp = streamablehttp_client(f"{address}/gradio_api/mcp")
            async with mcp as (read, write, _), ClientSession(read, write) as session:
                await session.initialize()
                return (await session.call_tool("classify", {"image": image})).content[0].text

        assert f"'decision': '{finding['decision']}'" in asyncio.run(said())


@MODES
def test_the_page_works_under_the_prefix(under, large, browser, keep):
    with proxied(under[0], "/leuko", keep=keep) as address:
        page = browser.new_page()
        failed: list[str] = []
        page.on("response", lambda answer: answer.status >= 400 and failed.append(answer.url))
        page.goto(f"{address}/")
        page.get_by_text("No image yet").wait_for()
        page.locator("input[type=file]").first.set_input_files(large)
        page.locator(".verdict .eyebrow", has_text=large.name).wait_for(timeout=60_000)
        page.wait_for_function("document.querySelector('.picture img')?.naturalWidth === 1024")
        assert [url for url in failed if not url.endswith("/favicon.ico")] == []
        page.close()


def test_the_prefix_alone_leads_to_the_page_and_redirects_name_no_host(under):
    with proxied(under[0], "/leuko", keep=True, host="inner.example") as address:
        for asked, told in (("", "/leuko/"), ("?view=api", "/leuko/?view=api"), ("/config", None)):
            assert httpx.get(address + asked, timeout=60).headers.get("location") == told
        assert httpx.post(f"{address}/gradio_api/mcp", timeout=60).headers["location"] == "/leuko/gradio_api/mcp/"


@pytest.mark.parametrize("path", BLOCKED)
def test_what_is_blocked_is_blocked_under_the_prefix_however_it_is_written(under, path):
    path = path.format(root=ROOT, uploads=f"{under[1]}/uploads")
    escaped = path.replace("/", "%2f", 2)
    written = [f"{start}{path}" for start in ("/leuko", "//leuko", "/leuko/", "/leuko//", "/LEUKO", "/leuko/leuko")]
    written += [f"/leuko/.{path}", f"/x/../leuko{path}", f"/%6ceuko{path}", f"/leuko%2f{path}", f"/leuko{escaped}"]
    written += [f"/leuko{path.upper() if 'etc' not in path else path.replace('file', 'FILE')}", f"/leuko\\{path}"]
    for asked in written:
        status, answer = sent_as_it_is(under[0], f"GET {asked} HTTP/1.1")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert 400 <= status < 500 and b"root:" not in body and b"Traceback" not in body, asked
        assert len(body) < 2_000 and b"content-security-policy" in head, asked


@MODES
def test_limits_and_headers_hold_under_the_prefix(under, keep):
    with proxied(under[0], "/leuko", keep=keep) as address:
        text = json.dumps({"data": ["x" * 3 * 2**20]})
        assert httpx.post(f"{address}/gradio_api/call/classify", content=text, timeout=60).status_code == 413
        for path in ("/", "/config", "/nothing/here", "/gradio_api/deep_link"):
            headers = httpx.get(address + path, timeout=60).headers
            assert {name: headers[name] for name in middleware.HEADERS} == middleware.HEADERS
    for path, limit in middleware.MAX_BODY.items():
        claimed = f"Content-Length: {limit + 1}"
        assert sent_as_it_is(under[0], f"POST /leuko{path} HTTP/1.1", claimed)[0] == 413
    for path in ("call/classify/nobody", "call/v2/classify/nobody"):
        assert "call again" in httpx.get(f"{under[0]}/leuko/gradio_api/{path}", timeout=60).json()["error"]
    answer = httpx.post(f"{under[0]}/leuko/gradio_api/run/x", json={"data": ["/etc/passwd"], "fn_index": 0}, timeout=60)
    assert 400 <= answer.status_code < 500
    assert httpx.post(f"{under[0]}/leuko/gradio_api/call/nope", json={"data": []}, timeout=60).status_code == 404


def test_addresses_of_files_are_those_that_the_browser_asked(under, large):
    file = {"path": uploaded(under[0], large), "meta": META}
    for headers, start in (
        ({"X-Forwarded-Proto": "https", "Host": "smear.example"}, "https://smear.example/leuko/"),
        ({"X-Forwarded-Host": "smear.example, inner"}, "http://smear.example/leuko/"),
        ({"X-Forwarded-Prefix": "/elsewhere"}, f"{under[0]}/leuko/"),  # anybody can send it; GRADIO_ROOT_PATH counts
    ):
        with httpx.Client(headers=headers, timeout=60) as web:
            call = f"{under[0]}/leuko/gradio_api/call/explain"
            event = web.post(call, json={"data": [file, "", 0.5]}).json()["event_id"]
            assert f'"url": "{start}gradio_api/file=' in web.get(f"{call}/{event}").text
    for name in ("X-Forwarded-Host", "X-Gradio-Server"):
        answer = httpx.get(f"{under[0]}/leuko/config", headers={name: "::::"}, timeout=60)
        assert answer.status_code == 400 and "cannot be understood" in answer.json()["error"]


@MODES
def test_a_password_holds_under_a_full_address(locked, large, keep):
    url, address = locked
    with proxied(url, "/lab/leuko", keep=keep, port=urlsplit(address).port):
        client = Client(address, auth=(USER, PASSWORD), verbose=False)
        assert client.predict(image=handle_file(large), api_name="/classify")["decision"]
        for path in ("config", "gradio_api/info", "gradio_api/openapi.json", "openapi.json", "gradio_api/file=x"):
            assert httpx.get(f"{address}/{path}", timeout=60).status_code == 401, path
        data = large.read_bytes()
        for auth, status in ((None, 401), ((USER, "wrong"), 401), (("", ""), 401), ((USER, PASSWORD), 200)):
            assert httpx.post(f"{address}/api/classify", content=data, auth=auth, timeout=60).status_code == status
        answer = httpx.post(f"{address}/api/classify", content=data, cookies=dict(client.cookies), timeout=60)
        assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"


def test_a_page_of_another_site_cannot_use_a_visitors_login(locked, browser, large):
    """In a browser that is logged in: neither the token, nor an answer, nor an upload."""
    url, address = locked
    with proxied(url, "/lab/leuko", keep=False, port=urlsplit(address).port):
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{address}/")
        page.get_by_label("username").fill(USER)
        page.get_by_label("password").fill(PASSWORD)
        page.get_by_role("button", name="Login").click()
        page.locator("input[type=file]").first.set_input_files(large)
        page.locator(".verdict .eyebrow", has_text=large.name).wait_for(timeout=60_000)
        ask = """async ([address, method, body]) => {
            try {
                const form = new FormData();
                form.append("files", new Blob(["x".repeat(99)]), "x.png");
                const sent = body ? {method, credentials: "include", body: form} : {method, credentials: "include"};
                return (await fetch(address, sent)).status;
            } catch (error) { return String(error); }
        }"""
        asked = [["/gradio_api/token", "GET", False], ["/config", "GET", False], ["/gradio_api/upload", "POST", True]]
        assert [page.evaluate(ask, [address + path, *rest]) for path, *rest in asked] == [200] * 3
        page.goto(f"http://localhost:{urlsplit(url).port}/")  # another site, to a browser
        for path, *rest in [*asked, ["/api/classify", "POST", True]]:
            assert page.evaluate(ask, [address + path, *rest]) == 403, path
        context.close()


def test_a_root_path_that_is_none_is_refused(monkeypatch):
    for given, meant in (("", ""), ("leuko", "/leuko"), ("/a/b/", "/a/b"), (" https://x.org/a/ ", "https://x.org/a")):
        monkeypatch.setenv("GRADIO_ROOT_PATH", given)
        assert reverse_proxy.root_path() == meant
    for given in ("/a b", "/a?b", "ftp://x.org", "/../a", "/a//b", "https://", "https://u@x.org/a", "/é"):
        monkeypatch.setenv("GRADIO_ROOT_PATH", given)
        with pytest.raises(ValueError, match="takes a path such as /leuko"):
            reverse_proxy.root_path()
    for given in ("/api", "/gradio_api/x", "https://x.org/static"):
        monkeypatch.setenv("GRADIO_ROOT_PATH", given)
        with pytest.raises(ValueError, match="address of the app itself"):
            reverse_proxy.root_path()
