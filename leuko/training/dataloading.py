"""The data set as the Trainer reads it; views are computed in worker processes."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from leuko.data.image_table import ImageTable
from leuko.images.augmentation import Augmentation


@dataclass(frozen=True)
class RandomView:
    """An augmentation that is seeded by torch's generator, which the Trainer seeds in every worker and epoch."""

    augmentation: Augmentation

    def __call__(self, image: np.ndarray) -> torch.Tensor:
        """A random view of an image (uint8, H × W × 3, RGB): float32, 3 × height × width, normalised."""
        rng = np.random.default_rng(int(torch.randint(2**31, ())))
        return torch.from_numpy(self.augmentation(image, rng))


@dataclass(frozen=True, eq=False)
class ViewDataset(Dataset):
    """A data set for the Trainer with `labels` and `pixel_values`, which are computed when an item is accessed.

    Attributes:
        rows: the images.
        view: converts an image, uint8, H × W × 3, RGB, to the network's input, float32, 3 × height × width. It must be
            picklable, for worker processes.
    """

    rows: ImageTable
    view: Callable[[np.ndarray], Any]

    def __len__(self) -> int:
        """The number of images."""
        return len(self.rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        """The view and the class number of an image."""
        return {
            "pixel_values": torch.as_tensor(self.view(self.rows.open_image(row))),
            "labels": int(self.rows.labels[row]),
        }


def worker_start_method() -> str | None:
    """The start method of worker processes: `forkserver`, or None if the system has only one method.

    `forkserver` copies a small process. Copies of the training process, which would be made in every epoch, would need
    some gigabytes more, because training changes the shared memory.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return None
    preloaded = [__name__, "transformers.data.data_collator"]
    # Every worker runs the main module again; preloading avoids importing its modules in every epoch.
    main = getattr(sys.modules["__main__"], "__spec__", None)
    multiprocessing.set_forkserver_preload([*preloaded, main.name] if main else preloaded)
    return "forkserver"
