"""What several tests share: data, the embedded model, a smear, a running app."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import pytest

from leuko.images.synthetic import rendering
from leuko.inference.classifier import Classifier
from tests import clients
from tests.drawn import draw

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[1]


def pytest_sessionstart() -> None:
    clients.start()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that open the page; run slow files first, so that two processes end at about the same time."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def data() -> Path:
    """Real smear images; they cannot be part of the repository."""
    folder = Path(os.environ.get("LEUKO_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"CI must have the real images in {folder}")
        pytest.skip(f"no real images in {folder} (set LEUKO_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def real_files(data: Path) -> list[Path]:
    """Five files of each Aria class."""
    return [
        f for name in ("Benign", "Early", "Pre", "Pro") for f in sorted((data / "aria" / name).iterdir())[7:507:100]
    ]


@pytest.fixture(scope="session")
def embedded() -> Classifier:
    return Classifier.load()


@pytest.fixture(scope="session")
def smear() -> np.ndarray:
    """A drawn field, 224 × 224, with ten blasts."""
    return rendering.render(
        3, width=224, height=224, um_per_px=0.42, stain="blue", white_cells={"blast": 10}, blur_um=0.3
    ).image


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """Two classes that differ in their cells, 30 small fields each."""
    return draw(tmp_path_factory.mktemp("drawn"), 30, 30)


def start_app(port: int, cwd: Path = ROOT, log: int | IO = subprocess.PIPE, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=cwd,
        env={**os.environ, "GRADIO_SERVER_PORT": str(port), **environment},
        stdout=log,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def running_app(cwd: Path = ROOT, **environment: str) -> Iterator[str]:
    """The address of the real app, in a process of its own that ends with the block."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile("w+") as log:  # nobody reads along: a pipe would fill up and stop the app
        process = start_app(port, cwd, log, **environment)
        try:
            for _ in range(240):
                if process.poll() is not None:
                    log.seek(0)
                    pytest.fail(log.read())
                try:
                    urllib.request.urlopen(url, timeout=2).close()
                    break
                except OSError:
                    time.sleep(0.5)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="session")
def app_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app with the embedded model."""
    with running_app(GRADIO_TEMP_DIR=str(tmp_path_factory.mktemp("gradio")), LEUKO_MODEL="") as url:
        yield url


@pytest.fixture(scope="module")  # Playwright holds the thread's event loop as long as it runs
def browser() -> Iterator[Browser]:
    """A real Chromium."""
    from playwright.sync_api import sync_playwright

    chromium = Path("/usr/bin/chromium")
    if not chromium.exists():
        if os.environ.get("CI"):
            pytest.fail("CI must have Debian's chromium")
        pytest.skip("no /usr/bin/chromium on this machine")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=quiet)
        yield browser
        browser.close()
