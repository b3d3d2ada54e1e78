"""The folder of a run: where its stages are stored, which of them are done, and whether it can be continued.

run.json                  settings and digests of the lists
drawn.npz                 drawn smears, which all rounds share
round-N/NAME.npz          the examples of a list in a round, and …
round-N/NAME.json         … how many images were left out, and why; written last
round-N/state.safetensors of the fit
round-N/network.onnx      the network of the round; written last
network.onnx, training.json   the result
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leuko.data import output_paths
from leuko.training.segmenter import example
from leuko.training.segmenter.make_examples import Labelled
from leuko.training.segmenter.settings import Settings
from leuko.training.segmenter.sources import SourceImage
from leuko.training.settings import refuse_other_run

DRAWN = "drawn"  # the name of the drawn smears beside the lists
_RUN = "run.json"


@dataclass(frozen=True)
class RunFolder:
    """The files of a run in a folder."""

    path: Path

    @property
    def drawn(self) -> Path:
        """The drawn smears."""
        return self.path / f"{DRAWN}.npz"

    @property
    def network(self) -> Path:
        """The result."""
        return self.path / "network.onnx"

    @property
    def report(self) -> Path:
        """What the result was trained on."""
        return self.path / "training.json"

    def round(self, number: int) -> RoundFolder:
        """The files of a round, from 1."""
        return RoundFolder(self.path / f"round-{number}")


@dataclass(frozen=True)
class RoundFolder:
    """The files of a round in a folder."""

    path: Path

    @property
    def state(self) -> Path:
        """Of the fit."""
        return self.path / "state.safetensors"

    @property
    def network(self) -> Path:
        """The network; the round is done where it exists."""
        return self.path / "network.onnx"

    def has(self, name: str) -> bool:
        """Whether a list is labelled."""
        return self._counts(name).is_file()

    def write(self, name: str, labelled: Labelled) -> None:
        """Store the examples of a list."""
        output_paths.make_folder(self.path)
        example.write(labelled.examples, self.path / f"{name}.npz")
        counts = {"examples": len(labelled.examples), "left_out": labelled.left_out}
        write_json(self._counts(name), counts)

    def examples(self, name: str) -> list[example.Example]:
        """The examples of a list."""
        return example.read(self.path / f"{name}.npz")

    def counts(self, name: str) -> dict[str, Any]:
        """How many `examples` a list gave, and how many images were `left_out` for which reason."""
        return json.loads(self._counts(name).read_text(encoding="utf-8"))

    def _counts(self, name: str) -> Path:
        return self.path / f"{name}.json"


def open_run(
    settings: Settings, lists: Mapping[str, Sequence[SourceImage]], on_message: Callable[[str], None]
) -> RunFolder:
    """The folder of a new run or of one that is continued; what is left of another run is removed.

    Args:
        settings: of the run.
        lists: the images, by the names of the lists.
        on_message: receives the lines meant for the user.

    Raises:
        leuko.data.errors.DataError: the folder holds other files, or cannot be made.
        leuko.training.settings.TrainingError: the folder holds another run, which cannot be continued.
    """
    folder = RunFolder(settings.output)
    output_paths.check_free(settings.output, "training run", lambda output: (output / _RUN).is_file())
    output_paths.make_folder(settings.output)
    run = settings.record() | {"lists": {name: digest(images) for name, images in lists.items()}}
    earlier = settings.output / _RUN
    if not earlier.is_file():
        if settings.resume:
            on_message("There is no run to continue; starting a new one.")
    elif settings.resume:
        first_run = json.loads(earlier.read_text(encoding="utf-8"))
        refuse_other_run(first_run, run, "lists", "other lists or images")
    else:
        on_message("Starting again; what an earlier run left is replaced (--resume would continue from it).")
        for round_folder in settings.output.glob("round-*"):
            shutil.rmtree(round_folder)
        for file in (folder.drawn, folder.network, folder.report):
            file.unlink(missing_ok=True)
    write_json(earlier, run)
    return folder


def digest(images: Sequence[SourceImage]) -> str:
    """The SHA-256 of a list's images, masks and what else is known of them; it depends on no names of files."""
    whole = hashlib.sha256()
    for known in images:
        for file in (known.image, known.mask):
            if file:
                with file.open("rb") as data:
                    whole.update(hashlib.file_digest(data, "sha256").digest())
        whole.update(repr((known.boxes, known.white_cells, known.all_red_boxed)).encode())
    return whole.hexdigest()


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file in one step."""
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    draft.replace(file)
