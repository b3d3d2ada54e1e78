"""The files that the command line writes: never over a file that is not an earlier result of the same command.

A picture carries a mark of the command that wrote it; lines of JSON are known by their fields.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import stat
import struct
import sys
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, TextIO

import cv2
import numpy as np

from leuko.images import file_types

NAMED = 20  # skipped files that are named one by one
_UNPRINTABLE = re.compile("[^ -~]")  # which of them cannot be printed, `_escaped` tells
_AHEAD = 33  # bytes of a PNG before its second chunk: signature and header


class OutputError(ValueError):
    """A result that cannot be written; the message is one sentence that says what to do."""


class ForeignFileError(OutputError):
    """A result that would replace a file that is none."""


@dataclass(frozen=True)
class Results:
    """A folder for the pictures that one option of a command writes.

    Attributes:
        folder: made if need be.
        kind: the command and the option, which make the mark of its pictures.
        overwrite: whether other files may be replaced.
    """

    folder: Path
    kind: str
    overwrite: bool

    def make(self) -> None:
        """Make the folder.

        Raises:
            OutputError: it is a file, or cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            why = "it is a file" if self.folder.is_file() else error.strerror
            raise OutputError(f"{self.folder} cannot be used as a folder ({why}); give another one.") from error

    def check(self, stem: str, suffixes: Sequence[str] = (".png",)) -> None:
        """Refuse to write files of this name over any that this option did not write.

        Raises:
            OutputError: there is such a file.
        """
        if self.overwrite or is_result(self.folder / f"{stem}.png", self.kind):
            return
        for file in (self.folder / f"{stem}{suffix}" for suffix in suffixes):
            if os.path.lexists(file):
                raise ForeignFileError(
                    f"{file_types.readable(str(file))} exists and was not written by {self.kind}; give another folder, or "
                    "--overwrite to replace it."
                )

    def write_picture(self, stem: str, image: np.ndarray) -> None:
        """Write an image, uint8, H × W grey or H × W × 3 RGB, as `STEM.png`."""
        ordered = image if image.ndim == 2 else image[..., ::-1]
        png = cv2.imencode(".png", ordered)[1].tobytes()
        self._write(f"{stem}.png", png[:_AHEAD] + _mark(self.kind) + png[_AHEAD:])

    def write_array(self, stem: str, array: np.ndarray) -> None:
        """Write an array as `STEM.npy`."""
        file = self.folder / f"{stem}.npy"
        try:
            with file.open("wb") as opened:
                np.save(opened, array)
        except OSError as error:
            raise _unwritten(file, error) from error

    def _write(self, name: str, content: bytes) -> None:
        file = self.folder / name
        try:
            file.write_bytes(content)
        except OSError as error:
            raise _unwritten(file, error) from error


class Stems:
    """What the files are called that are written of each image: its own name without its suffix.

    Where an earlier image has that already, more of its path is used, or a number; that is said on stderr.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def claim(self, place: PurePath) -> str:
        """The name for the image at a path; no other image gets it, nor what a page of it is called (`STEM#2`)."""
        stem, parent = place.stem, place.parent.name
        numbered = (f"{stem}-{number}" for number in itertools.count(2))
        candidates = itertools.chain([stem, f"{parent}-{stem}", f"{parent}-{place.name}"], numbered)
        claimed = next(name for name in candidates if _without_page(name) not in self._taken)
        self._taken.add(_without_page(claimed))
        if claimed != stem:
            told = f"{place}: written as {claimed}, since another image is called {stem} too."
            print(file_types.printable(file_types.readable(told)), file=sys.stderr)
        return claimed


class Lines:
    """Writes objects as lines of JSON, into a file in UTF-8 or, without one, to the screen.

    A screen that does not show all characters gets them escaped; so is everywhere what cannot be printed.
    """

    def __init__(self, file: Path | None, fields: frozenset[str], overwrite: bool) -> None:
        """Open the file; an earlier result of the command is replaced.

        Args:
            file: need not exist.
            fields: names that every object of the command has, unless it has `error`.
            overwrite: whether another file may be replaced too.

        Raises:
            OutputError: the file exists and is something else, or it cannot be written.
        """
        self._file = file
        if file is None:
            self._lines: TextIO | None = sys.stdout  # None where there is none
        else:
            try:
                if not (overwrite or _may_be_replaced(file, fields)):
                    raise OutputError(
                        f"{file} exists and is no earlier result of this command; give another name, or --overwrite to "
                        "replace it."
                    )
                self._lines = file.open("w", encoding="utf-8", newline="\n")
            except OSError as error:
                raise _unwritten(file, error) from error
        self._plain = "utf" not in (getattr(self._lines, "encoding", None) or "").lower()

    def write(self, answer: dict[str, Any]) -> None:
        """Write one object.

        Raises:
            OutputError: the disk is full, or the like.
            BrokenPipeError: nobody reads what is printed any more.
        """
        text = json.dumps(answer, ensure_ascii=self._plain)
        try:
            print(_UNPRINTABLE.sub(_escaped, text), file=self._lines, flush=True)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _unwritten(self._file or "The answer", error) from error

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file and self._lines:
            with suppress(OSError):  # everything was written, or `write` has said why not
                self._lines.close()


def tell_skipped(skipped: Sequence[dict[str, Any]]) -> None:
    """Say on stderr how many files were skipped, which and why; objects with `image` and `skipped`."""
    if not skipped:
        return
    some = ", ".join(f"{file_types.printable(each['image'])} ({each['skipped']})" for each in skipped[:NAMED])
    more = f" and {len(skipped) - NAMED} more" if len(skipped) > NAMED else ""
    print(f"Skipped {len(skipped)} file{'' if len(skipped) == 1 else 's'}: {some}{more}.", file=sys.stderr)


def is_result(file: Path, kind: str = "") -> bool:
    """Whether a file is a picture that a command of ours has written; of all, or of one with its option."""
    try:
        if file.suffix != ".png" or not stat.S_ISREG(file.stat().st_mode):
            return False
        with file.open("rb") as opened:
            opened.seek(_AHEAD + 4)  # the length of the chunk
            return opened.read(200).startswith(_text(kind))
    except OSError:
        return False


def _may_be_replaced(file: Path, fields: frozenset[str]) -> bool:
    """Whether a file is not there, a device or a pipe, empty, or all lines of it are answers of the same command."""
    if not os.path.lexists(file) or (file.exists() and not (file.is_file() or file.is_dir())):
        return True
    with file.open(encoding="utf-8", errors="replace") as lines:
        return all(_is_answer(line, fields) for line in lines)


def _is_answer(line: str, fields: frozenset[str]) -> bool:
    if not line.endswith("\n"):
        return line.startswith('{"image": ')  # a run was cut off here
    try:
        answer = json.loads(line)
    except ValueError:
        return False
    return isinstance(answer, dict) and (answer.keys() == {"image", "error"} or fields <= answer.keys())


def _escaped(found: re.Match[str]) -> str:
    return found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1]


def _without_page(stem: str) -> str:
    return re.sub(r"#\d+$", "", stem)


def _unwritten(what: object, error: OSError) -> OutputError:
    why = error.strerror or "is the disk full?"
    return OutputError(f"{file_types.readable(str(what))} cannot be written ({why}).")


def _text(kind: str) -> bytes:
    """A text chunk of a PNG (https://www.w3.org/TR/png-3/#11tEXt) that says who wrote it, from its type on."""
    return b"tEXtSoftware\0" + f"Deep Leuko: python -m leuko {kind}".encode()


def _mark(kind: str) -> bytes:
    """The whole chunk."""
    text = _text(kind)
    return struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
