"""Results as lines of JSON, on the screen or in a file; only an earlier result of the same command is replaced."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from leuko.cli.output_errors import OutputError, not_written
from leuko.images import file_types

MAX_NAMED = 20  # skipped files that are named one by one; of more, only their number is printed
_NOT_ASCII = re.compile("[^ -~]")  # candidates for escaping; `_escaped` decides


class JsonLines:
    """Writes objects as lines of JSON, to a file in UTF-8 or, without one, to the screen.

    Characters that the screen cannot show, and unprintable ones everywhere, are written as JSON escapes.
    """

    def __init__(self, file: Path | None, fields: frozenset[str], overwrite: bool) -> None:
        """Open the file; an earlier result of the same command is replaced.

        Args:
            file: need not exist; None for the screen.
            fields: names that every object of the command has, unless it has `error`.
            overwrite: whether any other file may be replaced too.

        Raises:
            OutputError: the file exists and holds something else, or it cannot be written.
        """
        self._file = file
        self._stream: TextIO | None = sys.stdout  # None in a program without a screen
        if file is not None:
            try:
                if not (overwrite or _may_be_replaced(file, fields)):
                    raise OutputError(
                        f"{file} exists and is no earlier result of this command; give another name, or --overwrite to "
                        "replace it."
                    )
                self._stream = file.open("w", encoding="utf-8", newline="\n")
            except OSError as error:
                raise not_written(file, error) from error
        self._ascii_only = "utf" not in (getattr(self._stream, "encoding", None) or "").lower()

    def write(self, result: dict[str, Any]) -> None:
        """Write one object.

        Raises:
            OutputError: it cannot be written, for example because the disk is full.
            BrokenPipeError: the reader of the output has closed it.
        """
        text = json.dumps(result, ensure_ascii=self._ascii_only)
        try:
            print(_NOT_ASCII.sub(_escaped, text), file=self._stream, flush=True)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise not_written(self._file or "The answer", error) from error

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file and self._stream:
            with suppress(OSError):  # all lines are written, or `write` has raised an error already
                self._stream.close()


def print_skipped(skipped: Sequence[dict[str, Any]]) -> None:
    """Print on stderr how many files were skipped, which and why; each object has `image` and `skipped`."""
    if not skipped:
        return
    named = ", ".join(f"{file_types.printable(each['image'])} ({each['skipped']})" for each in skipped[:MAX_NAMED])
    more = f" and {len(skipped) - MAX_NAMED} more" if len(skipped) > MAX_NAMED else ""
    print(f"Skipped {len(skipped)} file{'' if len(skipped) == 1 else 's'}: {named}{more}.", file=sys.stderr)


def _may_be_replaced(file: Path, fields: frozenset[str]) -> bool:
    """Whether a file is missing, a device or pipe, empty, or holds results of the same command only."""
    if not os.path.lexists(file) or (file.exists() and not (file.is_file() or file.is_dir())):
        return True
    with file.open(encoding="utf-8", errors="replace") as lines:
        return all(_is_result(line, fields) for line in lines)


def _is_result(line: str, fields: frozenset[str]) -> bool:
    if not line.endswith("\n"):
        return line.startswith('{"image": ')  # the last line of an interrupted run
    try:
        result = json.loads(line)
    except ValueError:
        return False
    return isinstance(result, dict) and (result.keys() == {"image", "error"} or fields <= result.keys())


def _escaped(match: re.Match[str]) -> str:
    return match[0] if match[0].isprintable() else json.dumps(match[0])[1:-1]
