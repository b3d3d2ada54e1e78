"""What a network sees of a data set while it learns; made in processes of their own, so that it need not wait."""

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
    """A data set as the Trainer takes it: `pixel_values`, computed when an item is asked for, and `labels`.

    Attributes:
        rows: the images.
        view: turns an image, uint8, H × W × 3, RGB, into the network's input, float32, 3 × height × width. It can be
            pickled, for worker processes.
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


def apart() -> str | None:
    """How processes that make views are to be started, or None if the system leaves no choice.

    From a small process kept for that (`forkserver`). Copies of the one that trains, anew in every epoch, would keep
    its gigabytes alive while training writes them anew: twice the memory.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return None
    needed = [__name__, "transformers.data.data_collator"]
    # Each process runs the main module again, and would have to load, in every epoch, all that it imports.
    main = getattr(sys.modules["__main__"], "__spec__", None)
    multiprocessing.set_forkserver_preload([*needed, main.name] if main else needed)
    return "forkserver"
