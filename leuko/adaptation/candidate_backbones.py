"""The candidate trunks for adaptation: the model's own and a general one, each at several input sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from leuko.adaptation.frozen_features import FrozenTrunk
from leuko.decision.apparent_cell_size import measure_scales
from leuko.networks.model import Model
from leuko.networks.trunk_files import TrunkFiles

SIZE_LIMITS = 0.5, 2.0  # smallest and largest input size, relative to the model's; other sizes were not tested
SIZE_STEP = 32  # pixels; input sizes are multiples of it, since most networks halve their maps five times
MEASURED_IMAGES = 12  # images whose cells are measured; their median is stable, and each takes about a second


def candidates(model: Model, enlargement: float | None) -> list[FrozenTrunk]:
    """The model's trunk and, if there is one of the same backbone, the general trunk, each at up to two input sizes.

    The preferred size comes first: the one at which cells appear as large as in training, then the model's own.

    Args:
        model: a loaded model.
        enlargement: from `input_enlargement`; if None, the model's own size comes first and twice that size second.

    Raises:
        leuko.networks.model_folder.ModelFolderError: the model does not end in one linear layer.
    """
    files, preprocessing = TrunkFiles.of_model(model), model.preprocessing
    assert preprocessing, "every network has one"
    if preprocessing.stain:
        # All images of a laboratory are processed equally, even if some stains are within the model's accepted range.
        preprocessing = replace(preprocessing, stain=replace(preprocessing.stain, accepted=None))
    factor = SIZE_LIMITS[1] if enlargement is None else float(np.clip(enlargement, *SIZE_LIMITS))
    height, width = (max(SIZE_STEP, SIZE_STEP * round(side * factor / SIZE_STEP)) for side in preprocessing.size)
    scaled, own_size = (height, width), preprocessing.size
    sizes = (own_size, scaled) if enlargement is None else (scaled, own_size)
    trunks: list[FrozenTrunk] = []
    for size in dict.fromkeys(sizes):
        try:
            trunks.append(FrozenTrunk.open(files, replace(preprocessing, size=size)))
        except ValueError:  # vision transformers, for example, accept only one input size
            if size == own_size:
                raise
    if general := TrunkFiles.general(model.backbone):
        trunks += [FrozenTrunk.open(general, trunk.preprocessing) for trunk in trunks]
    return trunks


def input_enlargement(open_image: Callable[[int], np.ndarray], count: int, model: Model, seed: int) -> float | None:
    """The factor by which the input must be enlarged for cells to appear as large in it as in training.

    Args:
        open_image: decodes image 0 to `count` − 1 of one laboratory: uint8, H × W × 3, RGB.
        count: number of images.
        model: its metadata state the scale of the training images (`leuko.decision.apparent_cell_size`).
        seed: selects the images to measure, if there are more than `MEASURED_IMAGES`.

    Returns:
        The median over the images whose scale can be measured. None if the scale can be measured in fewer than half of
        the images, or if the model states no scale.
    """
    if not model.metadata.scale or not model.preprocessing:
        return None
    numbers = np.random.default_rng(seed).permutation(count)[:MEASURED_IMAGES]
    scales = measure_scales((open_image(int(number)) for number in numbers), model.preprocessing.size)
    known = [um_per_px for um_per_px in scales if um_per_px]
    return float(np.median(known)) / model.metadata.scale.middle if 2 * len(known) > len(scales) else None
