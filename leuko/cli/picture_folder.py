"""Pictures that a command writes into a folder; each is marked, so that only marked files are ever replaced."""

from __future__ import annotations

import itertools
import os
import re
import stat
import struct
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import cv2
import numpy as np

from leuko.cli.output_errors import ForeignFileError, OutputError, not_written
from leuko.images import file_types

_PNG_START = 33  # bytes of the signature and the header chunk, after which other chunks may follow


@dataclass(frozen=True)
class PictureFolder:
    """A folder for the pictures that one option of a command writes.

    Attributes:
        path: of the folder, which need not exist.
        kind: the command and the option (`field --masks`), which are written into every picture.
        overwrite: whether any other file may be replaced too.
    """

    path: Path
    kind: str
    overwrite: bool

    def make(self) -> None:
        """Create the folder if it does not exist.

        Raises:
            OutputError: it is a file, or cannot be created.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = "it is a file" if self.path.is_file() else error.strerror
            raise OutputError(f"{self.path} cannot be used as a folder ({reason}); give another one.") from error

    def check_free(self, stem: str, suffixes: Sequence[str] = (".png",)) -> None:
        """Check that files of this stem can be written without replacing one that this option did not write.

        Raises:
            ForeignFileError: there is such a file.
        """
        if self.overwrite or is_written_picture(self.path / f"{stem}.png", self.kind):
            return
        for file in (self.path / f"{stem}{suffix}" for suffix in suffixes):
            if os.path.lexists(file):
                raise ForeignFileError(
                    f"{file_types.readable(str(file))} exists and was not written by {self.kind}; give another folder, "
                    "or --overwrite to replace it."
                )

    def write_picture(self, stem: str, image: np.ndarray) -> None:
        """Write an image, uint8, H × W grey or H × W × 3 RGB, as `STEM.png`."""
        bgr = image if image.ndim == 2 else image[..., ::-1]
        png = cv2.imencode(".png", bgr)[1].tobytes()
        file = self.path / f"{stem}.png"
        try:
            file.write_bytes(png[:_PNG_START] + _mark(self.kind) + png[_PNG_START:])
        except OSError as error:
            raise not_written(file, error) from error

    def write_array(self, stem: str, array: np.ndarray) -> None:
        """Write an array as `STEM.npy`."""
        file = self.path / f"{stem}.npy"
        try:
            with file.open("wb") as opened:
                np.save(opened, array)
        except OSError as error:
            raise not_written(file, error) from error


class UniqueStems:
    """Gives each image a different file stem: its own, or one with more of its path or a number in it."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def claim(self, path: PurePath) -> str:
        """The stem for an image at a path. A stem that differs from the image's own is printed on stderr.

        No other image gets the same one, nor one that a page of this image has (`STEM#2`).
        """
        stem, parent = path.stem, path.parent.name
        numbered = (f"{stem}-{number}" for number in itertools.count(2))
        candidates = itertools.chain([stem, f"{parent}-{stem}", f"{parent}-{path.name}"], numbered)
        claimed = next(name for name in candidates if _without_page(name) not in self._taken)
        self._taken.add(_without_page(claimed))
        if claimed != stem:
            message = f"{path}: written as {claimed}, since another image is called {stem} too."
            print(file_types.printable(file_types.readable(message)), file=sys.stderr)
        return claimed


def is_written_picture(file: Path, kind: str = "") -> bool:
    """Whether a file is a picture that a command wrote; with `kind`, one that this command and option wrote."""
    try:
        if file.suffix != ".png" or not stat.S_ISREG(file.stat().st_mode):
            return False
        with file.open("rb") as opened:
            opened.seek(_PNG_START + 4)  # after the length of the chunk
            return opened.read(200).startswith(_mark_text(kind))
    except OSError:
        return False


def _without_page(stem: str) -> str:
    return re.sub(r"#\d+$", "", stem)


def _mark_text(kind: str) -> bytes:
    """A text chunk of a PNG (https://www.w3.org/TR/png-3/#11tEXt) that names the writer, from the chunk's type on."""
    return b"tEXtSoftware\0" + f"Deep Leuko: python -m leuko {kind}".encode()


def _mark(kind: str) -> bytes:
    """The whole chunk: length, type and text, checksum."""
    text = _mark_text(kind)
    return struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
