"""File names: the conventions of public data sets, the words of a name, and the natural sort order."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PBC = {  # prefix → folder of the published data set
    "BA": "basophil",
    "BNE": "neutrophil",
    "EO": "eosinophil",
    "ERB": "erythroblast",
    "IG": "ig",
    "LY": "lymphocyte",
    "MMY": "ig",
    "MO": "monocyte",
    "MY": "ig",
    "NEUTROPHIL": "neutrophil",
    "NGS": "neutrophil",
    "PLATELET": "platelet",
    "PMY": "ig",
    "SNE": "neutrophil",
}


@dataclass(frozen=True)
class FileNameInfo:
    """The class in a file name, and the patient or subject (`group`) if the name contains one."""

    label: str
    group: str | None = None


def parse_file_name(name: str) -> FileNameInfo | None:
    """Read class and subject from a file name, by the conventions of four public data sets.

    - ALL-IDB1 and ALL-IDB2 (Labati, Piuri & Scotti 2011, doi:10.1109/ICIP.2011.6115881): `Im001_1.jpg`, 1 is ALL.
    - C-NMC 2019 (Gupta & Gupta, doi:10.7937/tcia.2019.dc64i46r): `UID_11_2_1_all.bmp`, `UID_H10_1_1_hem.bmp`: subject,
      image, cell, class.
    - Aria et al. 2021 (doi:10.34740/KAGGLE/DSV/2175623): `WBC-Malignant-Pre-001.jpg`, `WBC-Benign-001.jpg`.
    - PBC (Acevedo et al. 2020, doi:10.1016/j.dib.2020.105474): `IG_102433.jpg`, a code for the cell type.

    Args:
        name: file name, with or without folders and suffix.

    Returns:
        Class and subject, or None if the name follows none of these conventions.
    """
    stem = re.split(r"[/\\]", name)[-1].split(".")[0]
    if found := re.fullmatch(r"Im\d+_([01])", stem, re.IGNORECASE):
        return FileNameInfo("ALL" if found[1] == "1" else "healthy")
    if found := re.fullmatch(r"UID_(H?\d+)_\d+_\d+_(all|hem)", stem, re.IGNORECASE):
        return FileNameInfo(found[2].lower(), found[1].upper())
    if found := re.fullmatch(r"WBC-(?:Malignant-(Early|Pre|Pro)|(Benign))-\d+", stem, re.IGNORECASE):
        return FileNameInfo((found[1] or found[2]).capitalize())
    if (found := re.fullmatch(r"([A-Z]+)_\d+", stem)) and found[1] in _PBC:
        return FileNameInfo(_PBC[found[1]])
    return None


def natural_sort_key(name: str) -> list[str | int]:
    """Sort key with which file 9 comes before file 10."""
    return [int(part) if i % 2 else part.lower() for i, part in enumerate(re.split(r"([0-9]+)", name))]


def printable(name: str | Path) -> str:
    """A file name that can be printed anywhere: invalid UTF-8 and control characters are replaced."""
    text = os.fsencode(name).decode(errors="replace")
    return "".join(c if c.isprintable() else "�" for c in text)


def shortlist(names: Iterable[object], most: int = 3) -> str:
    """The first few names, and an ellipsis if there are more."""
    texts = [str(name) for name in names]
    return ", ".join(texts[:most]) + (" …" if len(texts) > most else "")


def words(name: str) -> list[str]:
    """Split a name into words without accents, with their case unchanged: `EarlyPre-B_ALL` is Early, Pre, B, ALL.

    Words end at separators and before an upper-case letter that follows a lower-case one. Digits stay with the letters
    before them (`L1`).
    """
    text = _without_accents(name)
    text = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text)
    return re.findall(r"[^\W\d_]+\d*|\d+", text)


def signs(name: str) -> str:
    """The characters of a name that are neither words nor plain separators: `?` of `ALL?`, the last `-` of `ALL-`."""
    name = name.strip()
    ends = name[:1] + name[-1:]
    return "".join(c for c in ends if c in _DASHES) + "".join(
        re.findall(rf"[^\w{_SEPARATORS}]", _without_accents(name))
    )


def name_key(name: str) -> str:
    """A key that is equal for names that differ only in case, accents, Unicode form or separators (`PreB`, `pre-b `).

    Signs that may have a meaning are kept (`ALL+`, `ALL-`), and also separators between digits.
    """
    text = _without_accents(name).casefold()
    text = re.sub(rf"(?<=\d)[{_SEPARATORS}_]+(?=\d)", "·", text)
    return "".join(re.findall(r"[^\W_]|·", text)) + signs(name)


_DASHES = "-‐‑‒–—−"
_SEPARATORS = r"\s\-‐‑‒–—.,:;()\[\]{}'\"/|#" + "\\\\"


def _without_accents(name: str) -> str:
    """A name without the accents of the Latin, Greek and Cyrillic scripts, in composed Unicode form."""
    text = unicodedata.normalize("NFKD", name)
    return unicodedata.normalize("NFC", re.sub("[\u0300-\u036f]", "", text))
