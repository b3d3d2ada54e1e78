"""The endpoints over real HTTP: Python's client, plain HTTP as with curl, and the official MCP client."""

from __future__ import annotations

import ast
import asyncio
import base64
import json
import zipfile
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import CallToolResult

from leuko.__main__ import main
from leuko.cells.segmentation import METHODS
from leuko.images.decode import decode
from tests import bad_files

ENDPOINTS = {
    "/classify": ["image", "cells"],
    "/explain": ["image", "class_name", "opacity"],
    "/analyse_field": ["image", "method", "count_smudges"],
    "/classify_batch": ["images"],
    "/analyse_case": ["images", "specimen", "count_smudges"],
    "/model_info": [],
}


@pytest.fixture(scope="module")
def files(tmp_path_factory, smear) -> Path:
    folder = tmp_path_factory.mktemp("files")
    bad_files.write_all(folder, smear[:180])
    return folder


@pytest.fixture(scope="module")
def client(app_url) -> Client:
    return Client(app_url, verbose=False)


@pytest.fixture(scope="module")
def printed(files, tmp_path_factory) -> dict[str, dict]:
    """What the command line says of every file, by name."""
    lines = tmp_path_factory.mktemp("printed") / "classify.jsonl"
    assert main(["classify", str(files), "--json", str(lines)]) == 1
    return {said["image"]: said for said in map(json.loads, lines.read_text().splitlines())}


def close(served: object, printed: object) -> bool:
    """Equal but for the fourth decimal of a float, in which threads may differ."""
    if isinstance(printed, dict):
        return served.keys() == printed.keys() and all(close(served[k], printed[k]) for k in printed)
    if isinstance(printed, list):
        return len(served) == len(printed) and all(map(close, served, printed))
    return served == (pytest.approx(printed, rel=1e-6, abs=2e-4) if isinstance(printed, float) else printed)


def test_classify_says_what_the_command_line_says(client, files, printed):
    for name in ("rotated.jpg", "cmyk.jpg", "deep.tif"):
        assert close(client.predict(image=handle_file(files / name), api_name="/classify"), printed[name])


def test_a_batch_says_what_the_command_line_says_and_a_bad_file_fails_alone(client, files, printed):
    served = client.predict(images=[handle_file(files / name) for name in printed], api_name="/classify_batch")
    assert [said["image"] for said in served] == list(printed)
    assert all(map(close, served, printed.values()))
    for name in bad_files.REFUSED:
        assert set(served[list(printed).index(name)]) == {"image", "error"}


def test_a_zip_is_a_batch_too(client, files, printed, tmp_path):
    with zipfile.ZipFile(tmp_path / "slides.zip", "w") as packed:
        packed.write(files / "rgba.png", "slides/a/rgba.png")
        packed.write(files / "text.png", "slides/b/c/text.png")
    served = client.predict(images=[handle_file(tmp_path / "slides.zip")], api_name="/classify_batch")
    assert close(served[0], printed["rgba.png"] | {"image": "a/rgba.png"})
    assert set(served[1]) == {"image", "error"} and served[1]["image"] == "b/c/text.png"
    with pytest.raises(Exception, match="leads out of its folder"):
        with zipfile.ZipFile(tmp_path / "bad.zip", "w") as packed:
            packed.write(files / "rgba.png", "../rgba.png")
        client.predict(images=[handle_file(tmp_path / "bad.zip")], api_name="/classify_batch")


def test_a_case_says_what_the_command_line_says(client, files, tmp_path):
    given = [files / name for name in ("rgba.png", "rotated.jpg", "text.png")]
    assert main(["case", *map(str, given), "--specimen", "marrow", "--json", str(tmp_path / "case.jsonl")]) == 1
    served = client.predict(images=list(map(handle_file, given)), specimen="marrow", api_name="/analyse_case")
    printed = json.loads((tmp_path / "case.jsonl").read_text())
    assert served.pop("created") and printed.pop("created")
    assert close(served, printed) and served["specimen"] == "marrow"
    assert [each["image"] for each in served["fields"]] == ["rgba.png", "rotated.jpg"]
    assert [each["image"] for each in served["errors"]] == ["text.png"]
    with pytest.raises(Exception, match="not in the list of choices"):
        client.predict(images=[handle_file(given[0])], specimen="urine", api_name="/analyse_case")
    with pytest.raises(Exception, match="No images were given"):
        client.predict(images=[], api_name="/analyse_case")


def test_analyse_field_says_what_the_command_line_says(client, files, tmp_path):
    main(["field", str(files / "rgba.png"), "--json", str(tmp_path / "field.jsonl"), "--overlay", str(tmp_path)])
    cells, picture = client.predict(image=handle_file(files / "rgba.png"), api_name="/analyse_field")
    printed = json.loads((tmp_path / "field.jsonl").read_text())
    assert printed["counts"]["white_cells"] > 3 and close(cells, printed)
    assert np.array_equal(decode(picture), decode(tmp_path / "rgba.png"))


def test_the_method_of_segmentation_is_an_option_of_analyse_field(client, files):
    image = handle_file(files / "rgba.png")
    counts = {}
    for method in METHODS:
        cells, picture = client.predict(image=image, method=method, api_name="/analyse_field")
        assert cells["method"] == method and decode(picture).any()
        counts[method] = cells["counts"]
        confidences = [cell["confidence"] for cell in cells["cells"] if cell["kind"] == "white_cell"]
        assert confidences and all((confidence is None) == (method != "learned") for confidence in confidences)
    assert {method for method, found in counts.items() if found["smudge_cells"] is not None} == {"learned"}
    with pytest.raises(Exception, match="not in the list of choices"):
        client.predict(image=image, method="magic", api_name="/analyse_field")


def test_every_class_can_be_explained(client, files):
    pictures = []
    for name in ("", "Benign", "Early", "Pre", "Pro"):
        served = client.predict(image=handle_file(files / "rgba.png"), class_name=name, api_name="/explain")
        pictures.append(decode(served))
        assert pictures[-1].shape == (180, 224, 3)
    assert len({p.tobytes() for p in pictures[1:]}) > 1
    plain = client.predict(image=handle_file(files / "rgba.png"), class_name="Pre", opacity=0, api_name="/explain")
    assert np.abs(decode(plain).astype(int) - decode(files / "rgba.png")).max() <= 1


@pytest.mark.parametrize(("name", "words"), bad_files.REFUSED.items())
def test_bad_files_are_refused_in_one_sentence(client, files, name, words):
    for endpoint in ("/classify", "/explain", "/analyse_field"):
        with pytest.raises(Exception, match=words) as refusal:
            client.predict(image=handle_file(files / name), api_name=endpoint)
        assert "Traceback" not in str(refusal.value)


def test_nothing_and_the_unknown_are_refused_in_one_sentence(client, files):
    with pytest.raises(Exception, match="No image was given"):
        client.predict(image=None, api_name="/classify")
    with pytest.raises(Exception, match="No images were given"):
        client.predict(images=[], api_name="/classify_batch")
    with pytest.raises(Exception, match="There is no class 'Nope'"):
        client.predict(image=handle_file(files / "rgba.png"), class_name="Nope", api_name="/explain")
    with pytest.raises(Exception, match="inputs are not what this endpoint takes"):
        client.predict(image="rgba.png", api_name="/classify")
    assert client.predict(api_name="/model_info")["backbone"] == "efficientnet_lite0"


def test_the_api_page_shows_these_endpoints_documented_and_no_other(client, app_url):
    api = client.view_api(return_format="dict")
    shown = {name: [p["parameter_name"] for p in about["parameters"]] for name, about in api["named_endpoints"].items()}
    assert shown == ENDPOINTS and not api["unnamed_endpoints"]
    described = httpx.get(f"{app_url}/gradio_api/openapi.json").json()["paths"]
    assert {path.rsplit("/", 1)[1] for path in described if "/call/v2/" in path and "{" not in path} == {
        name[1:] for name in ENDPOINTS
    }
    for about in httpx.get(f"{app_url}/gradio_api/info").json()["named_endpoints"].values():
        assert len(about["description"]) > 20


def test_plain_http_as_with_curl(app_url, files, printed):
    with (files / "rgba.png").open("rb") as image:
        (path,) = httpx.post(f"{app_url}/gradio_api/upload", files={"files": image}).json()
    asked = {"image": {"path": path, "meta": {"_type": "gradio.FileData"}}}
    event = httpx.post(f"{app_url}/gradio_api/call/v2/classify", json=asked).json()["event_id"]
    answer = httpx.get(f"{app_url}/gradio_api/call/classify/{event}", timeout=60).text
    assert answer.startswith("event: complete\ndata: ")
    assert close(json.loads(answer.split("data: ", 1)[1])[0], printed["rgba.png"])


def test_tools_for_assistants(app_url, files, printed):
    images = {name: f"data:image/png;base64,{base64.b64encode((files / name).read_bytes()).decode()}"
              for name in ("rgba.png", "text.png")}  # fmt: skip

    async def talk() -> tuple[list, list[CallToolResult]]:
        address = f"{app_url}/gradio_api/mcp/"
        async with streamablehttp_client(address) as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            tools = (await session.list_tools()).tools
            with (files / "rgba.png").open("rb") as image:
                (path,) = httpx.post(f"{app_url}/gradio_api/upload", files={"files": image}).json()
            return tools, [
                await session.call_tool("classify", {"image": images["rgba.png"]}),
                await session.call_tool("classify", {"image": f"{app_url}/gradio_api/file={path}"}),
                await session.call_tool("explain", {"image": images["rgba.png"], "class_name": "Pre"}),
                await session.call_tool("classify_batch", {"images": list(images.values())}),
                await session.call_tool("classify", {"image": images["text.png"]}),
            ]

    tools, (one, uploaded, explained, many, refused) = asyncio.run(talk())
    assert {f"/{tool.name}": list(tool.inputSchema["properties"]) for tool in tools} == ENDPOINTS
    assert all(len(tool.description) > 20 for tool in tools)
    assert all(about.get("description") for tool in tools for about in tool.inputSchema["properties"].values())
    for answer, name in ((one, "file.png"), (uploaded, "rgba.png")):
        assert close(ast.literal_eval(answer.content[0].text), printed["rgba.png"] | {"image": name})
    assert decode(base64.b64decode(explained.content[0].data)).shape == (180, 224, 3)
    first, second = ast.literal_eval(many.content[0].text)
    assert close(first, printed["rgba.png"] | {"image": "image-1"}) and set(second) == {"image", "error"}
    assert refused.isError and "not an image" in refused.content[0].text and "Traceback" not in refused.content[0].text
