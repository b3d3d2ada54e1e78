"""Where a model is: a folder of this machine, or one that is fetched from the Hub."""

from __future__ import annotations

import os
from pathlib import Path

from leuko.networks.model import ModelFolderError
from leuko.networks.model_folder.files import CONFIG, EMBEDDED, LEUKO, ONNX, TRUNK, WEIGHTS
from leuko.system.hub_ids import is_path


def locate(model: str | os.PathLike[str] | None) -> Path:
    """The folder of a model given as a folder or a Hub id (`USER/NAME`); without one, the embedded default.

    Raises:
        ModelFolderError: there is no such folder, and the Hub has or gives no such model.
    """
    if not model:
        return EMBEDDED
    folder = Path(model)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ModelFolderError(f"{str(model)!r} is a file and no model folder; give the folder that train.py wrote.")
    if is_path(str(model)):
        raise ModelFolderError(
            f"There is no model folder {str(model)!r}; check the path. A model of the Hub is given as USER/NAME."
        )
    return _fetch(str(model))


def _fetch(model: str) -> Path:
    # Imported here because most models are folders, and the Hub's client takes a while to import.
    import httpx2
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    from leuko.networks import hub_errors

    try:
        with hub_errors.quiet(), hub_errors.cached_if_unreachable():
            return Path(snapshot_download(model, allow_patterns=[CONFIG, WEIGHTS, LEUKO, ONNX, TRUNK]))
    except HFValidationError as error:
        raise ModelFolderError(
            f"There is no model folder {model!r}; give a folder written by train.py or a Hub id (USER/NAME)."
        ) from error
    except (httpx2.HTTPError, OSError) as error:
        raise ModelFolderError(f"There is no model folder {model!r}, and {hub_errors.why_no_model(error)}.") from error
