"""Publishing a model folder on the Hugging Face Hub: complete and in one commit, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import yaml
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token, parse_eval_result_entries
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from leuko.networks import hub_errors, model_folder

# Only these files are published. Others in a model folder may name or show images, and so patients: the split and the
# results of the cleaning list the files of the data set.
PUBLISHED = (
    "README.md",
    model_folder.CONFIG,
    model_folder.WEIGHTS,
    model_folder.LEUKO,
    model_folder.ONNX,
    model_folder.TRUNK,
    "evaluation/metrics.json",
    "evaluation/confusion_matrix.png",
    "evaluation/roc.png",
    "evaluation/precision_recall.png",
    "evaluation/reliability.png",
    "evaluation/risk_coverage.png",
    model_folder.RESULTS,
)


class HubError(RuntimeError):
    """A model could not be published; the message is one sentence that says what to do."""


def publish_model(source: Path, repo: str, force: bool = False) -> str:
    """Push a model folder to the Hub as one commit; it replaces the content of the repository.

    The folder is loaded first, so that only models that can be served are published. Pushing the same folder again
    changes nothing. The token comes from HF_TOKEN or the login of the Hub's client.

    Args:
        source: a model folder as `leuko train` writes it; only the files in `PUBLISHED` are pushed.
        repo: `USER/NAME`; created (public) if it does not exist.
        force: publish the model even if it has warnings (`leuko.networks.metadata.ModelMetadata`).

    Returns:
        The address of the model.

    Raises:
        leuko.networks.model_folder.ModelFolderError: the folder cannot be served.
        HubError: the model has warnings; the token is missing, wrong or lacks rights; the name is wrong; or there is no
            connection.
    """
    model = model_folder.load(source)
    if model.metadata.warnings and not force:
        raise HubError(
            f"{source} is not published, since it has warnings: {' '.join(model.metadata.warnings)} Publish it all "
            f"the same with `python -m leuko publish model {source} {repo} --force`."
        )
    check_login(repo)
    if model.is_network:
        _ = model.network  # reads the weights, so that a damaged model is refused
    again = f"python -m leuko publish model {source} {repo}{' --force' * force}"
    with _in_one_sentence(repo, then=f"`{again}` finishes"):
        api = HfApi()
        url = api.create_repo(repo, repo_type="model", exist_ok=True)
        files = {name: source / name for name in PUBLISHED if (source / name).is_file()}
        if model_folder.RESULTS in files and not _on_hub_data(files[model_folder.RESULTS]):
            del files[model_folder.RESULTS]  # the Hub accepts only results on data sets of the Hub
        obsolete = set(api.list_repo_files(repo)) - files.keys() - {".gitattributes"}
        # Not upload_folder: over Xet it may make several commits, between which the model is incomplete.
        api.create_commit(
            repo,
            [CommitOperationAdd(name, file) for name, file in files.items()]
            + [CommitOperationDelete(name) for name in sorted(obsolete)],
            commit_message="Model written by Deep Leuko",
        )
        return str(url)


def _on_hub_data(results: Path) -> bool:
    """Whether all results are on data sets of the Hub."""
    return all("/" in entry.dataset_id for entry in parse_eval_result_entries(yaml.safe_load(results.read_text())))


def check_login(repo: str) -> None:
    """Check the name of the repository and the token, before hours of training whose result cannot be pushed.

    Raises:
        HubError: the name is wrong, or the token is missing or may not write.
    """
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise HubError(f"{repo!r} is no Hub name; write USER/NAME.") from error
    if "/" not in repo:
        raise HubError(f"{repo!r} lacks its owner; write USER/NAME.")
    if not get_token():
        raise HubError("There is no Hub token; set HF_TOKEN or run `hf auth login`, then run again.")
    with _in_one_sentence(repo, then="run again"):
        token = HfApi().whoami().get("auth", {}).get("accessToken", {})
    if token.get("role") == "read":
        raise HubError("This Hub token may only read; make one that may write and set HF_TOKEN, then run again.")


@contextmanager
def _in_one_sentence(repo: str, then: str) -> Iterator[None]:
    """Turn errors of the Hub's client into a `HubError`."""
    try:
        with hub_errors.quiet():
            yield
    except (httpx2.HTTPError, OSError, RuntimeError) as error:
        raise HubError(_why(hub_errors.http_status(error), repo, then)) from error


def _why(status: int | None, repo: str, then: str) -> str:
    if status is None:
        return f"The connection to the Hub failed; {then}."
    if status == 401:
        return f"The Hub does not accept the token; check HF_TOKEN or run `hf auth login`, then {then}."
    if status == 403:
        return f"This token may not write to {repo}; use one that may, or another name, then {then}."
    if status == 404:
        return f"The Hub knows no {repo}; check the name, then {then}."
    return f"The Hub answered with an error ({status}); wait, then {then}."
