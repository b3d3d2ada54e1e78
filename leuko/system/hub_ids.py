"""Telling paths on this machine from ids of the Hub, in the names of models and data sets."""

from __future__ import annotations

import re
from pathlib import Path, PureWindowsPath

_SUFFIXES = (".zip", ".tar", ".gz", ".csv", ".tsv", ".json", ".jsonl", ".parquet", ".png", ".jpg", ".jpeg", ".tif",
             ".tiff", ".bmp", ".safetensors", ".onnx", ".pt", ".pth", ".bin", ".pkl", ".h5")  # fmt: skip
_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)  # USER/NAME; names may have dots (`timm/resnet50.a1_in1k`)


def is_path(text: str) -> bool:
    """Whether a text can only be meant as a path, even if no such file exists.

    Everything but `USER/NAME` is a path; so is `USER/NAME` if a folder `USER` exists or the name ends like a file's.
    """
    if not _ID.fullmatch(text) or text.lower().endswith(_SUFFIXES) or PureWindowsPath(text).drive:
        return True
    first = text.split("/")[0]
    return first in (".", "..", "~") or Path(first).is_dir()
