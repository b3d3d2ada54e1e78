"""Read tables that describe images: CSV in the variants that spreadsheets write, and JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leuko.data.errors import DataError
from leuko.data.sources.columns import IMAGES, LABELS, PARTS, columns_named_like
from leuko.data.sources.folder_layout import part_of

_SEPARATORS = ",;\t|"


@dataclass(frozen=True)
class Table:
    """A table that names images and labels.

    Attributes:
        path: path of the file.
        columns: values of each column, as text without spaces at both ends; all of equal length, in the table's order.
    """

    path: Path
    columns: dict[str, list[str]]

    @property
    def names_images(self) -> bool:
        """Whether the table has a column of images and a column of labels."""
        return bool(columns_named_like(self.columns, IMAGES) and columns_named_like(self.columns, LABELS))

    @property
    def parts(self) -> list[str] | None:
        """The split of every line, from a column such as `split` (train, val, test); None without such a column."""
        for column in columns_named_like(self.columns, PARTS):
            found = [part_of(value) for value in self.columns[column]]
            if found and all(found):
                return [part for part in found if part]
        return None


def read_table(path: Path) -> Table:
    """Read a table: JSON lines, or CSV with commas, semicolons, tabs or bars, in UTF-8 or UTF-16.

    Raises:
        DataError: the table cannot be read; the message names the file.
    """
    text = _decode(path)
    lines = _json_lines(path, text) if path.suffix.lower() == ".jsonl" else _csv_lines(path, text)
    names = list(dict.fromkeys(name for line in lines for name in line))
    columns = {name: [_as_text(line.get(name)) for line in lines] for name in names if name and name.strip()}
    return Table(path, {name.strip(): values for name, values in columns.items()})


def _decode(path: Path) -> str:
    data = path.read_bytes()
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        if wide:
            return data.decode("utf-16")
        if data[1:2] == b"\0" or data[:1] == b"\0":  # UTF-16 without a byte order mark: ASCII text has zeros
            return data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} cannot be read as a table; save it as CSV in UTF-8.") from error


def _csv_lines(path: Path, text: str) -> list[dict[str, str]]:
    given = None
    first, _, rest = text.partition("\n")
    if first.strip().strip('"').lower().startswith("sep="):
        given, text = first.strip().strip('"')[4:5] or "\t", rest
    head = next((line for line in text.splitlines() if line.strip()), "")
    text = text[text.find(head) :]  # skip empty lines before the header
    separator = given or max(_SEPARATORS, key=lambda mark: (_named(head, mark), head.count(mark)))
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
        lines = [{name: value for name, value in line.items() if isinstance(name, str)} for line in reader]
    except csv.Error as error:
        raise DataError(f"{path.name} cannot be read as a table; save it as CSV in UTF-8.") from error
    return [line for line in lines if any(value and value.strip() for value in line.values())]


def _named(head: str, separator: str) -> int:
    """The number of required columns in a table's header, if it is split at this separator."""
    columns = [column.strip() for column in next(csv.reader([head], delimiter=separator), [])]
    return bool(columns_named_like(columns, IMAGES)) + bool(columns_named_like(columns, LABELS))


def _json_lines(path: Path, text: str) -> list[dict[str, object]]:
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except ValueError as error:
            raise DataError(f"Line {number} of {path.name} is not JSON; write one object a line.") from error
        if not isinstance(found, dict):
            raise DataError(f"Line {number} of {path.name} is no JSON object; write one object a line.")
        lines.append(found)
    return lines


def _as_text(value: object) -> str:
    """A cell as text: numbers without a trailing `.0`, missing values as an empty text."""
    if value is None or (isinstance(value, Sequence) and not isinstance(value, str)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).strip()
