"""What a network sees of a data set while it learns; made in processes of their own, so that it need not wait."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from leuko.data.load import open_image


def seen(rows: Dataset, view: Callable[[np.ndarray], Any]) -> Dataset:
    """The data set as the Trainer takes it: `pixel_values`, made when they are asked for, and `labels`.

    Args:
        rows: as `leuko.data.load` gives them.
        view: what becomes of an image, uint8, H × W × 3, RGB: float32, 3 × height × width. It can be pickled.
    """
    return rows.with_transform(partial(_seen, view))


def apart() -> str | None:
    """How processes that make views are to be started, or None if the system leaves no choice.

    From a small process kept for that (`forkserver`). Copies of the one that trains, anew in every epoch, would keep
    its gigabytes alive while training writes them anew: twice the memory.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return None
    needed = [__name__, "leuko.training.augmentation", "transformers.data.data_collator"]
    # Each process runs the main module again, and would have to load, in every epoch, all that it imports.
    main = getattr(sys.modules["__main__"], "__spec__", None)
    multiprocessing.set_forkserver_preload([*needed, main.name] if main else needed)
    return "forkserver"


def _seen(view: Callable[[np.ndarray], Any], rows: dict[str, list]) -> dict[str, list]:
    return {
        "pixel_values": [torch.as_tensor(view(open_image(image))) for image in rows["image"]],
        "labels": rows["label"],
    }
