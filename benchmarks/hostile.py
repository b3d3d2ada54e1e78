"""Hostile inputs of four kinds against the real app: is any unhandled, and can any file outside the app be read?

    python -m benchmarks.hostile [--inputs 2000]

Half are files made by Hypothesis (noise, noise behind the first bytes of a format, damaged images, DICOM files and
zips), sent to Gradio's endpoints and to `/api/classify`. The rest are calls with made-up JSON, paths that lead
elsewhere, and what schemathesis makes of the app's own OpenAPI description.
Unhandled is an answer with a status of 500 or more, an error without a sentence, a traceback in any answer, no answer
within a minute, or an app that is gone. A canary, an image the app may not read, lies beside it on the disk.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import schemathesis
import tifffile
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from benchmarks.serving import META, Served, call, served, upload, write
from leuko.images.synthetic import rendering

FORMATS = {"JPEG": "jpg", "PNG": "png", "TIFF": "tif", "BMP": "bmp", "WEBP": "webp", "GIF": "gif"}
FORMATS |= {"AVIF": "avif", "JPEG2000": "jp2"}
CANARY = b"this was never meant to be read 7f3a"
ENDPOINTS = ("classify", "explain", "analyse_field", "classify_batch", "model_info", "nope")


class Trial:
    """Asks, and counts what comes back."""

    def __init__(self, app: Served, canary: Path) -> None:
        self.app, self.canary = app, canary
        self.client = httpx.Client(base_url=app.url, timeout=60)
        self.counts: Counter[str] = Counter()
        self.unhandled: list[str] = []
        self.leaks: list[str] = []

    def judge(self, kind: str, what: str, ask: Callable[[], httpx.Response | Any]) -> None:
        """One input: `ask` gives a response, or what `call` gives."""
        self.counts[kind] += 1
        try:
            answer = ask()
            if isinstance(answer, httpx.Response):
                status, text = answer.status_code, answer.text
            else:
                status, text = 200, json.dumps(answer)
                if isinstance(answer, dict) and "error" in answer and not answer["error"]:
                    self.unhandled.append(f"{kind}: {what[:200]}: an error without a sentence")
        except httpx.HTTPStatusError as error:
            status, text = error.response.status_code, error.response.text
        except (httpx.HTTPError, ValueError) as error:
            status, text = 0, ""
            self.unhandled.append(f"{kind}: {what[:200]}: {error!r}")
        if status >= 500 or "Traceback" in text or self.app.process.poll() is not None:
            self.unhandled.append(f"{kind}: {what[:200]}: {status} {text[:200]}")
        if CANARY.decode() in text or "root:x:0" in text:
            self.leaks.append(f"{kind}: {what[:200]}")


def main(inputs: int) -> None:
    # Schemathesis would report crashes of its own checks; here only answers count.
    with tempfile.TemporaryDirectory() as place, served() as app:
        canary = Path(place) / "canary.png"
        drawn(1).save(canary)
        canary.with_suffix(".txt").write_bytes(CANARY)
        trial = Trial(app, canary)
        calls(trial, inputs // 5)
        paths(trial, inputs // 10)
        described(trial, inputs - inputs // 2 - inputs // 5 - inputs // 10)
        files(trial, inputs // 2)  # takes longest
        if CANARY.decode() in app.log.read_text():
            trial.leaks.append("the log: a patient's name from a DICOM header")
        print(dict(trial.counts), *trial.unhandled, *trial.leaks, sep="\n", file=sys.stderr, flush=True)
        alive = call(trial.client, "model_info")["name"]
        write(
            "hostile",
            {
                "inputs": dict(trial.counts),
                "in all": trial.counts.total(),
                "unhandled": len(trial.unhandled),
                "files read outside the app": len(trial.leaks),
                "tracebacks in the log": app.log.read_text().count("Traceback"),
                "answers afterwards": bool(alive),
            },
        )


def drawn(number: int) -> Image.Image:
    """A small smear with room for its cells."""
    return Image.fromarray(
        rendering.render(number, width=64, height=64, um_per_px=0.42, white_cells={"blast": 1}).image
    )


def many(count: int, strategy: st.SearchStrategy, ask: Callable[[Any], None]) -> None:
    """Ask `count` times with what Hypothesis draws; the same every time this is run."""

    @seed(0)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def each(drawn: Any) -> None:
        ask(drawn)

    each()


def files(trial: Trial, count: int) -> None:
    """Bytes that claim to be images or zips."""
    smear = drawn(2)
    whole = {}
    for name, suffix in FORMATS.items():
        written = io.BytesIO()
        smear.save(written, name)
        whole[suffix] = written.getvalue()
    whole |= {"pages.tif": pages(smear), "deep.tif": deep(smear), "dcm": dicom(smear), "icc.png": profiled(smear)}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for suffix in ("png", "jpg"):
            archive.writestr(f"a/b/1.{suffix}", whole[suffix])
    whole["zip"] = packed.getvalue()

    def damaged(data: bytes) -> st.SearchStrategy[bytes]:
        places = st.lists(st.tuples(st.integers(0, len(data) - 1), st.binary(max_size=4)), min_size=1, max_size=6)
        return st.tuples(places, st.integers(0, len(data))).map(lambda drawn: _changed(data, *drawn))

    kinds = st.one_of(
        st.tuples(st.sampled_from(list(whole)), st.binary(max_size=2_000)),
        *(st.tuples(st.just(suffix), st.binary(max_size=500).map(lambda tail, d=data: d[:24] + tail))
          for suffix, data in whole.items()),
        *(st.tuples(st.just(suffix), damaged(data)) for suffix, data in whole.items()),
    )  # fmt: skip

    def ask(drawn: tuple[str, bytes]) -> None:
        suffix, data = drawn

        def sent() -> Any:
            way = random.choice((*ENDPOINTS[:3], "at once", "form"))
            if suffix != "zip" and way == "at once":
                return trial.client.post("/api/classify", content=data, headers={"content-type": "image/png"})
            if suffix != "zip" and way == "form":
                return trial.client.post("/api/classify", files={"image": (f"x.{suffix}", data)})
            (path,) = upload(trial.client, f"x.{suffix}", data).raise_for_status().json()
            file = {"path": path, "orig_name": f"x.{suffix}", "meta": META}
            endpoint = way if way in ENDPOINTS and suffix != "zip" else "classify_batch"
            more = ["", 0.5] if endpoint == "explain" else []
            return call(trial.client, endpoint, [file] if endpoint == "classify_batch" else file, *more)

        trial.judge("files", f"{suffix} {data[:60]!r}", sent)

    many(count, kinds, ask)


def pages(smear: Image.Image) -> bytes:
    """A TIFF of three pages."""
    written = io.BytesIO()
    smear.save(written, "TIFF", save_all=True, append_images=[smear, smear], compression="tiff_lzw")
    return written.getvalue()


def deep(smear: Image.Image) -> bytes:
    """A TIFF with 16-bit samples."""
    written = io.BytesIO()
    tifffile.imwrite(written, np.asarray(smear).astype(np.uint16) << 4, photometric="rgb", compression="zlib")
    return written.getvalue()


def dicom(smear: Image.Image) -> bytes:
    """A DICOM photograph."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.4"  # VL photographic image
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header = Dataset()
    header.file_meta = meta
    header.SOPClassUID, header.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    header.PatientName = CANARY.decode()
    header.Rows, header.Columns = smear.height, smear.width
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PlanarConfiguration = 3, "RGB", 0
    header.BitsAllocated = header.BitsStored = 8
    header.HighBit, header.PixelRepresentation = 7, 0
    header.PixelData = smear.tobytes()
    written = io.BytesIO()
    header.save_as(written, enforce_file_format=True)
    return written.getvalue()


def profiled(smear: Image.Image) -> bytes:
    """A PNG with a colour profile."""
    written = io.BytesIO()
    smear.save(written, "PNG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    return written.getvalue()


def _changed(data: bytes, places: list[tuple[int, bytes]], end: int) -> bytes:
    changed = bytearray(data)
    for at, new in places:
        changed[at : at + len(new)] = new
    return bytes(changed[:end] if end % 3 == 0 else changed)


def calls(trial: Trial, count: int) -> None:
    """JSON that no client would send, with paths of real files in it."""
    outside = st.sampled_from(
        [str(trial.canary), "/etc/passwd", "/dev/zero", "/proc/self/environ", f"file://{trial.canary}",
         f"{trial.app.url}/gradio_api/file={trial.canary}", "http://127.0.0.1:1/", "http://169.254.169.254/latest/",
         "data:text/plain;base64,AAAA", "\0", "", "."]
    )  # fmt: skip
    file = st.fixed_dictionaries(
        {"path": outside},
        optional={
            "url": outside,
            "meta": st.one_of(st.just(META), st.text(max_size=3), st.none(), st.just({})),
            "orig_name": st.text(max_size=20),
            "is_stream": st.booleans(),
            "size": st.integers(),
            "mime_type": st.text(max_size=9),
        },
    )
    scalars = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=20),
        file,
        outside,
    )
    value = st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner), max_leaves=8
    )

    def ask(drawn: tuple[str, str, Any]) -> None:
        endpoint, way, inputs = drawn

        def sent() -> Any:
            if way == "call":
                return call(trial.client, endpoint, *inputs)
            text = json.dumps(
                {"image": inputs} if way == "v2" else {"data": inputs, "fn_index": len(inputs), "session_hash": "h"}
            )
            path = {"v2": f"call/v2/{endpoint}", "queue": "queue/join", "api": f"api/{endpoint}", "cancel": "cancel"}[
                way
            ]
            return trial.client.post(f"/gradio_api/{path}", content=text, headers={"content-type": "application/json"})

        trial.judge("calls", f"{way} {endpoint} {inputs!r}", sent)

    ways = st.sampled_from(["call", "call", "call", "v2", "queue", "api", "cancel"])
    many(count, st.tuples(st.sampled_from(ENDPOINTS), ways, st.lists(value, max_size=4)), ask)


def paths(trial: Trial, count: int) -> None:
    """Addresses that lead out of what is served."""
    api = [f"/gradio_api/{start}" for start in ("file=", "file/", "proxy=", "custom_component/1/client/", "stream/")]
    starts = [*api, "/file=", "/static/", "/assets/", "/svelte/", "/theme/", "/"]
    ups = ["", "../", "..%2f", "%2e%2e/", "..\\", "....//", "%252e%252e/", "./", "//"]
    text = str(trial.canary.with_suffix(".txt"))
    ends = [text, f"file://{text}", f"%00{text}", f"{text}%00.png", "/etc/passwd", "etc/passwd", "app.py"]
    ends += ["/proc/self/environ", str(trial.app.log)]
    drawn = st.tuples(st.sampled_from(starts), st.sampled_from(ups), st.integers(1, 9), st.sampled_from(ends))

    def ask(parts: tuple[str, str, int, str]) -> None:
        start, up, times, end = parts
        path = start + up * times + end

        def sent() -> httpx.Response:
            request = trial.client.build_request("GET", "/")
            request.url = request.url.copy_with(raw_path=quote(path, safe="/=:%.\\").encode())  # as it is, not tidied
            return trial.client.send(request)

        trial.judge("paths", path, sent)

    many(count, drawn, ask)


def described(trial: Trial, count: int) -> None:
    """What schemathesis makes of the description that the app gives of itself."""
    told = trial.client.get("/gradio_api/openapi.json").text
    # Gradio's own word for a string; it takes it out of what an endpoint takes, and leaves it in lists.
    schema = schemathesis.openapi.from_dict(json.loads(told.replace('"filepath"', '"string"')))
    operations = [result.ok() for result in schema.get_all_operations()]
    modes = schemathesis.GenerationMode
    for operation in operations:
        strategy = st.one_of(
            *(operation.as_strategy(generation_mode=mode) for mode in (modes.POSITIVE, modes.NEGATIVE))
        )
        many(
            -(-count // len(operations)),
            strategy,
            lambda case: trial.judge(
                "described", f"{case.method} {case.path} {str(case.body)[:100]}",
                lambda: trial.client.send(_request(trial, case)),
            ),
        )  # fmt: skip


def _request(trial: Trial, case: schemathesis.Case) -> httpx.Request:
    kept = case.as_transport_kwargs(base_url=trial.app.url)
    known = {name: kept[name] for name in ("method", "url", "params", "json", "headers", "cookies") if kept.get(name)}
    if "data" in kept and "json" not in known:
        known["content" if isinstance(kept["data"], (bytes, str)) else "data"] = kept["data"]
    if kept.get("files"):
        pairs = kept["files"].items() if isinstance(kept["files"], dict) else kept["files"]
        known["files"] = [(name, _sendable(part)) for name, part in pairs]
    return trial.client.build_request(**known)


def _sendable(part: Any) -> Any:
    """A part of a form, or its name and content, as httpx takes it: made-up ones are numbers and lists too."""
    if isinstance(part, tuple):
        return tuple(_sendable(each) for each in part)
    return part if part is None or isinstance(part, (bytes, str)) else json.dumps(part, default=str)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=2000)
    random.seed(0)
    sys.exit(main(parser.parse_args().inputs))
