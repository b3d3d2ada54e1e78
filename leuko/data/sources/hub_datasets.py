"""Read data sets of the Hub and parquet files. This is the only module that imports the package `datasets`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import datasets
import httpx2
from datasets import DatasetDict
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub.errors import HfHubHTTPError

from leuko.data.errors import DataError
from leuko.data.image_table import ImageTable
from leuko.data.sources.hub_columns import tables_of
from leuko.networks import hub_errors


def read(name: str, title: str, group_column: str | None, on_message: Callable[[str], None]) -> dict[str, ImageTable]:
    """Read a folder of parquet files, or a data set of the Hub; images stay in the files until they are needed.

    Args:
        name: the folder or Hub id.
        title: the name for `ImageTable.sources`.
        group_column: the column of groups; None to find it by name.
        on_message: receives a line for every column that was chosen or is not used.

    Raises:
        DataError: the data set cannot be loaded, has no training split, or its columns are missing or ambiguous.
    """
    loaded = _load_dataset(name) if Path(name).is_dir() else _load_from_hub(name)
    return tables_of(loaded, name, title, group_column, on_message)


def _load_from_hub(name: str) -> DatasetDict:
    try:
        with hub_errors.quiet(), hub_errors.cached_if_unreachable():
            return _load_dataset(name)
    except DatasetNotFoundError as error:
        raise DataError(
            f"There is no folder {name!r} and no such data set on the Hub; check the name and, if it is private, log "
            "in with `hf auth login`."
        ) from error
    except (HfHubHTTPError, httpx2.HTTPError, OSError) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403):
            raise DataError(
                f"There is no folder {name!r}, and the Hub lets this token read no such data set; check HF_TOKEN."
            ) from error
        raise DataError(
            f"There is no folder {name!r}, and the Hub could not be reached for a data set; check the name and the "
            "connection, then run again."
        ) from error


def _load_dataset(name: str) -> DatasetDict:
    """Load with `datasets`; the many kinds of errors that its parsers raise become DataError."""
    try:
        return datasets.load_dataset(name)
    except (DatasetNotFoundError, HfHubHTTPError, httpx2.HTTPError, OSError):
        raise
    except Exception as error:  # parsers for CSV, JSON, parquet and others each raise their own kinds
        raise DataError(f"{name} cannot be read as a data set of images; check its files.") from error
