"""To the Hugging Face Hub: a model folder, whole and in one commit, or not at all."""

from __future__ import annotations

from pathlib import Path

import httpx2
from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from leuko.models import folder


class HubError(RuntimeError):
    """Something could not be published; the message is one sentence that says what to do."""


def publish_model(source: Path, repo: str) -> str:
    """Push a model folder to the Hub, replacing what the repository held, as one commit.

    The folder is loaded first, so that nothing is published that could not be served. Pushing the same folder again
    changes nothing. The token comes from HF_TOKEN or the Hub's own login.

    Args:
        source: a model folder as `train.py` writes it.
        repo: `USER/NAME`; made if it does not exist.

    Returns:
        The address of the model.

    Raises:
        leuko.models.folder.ModelFolderError: the folder cannot be served.
        HubError: no token, a wrong one, no rights, no such name, or no connection.
    """
    folder.load(source)
    check_login()
    api = HfApi()
    try:
        url = api.create_repo(repo, repo_type="model", exist_ok=True)
        api.upload_folder(
            repo_id=repo,
            folder_path=source,
            commit_message="Model written by Deep Leuko",
            delete_patterns="*",
        )
    except HFValidationError as error:
        raise HubError(f"{repo!r} is no Hub name; write USER/NAME.") from error
    except (HfHubHTTPError, httpx2.HTTPError, OSError, RuntimeError) as error:
        raise HubError(_why(error, repo)) from error
    return str(url)


def check_login() -> None:
    """Make sure that there is a token, before hours are spent on what could not be pushed.

    Raises:
        HubError: there is none.
    """
    if not get_token():
        raise HubError("There is no Hub token; set HF_TOKEN or run `hf auth login`, then run again.")


def _why(error: Exception, repo: str) -> str:
    """One sentence for what the Hub's client raised; the answer may hang on the error's cause."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    status = getattr(response, "status_code", None)
    if status == 401:
        return "The Hub does not accept the token; check HF_TOKEN or run `hf auth login`, then run again."
    if status == 403:
        return f"This token may not write to {repo}; use one with write access or another name, then run again."
    if status == 404:
        return f"The Hub knows no {repo}; check the name, then run again."
    if status is not None:
        return f"The Hub answered with an error ({status}); run again, or `hf upload {repo} FOLDER` later."
    return f"The connection to the Hub failed; run again, or `hf upload {repo} FOLDER` later."
