"""The HTML page that the data report and the evaluation share: one file that contains everything it shows."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from leuko.data import output_paths
from leuko.reports.rendering import render

REPORT = "report.html"
THUMBNAIL = 128  # pixels, longer side of a small image
GALLERY_SIZE = 24  # sets or images that a gallery shows at most


@dataclass(frozen=True)
class Plot:
    """A plot: its name on disk, its PNG, and a description for readers who cannot see it."""

    name: str
    png: bytes
    alt: str

    @property
    def uri(self) -> str:
        """The PNG as a data URI."""
        return data_uri(self.png, "png")


@dataclass(frozen=True)
class Tile:
    """A small image.

    Attributes:
        uri: data URI; None if the image cannot be read.
        file: name of its file, or a title.
        note: text below it.
    """

    uri: str | None
    file: str
    note: str = ""


@dataclass(frozen=True)
class Gallery:
    """Cards of one or several tiles; `more` says what is not shown."""

    cards: tuple[tuple[Tile, ...], ...]
    title: str = ""
    more: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page. The first row of `table` is its header."""

    key: str
    title: str
    sentences: Sequence[str]
    plots: tuple[Plot, ...] = ()
    galleries: tuple[Gallery, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Highlight:
    """A finding that needs attention.

    Attributes:
        weight: higher is more important.
        text: the finding.
        section: key of the section that shows it.
    """

    weight: float
    text: str
    section: str


@dataclass(frozen=True)
class HtmlReport:
    """A page.

    Attributes:
        kind: what kind of report it is; also names the folder's content, see `check_output`.
        title: of the page.
        facts: pairs of a name and a value, shown first.
        highlights: findings that need attention, the most important first.
        sections: the rest, in order.
        footer: names the other files of the folder.
    """

    kind: str
    title: str
    facts: Sequence[tuple[str, str]]
    highlights: Sequence[Highlight]
    sections: Sequence[Section]
    footer: str

    def write(self, output: Path) -> Path:
        """Write `report.html`, and the PNG files of the sections into `plots/`; returns the page's path.

        Args:
            output: the folder. Earlier plots in it are removed. The page is written last.
        """
        folder = output / "plots"
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.png"):
            old.unlink()
        for plot in (plot for section in self.sections for plot in section.plots):
            (folder / f"{plot.name}.png").write_bytes(plot.png)
        titles = {section.key: section.title for section in self.sections}
        page = output / REPORT
        page.write_text(
            render("report.html.jinja", report=self, titles=titles, generator=_generator(self.kind)), encoding="utf-8"
        )
        return page


def check_output(output: Path, kind: str) -> None:
    """Refuse a folder that holds anything else than an earlier report of this kind.

    Raises:
        DataError: it is a file, or a folder with other content.
    """

    def is_earlier_report(folder: Path) -> bool:
        page = folder / REPORT
        return page.is_file() and _generator(kind) in page.read_text(encoding="utf-8", errors="replace")[:2000]

    output_paths.check_free(output, kind, is_earlier_report)


def data_uri(data: bytes, kind: str) -> str:
    """Bytes of an image of MIME type `image/KIND` as a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def thumbnail(image: np.ndarray) -> str:
    """A small version of an image, uint8, H × W × 3, RGB, as a data URI."""
    shrink = min(1, THUMBNAIL / max(image.shape[:2]))
    size = [max(1, round(side * shrink)) for side in image.shape[1::-1]]
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return data_uri(data.tobytes(), "jpeg")


def _generator(kind: str) -> str:
    return f"Deep Leuko {kind}"
